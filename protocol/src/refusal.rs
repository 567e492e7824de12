//! A broken handshake rule, with the facts that show it.

use core::fmt;

use crate::{Address, Cause, Chosen, Escaped, HttpVersion};

/// Why a handshake is refused, and what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The rule that is broken.
    pub cause: Cause,
    /// The facts that show it.
    pub seen: Seen<'a>,
}

impl<'a> Refusal<'a> {
    pub(crate) const fn new(cause: Cause, seen: Seen<'a>) -> Self {
        Self { cause, seen }
    }
}

/// What was found, for a log line: `method is "POST"`, `no Upgrade header`, …
///
/// `Display` escapes and cuts the bytes that came from outside, see [`Escaped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The request's method.
    Method(&'a [u8]),
    /// The request's HTTP version.
    Version(HttpVersion),
    /// The request has a body.
    Body,
    /// The header of this name is not there.
    Missing(&'static str),
    /// The header of this name has this value.
    Value(&'static str, &'a [u8]),
    /// Origin has this value.
    Origin(&'a [u8]),
    /// The header of this name is there this many times.
    Repeated(&'static str, usize),
    /// The list in the header of this name has no element.
    Empty(&'static str),
    /// The header of this name has this byte where none such may be: its place in the value, from 1.
    Misplaced(&'static str, u8, usize),
    /// The header of this name has a name twice: the number of the second among all its names.
    Duplicate(&'static str, usize),
    /// The header of this name answers with several elements where one is due. What they are is not
    /// said: a server that gives back what it was offered gives credentials back.
    Several(&'static str),
    /// The header of this name answers with something that was not offered.
    NotOffered(&'static str, &'a [u8]),
    /// Sec-WebSocket-Accept has this value where another was due.
    Accept(&'a [u8], [u8; 28]),
}

impl<'a> Seen<'a> {
    pub(crate) const fn header(title: &'static str, value: Option<&'a [u8]>) -> Self {
        match value {
            Some(value) => Self::Value(title, value),
            None => Self::Missing(title),
        }
    }
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "method is \"{}\"", Escaped(method)),
            Self::Version(version) => write!(f, "request is {version}"),
            Self::Body => f.write_str("request has a body"),
            Self::Missing(name) => write!(f, "no {name} header"),
            Self::Value(name, value) => write!(f, "{name} is \"{}\"", Escaped(value)),
            Self::Origin(origin) => write!(f, "Origin is \"{}\"", Address(origin)),
            Self::Repeated(name, count) => write!(f, "{count} {name} headers"),
            Self::Empty(name) => write!(f, "{name} lists no subprotocol"),
            Self::Misplaced(name, byte, place) => write!(
                f,
                "{name} has \"{}\" at character {place}, which is not allowed in a subprotocol",
                Escaped(&[*byte])
            ),
            Self::Duplicate(name, number) => {
                write!(
                    f,
                    "{name} names a subprotocol twice: number {number} repeats an earlier one"
                )
            }
            Self::Several(name) => write!(f, "{name} has more than one name"),
            Self::NotOffered(name, value) => {
                let chosen = Chosen(value);
                let what = if chosen.is_name() { "" } else { "a value " };
                write!(f, "{name} has {what}{chosen}, which was not offered")
            }
            Self::Accept(value, due) => write!(
                f,
                "Sec-WebSocket-Accept is \"{}\" where \"{}\" was expected",
                Escaped(value),
                Escaped(due)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_part_of_a_log_line() {
        let texts = [
            (Seen::Method(b"POST"), "method is \"POST\""),
            (Seen::Version(HttpVersion::Http10), "request is HTTP/1.0"),
            (Seen::Body, "request has a body"),
            (
                Seen::Missing("Sec-WebSocket-Key"),
                "no Sec-WebSocket-Key header",
            ),
            (
                Seen::Value("Sec-WebSocket-Version", b"8"),
                "Sec-WebSocket-Version is \"8\"",
            ),
            (
                Seen::Value("Upgrade", b"a\"\r\n"),
                "Upgrade is \"a\\x22\\x0D\\x0A\"",
            ),
            (
                Seen::Repeated("Sec-WebSocket-Key", 2),
                "2 Sec-WebSocket-Key headers",
            ),
            (
                Seen::Duplicate("Sec-WebSocket-Protocol", 3),
                "Sec-WebSocket-Protocol names a subprotocol twice: number 3 repeats an earlier one",
            ),
            (
                Seen::Origin(b"https://user:secret@a.example"),
                "Origin is \"https://...@a.example\"",
            ),
            (
                Seen::Several("Sec-WebSocket-Protocol"),
                "Sec-WebSocket-Protocol has more than one name",
            ),
            (
                Seen::NotOffered("Sec-WebSocket-Protocol", b"x"),
                "Sec-WebSocket-Protocol has \"x\", which was not offered",
            ),
            (
                Seen::NotOffered(
                    "Sec-WebSocket-Protocol",
                    b"bearer.0123456789abcdef0123456789",
                ),
                "Sec-WebSocket-Protocol has a value of 33 bytes, which was not offered",
            ),
            (
                Seen::Accept(b"no", *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                "Sec-WebSocket-Accept is \"no\" where \"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\" was expected",
            ),
        ];
        for (seen, text) in texts {
            assert_eq!(seen.to_string(), text);
        }
    }
}
