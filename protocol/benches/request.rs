//! What it costs to judge the handshake of a browser, and to pass over a plain request.
//!
//! Both readers get the header list as nginx keeps it: names in lower case with their hash. Ours
//! compares hashes and borrows values; the other one makes a `String` of whatever it touches.

// Criterion's macro makes an undocumented public function.
#![allow(missing_docs)]

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use websocket_protocol::{HttpVersion, RequestHead, RequestHeader, RequestLine};

criterion_group!(benches, handshake, plain);
criterion_main!(benches);

fn handshake(c: &mut Criterion) {
    let headers = nginx_headers(&HANDSHAKE);
    assert!(borrowing(&headers) && allocating(&headers));
    let mut group = c.benchmark_group("handshake");
    group.bench_function("borrowing", |b| b.iter(|| borrowing(black_box(&headers))));
    group.bench_function("allocating", |b| b.iter(|| allocating(black_box(&headers))));
}

fn plain(c: &mut Criterion) {
    let headers = nginx_headers(&PLAIN);
    assert!(!borrowing(&headers) && !allocating(&headers));
    let mut group = c.benchmark_group("plain");
    group.bench_function("borrowing", |b| b.iter(|| borrowing(black_box(&headers))));
    group.bench_function("allocating", |b| b.iter(|| allocating(black_box(&headers))));
}

/// Whether the headers are those of a good handshake.
fn borrowing(headers: &[NginxHeader]) -> bool {
    let mut head = RequestHead::new();
    for header in headers {
        let wanted = HASHES
            .iter()
            .zip(RequestHeader::ALL)
            .find(|(hash, wanted)| {
                **hash == header.hash && wanted.name().as_bytes() == header.name
            });
        if let Some((_, wanted)) = wanted {
            head.add(wanted, header.value);
        }
    }
    let line = RequestLine {
        method: b"GET",
        version: HttpVersion::Http11,
        has_body: false,
    };
    head.is_attempt() && head.check(line).is_ok()
}

/// The same the way it is written when nobody counts: a map of strings.
fn allocating(headers: &[NginxHeader]) -> bool {
    let mut map: HashMap<String, Vec<String>> = HashMap::new();
    for header in headers {
        let name = String::from_utf8_lossy(header.name).to_lowercase();
        let value = String::from_utf8_lossy(header.value).into_owned();
        map.entry(name).or_default().push(value);
    }
    let tokens = |name: &str| -> Vec<String> {
        let values = map.get(name).into_iter().flatten();
        values
            .flat_map(|value| value.split(','))
            .map(|t| t.trim().to_lowercase())
            .collect()
    };
    let single = |name: &str| match map.get(name).map(Vec::as_slice) {
        Some([value]) => Some(value.trim().to_owned()),
        _ => None,
    };
    tokens("upgrade").contains(&"websocket".to_owned())
        && tokens("connection").contains(&"upgrade".to_owned())
        && single("sec-websocket-key").is_some_and(|key| key.len() == 24 && key.ends_with("=="))
        && single("sec-websocket-version").is_some_and(|version| version == "13")
        && tokens("sec-websocket-extensions")
            .iter()
            .all(|extension| !extension.is_empty())
}

struct NginxHeader {
    hash: usize,
    name: &'static [u8],
    value: &'static [u8],
}

fn nginx_headers(headers: &[(&'static str, &'static str)]) -> Vec<NginxHeader> {
    let header = |(name, value): &(&'static str, &'static str)| NginxHeader {
        hash: hash(name),
        name: name.as_bytes(),
        value: value.as_bytes(),
    };
    headers.iter().map(header).collect()
}

const HASHES: [usize; 6] = {
    let mut hashes = [0; 6];
    let mut index = 0;
    while index < hashes.len() {
        hashes[index] = hash(RequestHeader::ALL[index].name());
        index += 1;
    }
    hashes
};

/// nginx's hash of a header name.
const fn hash(name: &str) -> usize {
    let name = name.as_bytes();
    let mut hash: usize = 0;
    let mut index = 0;
    while index < name.len() {
        hash = hash.wrapping_mul(31).wrapping_add(name[index] as usize);
        index += 1;
    }
    hash
}

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/131.0.0.0 Safari/537.36";

const HANDSHAKE: [(&str, &str); 15] = [
    ("host", "chat.example.com"),
    ("connection", "Upgrade"),
    ("pragma", "no-cache"),
    ("cache-control", "no-cache"),
    ("user-agent", AGENT),
    ("upgrade", "websocket"),
    ("origin", "https://chat.example.com"),
    ("sec-websocket-version", "13"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
    (
        "cookie",
        "session=0d9a7c3f4b1e4c0f9e55a1b2c3d4e5f6; theme=dark",
    ),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    (
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits",
    ),
    ("sec-websocket-protocol", "graphql-transport-ws"),
    ("dnt", "1"),
];

const PLAIN: [(&str, &str); 15] = [
    ("host", "chat.example.com"),
    ("connection", "keep-alive"),
    ("cache-control", "max-age=0"),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", AGENT),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("sec-fetch-site", "none"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
    (
        "cookie",
        "session=0d9a7c3f4b1e4c0f9e55a1b2c3d4e5f6; theme=dark",
    ),
];
