//! The handshake as a browser sends it, and the answer as it came.

use std::io::{self, Read, Write};
use std::str;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use websocket_protocol::header::{has_token, is_token, tokens};
use websocket_protocol::{Escaped, ResponseHead, ResponseHeader};

use crate::options::Walk;
use crate::random;
use crate::stream::Stream;
use crate::target::Target;

/// A request to be sent. The handshake, or what something on the way could make of it.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub version: &'static str,
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The handshake of this command line, to this server.
    pub fn new(target: &Target, options: &Walk) -> Self {
        let key = STANDARD.encode(random::bytes::<16>());
        let mut request = Self {
            path: target.path.clone(),
            version: "1.1",
            headers: Vec::new(),
        };
        request.add("Host", options.target.authority());
        request.add("Connection", "Upgrade");
        request.add("Pragma", "no-cache");
        request.add("Cache-Control", "no-cache");
        request.add(
            "User-Agent",
            concat!("check-websocket/", env!("CARGO_PKG_VERSION")),
        );
        request.add("Upgrade", "websocket");
        match options.origin.as_deref() {
            Some("none") => {}
            Some(origin) => request.add("Origin", origin),
            None => request.add("Origin", options.target.origin()),
        }
        request.add("Sec-WebSocket-Version", "13");
        request.add("Sec-WebSocket-Key", key);
        if !options.subprotocols.is_empty() {
            request.add("Sec-WebSocket-Protocol", options.subprotocols.join(", "));
        }
        for (name, _) in &options.headers {
            request.remove(name);
        }
        for (name, value) in &options.headers {
            request.add(name, value);
        }
        request
    }

    /// The same with another key, for another connection.
    pub fn again(&self) -> Self {
        let mut request = self.clone();
        let own = |(name, _): &&mut (String, String)| name == "Sec-WebSocket-Key";
        if let Some((_, key)) = request.headers.iter_mut().find(own) {
            *key = STANDARD.encode(random::bytes::<16>());
        }
        request
    }

    pub fn without(mut self, names: &[&str]) -> Self {
        for name in names {
            self.remove(name);
        }
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.remove(name);
        self.add(name, value);
        self
    }

    pub fn over(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> + Clone {
        let named = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// Request line and headers, to be shown. Reports are passed on, so credentials are left out.
    pub fn shown(&self) -> Vec<String> {
        let secret = |line: &String| {
            let (name, _) = line.split_once(':')?;
            is_secret(name.as_bytes()).then(|| format!("{name}: {HIDDEN}"))
        };
        let lines = self.lines().into_iter();
        lines.map(|line| secret(&line).unwrap_or(line)).collect()
    }

    fn lines(&self) -> Vec<String> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        std::iter::once(format!("GET {} HTTP/{}", self.path, self.version))
            .chain(headers)
            .collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = self.lines().join("\r\n");
        text += "\r\n\r\n";
        text.into_bytes()
    }
}

/// The answer's head, and the beginning of what follows it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line as it came.
    pub line: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// After a 101 the first bytes of the tunnel, else the beginning of the body.
    pub rest: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The connection ended: after so many bytes, and how.
    Closed(usize, io::Error),
    TimedOut(Duration),
    /// What came is not HTTP.
    Invalid(String),
}

/// Sends the request and reads the answer.
pub fn exchange(
    stream: &mut Stream,
    request: &Request,
    limit: Duration,
) -> Result<Answer, Unanswered> {
    stream.finish_within(limit);
    let sent = stream
        .write_all(&request.bytes())
        .and_then(|()| stream.flush());
    // A server that has closed already may have answered before.
    let mut answer = match (read_head(stream, limit), sent) {
        (Err(Unanswered::Closed(0, _)), Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
            return Err(Unanswered::Closed(0, error));
        }
        (read, _) => read?,
    };
    if answer.status != 101 {
        read_body(stream, &mut answer);
    }
    Ok(answer)
}

/// More than nginx takes from an upstream, which is 4 or 8 KB unless raised.
const MAX_HEAD: usize = 32 * 1024;

fn read_head(stream: &mut Stream, limit: Duration) -> Result<Answer, Unanswered> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(answer) = parse(&bytes).map_err(Unanswered::Invalid)? {
            return Ok(answer);
        }
        if bytes.len() > MAX_HEAD {
            let text = format!("the header of the answer is longer than {MAX_HEAD} bytes");
            return Err(Unanswered::Invalid(text));
        }
        match stream.read(&mut buffer) {
            Ok(0) => {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Err(Unanswered::Closed(bytes.len(), error));
            }
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unanswered::TimedOut(limit));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unanswered::Closed(bytes.len(), error)),
        }
    }
}

/// A server's own error page is short. What doesn't come at once isn't waited for.
fn read_body(stream: &mut Stream, answer: &mut Answer) {
    const ENOUGH: usize = 4096;
    let announced = answer
        .header("Content-Length")
        .and_then(|value| value.parse().ok());
    let wanted = announced.unwrap_or(ENOUGH).min(ENOUGH);
    stream.finish_within(Duration::from_millis(500));
    let mut buffer = [0; 1024];
    while answer.rest.len() < wanted {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => answer.rest.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

/// The head, once it is complete.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, String> {
    const HTTP: &[u8] = b"HTTP/1.";
    let begun = bytes.len().min(HTTP.len());
    if bytes[..begun] != HTTP[..begun] {
        return Err(match bytes {
            [0x15, 0x03, ..] => {
                "the server answered with a TLS alert: this port speaks TLS".to_owned()
            }
            _ => format!(
                "the answer begins with \"{}\", which is not HTTP",
                Escaped(first_line(bytes))
            ),
        });
    }
    let mut rest = bytes;
    let mut lines = Vec::new();
    loop {
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        if !lines.is_empty() {
            // As soon as it is there: the rest may never come.
            header(line)?;
        }
        lines.push(line);
    }
    let line = lines.first().copied().unwrap_or_default();
    let status = status(line).ok_or_else(|| format!("\"{}\" is no status line", Escaped(line)))?;
    Ok(Some(Answer {
        status,
        line: line.to_vec(),
        headers: lines
            .iter()
            .skip(1)
            .map(|line| header(line))
            .collect::<Result<_, _>>()?,
        rest: rest.to_vec(),
    }))
}

fn status(line: &[u8]) -> Option<u16> {
    let line = str::from_utf8(line.get(..12)?).ok()?;
    let (version, status) = line.split_once(' ')?;
    (version.len() == 8 && status.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
    status.parse().ok().filter(|status| *status >= 100)
}

type Header = (Vec<u8>, Vec<u8>);

fn header(line: &[u8]) -> Result<Header, String> {
    let invalid = || {
        format!(
            "the answer has the invalid header line \"{}\"",
            Escaped(line)
        )
    };
    let colon = line
        .iter()
        .position(|&byte| byte == b':')
        .ok_or_else(invalid)?;
    if !is_token(&line[..colon]) || line.contains(&0) {
        return Err(invalid());
    }
    Ok((
        line[..colon].to_vec(),
        line[colon + 1..].trim_ascii().to_vec(),
    ))
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default()
}

const HIDDEN: &str = "(not shown)";

/// Whether a header's value is nobody else's business.
fn is_secret(name: &[u8]) -> bool {
    const SECRETS: [&[u8]; 4] = [
        b"authorization",
        b"cookie",
        b"proxy-authorization",
        b"set-cookie",
    ];
    SECRETS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

impl Answer {
    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name)
            .next()
            .and_then(|value| str::from_utf8(value).ok())
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let name = name.as_bytes().to_vec();
        let named = move |(other, _): &&Header| other.eq_ignore_ascii_case(&name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_slice())
    }

    /// Status line and headers, safe to be shown.
    pub fn shown(&self) -> Vec<String> {
        let header = |(name, value): &Header| match is_secret(name) {
            true => format!("{}: {HIDDEN}", Escaped(name)),
            false => format!("{}: {}", Escaped(name), Escaped(value)),
        };
        std::iter::once(Escaped(&self.line).to_string())
            .chain(self.headers.iter().map(header))
            .collect()
    }

    /// The page nginx itself makes for an error, whatever its `server_tokens`.
    pub fn is_nginx_page(&self) -> bool {
        let body = String::from_utf8_lossy(&self.rest);
        body.contains("<hr><center>nginx") || body.contains("<hr><center>openresty")
    }

    pub fn body_contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.rest).contains(text)
    }

    /// Whether it asks for the very upgrade that was sent: then it never saw it.
    pub fn asks_for_websocket(&self) -> bool {
        self.status == 426
            && self
                .values("Upgrade")
                .any(|value| has_token(value, b"websocket"))
            && self
                .values("Sec-WebSocket-Version")
                .flat_map(tokens)
                .all(|version| version == b"13")
    }

    /// The rules of a 101, as a browser checks them.
    pub fn verify(&self, request: &Request) -> Result<(), websocket_protocol::Refusal<'_>> {
        let mut head = ResponseHead::new();
        for (name, value) in &self.headers {
            let named =
                |header: &&ResponseHeader| name.eq_ignore_ascii_case(header.name().as_bytes());
            if let Some(header) = ResponseHeader::ALL.iter().find(named) {
                head.add(*header, value);
            }
        }
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        head.check(
            key.as_bytes(),
            request.all("Sec-WebSocket-Protocol").map(str::as_bytes),
            request.all("Sec-WebSocket-Extensions").map(str::as_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_complete() {
        let whole = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade:  websocket \r\n\r\n\x81";
        for end in 0..whole.len() - 1 {
            assert!(parse(&whole[..end]).expect("no mistake").is_none(), "{end}");
        }
        let answer = parse(whole).expect("no mistake").expect("it is complete");
        assert_eq!(
            (answer.status, answer.header("upgrade")),
            (101, Some("websocket"))
        );
        assert_eq!(answer.rest, b"\x81");
    }

    #[test]
    fn line_feeds_alone_end_lines_as_they_do_for_nginx() {
        let answer = parse(b"HTTP/1.0 200\nA: b\n\n")
            .expect("no mistake")
            .expect("complete");
        assert_eq!((answer.status, answer.header("A")), (200, Some("b")));
    }

    #[test]
    fn what_is_not_http_is_told_at_its_first_bytes() {
        for bytes in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"H\x01",
            b"HTTP/2",
            b"\x15\x03\x03\x00\x02",
            b"HTTP/1.1 1x1 \r\n\r\n",
            b"HTTP/1.1 099 \r\n\r\n",
            b"HTTP/1.1 101 \r\nUp\x01grade: websocket\r\n",
            b"HTTP/1.1 101 \r\nno colon\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{}", Escaped(bytes));
        }
    }

    fn options(extra: &[&str]) -> Walk {
        let arguments = ["check-websocket", "wss://a.example:8443/chat"];
        let arguments = arguments.iter().chain(extra).map(|text| text.into());
        match crate::options::parse(arguments).expect("a right command line") {
            crate::options::Task::Walk(walk) => *walk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_handshake_is_what_a_browser_sends() {
        let options = options(&["--subprotocol", "a", "--subprotocol", "b"]);
        let request = Request::new(&options.target, &options);
        assert_eq!(request.lines()[0], "GET /chat HTTP/1.1");
        for (name, value) in [
            ("Host", "a.example:8443"),
            ("Origin", "https://a.example:8443"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Protocol", "a, b"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
        let key = |request: &Request| request.header("Sec-WebSocket-Key").map(str::to_owned);
        assert_eq!(key(&request).map(|key| key.len()), Some(24));
        assert_ne!(key(&request), key(&request.again()));
    }

    #[test]
    fn given_headers_replace_its_own() {
        let options = options(&[
            "--origin",
            "none",
            "--header",
            "HOST: b",
            "--header",
            "Cookie: c",
        ]);
        let request = Request::new(&options.target, &options);
        assert_eq!(request.header("Origin"), None);
        assert_eq!(request.all("Host").collect::<Vec<_>>(), ["b"]);
        assert_eq!(request.header("cookie"), Some("c"));
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let options = options(&[
            "--header",
            "cookie: s3cret",
            "--header",
            "Authorization: s3cret",
        ]);
        let request = Request::new(&options.target, &options);
        assert!(String::from_utf8_lossy(&request.bytes()).contains("cookie: s3cret\r\n"));
        let shown = request.shown().join("\n");
        assert!(
            shown.contains("cookie: (not shown)") && !shown.contains("s3cret"),
            "{shown}"
        );
        let answer = parse(b"HTTP/1.1 200\nset-cookie: s3cret\n\n")
            .expect("no mistake")
            .expect("complete");
        assert_eq!(answer.shown(), ["HTTP/1.1 200", "set-cookie: (not shown)"]);
    }

    #[test]
    fn a_426_that_asks_for_what_was_sent_never_saw_it() {
        let asks = |text: &str| {
            let text = format!("HTTP/1.1 426 Upgrade Required\r\n{text}\r\n");
            parse(text.as_bytes())
                .expect("no mistake")
                .expect("complete")
                .asks_for_websocket()
        };
        assert!(asks("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"));
        assert!(asks("Upgrade: WebSocket\r\n"));
        assert!(!asks("Sec-WebSocket-Version: 8\r\nUpgrade: websocket\r\n"));
        assert!(!asks("Upgrade: h2c\r\n"));
    }
}
