//! Comma lists of headers, against readings that make a text of each element: the first line of an input
//! is an element to look for, the second another line of the same header, the rest the list.

#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use regex::bytes::Regex;
use websocket_fuzz::input::Input;
use websocket_fuzz::list::{elements, is_token, latin, trimmed};
use websocket_protocol::header::{self, has_token};
use websocket_protocol::{Cause, HttpVersion, RequestHead, RequestHeader, RequestLine, Seen};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (wanted, other, value) = (input.line(), input.line(), input.0);
    are_split(value);
    are_found(wanted, value);
    let lines = [value, other];
    let lines = if other.is_empty() {
        &lines[..1]
    } else {
        &lines[..]
    };
    let is_right = lines.iter().all(|line| EXTENSIONS.is_match(line));
    let expected = (!is_right).then_some(Cause::ExtensionsMalformed);
    assert_eq!(asked(RequestHeader::Extensions, lines), expected);
    assert_eq!(asked(RequestHeader::Protocol, lines), protocols(lines));
});

fn are_split(value: &[u8]) {
    let split: Vec<String> = header::tokens(value).map(latin).collect();
    assert_eq!(split, elements(value));
    assert_eq!(latin(header::trim(value)), trimmed(value));
    assert_eq!(header::is_token(value), is_token(&latin(value)));
    for element in header::tokens(value) {
        assert_eq!(header::is_token(element), is_token(&latin(element)));
        assert!(has_token(value, element));
    }
}

fn are_found(wanted: &[u8], value: &[u8]) {
    for token in [wanted, b"upgrade", b"websocket", b"close"] {
        // It is an element itself where it is looked for.
        if elements(token) != [latin(token)] {
            continue;
        }
        let is_there = elements(value)
            .iter()
            .any(|element| element.eq_ignore_ascii_case(&latin(token)));
        assert_eq!(has_token(value, token), is_there);
    }
}

/// What a handshake that is right otherwise is refused for.
fn asked(header: RequestHeader, values: &[&[u8]]) -> Option<Cause> {
    let mut head = RequestHead::new();
    head.add(RequestHeader::Connection, b"Upgrade");
    head.add(RequestHeader::Upgrade, b"websocket");
    head.add(RequestHeader::Key, b"dGhlIHNhbXBsZSBub25jZQ==");
    head.add(RequestHeader::Version, b"13");
    for value in values {
        head.add(header, value);
    }
    let line = RequestLine {
        method: b"GET",
        version: HttpVersion::Http11,
        has_body: false,
    };
    let refusal = head.check(line).err()?;
    if let Seen::Misplaced(_, byte, place) = refusal.seen {
        // It names the first byte that is none of a token's, where it stands.
        assert!(
            values
                .iter()
                .any(|value| value.get(place - 1) == Some(&byte))
        );
        assert!(!is_token(&latin(&[byte])));
    }
    Some(refusal.cause)
}

fn protocols(values: &[&[u8]]) -> Option<Cause> {
    let lists: Vec<_> = values.iter().map(|value| elements(value)).collect();
    let is_right = |list: &Vec<String>| !list.is_empty() && list.iter().all(|name| is_token(name));
    let compared: Vec<_> = lists.iter().flatten().take(32).collect();
    let different: HashSet<_> = compared.iter().collect();
    let is_refused = !lists.iter().all(is_right) || different.len() < compared.len();
    is_refused.then_some(Cause::SubprotocolMalformed)
}

/// RFC 6455 section 9.1, where a comma may also stand alone (RFC 9110 section 5.6.1).
static EXTENSIONS: LazyLock<Regex> = LazyLock::new(|| {
    let token = r"[!#$%&'*+.^_`|~0-9A-Za-z-]";
    let value = format!(r#"(?:{token}+|"(?:\\?{token})+")"#);
    let parameter = format!(r"[ \t]*;[ \t]*{token}+(?:[ \t]*=[ \t]*{value})?");
    let extension = format!("{token}+(?:{parameter})*");
    Regex::new(&format!(
        r"(?-u)\A[ \t,]*{extension}(?:[ \t]*,[ \t,]*{extension})*[ \t,]*\z"
    ))
    .expect("it is an expression")
});
