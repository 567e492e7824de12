//! What nginx sends to the upstream for a handshake.

use super::locate::Place;
use super::location::{By, Version};
use super::parse::Directive;
use super::proxied;
use super::scope::Scope;
use super::uri::{Uri, escaped};
use super::values::Maps;
use crate::request::Request;

/// A request to the upstream, as far as it can be told.
pub struct Sent {
    /// Request line and headers.
    pub lines: Vec<String>,
    pub host: String,
}

/// What a location with `proxy_pass` makes of the client's request.
pub fn request(
    place: &Place<'_>,
    uri: &Uri,
    maps: &Maps<'_>,
    by: By,
    version: Option<Version>,
    client: &Request,
) -> Option<Sent> {
    let scope = &place.scope;
    let pass = scope.level().find("proxy_pass")?;
    let upstream = Upstream::read(pass, maps);
    let mut maps = maps.clone();
    maps.know("proxy_host", upstream.proxy_host());

    let lines = Lines {
        set: scope.headers(),
        maps: &maps,
        by,
        secrets: &client.secrets(),
    };
    let host = lines.set("Host").unwrap_or_else(|| upstream.proxy_host());
    let path = upstream.path(uri, place.prefix_length());
    let http = http_version(scope, by, version);
    let mut all = vec![format!("GET {path} HTTP/{http}"), format!("Host: {host}")];
    all.extend(lines.upgrade(http));
    all.extend(lines.others());
    all.extend(lines.of_client(scope, client));
    Some(Sent { lines: all, host })
}

fn http_version(scope: &Scope<'_>, by: By, version: Option<Version>) -> &'static str {
    match scope.nearest("proxy_http_version").map(|line| line.word(0)) {
        _ if by == By::Module => "1.1",
        Some("1.1") => "1.1",
        Some("2") => "2",
        None if proxied::is_1_1_by_default(version) => "1.1",
        _ => "1.0",
    }
}

/// What stands in `proxy_pass`.
struct Upstream {
    scheme: String,
    authority: String,
    path: String,
    has_variables: bool,
}

impl Upstream {
    fn read(pass: &Directive, maps: &Maps<'_>) -> Self {
        let text = maps.shown(pass.word(0));
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", &text));
        let (authority, path) = match rest.strip_prefix("unix:") {
            // The path of the socket ends at a colon.
            Some(socket) => (
                "localhost",
                socket.split_once(':').map_or("", |(_, path)| path),
            ),
            None => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        };
        Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            has_variables: pass.word(0).contains('$'),
        }
    }

    /// `$proxy_host`: without the port that is the scheme's own.
    fn proxy_host(&self) -> String {
        let own = match self.scheme.as_str() {
            "https" => ":443",
            _ => ":80",
        };
        let host = self.authority.strip_suffix(own);
        host.unwrap_or(&self.authority).to_owned()
    }

    fn path(&self, uri: &Uri, prefix: Option<usize>) -> String {
        if self.has_variables && !self.path.is_empty() {
            return self.path.clone();
        }
        if uri.is_unchanged && self.path.is_empty() {
            return uri.sent.clone();
        }
        // Where a rewrite has made the whole path, the one in proxy_pass is left out.
        let rest = prefix.filter(|_| uri.is_located && !self.path.is_empty());
        let path = match rest.and_then(|length| uri.path.get(length..)) {
            Some(rest) => format!("{}{}", self.path, escaped(rest)),
            None => escaped(&uri.path),
        };
        uri.with_query(&path)
    }
}

/// The lines of `proxy_set_header` in force, and what `websocket on` does for a handshake.
struct Lines<'a> {
    set: &'a [&'a Directive],
    maps: &'a Maps<'a>,
    by: By,
    /// The client's credentials.
    secrets: &'a [&'a str],
}

impl Lines<'_> {
    fn set(&self, name: &str) -> Option<String> {
        proxied::last(self.set, name).map(|line| self.maps.shown(line.word(1)))
    }

    fn upgrade(&self, http: &str) -> Vec<String> {
        if self.by == By::Module {
            return vec![
                "Connection: upgrade".to_owned(),
                "Upgrade: websocket".to_owned(),
            ];
        }
        let default = (http == "1.0").then(|| "close".to_owned());
        let connection = self.set("Connection").or(default);
        let lines = [("Connection", connection), ("Upgrade", self.set("Upgrade"))];
        lines
            .into_iter()
            .filter_map(|(name, value)| line(name, &value?))
            .collect()
    }

    fn others(&self) -> impl Iterator<Item = String> {
        let own = |line: &&&Directive| {
            let name = line.word(0);
            let special = ["Host", "Connection", "Upgrade"];
            !special.iter().any(|other| name.eq_ignore_ascii_case(other))
        };
        let others = self.set.iter().filter(own);
        others.filter_map(|set| line(set.word(0), &self.unless_secret(set)))
    }

    /// A report is passed on: it has no credentials, neither those of the configuration nor what a variable makes of
    /// the client's.
    fn unless_secret(&self, set: &Directive) -> String {
        let value = self.maps.shown(set.word(1));
        let is_secret = crate::request::is_secret(set.word(0).as_bytes(), value.as_bytes())
            || self.secrets.iter().any(|secret| match secret.len() {
                // One that is as short may be a part of much else.
                ..4 => value == *secret,
                _ => value.contains(secret),
            });
        match is_secret && !value.is_empty() {
            true => crate::request::HIDDEN.to_owned(),
            false => value,
        }
    }

    /// The client's own, but for those that a line replaces and those that nginx never passes on.
    fn of_client(&self, scope: &Scope<'_>, client: &Request) -> Vec<String> {
        let none = scope.is("proxy_pass_request_headers", "off");
        let mut lines = Vec::new();
        for (name, value) in &client.headers {
            let lower = name.to_ascii_lowercase();
            let kept = self.by == By::Module && KEPT.contains(&lower.as_str());
            let saved = self.by == By::Module && SAVED.contains(&lower.as_str());
            let replaced = self
                .set(name)
                .is_some_and(|value| !(kept && value.is_empty()));
            if DROPPED.contains(&lower.as_str()) || replaced || (none && !saved) {
                continue;
            }
            // Another one in each handshake, and credentials are nobody's business.
            let value = match lower.as_str() {
                "sec-websocket-key" => "(the client's)",
                name if crate::request::is_secret(name.as_bytes(), value.as_bytes()) => {
                    crate::request::HIDDEN
                }
                _ => value,
            };
            lines.push(format!("{name}: {value}"));
        }
        lines
    }
}

/// What `websocket on` sends although a line empties it.
const KEPT: [&str; 2] = ["sec-websocket-key", "sec-websocket-version"];

/// What `websocket on` sends although `proxy_pass_request_headers` is off.
const SAVED: [&str; 4] = [
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
];

const DROPPED: [&str; 7] = [
    "host",
    "connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "expect",
    "upgrade",
];

/// A header that is empty is not sent.
fn line(name: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{name}: {value}"))
}
