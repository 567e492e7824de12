//! The table of a connection's header blocks (RFC 7541) stays the client's whatever becomes of a block: of a plain request,
//! of an extended CONNECT, of one that is refused, and of what nginx answers as malformed.

use std::collections::VecDeque;

use nginx_tests::http2::session::{CONTINUATION, Session};
use nginx_tests::http2::{END_HEADERS, END_STREAM, HEADERS, RST_STREAM};
use nginx_tests::{Certificate, Frame, ScriptedBackend};

use crate::case::{PROXIES, at_most_requests, http};

/// A client's half of a table, with evictions and sizes.
struct Encoder {
    entries: VecDeque<(String, String)>,
    size: usize,
    random: u64,
}

impl Encoder {
    const fn new(seed: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 4096,
            random: seed,
        }
    }

    /// A number below this, the same in each run.
    fn below(&mut self, limit: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % limit
    }

    fn evict(&mut self, room: usize) {
        let size = |entries: &VecDeque<(String, String)>| {
            entries
                .iter()
                .map(|(name, value)| name.len() + value.len() + 32)
                .sum::<usize>()
        };
        while !self.entries.is_empty() && size(&self.entries) + room > self.size {
            self.entries.pop_back();
        }
    }

    /// Gives the table another size, in the block that comes next.
    fn resize(&mut self, block: &mut Vec<u8>, size: usize) {
        number(block, 0x20, 5, size);
        self.size = size;
        self.evict(0);
    }

    /// A field in one of the forms that it can have.
    fn field(&mut self, block: &mut Vec<u8>, name: &str, value: &str) {
        let known = self
            .entries
            .iter()
            .position(|entry| (&*entry.0, &*entry.1) == (name, value));
        let named = self.entries.iter().position(|entry| entry.0 == name);
        match (self.below(4), known, named) {
            (0..=2, Some(place), _) => return number(block, 0x80, 7, 62 + place),
            (0 | 1, _, Some(place)) => number(block, 0x40, 6, 62 + place),
            (0 | 1, _, None) => {
                block.push(0x40);
                string(block, name);
            }
            (2, _, Some(place)) => {
                number(block, 0, 4, 62 + place);
                return string(block, value);
            }
            _ => {
                block.push(0x10);
                string(block, name);
                return string(block, value);
            }
        }
        string(block, value);
        let room = name.len() + value.len() + 32;
        self.evict(room);
        if room <= self.size {
            self.entries.push_front((name.to_owned(), value.to_owned()));
        }
    }
}

fn number(block: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let prefix = (1 << bits) - 1;
    if value < prefix {
        return block.push(flags | value as u8);
    }
    block.push(flags | prefix as u8);
    let mut rest = value - prefix;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

fn string(block: &mut Vec<u8>, text: &str) {
    number(block, 0, 7, text.len());
    block.extend(text.as_bytes());
}

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Connect,
    /// With a path that is refused.
    Refused,
    /// With something that a CONNECT may not have.
    Malformed,
    /// Whose stream is reset at once.
    Reset,
}

#[test]
fn it_is_the_clients_behind_blocks_of_every_kind() {
    for (seed, buffer) in [(1, "256k"), (2, "256k"), (3, "8k")] {
        let certificate = Certificate::localhost();
        let backend = ScriptedBackend::standard();
        let text = format!(
            "{}
            location /refused {{ return 403; }}
            {PROXIES}",
            at_most_requests(100_000)
        );
        let nginx = http(
            &certificate,
            &backend,
            format!(
                "websocket on; websocket_http2 on; http2_recv_buffer_size {buffer};
                server {{ listen 127.0.0.1:%PORT% ssl http2; server_name localhost; {text} }}"
            ),
        )
        .start();
        let mut session = Session::ready(nginx.port(), &certificate);
        let mut encoder = Encoder::new(seed);
        for number in 0..400 {
            exchange(&mut session, &mut encoder, &backend, number);
        }
    }
}

/// Sends a block, and looks at what the upstream gets of it.
fn exchange(
    session: &mut Session,
    encoder: &mut Encoder,
    backend: &ScriptedBackend,
    number: usize,
) {
    let kind = [
        Kind::Plain,
        Kind::Connect,
        Kind::Connect,
        Kind::Refused,
        Kind::Malformed,
        Kind::Reset,
    ][encoder.below(6)];
    let mut block = vec![];
    if encoder.below(8) == 0 {
        let size = [0, 0, 40, 100, 500, 4096][encoder.below(6)];
        encoder.resize(&mut block, size);
        if encoder.below(2) == 0 {
            let size = [64, 4096][encoder.below(2)];
            encoder.resize(&mut block, size);
        }
    }
    let own = format!("value {}", encoder.below(20));
    let long = "long ".repeat([1, 10, 100, 600][encoder.below(4)]);
    let path = format!(
        "/{}/{number}",
        if kind == Kind::Refused {
            "refused"
        } else {
            "chat"
        }
    );
    let mut fields: Vec<(&str, &str)> = match kind {
        Kind::Plain => vec![(":method", "GET")],
        _ => vec![(":method", "CONNECT"), (":protocol", "websocket")],
    };
    fields.extend([
        (":scheme", "https"),
        (":path", &*path),
        (":authority", "localhost"),
        ("x-own", &*own),
        ("sec-websocket-version", "13"),
        ("x-long", long.trim_end()),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ]);
    if kind == Kind::Malformed {
        fields.push(
            [
                (":path", "/"),
                ("connection", "upgrade"),
                (":protocol", "websocket"),
            ][encoder.below(3)],
        );
        fields.push(("x-behind", &*own));
    }
    for (name, value) in fields {
        encoder.field(&mut block, name, value);
    }
    let stream = session.stream();
    let flags = if kind == Kind::Plain { END_STREAM } else { 0 };
    match encoder.below(3) {
        0 => {
            let (front, behind) = block.split_at(encoder.below(block.len() - 1) + 1);
            session.frame(HEADERS, flags, stream, front);
            session.frame(CONTINUATION, END_HEADERS, stream, behind);
        }
        _ => session.frame(HEADERS, flags | END_HEADERS, stream, &block),
    }
    match kind {
        Kind::Reset => {
            session.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
            return;
        }
        Kind::Refused => return assert_eq!(session.status(stream), 403),
        Kind::Malformed => return assert_eq!(session.status(stream), 400, "block {number}"),
        Kind::Plain => assert_eq!(session.body(stream), b"plain"),
        Kind::Connect => {
            assert_eq!(session.status(stream), 200, "block {number}");
            session.echo(stream, Frame::text("hello"));
            session.close(stream);
        }
    }
    let requests = backend.requests();
    let head = &requests
        .iter()
        .rfind(|request| request.head.start.contains(&*path))
        .expect("it is asked")
        .head;
    assert_eq!(head.header("X-Own"), Some(&*own));
    assert_eq!(head.header("X-Long"), Some(long.trim_end()));
    assert_eq!(head.header("Cookie"), Some("a=b; c=d"));
    assert_eq!(head.header(":protocol"), None);
}
