//! `websocket_allow_origin`: a rule in the first line of an input, Host in the second, Origin in the
//! third. What is read, and what it matches, is what expressions say that are written after RFC 6454.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use regex::bytes::Regex;
use websocket_fuzz::input::Input;
use websocket_fuzz::list::{latin, trimmed};
use websocket_protocol::{OriginRule, RequestAuthority};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (rule, host, origin) = (input.line(), input.line(), input.0);
    let read = OriginRule::parse(rule);
    assert_eq!(read.is_ok(), is_rule(rule));
    let rules = read.ok().map(|read| (rule, read));
    let words = [&b"none"[..], b"same", b"null"];
    let words = words.map(|word| (word, OriginRule::parse(word).expect("a rule")));
    for (text, rule) in rules.into_iter().chain(words) {
        for secure in [false, true] {
            let request = RequestAuthority { secure, host };
            assert!(rule.matches(None, request) == (text == b"none"));
            let expected = matches(text, origin, host, secure);
            assert_eq!(
                rule.matches(Some(origin), request),
                expected,
                "{}",
                latin(text)
            );
        }
    }
});

/// Scheme, host and port, with the scheme's own if none is written; all in lower case.
#[derive(PartialEq)]
struct Parts {
    scheme: String,
    host: String,
    port: Option<u32>,
}

const SCHEME: &str = r"([A-Za-z][A-Za-z0-9+.-]*)";
const NAME: &str = r"[A-Za-z0-9._-]+";
const ADDRESS: &str = r"\[[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*\]";
const PORT: &str = r"(?::([0-9]+))?";

static ORIGIN: LazyLock<Regex> =
    LazyLock::new(|| expression(&format!(r"{SCHEME}://({NAME}|{ADDRESS}|){PORT}")));
static SUBDOMAINS: LazyLock<Regex> =
    LazyLock::new(|| expression(&format!(r"{SCHEME}://\*(\.{NAME}){PORT}")));
static HOST: LazyLock<Regex> =
    LazyLock::new(|| expression(&format!(r"()(\[[^\]]*\][^:]*|[^:\[][^:]*|){PORT}")));

fn expression(text: &str) -> Regex {
    Regex::new(&format!(r"(?s-u)\A{text}\z")).expect("it is an expression")
}

fn parts(form: &Regex, text: &[u8]) -> Option<Parts> {
    let found = form.captures(text)?;
    let lower =
        |at| latin(found.get(at).map_or(&b""[..], |part| part.as_bytes())).to_ascii_lowercase();
    let (scheme, host) = (lower(1), lower(2));
    let port = match &*lower(3) {
        "" => match &*scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        },
        digits => Some(
            digits
                .parse()
                .ok()
                .filter(|port| (1..65_536).contains(port))?,
        ),
    };
    Some(Parts { scheme, host, port })
}

fn origin(text: &[u8]) -> Option<Parts> {
    // Web views send file://, which has no host; nothing else may have none.
    parts(&ORIGIN, text).filter(|parts| !parts.host.is_empty() || parts.scheme == "file")
}

fn is_rule(text: &[u8]) -> bool {
    matches!(text, b"none" | b"same" | b"null")
        || origin(text).is_some()
        || parts(&SUBDOMAINS, text).is_some()
}

fn matches(rule: &[u8], value: &[u8], host: &[u8], secure: bool) -> bool {
    let value = trimmed(value);
    let value: Vec<u8> = value.chars().map(|c| c as u8).collect();
    let sent = origin(&value);
    match rule {
        b"none" => false,
        b"null" => value == b"null",
        b"same" => sent.is_some_and(|sent| is_same(&sent, host, secure)),
        _ => match (parts(&SUBDOMAINS, rule), sent) {
            (_, None) => false,
            (None, Some(sent)) => origin(rule) == Some(sent),
            (Some(rule), Some(sent)) => {
                let below = sent.host.strip_suffix(&*rule.host).unwrap_or_default();
                (&rule.scheme, rule.port) == (&sent.scheme, sent.port)
                    && !below.is_empty()
                    && !below.ends_with('.')
            }
        },
    }
}

fn is_same(sent: &Parts, host: &[u8], secure: bool) -> bool {
    let host: Vec<u8> = trimmed(host).chars().map(|c| c as u8).collect();
    let Some(mut asked) = parts(&HOST, &host) else {
        return false;
    };
    let default = match &*sent.scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    // A Host without a port may come from where TLS ends in front.
    let unwritten = if secure { 443 } else { default };
    asked.port.get_or_insert(unwritten);
    (asked.host, asked.port) == (sent.host.clone(), sent.port)
}
