//! The rules of a request, written to be read rather than to be fast: everything becomes a `String`.

use std::collections::HashSet;

use websocket_protocol::{Cause, HttpVersion, RequestHeader};

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub version: HttpVersion,
    pub has_body: bool,
    pub headers: Vec<(RequestHeader, Vec<u8>)>,
}

/// What a request is by them.
pub struct Naive<'a> {
    request: &'a Request,
    headers: Vec<(String, String)>,
}

impl<'a> Naive<'a> {
    pub fn new(request: &'a Request) -> Self {
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

    pub fn lists(&self, name: &str, token: &str) -> bool {
        let elements: Vec<_> = self
            .values(name)
            .iter()
            .flat_map(|value| elements(value))
            .collect();
        elements
            .iter()
            .any(|element| element.to_ascii_lowercase() == token)
    }

    pub fn asks_for_websocket(&self) -> bool {
        self.values("upgrade")
            .iter()
            .flat_map(|value| elements(value))
            .any(|protocol| {
                let protocol = protocol.to_ascii_lowercase();
                protocol == "websocket" || protocol.starts_with("websocket/")
            })
    }

    pub fn is_attempt(&self) -> bool {
        self.asks_for_websocket()
            || !self.values("sec-websocket-key").is_empty()
            || !self.values("sec-websocket-version").is_empty()
    }

    /// The rules that it breaks, in the order in which they are checked.
    pub fn broken(&self) -> Vec<Cause> {
        [
            self.line(),
            self.upgrade(),
            self.key(),
            self.version(),
            self.request.has_body.then_some(Cause::BodyPresent),
            self.protocols(),
            self.extensions(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn line(&self) -> Option<Cause> {
        match (self.request.version, &*self.request.method) {
            (HttpVersion::Http2 | HttpVersion::Http3, _) => Some(Cause::OverHttp2),
            (HttpVersion::Http11, "GET") => None,
            (_, "GET") => Some(Cause::HttpVersion),
            _ => Some(Cause::MethodNotGet),
        }
    }

    fn upgrade(&self) -> Option<Cause> {
        if self.values("upgrade").is_empty() {
            Some(Cause::UpgradeMissing)
        } else if !self.lists("upgrade", "websocket") {
            Some(Cause::UpgradeNotWebsocket)
        } else if !self.lists("connection", "upgrade") {
            Some(Cause::ConnectionNotUpgrade)
        } else {
            None
        }
    }

    fn key(&self) -> Option<Cause> {
        match self.values("sec-websocket-key").as_slice() {
            [] => Some(Cause::KeyMissing),
            [key] if key.contains(',') => Some(Cause::KeyRepeated),
            [key] if !decodes_to_16_bytes(key) => Some(Cause::KeyInvalid),
            [_] => None,
            _ => Some(Cause::KeyRepeated),
        }
    }

    fn version(&self) -> Option<Cause> {
        match self.values("sec-websocket-version").as_slice() {
            [] => Some(Cause::VersionMissing),
            [version] if version.contains(',') => Some(Cause::VersionRepeated),
            [version] if version != "13" => Some(Cause::VersionUnsupported),
            [_] => None,
            _ => Some(Cause::VersionRepeated),
        }
    }

    fn protocols(&self) -> Option<Cause> {
        let protocols = self.values("sec-websocket-protocol");
        // Four lines and 32 names are compared.
        let lines = protocols.iter().take(4);
        let names: Vec<_> = lines.flat_map(|v| elements(v)).take(32).collect();
        let is_twice = names.iter().collect::<HashSet<_>>().len() != names.len();
        let is_malformed = protocols.iter().any(|value| !is_protocol_list(value));
        (is_malformed || is_twice).then_some(Cause::SubprotocolMalformed)
    }

    fn extensions(&self) -> Option<Cause> {
        let extensions = self.values("sec-websocket-extensions");
        let is_malformed = extensions.iter().any(|value| !is_extension_list(value));
        is_malformed.then_some(Cause::ExtensionsMalformed)
    }
}

pub fn trimmed(value: &str) -> String {
    value.trim_matches([' ', '\t']).to_owned()
}

pub fn elements(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(trimmed)
        .filter(|element| !element.is_empty())
        .collect()
}

pub fn is_token(value: &str) -> bool {
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
