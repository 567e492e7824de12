//! The head of an upstream's answer, checked against a request: the key in the first line of an input,
//! the subprotocols and the extensions that were offered in the next two, then the head and the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket_fuzz::input::{Input, header};
use websocket_fuzz::list::{elements, latin, trimmed};
use websocket_fuzz::text::{assert_line, escaped};
use websocket_protocol::header::trim;
use websocket_protocol::{
    Cause, Remark, ResponseHead, ResponseHeader, Strictness, accept_key, first_chunk,
};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (key, protocols, extensions) = (input.line(), input.line(), input.line());
    let asked = Asked {
        key: trim(key),
        protocols,
        extensions,
    };
    let lines = input.head();
    let headers: Vec<_> = lines
        .into_iter()
        .filter_map(header)
        .filter_map(known)
        .collect();
    is_judged(&asked, &headers);
    is_shown(input.0);
});

struct Asked<'a> {
    key: &'a [u8],
    protocols: &'a [u8],
    extensions: &'a [u8],
}

fn known<'a>((name, value): (&[u8], &'a [u8])) -> Option<(ResponseHeader, &'a [u8])> {
    let name = latin(name).to_ascii_lowercase();
    let known = ResponseHeader::ALL
        .into_iter()
        .find(|known| known.name() == name)?;
    Some((known, value))
}

fn is_judged(asked: &Asked<'_>, headers: &[(ResponseHeader, &[u8])]) {
    let mut head = ResponseHead::new();
    for (header, value) in headers {
        head.add(*header, value);
    }
    let lines = |line| std::iter::once(line);
    for strictness in [Strictness::Strict, Strictness::Safe, Strictness::Lenient] {
        let broken = broken(asked, headers, strictness);
        let refused = broken.iter().find(|cause| strictness.refuses(**cause));
        let (protocols, extensions) = (lines(asked.protocols), lines(asked.extensions));
        let judged = head.judge(asked.key, protocols, extensions, strictness);
        let (refusal, expected) = match judged {
            Ok(remark) => (remark, refused.map_or(broken.first(), |_| None)),
            Err(refusal) => (Some(refusal), refused),
        };
        assert_eq!(judged.is_err(), refused.is_some());
        assert_eq!(refusal.map(|refusal| refusal.cause).as_ref(), expected);
        if let Some(refusal) = refusal {
            assert_line(&refusal.seen.to_string(), 4 * 128 + 160);
        }
    }
}

/// The rules that an answer breaks (RFC 6455 section 4.1), in their order.
fn broken(
    asked: &Asked<'_>,
    headers: &[(ResponseHeader, &[u8])],
    strictness: Strictness,
) -> Vec<Cause> {
    let values = |header| -> Vec<String> {
        let named = headers.iter().filter(|(other, _)| *other == header);
        named.map(|(_, value)| trimmed(value)).collect()
    };
    let mut broken = vec![];
    let mut breaks = |cause, does: bool| broken.extend(does.then_some(cause));

    let upgrade = values(ResponseHeader::Upgrade);
    let is_upgrade = |value: &String| value.eq_ignore_ascii_case("websocket");
    let is_right = upgrade.len() == 1 && upgrade.iter().all(is_upgrade);
    breaks(Cause::ResponseUpgrade, !is_right);

    let connection = values(ResponseHeader::Connection);
    let mut options = connection.iter().flat_map(|value| value.split(','));
    let is_upgrade = |option: &str| {
        option
            .trim_matches([' ', '\t'])
            .eq_ignore_ascii_case("upgrade")
    };
    breaks(Cause::ResponseConnection, !options.any(is_upgrade));

    let is_key = |key: &[u8]| {
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
        key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
    };
    if !asked.key.is_empty() && (strictness == Strictness::Strict || is_key(asked.key)) {
        let accept = values(ResponseHeader::Accept);
        let due = latin(&accept_key(asked.key));
        breaks(Cause::AcceptMissing, accept.is_empty());
        breaks(Cause::AcceptMismatch, !accept.is_empty() && accept != [due]);
    }

    let protocol = values(ResponseHeader::Protocol);
    let offered = elements(asked.protocols);
    let is_right = match protocol.as_slice() {
        [] => true,
        [chosen] => offered.contains(chosen),
        _ => false,
    };
    breaks(Cause::SubprotocolNotOffered, !is_right);

    // Four lines and eight names are compared.
    let name = |extension: &String| {
        let name = extension.split(';').next().unwrap_or_default();
        name.trim_matches([' ', '\t']).to_ascii_lowercase()
    };
    let offered: Vec<String> = elements(asked.extensions).iter().map(name).collect();
    let lines = headers
        .iter()
        .filter(|(header, _)| *header == ResponseHeader::Extensions);
    let chosen = lines.take(4).flat_map(|(_, value)| elements(value));
    let is_right = chosen
        .take(8)
        .all(|extension| offered.contains(&name(&extension)));
    breaks(Cause::ExtensionNotOffered, !is_right);
    broken
}

/// The body of one that is no 101.
fn is_shown(body: &[u8]) {
    let chunk = first_chunk(body);
    assert!(chunk.is_empty() || body.windows(chunk.len()).any(|part| part == chunk));
    for body in [body, chunk] {
        if let Some(remark) = Remark::read(body) {
            let shown = remark.to_string();
            assert_line(&shown, 4 * Remark::MAX + 3);
            assert_eq!(shown, on_one_line(body));
        }
    }
}

/// Words with a space between them, as far as they are shown.
fn on_one_line(body: &[u8]) -> String {
    let body = body.trim_ascii();
    let text = body[..body.len().min(Remark::MAX)].trim_ascii_end();
    let words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let shown = |byte: &u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        byte => escaped(&[*byte]),
    };
    let words: Vec<String> = words.map(|word| word.iter().map(shown).collect()).collect();
    let end = if body.len() > Remark::MAX { "..." } else { "" };
    words.join(" ") + end
}
