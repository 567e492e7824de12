//! The head of a server's answer as check-websocket reads it, at every place where a packet could end:
//! what was said of a part of it holds for the whole, and no secret of it is shown.

#![no_main]

use check_websocket::outside;
use libfuzzer_sys::fuzz_target;
use websocket_fuzz::input::{Input, header};
use websocket_fuzz::text::{assert_line, escaped_beginning};

fuzz_target!(|bytes: &[u8]| {
    let whole = outside::head(bytes);
    let mut last = Ok(None);
    for length in 0..bytes.len() {
        let part = outside::head(&bytes[..length]);
        match &part {
            Ok(None) => assert_eq!(last, Ok(None), "it was there already"),
            Ok(Some((lines, rest))) => {
                let rest = rest + bytes.len() - length;
                assert_eq!(whole, Ok(Some((lines.clone(), rest))));
            }
            Err(_) => assert!(whole.is_err()),
        }
        last = part;
    }
    match &whole {
        Ok(Some((lines, rest))) => {
            assert_eq!(lines, &shown(&bytes[..bytes.len() - rest]));
            lines
                .iter()
                .for_each(|line| assert_line(line, 8 * 128 + 16));
        }
        Ok(None) => {}
        Err(error) => assert_line(error, 4 * 128 + 160),
    }
});

/// Each line, but for the values of headers that carry credentials.
fn shown(head: &[u8]) -> Vec<String> {
    const SECRETS: [&str; 4] = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
    ];
    let mut input = Input(head);
    let line = escaped_beginning(input.line());
    let headers = input.head().into_iter().map(|line| {
        let (name, value) = header(line).expect("it was read");
        let is_secret = SECRETS
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()));
        let value = match is_secret {
            true => "(not shown)".to_owned(),
            false => escaped_beginning(value.trim_ascii()),
        };
        format!("{}: {value}", escaped_beginning(name))
    });
    std::iter::once(line).chain(headers).collect()
}
