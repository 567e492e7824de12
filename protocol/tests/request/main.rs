//! The request check agrees with a naive one that allocates, on whatever headers it is given.

mod naive;

use naive::{Naive, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use websocket_protocol::{HttpVersion, RequestHead, RequestHeader, RequestLine, Upgrade};

const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// Under Miri each takes a thousand times longer.
const CASES: u32 = if cfg!(miri) { 20 } else { 4096 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn agrees_with_the_naive_check(request in request()) {
        let mut head = RequestHead::new();
        for (header, value) in &request.headers {
            head.add(*header, value);
        }
        let line = RequestLine {
            method: request.method.as_bytes(),
            version: request.version,
            has_body: request.has_body,
        };
        let naive = Naive::new(&request);
        prop_assert_eq!(head.is_attempt(), naive.is_attempt());
        prop_assert_eq!(head.upgrade() == Upgrade::WebSocket, naive.lists("upgrade", "websocket"));
        prop_assert_eq!(head.upgrade().is_to_websocket(), naive.asks_for_websocket());
        prop_assert_eq!(head.connection_has_upgrade(), naive.lists("connection", "upgrade"));

        let refusal = head.check(line).err();
        prop_assert_eq!(refusal.map(|refusal| refusal.cause), naive.broken().first().copied());
        if let Some(refusal) = refusal {
            let seen = refusal.seen.to_string();
            prop_assert!(seen.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", seen);
            prop_assert!(seen.len() < 4 * 128 + 64, "{}", seen);
        }
    }
}

/// A good handshake most of the time, with headers dropped, replaced, added and mixed up.
fn request() -> impl Strategy<Value = Request> {
    use HttpVersion::*;
    let method = prop_oneof![20 => Just("GET".to_owned()), 1 => "[A-Za-z]{0,4}"];
    let version = prop_oneof![20 => Just(Http11), 1 => select(vec![Http09, Http10, Http2, Http3])];
    let headers = (good_headers(), vec(any_header(), 0..4))
        .prop_map(|(good, more)| good.into_iter().flatten().chain(more).collect::<Vec<_>>());
    (
        method,
        version,
        proptest::bool::weighted(0.05),
        headers.prop_shuffle(),
    )
        .prop_map(|(method, version, has_body, headers)| Request {
            method,
            version,
            has_body,
            headers,
        })
}

fn good_headers() -> impl Strategy<Value = Vec<Option<(RequestHeader, Vec<u8>)>>> {
    let usually = |header: RequestHeader, good: &'static [u8]| {
        let value = prop_oneof![
            18 => Just(Some(good.to_vec())),
            1 => value().prop_map(Some),
            1 => Just(None),
        ];
        value.prop_map(move |value| value.map(|value| (header, value)))
    };
    (
        usually(RequestHeader::Connection, b"keep-alive, Upgrade"),
        usually(RequestHeader::Upgrade, b"WebSocket"),
        usually(RequestHeader::Key, KEY),
        usually(RequestHeader::Version, b"13"),
    )
        .prop_map(|(connection, upgrade, key, version)| vec![connection, upgrade, key, version])
}

fn any_header() -> impl Strategy<Value = (RequestHeader, Vec<u8>)> {
    // The lists more often: a second key or version ends the check early.
    let header = prop_oneof![
        1 => select(RequestHeader::ALL.to_vec()),
        3 => select(vec![RequestHeader::Protocol, RequestHeader::Extensions]),
    ];
    (header, value())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        "",
        " ",
        ",",
        "upgrade",
        "UPGRADE,",
        "close",
        "websocket",
        "websocket/13",
        "h2c, websocket",
        "13",
        " 13\t",
        "13, 13",
        "8",
        "dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "a, b",
        "b",
        "a,,a",
        "chat, superchat",
        "a;b",
        "a; b=c, d",
        "a; b=\"c\"",
        "a; b=\"c,d\"",
        "a; b=\"c;d\"",
        "a; b=\"\\c\"",
        "a; b=\"c\\\"",
        "a b",
        "a;",
        "permessage-deflate; client_max_window_bits",
    ]);
    prop_oneof![
        4 => known.prop_map(|value| value.as_bytes().to_vec()),
        3 => r#"[ab;=", \t\\]{0,12}"#.prop_map(String::into_bytes),
        1 => "(p[0-9]{1,2},){0,60}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..200),
    ]
}
