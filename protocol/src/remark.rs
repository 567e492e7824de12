//! What a server says in the body of an answer that is no 101.

use core::fmt::{self, Write};
use core::str;

use memchr::memchr;

use crate::header::trim;

/// The beginning of a body that people or programs are meant to read. Some servers give the exact
/// reason there.
///
/// `Display` shows it on one line: white space is one space, `"` and `\` have a `\` before them,
/// and what is not printable ASCII is `\xHH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remark<'a> {
    text: &'a [u8],
    is_cut: bool,
}

impl<'a> Remark<'a> {
    /// More bytes than these are not shown.
    pub const MAX: usize = 200;

    /// Whether a body is worth a look: not what is compressed, and neither image nor archive.
    pub fn is_expected(content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) -> bool {
        let kind = content_type.unwrap_or(b"text/plain");
        let end = memchr(b';', kind).unwrap_or(kind.len());
        let kind = trim(kind.get(..end).unwrap_or_default());
        let ends = |with: &[u8]| {
            let at = kind.len().checked_sub(with.len());
            at.and_then(|at| kind.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(with))
        };
        let is_text = kind
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
        let coding = trim(content_encoding.unwrap_or_default());
        (is_text || ends(b"/json") || ends(b"+json"))
            && (coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    }

    /// `None` where a body begins with nothing, with a page's tags, or with bytes that are no text,
    /// whatever its type says.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let body = body.trim_ascii();
        let is_cut = body.len() > Self::MAX;
        let text = body.get(..Self::MAX).unwrap_or(body).trim_ascii_end();
        let is_text = text
            .iter()
            .all(|&byte| byte >= b' ' || byte.is_ascii_whitespace());
        (is_text && !text.is_empty() && !text.starts_with(b"<")).then_some(Self { text, is_cut })
    }
}

impl fmt::Display for Remark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_space = false;
        for &byte in self.text {
            let was_space = is_space;
            is_space = byte.is_ascii_whitespace();
            match byte {
                _ if is_space && was_space => {}
                _ if is_space => f.write_char(' ')?,
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b'!'..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02X}")?,
            }
        }
        if self.is_cut {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// The bytes of the first chunk of a body that comes in chunks, as far as they are there (RFC 9112
/// section 7.1).
pub fn first_chunk(body: &[u8]) -> &[u8] {
    let Some((line, rest)) = memchr(b'\n', body).and_then(|end| body.split_at_checked(end)) else {
        return &[];
    };
    let end = memchr(b';', line).unwrap_or(line.len());
    let digits = line.get(..end).unwrap_or_default().trim_ascii();
    let length = str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let rest = rest.get(1..).unwrap_or_default();
    length.map_or(&[], |length| rest.get(..length).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_are_worth_a_look() {
        let is_expected = |kind: &str| Remark::is_expected(Some(kind.as_bytes()), None);
        for kind in [
            "text/plain",
            "text/html; charset=utf-8",
            "TEXT/PLAIN",
            "application/json",
            "application/problem+json ;x=y",
        ] {
            assert!(is_expected(kind), "{kind}");
        }
        for kind in [
            "",
            "image/png",
            "application/octet-stream",
            "application/jsonp",
            "json",
        ] {
            assert!(!is_expected(kind), "{kind}");
        }
        assert!(Remark::is_expected(None, Some(b"identity")));
        assert!(!Remark::is_expected(None, Some(b"gzip")));
    }

    #[test]
    fn it_is_shown_on_one_line() {
        for (body, shown) in [
            ("Invalid Host\n", "Invalid Host"),
            (
                "{\n  \"code\": 0,\r\n\t\"text\": \"\\n\"\n}\n",
                "{ \\\"code\\\": 0, \\\"text\\\": \\\"\\\\n\\\" }",
            ),
            ("caf\u{e9}\u{7f}", "caf\\xC3\\xA9\\x7F"),
        ] {
            assert_eq!(said(body), Some(shown.to_owned()));
        }
    }

    #[test]
    fn it_is_cut() {
        assert_eq!(said(&"a".repeat(200)), Some("a".repeat(200)));
        assert_eq!(said(&"a".repeat(201)), Some("a".repeat(200) + "..."));
        assert_eq!(
            said(&("a".repeat(199) + " bc")),
            Some("a".repeat(199) + "...")
        );
    }

    #[test]
    fn pages_and_bytes_are_none() {
        for body in [
            "",
            " \r\n",
            "<p>bad",
            "\n<!DOCTYPE html>",
            "a\0b",
            "\u{1b}[2J",
        ] {
            assert_eq!(said(body), None, "{body:?}");
        }
    }

    #[test]
    fn the_first_chunk_is_taken_out() {
        for (body, chunk) in [
            ("3\r\nbad\r\n0\r\n\r\n", "bad"),
            ("B;x=y\r\nInvalid Host\r\n", "Invalid Hos"),
            ("c\nInval", "Inval"),
            ("0\r\n\r\n", ""),
            ("3", ""),
            ("+3\r\nbad", ""),
            ("no\r\nbad", ""),
            ("ffffffffffffffffffff\r\nbad", ""),
        ] {
            assert_eq!(first_chunk(body.as_bytes()), chunk.as_bytes(), "{body:?}");
        }
    }

    fn said(body: &str) -> Option<String> {
        Remark::read(body.as_bytes()).map(|remark| remark.to_string())
    }
}
