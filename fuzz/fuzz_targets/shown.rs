//! Values from outside in a log line: nothing in them that a line must not have, and no secret of an
//! address.

#![no_main]

use std::str;

use libfuzzer_sys::fuzz_target;
use websocket_fuzz::input::Input;
use websocket_fuzz::text::{assert_line, escaped_beginning};
use websocket_protocol::{Address, Advice, Cause, Escaped, Evidence, Printable};

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(Escaped(bytes).to_string(), escaped_beginning(bytes));
    assert_line(&Escaped(bytes).to_string(), 4 * 128 + 3);
    is_text(bytes);
    is_address(bytes);
    is_advised(bytes);
});

/// What is text stays text, but for characters that a terminal obeys.
fn is_text(bytes: &[u8]) {
    let shown = Printable(bytes).to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    if let Ok(text) = str::from_utf8(bytes) {
        assert!(text.chars().any(char::is_control) || shown == text);
    }
}

/// Nothing is shown behind a query, a fragment or parameters of the path, and nothing of a name and
/// password in front of the host.
fn is_address(bytes: &[u8]) {
    let address = Address(bytes);
    let shown = address.to_string();
    assert_line(&shown, 8 * 128 + 16);
    let end = bytes.iter().position(|byte| b"?#;".contains(byte));
    let before = &bytes[..end.unwrap_or(bytes.len())];
    if let Some(end) = end {
        assert!(shown.ends_with(&format!("{}...", char::from(bytes[end]))));
        // Whatever the secret is.
        let other = [before, &bytes[end..=end], b"x"].concat();
        assert_eq!(Address(&other).to_string(), shown);
    }
    let path = address.path();
    assert!(path.is_empty() || before.ends_with(path));
    if let Some(rest) = before.strip_prefix(b"https://") {
        let host = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
        if let Some(at) = host.iter().rposition(|byte| *byte == b'@') {
            assert!(shown.starts_with("https://...@"), "{shown}");
            let other = [b"https://user:secret", &bytes[b"https://".len() + at..]].concat();
            assert_eq!(Address(&other).to_string(), shown);
        }
    }
}

/// Advice is one that goes with its cause.
fn is_advised(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut value = || match input.line() {
        b"-" => None,
        value => Some(value),
    };
    let evidence = Evidence {
        path: value(),
        location: value(),
        host: value(),
        sent_host: value(),
        origin: value(),
        body: value().unwrap_or_default(),
        status: input.short(),
        auth_request: input.short(),
        is_passed_otherwise: input.byte() % 2 == 1,
        is_file: input.byte() % 2 == 1,
        is_within_limits: input.byte() % 2 == 1,
    };
    for &cause in Cause::ALL {
        match evidence.advice(cause) {
            Advice::Usual => {}
            Advice::Found(finding) => assert!(finding.causes().contains(&cause)),
        }
    }
}
