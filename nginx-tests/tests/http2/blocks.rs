//! Header blocks in every form that a client may give them.

use nginx_tests::http2::session::{CONTINUATION, PADDED};
use nginx_tests::http2::{END_HEADERS, HEADERS};
use nginx_tests::{Frame, ScriptedBackend};

use crate::case::{PROXIES, connected, with_long_fields};

const PRIORITY: u8 = 0x20;

#[test]
fn a_compressed_connect_is_one() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    session.is_compressing = true;
    let fields = [
        ("sec-websocket-version", "13"),
        ("x-own", "some value"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ];
    for number in 0..6 {
        // Plain requests use the same table.
        let plain = session.get("/plain");
        assert_eq!(session.body(plain), b"plain");
        let stream = session.open_with(&format!("/chat{}", number / 2), &fields);
        assert_eq!(session.status(stream), 200);
        session.echo(stream, Frame::text("hello"));
    }
    let requests = backend.requests();
    let handshakes = requests
        .iter()
        .filter(|request| request.head.start.contains("/chat"));
    for request in handshakes {
        assert_eq!(request.head.header("X-Own"), Some("some value"));
        assert_eq!(request.head.header("Cookie"), Some("a=b; c=d"));
    }
    assert_eq!(requests.len(), 12);
}

#[test]
fn a_block_may_be_padded_and_continued() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    session.is_compressing = true;
    for cut in [1, 10, 30] {
        let block = session.block(&[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", &format!("/chat{cut}")),
            (":authority", "localhost"),
            ("sec-websocket-version", "13"),
        ]);
        let cut = cut.min(block.len() - 1);
        let (front, rest) = block.split_at(cut);
        let stream = session.stream();
        let front = [&[3][..], &[0, 0, 0, 0, 15], front, &[0; 3]].concat();
        session.frame(HEADERS, PADDED | PRIORITY, stream, &front);
        session.frame(CONTINUATION, 0, stream, &[]);
        session.frame(CONTINUATION, END_HEADERS, stream, rest);
        assert_eq!(session.status(stream), 200);
        session.echo(stream, Frame::text("hello"));
    }
    let plain = session.get("/plain");
    assert_eq!(session.body(plain), b"plain");
}

#[test]
fn a_long_connect_is_one() {
    let backend = ScriptedBackend::standard();
    let text = format!("{} {PROXIES}", with_long_fields());
    let (_nginx, mut session) = connected(&backend, &text);
    let value = "v".repeat(14_000);
    let stream = session.open_with(
        "/chat",
        &[
            ("sec-websocket-version", "13"),
            ("x-own", &value),
            ("x-more", &value),
        ],
    );
    assert_eq!(session.status(stream), 200);
    session.echo(stream, Frame::text("hello"));
    assert_eq!(backend.request(0).head.header("X-Own"), Some(&*value));
}
