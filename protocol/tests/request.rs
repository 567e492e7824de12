//! The request check agrees with a naive one that allocates, on whatever headers it is given.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use websocket_protocol::{Cause, HttpVersion, RequestHead, RequestHeader, RequestLine, Upgrade};

const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn agrees_with_the_naive_check(request in request()) {
        let mut head = RequestHead::new();
        for (header, value) in &request.headers {
            head.add(*header, value);
        }
        let line = RequestLine {
            method: request.method.as_bytes(),
            version: request.version,
            has_body: request.has_body,
        };
        let naive = Naive::new(&request);
        prop_assert_eq!(head.is_attempt(), naive.is_attempt());
        prop_assert_eq!(head.upgrade() == Upgrade::WebSocket, naive.lists("upgrade", "websocket"));
        prop_assert_eq!(head.upgrade().is_to_websocket(), naive.asks_for_websocket());
        prop_assert_eq!(head.connection_has_upgrade(), naive.lists("connection", "upgrade"));

        let refusal = head.check(line).err();
        prop_assert_eq!(refusal.map(|refusal| refusal.cause), naive.check());
        if let Some(refusal) = refusal {
            let seen = refusal.seen.to_string();
            prop_assert!(seen.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", seen);
            prop_assert!(seen.len() < 4 * 128 + 64, "{}", seen);
        }
    }
}

#[derive(Clone, Debug)]
struct Request {
    method: String,
    version: HttpVersion,
    has_body: bool,
    headers: Vec<(RequestHeader, Vec<u8>)>,
}

/// A good handshake most of the time, with headers dropped, replaced, added and mixed up.
fn request() -> impl Strategy<Value = Request> {
    use HttpVersion::*;
    let method = prop_oneof![20 => Just("GET".to_owned()), 1 => "[A-Za-z]{0,4}"];
    let version = prop_oneof![20 => Just(Http11), 1 => select(vec![Http09, Http10, Http2, Http3])];
    let headers = (good_headers(), vec(any_header(), 0..4))
        .prop_map(|(good, more)| good.into_iter().flatten().chain(more).collect::<Vec<_>>());
    (
        method,
        version,
        proptest::bool::weighted(0.05),
        headers.prop_shuffle(),
    )
        .prop_map(|(method, version, has_body, headers)| Request {
            method,
            version,
            has_body,
            headers,
        })
}

fn good_headers() -> impl Strategy<Value = Vec<Option<(RequestHeader, Vec<u8>)>>> {
    let usually = |header: RequestHeader, good: &'static [u8]| {
        let value = prop_oneof![
            18 => Just(Some(good.to_vec())),
            1 => value().prop_map(Some),
            1 => Just(None),
        ];
        value.prop_map(move |value| value.map(|value| (header, value)))
    };
    (
        usually(RequestHeader::Connection, b"keep-alive, Upgrade"),
        usually(RequestHeader::Upgrade, b"WebSocket"),
        usually(RequestHeader::Key, KEY),
        usually(RequestHeader::Version, b"13"),
    )
        .prop_map(|(connection, upgrade, key, version)| vec![connection, upgrade, key, version])
}

fn any_header() -> impl Strategy<Value = (RequestHeader, Vec<u8>)> {
    // The lists more often: a second key or version ends the check early.
    let header = prop_oneof![
        1 => select(RequestHeader::ALL.to_vec()),
        3 => select(vec![RequestHeader::Protocol, RequestHeader::Extensions]),
    ];
    (header, value())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        "",
        " ",
        ",",
        "upgrade",
        "UPGRADE,",
        "close",
        "websocket",
        "websocket/13",
        "h2c, websocket",
        "13",
        " 13\t",
        "13, 13",
        "8",
        "dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "a, b",
        "b",
        "a,,a",
        "chat, superchat",
        "a;b",
        "a; b=c, d",
        "a; b=\"c\"",
        "a; b=\"c,d\"",
        "a; b=\"c;d\"",
        "a; b=\"\\c\"",
        "a; b=\"c\\\"",
        "a b",
        "a;",
        "permessage-deflate; client_max_window_bits",
    ]);
    prop_oneof![
        4 => known.prop_map(|value| value.as_bytes().to_vec()),
        3 => r#"[ab;=", \t\\]{0,12}"#.prop_map(String::into_bytes),
        1 => "(p[0-9]{1,2},){0,60}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..200),
    ]
}

/// The same rules, written to be read rather than to be fast: everything becomes a `String`.
struct Naive<'a> {
    request: &'a Request,
    headers: Vec<(String, String)>,
}

impl<'a> Naive<'a> {
    fn new(request: &'a Request) -> Self {
        let headers = request
            .headers
            .iter()
            .map(|(header, value)| {
                let value: String = value.iter().map(|&byte| char::from(byte)).collect();
                (header.name().to_owned(), value)
            })
            .collect();
        Self { request, headers }
    }

    fn values(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(header, _)| header == name);
        named.map(|(_, value)| trimmed(value)).collect()
    }

    fn lists(&self, name: &str, token: &str) -> bool {
        let elements: Vec<_> = self
            .values(name)
            .iter()
            .flat_map(|value| elements(value))
            .collect();
        elements
            .iter()
            .any(|element| element.to_ascii_lowercase() == token)
    }

    fn asks_for_websocket(&self) -> bool {
        self.values("upgrade")
            .iter()
            .flat_map(|value| elements(value))
            .any(|protocol| {
                let protocol = protocol.to_ascii_lowercase();
                protocol == "websocket" || protocol.starts_with("websocket/")
            })
    }

    fn is_attempt(&self) -> bool {
        self.asks_for_websocket()
            || !self.values("sec-websocket-key").is_empty()
            || !self.values("sec-websocket-version").is_empty()
    }

    fn check(&self) -> Option<Cause> {
        if matches!(
            self.request.version,
            HttpVersion::Http2 | HttpVersion::Http3
        ) {
            return Some(Cause::OverHttp2);
        }
        if self.request.method != "GET" {
            return Some(Cause::MethodNotGet);
        }
        if self.request.version != HttpVersion::Http11 {
            return Some(Cause::HttpVersion);
        }
        if self.values("upgrade").is_empty() {
            return Some(Cause::UpgradeMissing);
        }
        if !self.lists("upgrade", "websocket") {
            return Some(Cause::UpgradeNotWebsocket);
        }
        if !self.lists("connection", "upgrade") {
            return Some(Cause::ConnectionNotUpgrade);
        }
        match self.values("sec-websocket-key").as_slice() {
            [] => return Some(Cause::KeyMissing),
            [key] if key.contains(',') => return Some(Cause::KeyRepeated),
            [key] if !decodes_to_16_bytes(key) => return Some(Cause::KeyInvalid),
            [_] => (),
            _ => return Some(Cause::KeyRepeated),
        }
        match self.values("sec-websocket-version").as_slice() {
            [] => return Some(Cause::VersionMissing),
            [version] if version.contains(',') => return Some(Cause::VersionRepeated),
            [version] if version != "13" => return Some(Cause::VersionUnsupported),
            [_] => (),
            _ => return Some(Cause::VersionRepeated),
        }
        if self.request.has_body {
            return Some(Cause::BodyPresent);
        }
        let protocols = self.values("sec-websocket-protocol");
        if protocols.iter().any(|value| !is_protocol_list(value)) {
            return Some(Cause::SubprotocolMalformed);
        }
        // Four lines and 32 names are compared.
        let names: Vec<_> = protocols
            .iter()
            .take(4)
            .flat_map(|v| elements(v))
            .take(32)
            .collect();
        if names.iter().collect::<HashSet<_>>().len() != names.len() {
            return Some(Cause::SubprotocolMalformed);
        }
        if self
            .values("sec-websocket-extensions")
            .iter()
            .any(|value| !is_extension_list(value))
        {
            return Some(Cause::ExtensionsMalformed);
        }
        None
    }
}

fn trimmed(value: &str) -> String {
    value.trim_matches([' ', '\t']).to_owned()
}

fn elements(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(trimmed)
        .filter(|element| !element.is_empty())
        .collect()
}

fn is_token(value: &str) -> bool {
    let separators = "()<>@,;:\\\"/[]?={} \t";
    !value.is_empty()
        && value
            .chars()
            .all(|c| c > ' ' && c <= '~' && !separators.contains(c))
}

fn is_protocol_list(value: &str) -> bool {
    !elements(value).is_empty() && elements(value).iter().all(|element| is_token(element))
}

/// Counts the bits that the characters carry, four to a padding sign.
fn decodes_to_16_bytes(key: &str) -> bool {
    let digits = key.trim_end_matches('=');
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    key.len() % 4 == 0 && digits.chars().all(alphabet) && digits.len() * 6 / 8 == 16
}

/// Reads from left to right and knows quoted strings, so commas and semicolons within them are
/// no separators.
fn is_extension_list(value: &str) -> bool {
    let mut words: Vec<String> = vec![];
    let mut word = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' | ';' | '=' => {
                words.push(trimmed(&std::mem::take(&mut word)));
                words.push(c.to_string());
            }
            '"' => {
                let mut content = String::new();
                loop {
                    match chars.next() {
                        None => return false,
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            None => return false,
                            Some(quoted) => content.push(quoted),
                        },
                        Some(c) => content.push(c),
                    }
                }
                // Only a value is quoted, all of it, and it has to be a token.
                let is_value = words.last().is_some_and(|word| word == "=");
                if !is_value || !trimmed(&word).is_empty() || !is_token(&content) {
                    return false;
                }
                let rest: String = chars.clone().take_while(|c| !",;=".contains(*c)).collect();
                if !trimmed(&rest).is_empty() {
                    return false;
                }
                word = content;
            }
            c => word.push(c),
        }
    }
    words.push(trimmed(&word));

    let extensions: Vec<_> = words
        .split(|word| word == ",")
        .filter(|words| words.iter().any(|word| !word.is_empty()))
        .collect();
    !extensions.is_empty()
        && extensions.iter().all(|words| {
            words
                .split(|word| word == ";")
                .enumerate()
                .all(|(index, part)| match part {
                    [name] => is_token(name),
                    [name, equals, value] => {
                        index > 0 && equals == "=" && is_token(name) && is_token(value)
                    }
                    _ => false,
                })
        })
}
