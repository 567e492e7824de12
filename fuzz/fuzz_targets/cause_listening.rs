//! What nginx logs of an attempt that fails: any line at all, and any words in a line as nginx makes it.
//! The first line of an input is what nginx was doing.

#![no_main]

#[path = "../../src/failure/classify.rs"]
mod classify;
#[path = "../../src/failure/line.rs"]
mod line;

use classify::classify;
use libfuzzer_sys::fuzz_target;
use line::{Said, message};
use websocket_fuzz::input::Input;
use websocket_fuzz::text::{assert_line, escaped};
use websocket_protocol::Cause;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (action, rest) = (input.line(), input.0);
    if let Some(said) = message(rest) {
        is_classified(action, said);
        is_shown(said);
    }
    let said = rest;
    is_found(action, said);
    is_classified(action, said);
    is_shown(said);
});

/// nginx's own words stand between a number and what it was doing, whatever they quote.
fn is_found(action: &[u8], said: &[u8]) {
    let is_context = |text: &[u8]| has(text, b" while ") || has(text, b", client: ");
    if is_context(&[b" ", action, b","].concat()) {
        return;
    }
    let begin = b"2026/11/26 09:00:00 [error] 1234#1234: *56 ";
    let line = [begin, said, b" while ", action, b", client: 192.0.2.1"].concat();
    assert_eq!(message(&line), Some(said));
    // Of a line that is too long the end is missing.
    let line = [&begin[..], said].concat();
    let found = message(&line).expect("it has a number");
    assert!(said.starts_with(found));
    assert!(is_context(said) || found == said);
}

/// Each cause has its stage and its words; and what is quoted behind them changes nothing.
fn is_classified(action: &[u8], said: &[u8]) {
    for is_bound in [false, true] {
        let cause = classify(action, said, is_bound);
        let Some(named) = cause else {
            continue;
        };
        let (stages, words) = evidence(named);
        assert!(stages.is_empty() || stages.contains(&action), "{named}");
        assert!(words.iter().any(|word| has(said, word)), "{named}");
        if let Some(quote) = said.iter().position(|&byte| byte == b'"') {
            if stages.contains(&&b"sending request to upstream"[..]) {
                assert_eq!(classify(action, &said[..quote], is_bound), cause);
            }
        }
    }
}

/// Where a cause may come from, any stage if none is named, and one of the words that there must be.
fn evidence(cause: Cause) -> (&'static [&'static [u8]], &'static [&'static [u8]]) {
    const CONNECTING: &[&[u8]] = &[b"connecting to upstream"];
    const ANSWERING: &[&[u8]] = &[
        b"sending request to upstream",
        b"reading response header from upstream",
    ];
    match cause {
        Cause::UpstreamUnresolved => (&[], &[b" resolve ", b" resolved ("]),
        Cause::UpstreamTlsFailed => (
            &[b"SSL handshaking to upstream"],
            &[b"SSL", b"upstream timed out ("],
        ),
        Cause::UpstreamNoneLive => (CONNECTING, &[b"no live upstreams"]),
        Cause::WorkerConnectionsExhausted => (CONNECTING, &[b"worker_connections"]),
        Cause::UpstreamConnectTimeout => (CONNECTING, &[b"timed out"]),
        Cause::UpstreamRefused => (
            CONNECTING,
            &[
                b"connect() failed (111:",
                b"failed (104:",
                b"failed (11:",
                b"connect() ",
            ],
        ),
        Cause::ConnectForbidden => (CONNECTING, &[b"failed (13:", b"failed (1:", b"failed ("]),
        Cause::LocalPortsExhausted => (CONNECTING, &[b"failed ("]),
        Cause::TooManyOpenFiles => (CONNECTING, &[b"socket() failed ("]),
        Cause::UpstreamUnreachable => (CONNECTING, &[b"connect() ", b"socket() ", b"bind("]),
        Cause::UpstreamResponseTimeout => (ANSWERING, &[b"timed out"]),
        Cause::UpstreamHeaderTooBig => (ANSWERING, &[b"too big header"]),
        Cause::UpstreamResponseInvalid => (ANSWERING, &[b"no valid ", b"invalid "]),
        Cause::UpstreamClosed => (
            ANSWERING,
            &[b"prematurely closed ", b") failed (", b"reported "],
        ),
        other => panic!("no line of nginx's says {other}"),
    }
}

/// As it is, but that what is not printable is escaped and what is quoted is cut.
fn is_shown(said: &[u8]) {
    let shown = Said(said).to_string();
    assert_line(&shown, 4 * said.len() + 4);
    let own = said
        .iter()
        .position(|&byte| byte == b'"')
        .map_or(said.len(), |at| at + 1);
    let end = said.len().min(own + 128);
    let marks = |byte: &u8| match byte {
        b'"' | b'\\' => char::from(*byte).to_string(),
        byte => escaped(&[*byte]),
    };
    let mut expected: String = said[..end].iter().map(marks).collect();
    if end < said.len() {
        expected += "...\"";
    }
    assert_eq!(shown, expected);
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
