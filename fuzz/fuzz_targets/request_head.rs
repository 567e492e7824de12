//! The head of a request, as a client sends it: judged as by rules that are written to be read, in
//! whatever order its headers come; and read back as the request that an upstream gets.

#![no_main]

#[path = "../../protocol/tests/request/naive.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;
use naive::{Naive, Request};
use websocket_fuzz::input::{Input, header};
use websocket_fuzz::list::{latin, trimmed};
use websocket_fuzz::text::assert_line;
use websocket_protocol::{
    HttpVersion, RequestHead, RequestHeader, RequestLine, SentRequest, Strictness, Upgrade,
};

fuzz_target!(|bytes: &[u8]| {
    is_judged(&read(bytes));
    is_read_back(bytes);
});

fn read(bytes: &[u8]) -> Request {
    let mut input = Input(bytes);
    let line = latin(input.line());
    let (method, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let version = match rest.rsplit_once(' ').map_or("", |(_, version)| version) {
        "HTTP/1.1" => HttpVersion::Http11,
        "HTTP/1.0" => HttpVersion::Http10,
        "HTTP/2" => HttpVersion::Http2,
        "HTTP/3" => HttpVersion::Http3,
        _ => HttpVersion::Http09,
    };
    let mut request = Request {
        method: method.to_owned(),
        version,
        has_body: false,
        headers: vec![],
    };
    for (name, value) in input.head().into_iter().filter_map(header) {
        let name = latin(name).to_ascii_lowercase();
        request.has_body |= match &*name {
            "content-length" => trimmed(value) != "0",
            name => name == "transfer-encoding",
        };
        let known = RequestHeader::ALL
            .into_iter()
            .find(|known| known.name() == name);
        request
            .headers
            .extend(known.map(|known| (known, value.to_vec())));
    }
    request
}

fn is_judged(request: &Request) {
    let naive = Naive::new(request);
    let mut head = RequestHead::new();
    for (header, value) in &request.headers {
        head.add(*header, value);
    }
    assert_eq!(head.is_attempt(), naive.is_attempt());
    assert_eq!(
        head.connection_has_upgrade(),
        naive.lists("connection", "upgrade")
    );
    assert_eq!(head.upgrade().is_to_websocket(), naive.asks_for_websocket());
    let is_websocket = naive.lists("upgrade", "websocket");
    assert_eq!(head.upgrade() == Upgrade::WebSocket, is_websocket);

    let line = RequestLine {
        method: request.method.as_bytes(),
        version: request.version,
        has_body: request.has_body,
    };
    let broken = naive.broken();
    for strictness in [Strictness::Strict, Strictness::Safe, Strictness::Lenient] {
        let refused = broken.iter().find(|cause| strictness.refuses(**cause));
        let judged = head.judge(line, strictness);
        let (refusal, expected) = match judged {
            Ok(remark) => (remark, refused.map_or(broken.first(), |_| None)),
            Err(refusal) => (Some(refusal), refused),
        };
        assert_eq!(judged.is_err(), refused.is_some());
        assert_eq!(refusal.map(|refusal| refusal.cause).as_ref(), expected);
        if let Some(refusal) = refusal {
            assert_line(&refusal.seen.to_string(), 4 * 128 + 64);
        }
    }
    assert_eq!(head.check(line).is_ok(), broken.is_empty());
    does_not_depend_on_the_order(request, &head);
}

/// The order of different headers means nothing.
fn does_not_depend_on_the_order(request: &Request, head: &RequestHead<'_>) {
    let mut sorted = RequestHead::new();
    for header in RequestHeader::ALL {
        for (_, value) in request.headers.iter().filter(|(other, _)| *other == header) {
            sorted.add(header, value);
        }
    }
    assert_eq!(format!("{sorted:?}"), format!("{head:?}"));
}

fn is_read_back(bytes: &[u8]) {
    let Some(sent) = SentRequest::read(bytes) else {
        return;
    };
    let mut input = Input(bytes);
    let line = latin(input.line());
    let target = line.split(' ').nth(1).expect("there are three words");
    let path = target.split('?').next().unwrap_or_default();
    assert_eq!(latin(sent.path()), path);
    // A line that has no end may still grow.
    let end = bytes.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    let mut input = Input(&bytes[..end]);
    input.line();
    let lines = input.head();
    for name in ["Host", "Origin", "sec-websocket-protocol"] {
        let named = |(other, _): &(&[u8], &[u8])| other.eq_ignore_ascii_case(name.as_bytes());
        let values = lines.iter().filter_map(|line| header(line)).filter(named);
        let expected: Vec<String> = values.map(|(_, value)| trimmed(value)).collect();
        let read: Vec<String> = sent.headers(name).map(latin).collect();
        assert_eq!(read, expected, "{name}");
        assert_eq!(sent.header(name).map(latin), expected.first().cloned());
    }
}
