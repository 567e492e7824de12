//! The answer to a handshake as it came.

use std::str;

use websocket_protocol::header::{has_token, is_token, tokens};
use websocket_protocol::{
    Address, Cause, Escaped, Remark, ResponseHead, ResponseHeader, first_chunk,
};

use crate::mask::Mask;
use crate::request::{HIDDEN, Request, is_secret, may_hold_secret};

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

/// The head, once it is complete.
pub fn parse(bytes: &[u8]) -> Result<Option<Answer>, String> {
    const HTTP: &[u8] = b"HTTP/1.";
    let begun = bytes.len().min(HTTP.len());
    if bytes[..begun] != HTTP[..begun] {
        return Err(match bytes {
            [0x15, 0x03, ..] => {
                "the server answered with a TLS alert: this port speaks TLS".to_owned()
            }
            // Its SETTINGS, on stream 0.
            [0, _, _, 4, _, 0, 0, 0, 0, ..] => {
                "the server answered with HTTP/2: this port speaks no HTTP/1.1".to_owned()
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
    let status =
        status(line).ok_or_else(|| format!("\"{}\" is not a status line", Escaped(line)))?;
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

/// As nginx reads it: three digits, and then nothing but a blank, or a point and what belongs to it.
fn status(line: &[u8]) -> Option<u16> {
    let (version, rest) = line.split_at_checked(8)?;
    version.last()?.is_ascii_digit().then_some(())?;
    let (status, rest) = rest
        .strip_prefix(b" ")?
        .trim_ascii_start()
        .split_at_checked(3)?;
    if !status.iter().all(u8::is_ascii_digit) || !matches!(rest, [] | [b' ' | b'.', ..]) {
        return None;
    }
    let status = str::from_utf8(status).ok()?.parse().ok();
    status.filter(|status| *status >= 100)
}

type Header = (Vec<u8>, Vec<u8>);

fn header(line: &[u8]) -> Result<Header, String> {
    let invalid = || match may_hold_secret(line) {
        true => format!("the answer has an invalid header line {HIDDEN}"),
        false => format!(
            "the answer has the invalid header line \"{}\"",
            Escaped(line)
        ),
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
    pub fn shown(&self, mask: &Mask) -> Vec<String> {
        let shown = |(name, value): &Header| -> String {
            let masked = mask.bytes(value);
            match name {
                _ if is_secret(name, value) => HIDDEN.to_owned(),
                name if name.eq_ignore_ascii_case(b"location") => Address(&masked).to_string(),
                _ => Escaped(&masked).to_string(),
            }
        };
        let header = |header: &Header| format!("{}: {}", Escaped(&header.0), shown(header));
        std::iter::once(Escaped(&mask.bytes(&self.line)).to_string())
            .chain(self.headers.iter().map(header))
            .collect()
    }

    /// The page nginx itself makes for an error, whatever its `server_tokens`.
    pub fn is_nginx_page(&self) -> bool {
        let body = String::from_utf8_lossy(&self.rest);
        body.contains("<hr><center>nginx") || body.contains("<hr><center>openresty")
    }

    /// Whether nginx wrote the head. It puts its own name in the place of an upstream's.
    pub fn is_from_nginx(&self) -> bool {
        const NAMES: [&str; 4] = ["nginx", "openresty", "angie", "Tengine"];
        let server = self.header("Server").unwrap_or_default();
        let name = server.split('/').next().unwrap_or_default();
        NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
    }

    /// Whether it is a file that nginx read from disk: its ETag is then the time of change and the
    /// length, in hexadecimal digits.
    pub fn is_nginx_file(&self) -> bool {
        let etag = self.header("ETag").unwrap_or_default();
        let length = self
            .header("Content-Length")
            .and_then(|value| value.parse::<u64>().ok());
        let (Some((changed, size)), Some(length)) =
            (etag.trim_matches('"').split_once('-'), length)
        else {
            return false;
        };
        self.is_from_nginx()
            && u64::from_str_radix(changed, 16).is_ok()
            && size == format!("{length:x}")
    }

    /// What the server says in the body.
    pub fn remark(&self, mask: &Mask) -> Option<String> {
        let header = |name| self.header(name).map(str::as_bytes);
        if self.status == 101
            || !Remark::is_expected(header("Content-Type"), header("Content-Encoding"))
        {
            return None;
        }
        let is_chunked = self
            .values("Transfer-Encoding")
            .any(|value| has_token(value, b"chunked"));
        let said = mask.bytes(match is_chunked {
            true => first_chunk(&self.rest),
            false => &self.rest,
        });
        Remark::read(&said).map(|remark| remark.to_string())
    }

    /// What the module says where `websocket_cause_header` is on.
    pub fn told_cause(&self) -> Option<Cause> {
        self.header("X-WebSocket-Cause").and_then(Cause::from_name)
    }

    pub fn body_contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.rest).contains(text)
    }

    /// Whether it asks for the very upgrade that was sent: then it never saw it.
    pub fn asks_for_websocket(&self) -> bool {
        let mut upgrades = self.values("Upgrade");
        self.is_for_want_of_upgrade() && upgrades.any(|value| has_token(value, b"websocket"))
    }

    /// Whether it says that an upgrade is wanted, and no other version.
    pub fn is_for_want_of_upgrade(&self) -> bool {
        self.status == 426
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
            b"HTTP/1.1 1019 \r\n\r\n",
            b"HTTP/1.1 101x\r\n\r\n",
            b"HTTP/1.x 101 \r\n\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{}", Escaped(bytes));
        }
    }

    #[test]
    fn the_settings_of_http_2_are_recognized() {
        let settings = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80";
        let text = parse(settings).map(|_| ()).expect_err("no HTTP/1.1");
        assert_eq!(
            text,
            "the server answered with HTTP/2: this port speaks no HTTP/1.1"
        );
    }

    #[test]
    fn credentials_are_not_shown() {
        let answer = parse(b"HTTP/1.1 200\nset-cookie: s3cret\n\n")
            .expect("no mistake")
            .expect("complete");
        assert_eq!(
            answer.shown(&Mask::default()),
            ["HTTP/1.1 200", "set-cookie: (not shown)"]
        );
    }

    #[test]
    fn credentials_that_are_repeated_are_not_shown() {
        let request = Request {
            path: "/".to_owned(),
            version: "1.1",
            headers: vec![("Authorization".to_owned(), "Bearer s3cret".to_owned())],
        };
        let mask = Mask::of(&request);
        let text = "HTTP/1.1 403 s3cret\r\nX-Echo: <s3cret>\r\nLocation: /login?to=s3cr%65t\r\n\r\n\
                    no s3cret";
        let answer = parse(text.as_bytes()).expect("no mistake");
        let answer = answer.expect("complete");
        let shown = answer.shown(&mask);
        assert_eq!(
            shown,
            [
                "HTTP/1.1 403 (not shown)",
                "X-Echo: <(not shown)>",
                "Location: /login?..."
            ]
        );
        assert_eq!(answer.remark(&mask).as_deref(), Some("no (not shown)"));
        // Before it is cut at a length that leaves a part of it.
        let text = format!("HTTP/1.1 403 No\r\n\r\n{}s3cret", "a".repeat(196));
        let answer = parse(text.as_bytes()).expect("no mistake");
        let said = answer.expect("complete").remark(&mask).unwrap_or_default();
        assert!(!said.contains("s3c"), "{said}");
    }

    #[test]
    fn credentials_in_lines_that_are_none_are_not_shown_either() {
        for line in [
            "Set-Cookie : s3cret",
            "Set-Cookie\t: s3cret",
            "Set-Cookie s3cret",
            " set-cookie: s3cret",
            "X: y\r\n s3cret of the line before",
            "\x01Authorization: s3cret",
        ] {
            let text = format!("HTTP/1.1 101 Switching\r\n{line}\r\n\r\n");
            let error = parse(text.as_bytes()).expect_err(line);
            assert!(
                !error.contains("s3cret") && error.contains(HIDDEN),
                "{error}"
            );
        }
    }

    #[test]
    fn a_status_as_nginx_reads_it() {
        for (line, status) in [
            ("HTTP/1.1 101", Some(101)),
            ("HTTP/1.1 403.7 Denied", Some(403)),
            ("HTTP/1.1  200 OK", Some(200)),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1101", None),
        ] {
            assert_eq!(super::status(line.as_bytes()), status, "{line}");
        }
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

    #[test]
    fn what_a_server_says_is_shown_unless_it_is_a_page() {
        let said = |head: &str, body: &str| {
            let text = format!("HTTP/1.1 400 Bad\r\n{head}\r\n{body}");
            parse(text.as_bytes())
                .expect("no mistake")
                .expect("complete")
                .remark(&Mask::default())
        };
        let json = "Content-Type: application/json; charset=utf-8\r\n";
        assert_eq!(said(json, "{code: 0}\n").as_deref(), Some("{code: 0}"));
        let chunked = "Transfer-Encoding: Chunked\r\n";
        assert_eq!(said(chunked, "3\r\nbad\r\n0").as_deref(), Some("bad"));
        assert_eq!(said("Content-Type: text/html\r\n", "<p>bad"), None);
        assert_eq!(said("Content-Encoding: gzip\r\n", "bad"), None);
        assert_eq!(said("", ""), None);
    }
}
