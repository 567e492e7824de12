//! Handshakes that deviate from a right one: a header absent, empty, repeated, in other case, with an
//! odd token or length, in another order, with other white space, and pairs of such.

use nginx_tests::client::SAMPLE_KEY;

use crate::exception::Exception::{self, Body, OtherUpgrade, Repeated};
use crate::exception::Row;

/// A handshake as it is sent.
pub struct Handshake {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Why it need not be carried, if it need not.
    pub exception: Option<Exception>,
}

impl Handshake {
    /// A right one that offers two subprotocols and an extension.
    pub fn offering() -> Self {
        Request::right()
            .with("Sec-WebSocket-Protocol", &["chat, superchat"])
            .with(
                "Sec-WebSocket-Extensions",
                &["permessage-deflate; client_max_window_bits"],
            )
            .named("right".to_owned(), None)
    }
}

pub fn all() -> Vec<Handshake> {
    let mut all = vec![Request::right().named("right".to_owned(), None)];
    all.extend(values());
    all.extend(lines());
    all.extend(spellings());
    all.extend(pairs());
    all
}

const LONG: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

#[rustfmt::skip]
const VALUES: &[Row] = &[
    ("Upgrade", &[
        &["WebSocket"], &["WEBSOCKET"], &["websocket,"], &[", websocket"], &["h2c, websocket"],
        &["websocket, h2c"], &["websocket,h2c"], &["websocket/13"], &["WebSocket/", "x"], &["websocket/13, h2c"],
        &["websocket", "websocket"], &["h2c", "websocket"], &["websocket", "h2c"], &["websocket", ""],
        &[""; 0],
    ], None),
    ("Upgrade", &[
        &["h2c"], &["tcp"], &["TLS/1.0"], &["websockets"], &["web socket"], &["\"websocket\""], &["ws"],
        &["websocket;q=1"], &["SPDY/3.1"], &[","], &[", ,"], &["/websocket"],
    ], Some(OtherUpgrade)),
    ("Connection", &[
        &[""; 0], &[""], &["close"], &["keep-alive"], &["Upgrade"], &["UPGRADE"], &["upgrade"],
        &["keep-alive, Upgrade"], &["Upgrade, keep-alive"], &["Upgrade,keep-alive"], &["Upgrade,"], &[",upgrade"],
        &["upgraded"], &["TE, Upgrade"], &["upgrade; q=1"], &["close, Upgrade"], &["Upgrade, Upgrade"],
        &["Upgrade, HTTP2-Settings"], &["Upgrade, Sec-WebSocket-Key"], &["keep-alive", "Upgrade"],
        &["Upgrade", "close"], &["Upgrade", "Upgrade"], &["x y z"], &["\"upgrade\""], &["websocket"],
    ], None),
    ("Sec-WebSocket-Key", &[
        &[""; 0], &[""], &["dGVzdA=="], &["SGVsbG8sIHdvcmxkIQ=="], &[LONG], &["dGhlIHNhbXBsZSBub25jZQ"],
        &["dGhlIHNhbXBsZSBub25jZQ="], &["dGhlIHNhbXBsZSBub25jZR=="], &["dGhlIHNhbXBsZSBub25jZQ==="],
        &["hello world"], &["x"], &["dGhlIHNhbXBs\tZSBub25jZQ=="], &["-_-_-_-_-_-_-_-_-_-_-_=="], &["13"],
        &["{\"key\":1}"], &["\u{e9}\u{e9}"], &["=========="],
    ], None),
    ("Sec-WebSocket-Key", &[
        &[SAMPLE_KEY, SAMPLE_KEY], &[SAMPLE_KEY, LONG], &[LONG, SAMPLE_KEY], &["a, b"], &["", SAMPLE_KEY],
        &["dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="],
    ], Some(Repeated)),
    ("Sec-WebSocket-Version", &[
        &[""; 0], &[""], &["8"], &["7"], &["0"], &["12"], &["14"], &["99"], &["013"], &["13.0"], &["13;"], &["draft"],
        &["+13"], &["13 13"], &["\"13\""],
    ], None),
    ("Sec-WebSocket-Version", &[
        &["13", "13"], &["13", "8"], &["8", "13"], &["13, 8"], &["8, 7, 13"], &["13,"],
    ], Some(Repeated)),
    ("Sec-WebSocket-Protocol", &[
        &[""], &[","], &[" , "], &["chat"], &["chat, superchat"], &["chat, chat"], &["chat", "chat"],
        &["chat", "superchat"], &["SPDY/3.1+portforward.k8s.io"], &["v4.channel.k8s.io", ""],
        &["v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0=="], &["base64.c2VjcmV0="],
        &["https://example.com/chat"], &["a b"], &["a;b"], &["\"chat\""], &["{\"token\":\"x\"}"], &["\u{e9}"],
        &["a,,b"], &["@scope/name"], &["a", "b", "c", "d", "e", "a"], &["chat,"], &["a=b"], &["[1]"], &["mqttv3.1"],
        &["a:b"], &["graphql-transport-ws", "graphql-ws"], &["p\\q"],
    ], None),
    ("Sec-WebSocket-Extensions", &[
        &[""], &[","], &[";"], &["permessage-deflate"], &["permessage-deflate;"], &["permessage-deflate; "],
        &["permessage-deflate; client_max_window_bits"], &["permessage-deflate; client_max_window_bits=15"],
        &["permessage-deflate; client_max_window_bits=\"10\""], &["permessage-deflate", "permessage-bzip2"],
        &["permessage-deflate, permessage-deflate"], &["x-webkit-deflate-frame"], &["a b"], &["a; b="], &["a;;b"],
        &["foo=bar"], &["a; b=\""], &["deflate-stream, foo; x=1; y"], &["\"a\""], &["a; =b"],
    ], None),
    ("Origin", &[
        &[""; 0], &[""], &["null"], &["http://other.example"], &["file://"], &["chrome-extension://abc"],
        &["http://a", "http://b"], &["no url"],
    ], None),
    ("Host", &[
        &["localhost:8080"], &["LOCALHOST"], &["[::1]:80"], &["example.com."], &["127.0.0.1"], &[""; 0], &["a", "b"],
    ], None),
    ("Content-Length", &[&["0"]], None),
    ("Expect", &[&["100-continue"]], None),
    ("Cookie", &[&["a=b"], &["a=b", "c=d"], &[""]], None),
    ("Authorization", &[&["Bearer x"], &["Basic eDp5"]], None),
    ("Sec-WebSocket-Key1", &[&["4 @1  46546xW%0l 1 5"]], None),
    ("Sec-WebSocket-Accept", &[&["x"]], None),
    ("TE", &[&["trailers"]], None),
    ("Keep-Alive", &[&["timeout=5"]], None),
    ("Proxy-Connection", &[&["keep-alive"], &["Upgrade"]], None),
    ("HTTP2-Settings", &[&["AAMAAABkAAQCAAAAAAIAAAAA"]], None),
    ("X-Forwarded-For", &[&["192.0.2.1"]], None),
    ("Via", &[&["1.0 proxy"]], None),
];

fn values() -> impl Iterator<Item = Handshake> {
    VALUES.iter().flat_map(|(header, values, exception)| {
        values.iter().map(move |lines| {
            let name = format!("{header}: {lines:?}");
            Request::right().with(header, lines).named(name, *exception)
        })
    })
}

/// The request line, and what is behind the head.
fn lines() -> Vec<Handshake> {
    let with_line = |line: &str| {
        let mut request = Request::right();
        line.clone_into(&mut request.line);
        request
    };
    let mut all: Vec<_> = [
        "POST / HTTP/1.1",
        "PUT / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "OPTIONS / HTTP/1.1",
        "DELETE / HTTP/1.1",
        "PATCH / HTTP/1.1",
        "BREW / HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "get / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET /a?token=x HTTP/1.1",
        "GET // HTTP/1.1",
        "GET /a%20b HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET http://localhost/ HTTP/1.1",
        "GET /? HTTP/1.1",
        "GET /#x HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.2",
        "POST / HTTP/1.0",
    ]
    .iter()
    .map(|line| with_line(line).named((*line).to_owned(), None))
    .collect();
    let with_body = |name: &str, value: &str, body: &str| {
        let mut request = Request::right().with(name, &[value]);
        request.body = body.as_bytes().to_vec();
        request.named(format!("{name}: {value}, {body:?} behind it"), Some(Body))
    };
    all.push(with_body("Content-Length", "5", "hello"));
    all.push(with_body("Transfer-Encoding", "chunked", "0\r\n\r\n"));
    all.push(with_body(
        "Transfer-Encoding",
        "chunked",
        "5\r\nhello\r\n0\r\n\r\n",
    ));
    all
}

/// Order, case and white space of the lines.
fn spellings() -> Vec<Handshake> {
    let mut reversed = Request::right();
    reversed.headers.reverse();
    let mut sorted = Request::right();
    sorted.headers.sort();
    let renamed = |change: fn(&str) -> String| {
        let mut request = Request::right();
        for (name, _) in &mut request.headers {
            *name = change(name);
        }
        request
    };
    let mut all = vec![
        reversed.named("lines in reverse".to_owned(), None),
        sorted.named("lines in order".to_owned(), None),
        renamed(str::to_lowercase).named("names in lower case".to_owned(), None),
        renamed(str::to_uppercase).named("names in upper case".to_owned(), None),
    ];
    for separator in [":", ":   ", ":\t", ": \t "] {
        for end in ["\r\n", "  \r\n", "\t\r\n", "\n"] {
            let mut request = Request::right();
            (request.separator, request.end) = (separator, end);
            all.push(request.named(format!("lines with {separator:?} and {end:?}"), None));
        }
    }
    all
}

/// Two deviations at once, which the rules meet in this order and in the other.
fn pairs() -> Vec<Handshake> {
    const SOME: &[(&str, &[&str])] = &[
        ("Connection", &["keep-alive"]),
        ("Sec-WebSocket-Key", &["short"]),
        ("Sec-WebSocket-Key", &[]),
        ("Sec-WebSocket-Version", &["8"]),
        ("Sec-WebSocket-Version", &[]),
        ("Sec-WebSocket-Protocol", &["SPDY/3.1"]),
        ("Sec-WebSocket-Extensions", &["a;"]),
        ("Upgrade", &["websocket/13"]),
        ("Origin", &[]),
    ];
    let mut all = Vec::new();
    for (at, first) in SOME.iter().enumerate() {
        for second in SOME
            .iter()
            .skip(at + 1)
            .filter(|second| second.0 != first.0)
        {
            let request = Request::right()
                .with(first.0, first.1)
                .with(second.0, second.1);
            all.push(request.named(format!("{first:?} and {second:?}"), None));
        }
        let mut old = Request::right().with(first.0, first.1);
        "POST / HTTP/1.0".clone_into(&mut old.line);
        all.push(old.named(format!("{first:?} and POST by HTTP/1.0"), None));
    }
    all
}

/// A request before it is bytes.
struct Request {
    line: String,
    headers: Vec<(String, String)>,
    separator: &'static str,
    end: &'static str,
    body: Vec<u8>,
}

impl Request {
    fn right() -> Self {
        let headers = [
            ("Host", "localhost"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Origin", "http://localhost"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", SAMPLE_KEY),
        ];
        Self {
            line: "GET / HTTP/1.1".to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            separator: ": ",
            end: "\r\n",
            body: Vec::new(),
        }
    }

    /// With these lines in place of the header's own, where it stood.
    fn with(mut self, header: &str, values: &[&str]) -> Self {
        let is_it = |(name, _): &(String, String)| name == header;
        let at = self.headers.iter().position(is_it);
        self.headers.retain(|line| !is_it(line));
        let lines = values
            .iter()
            .map(|value| (header.to_owned(), (*value).to_owned()));
        let at = at.unwrap_or(self.headers.len());
        self.headers.splice(at..at, lines);
        self
    }

    fn named(self, name: String, exception: Option<Exception>) -> Handshake {
        let mut text = self.line + self.end.trim_start_matches([' ', '\t']);
        for (name, value) in self.headers {
            text += &format!("{name}{}{value}{}", self.separator, self.end);
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend(self.body);
        Handshake {
            name,
            bytes,
            exception,
        }
    }
}
