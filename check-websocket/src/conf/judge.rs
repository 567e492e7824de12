//! Whether WebSocket would pass each location that proxies, and why not.

use websocket_protocol::header::has_token;

use super::parse::Directive;
use super::scope::{Scope, find};
use super::values::Maps;

/// What was found in a configuration.
#[derive(Debug)]
pub struct Judgement {
    pub locations: Vec<Location>,
    /// What concerns no single location.
    pub notes: Vec<String>,
}

impl Judgement {
    /// Whether WebSocket passes somewhere, and wherever it is meant to.
    pub fn works(&self) -> bool {
        let meant = |location: &&Location| location.is_meant();
        self.locations.iter().any(Location::passes)
            && self.locations.iter().filter(meant).all(Location::passes)
    }
}

/// A location that passes requests on.
#[derive(Debug)]
pub struct Location {
    pub server: String,
    pub name: String,
    pub file: String,
    pub line: usize,
    pub passes_to: String,
    pub by: By,
    /// Each stops WebSocket.
    pub problems: Vec<String>,
    /// What is worth knowing all the same.
    pub remarks: Vec<String>,
}

/// What carries WebSocket there, or is meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `websocket on`
    Module,
    /// `proxy_set_header` for Upgrade
    Hand,
    Nothing,
}

impl By {
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "websocket on",
            Self::Hand => "by hand",
            Self::Nothing => "not set up",
        }
    }
}

impl Location {
    pub fn passes(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn is_meant(&self) -> bool {
        self.by != By::Nothing
    }
}

/// Judges a configuration; the version of nginx decides what its defaults are.
pub fn judge(directives: &[Directive], version: Option<(u32, u32, u32)>) -> Judgement {
    let mut judge = Judge {
        version,
        judgement: Judgement {
            locations: Vec::new(),
            notes: Vec::new(),
        },
    };
    let blocks = |directives: &[Directive]| directives.iter().any(|d| d.name == "http");
    if blocks(directives) {
        for http in directives
            .iter()
            .filter(|directive| directive.name == "http")
        {
            judge.http(http.children());
        }
    } else {
        // A file of sites-enabled alone: what `http` would say is not known.
        judge.http(directives);
        judge
            .judgement
            .notes
            .push("no http block was seen: judged as if it were empty".to_owned());
    }
    judge.judgement
}

struct Judge {
    version: Option<(u32, u32, u32)>,
    judgement: Judgement,
}

impl Judge {
    fn http(&mut self, http: &[Directive]) {
        let maps = Maps::of(http);
        for server in http.iter().filter(|directive| directive.name == "server") {
            if server.block.is_none() {
                continue;
            }
            let scope = Scope {
                levels: vec![http],
                server: server_name(server.children()),
                name: String::new(),
            };
            self.level(&scope.within(server.children(), String::new()), &maps);
        }
    }

    /// Goes through the locations of a server or location.
    fn level(&mut self, scope: &Scope<'_>, maps: &Maps<'_>) {
        let level = scope.levels.last().copied().unwrap_or_default();
        for directive in level {
            let name = match directive.name.as_str() {
                "location" => format!("location {}", directive.words.join(" ")),
                "if" => format!("{} if {}", scope.name, directive.words.join(" "))
                    .trim()
                    .to_owned(),
                _ => continue,
            };
            let inner = scope.within(directive.children(), name);
            self.location(directive, &inner, maps);
            self.level(&inner, maps);
        }
    }

    fn location(&mut self, place: &Directive, scope: &Scope<'_>, maps: &Maps<'_>) {
        const PASSES: [&str; 5] = [
            "proxy_pass",
            "grpc_pass",
            "fastcgi_pass",
            "uwsgi_pass",
            "scgi_pass",
        ];
        let Some(pass) = PASSES.iter().find_map(|name| scope.own(name)) else {
            return;
        };
        let mut location = Location {
            server: scope.server.clone(),
            name: scope.name.clone(),
            file: place.file.clone(),
            line: place.line,
            passes_to: format!("{} {}", pass.name, pass.word(0)),
            by: By::Nothing,
            problems: Vec::new(),
            remarks: Vec::new(),
        };
        let is_on = scope.is("websocket", "on");
        if is_on {
            location.by = By::Module;
        }
        match pass.name.as_str() {
            "proxy_pass" => self.proxied(&mut location, scope, maps),
            "uwsgi_pass" | "scgi_pass" => {
                let text =
                    "Upgrade reaches the backend as HTTP_UPGRADE; it has to answer 101 itself";
                location.remarks.push(text.to_owned());
            }
            "grpc_pass" => location
                .problems
                .push("gRPC carries no WebSocket".to_owned()),
            _ => location
                .problems
                .push("FastCGI carries no WebSocket".to_owned()),
        }
        never_proxied(&mut location, scope);
        if location.is_meant() {
            self.folklore(scope);
        }
        self.judgement.locations.push(location);
    }

    fn proxied(&self, location: &mut Location, scope: &Scope<'_>, maps: &Maps<'_>) {
        let headers = scope.headers();
        let upgrade = last(&headers, "Upgrade");
        let connection = last(&headers, "Connection");
        if location.by == By::Module {
            redundant(
                location,
                maps,
                [(upgrade, "websocket"), (connection, "upgrade")],
            );
            websocket_times(location, scope);
        } else {
            let lost = ["Upgrade", "Connection"].map(|name| scope.lost_header(name));
            if upgrade.is_some() || lost.iter().any(Option::is_some) {
                location.by = By::Hand;
            }
            self.by_hand(location, scope, maps, upgrade, connection);
        }
        request_is_changed(location, scope, &headers, maps);
        read_timeout(location, scope);
    }

    fn by_hand(
        &self,
        location: &mut Location,
        scope: &Scope<'_>,
        maps: &Maps<'_>,
        upgrade: Option<&Directive>,
        connection: Option<&Directive>,
    ) {
        if let Some(problem) = self.http_version(scope) {
            location.problems.push(problem);
        }
        let lines = [
            ("Upgrade", upgrade, "websocket"),
            ("Connection", connection, "upgrade"),
        ];
        for (name, line, token) in lines {
            match line {
                None => location.problems.push(match scope.lost_header(name) {
                    Some(lost) => format!(
                        "{name} is not sent: the proxy_set_header of {} is not inherited, because a \
                         level further in has proxy_set_header lines of its own",
                        lost.place()
                    ),
                    None => format!(
                        "{name} is not passed on by itself, and no proxy_set_header sets it"
                    ),
                }),
                Some(line) => match maps.value(line.word(1)) {
                    Some(value) if has_token(value.as_bytes(), token.as_bytes()) => {}
                    Some(value) => location.problems.push(format!(
                        "{name} is sent as \"{value}\" in a handshake ({}), where it must be {token}",
                        line.place()
                    )),
                    None => location.remarks.push(format!(
                        "what {name} is sent as depends on {} ({}), which can't be told from here",
                        line.word(1),
                        line.place()
                    )),
                },
            }
        }
        forwards_everything(location, upgrade, connection);
    }

    fn http_version(&self, scope: &Scope<'_>) -> Option<String> {
        // nginx 1.29.7 made 1.1 the default.
        const NEW_DEFAULT: (u32, u32, u32) = (1, 29, 7);
        match scope.nearest("proxy_http_version") {
            Some(line) if line.word(0) == "1.1" => None,
            Some(line) => Some(format!(
                "proxy_http_version is {} ({}): Upgrade needs 1.1",
                line.word(0),
                line.place()
            )),
            None if self.version.is_some_and(|version| version >= NEW_DEFAULT) => None,
            None => Some(
                "proxy_http_version is not set, and is 1.0 before nginx 1.29.7: Upgrade needs 1.1"
                    .to_owned(),
            ),
        }
    }

    /// What is often changed for WebSocket and does nothing for it.
    fn folklore(&mut self, scope: &Scope<'_>) {
        const FOLKLORE: [(&str, &str); 4] = [
            (
                "proxy_buffering",
                "buffers responses; a tunnel passes bytes on as they come either way",
            ),
            (
                "client_max_body_size",
                "limits request bodies; a handshake has none, and frames are not one",
            ),
            (
                "keepalive_timeout",
                "is for connections between two requests; a tunnel is within one",
            ),
            (
                "proxy_request_buffering",
                "is for request bodies; a tunnel has none",
            ),
        ];
        for (name, truth) in FOLKLORE {
            let Some(line) = scope.nearest(name) else {
                continue;
            };
            let note = format!(
                "{name} ({}) does not touch tunnels: it {truth}",
                line.place()
            );
            if !self.judgement.notes.contains(&note) {
                self.judgement.notes.push(note);
            }
        }
    }
}

/// Of several, which nginx would all send, the last stands for all.
fn last<'a>(headers: &[&'a Directive], name: &str) -> Option<&'a Directive> {
    let named = |header: &&&Directive| header.word(0).eq_ignore_ascii_case(name);
    headers.iter().rev().find(named).copied()
}

/// Lines for a handshake that the module sends itself. Others, such as an empty Connection for
/// keepalive, are for plain requests and do their work there.
fn redundant(location: &mut Location, maps: &Maps<'_>, lines: [(Option<&Directive>, &str); 2]) {
    for (line, token) in lines {
        let upgrades = |line: &&Directive| {
            maps.value(line.word(1))
                .is_some_and(|value| has_token(value.as_bytes(), token.as_bytes()))
        };
        let Some(line) = line.filter(upgrades) else {
            continue;
        };
        location.remarks.push(format!(
            "proxy_set_header {} ({}) is redundant: in a handshake `websocket on` sends its own",
            line.word(0),
            line.place()
        ));
    }
}

/// A ping that comes later than the timeout keeps nothing alive.
fn websocket_times(location: &mut Location, scope: &Scope<'_>) {
    let ping = scope
        .nearest("websocket_ping")
        .and_then(|line| milliseconds(line.word(0)));
    let timeout = match scope.nearest("websocket_timeout") {
        Some(line) => milliseconds(line.word(0)),
        None => Some(60 * 60 * 1000),
    };
    let Some(timeout) = timeout else { return };
    if ping.is_some_and(|ping| ping >= timeout) {
        let text = "websocket_ping comes later than websocket_timeout ends the tunnel";
        location.remarks.push(text.to_owned());
    }
    location.remarks.push(format!(
        "an idle tunnel ends after {} (websocket_timeout)",
        seconds(timeout)
    ));
}

/// What makes a handshake into another request. `websocket on` keeps the method, the body and the
/// headers that it needs out of reach of the location's lines.
fn request_is_changed(
    location: &mut Location,
    scope: &Scope<'_>,
    headers: &[&Directive],
    maps: &Maps<'_>,
) {
    if location.by != By::Module {
        request_is_replaced(location, scope, maps);
    }
    handshake_headers_are_changed(location, headers);
}

fn request_is_replaced(location: &mut Location, scope: &Scope<'_>, maps: &Maps<'_>) {
    if let Some(line) = scope.nearest("proxy_method") {
        if maps
            .value(line.word(0))
            .is_some_and(|method| method != "GET")
        {
            let text = format!(
                "proxy_method ({}) makes it {}, where GET is due",
                line.place(),
                line.word(0)
            );
            location.problems.push(text);
        }
    }
    if let Some(line) = scope.nearest("proxy_set_body") {
        let text = format!(
            "proxy_set_body ({}) gives it a body, taken for frames",
            line.place()
        );
        location.problems.push(text);
    }
    if let Some(line) = scope
        .nearest("proxy_pass_request_headers")
        .filter(|l| l.word(0) == "off")
    {
        let text = format!(
            "proxy_pass_request_headers off ({}) drops Sec-WebSocket-Key",
            line.place()
        );
        location.problems.push(text);
    }
}

fn handshake_headers_are_changed(location: &mut Location, headers: &[&Directive]) {
    for line in headers {
        let name = line.word(0).to_ascii_lowercase();
        let Some(rest) = name.strip_prefix("sec-websocket-") else {
            continue;
        };
        // Written as it came, it changes nothing.
        let own = format!("$http_sec_websocket_{rest}");
        if line.word(1) == own || (rest == "version" && line.word(1) == "13") {
            continue;
        }
        let text = format!("proxy_set_header {} ({})", line.word(0), line.place());
        match (line.word(1), rest) {
            // Without extensions there is no compression, which is allowed.
            ("", "extensions") => location
                .remarks
                .push(format!("{text} turns compression off")),
            ("", "protocol") => location.problems.push(format!(
                "{text} removes the subprotocols, so that clients which offer some fail"
            )),
            ("", "key" | "version") if location.by == By::Module => {}
            ("", _) => location
                .problems
                .push(format!("{text} removes what the handshake needs")),
            _ => location
                .problems
                .push(format!("{text} replaces what the client sent")),
        }
    }
}

fn read_timeout(location: &mut Location, scope: &Scope<'_>) {
    let line = scope.nearest("proxy_read_timeout");
    let time = line.map_or(Some(60_000), |line| milliseconds(line.word(0)));
    match (line, time) {
        (Some(line), Some(0)) => location.problems.push(format!(
            "proxy_read_timeout 0 ({}) is not \"never\": it closes at once",
            line.place()
        )),
        (Some(line), Some(time)) if location.by == By::Module && time > 60_000 => {
            location.remarks.push(format!(
                "proxy_read_timeout ({}) is for the handshake's answer only; tunnels have \
                 websocket_timeout",
                line.place()
            ));
        }
        (_, Some(time)) if location.by == By::Hand => {
            location.remarks.push(format!(
                "a tunnel ends after {} without a byte from the backend (proxy_read_timeout)",
                seconds(time)
            ));
        }
        _ => {}
    }
}

fn forwards_everything(
    location: &mut Location,
    upgrade: Option<&Directive>,
    connection: Option<&Directive>,
) {
    if upgrade.is_some_and(|line| line.word(1).to_ascii_lowercase().contains("$http_upgrade")) {
        location.remarks.push(
            "forwards any Upgrade, h2c among them, by which a client can talk past nginx's rules"
                .to_owned(),
        );
    } else if let Some(line) = upgrade.filter(|line| !line.word(1).contains('$')) {
        location.remarks.push(format!(
            "Upgrade \"{}\" ({}) is sent with plain requests too",
            line.word(1),
            line.place()
        ));
    }
    if let Some(line) = connection.filter(|line| line.word(1).eq_ignore_ascii_case("upgrade")) {
        location.remarks.push(format!(
            "Connection \"{}\" ({}) is a constant: plain requests have it too, which breaks \
             keepalive to the upstream",
            line.word(1),
            line.place()
        ));
    }
}

/// `return` comes before `proxy_pass`, wherever it is written.
fn never_proxied(location: &mut Location, scope: &Scope<'_>) {
    let levels = scope.levels.iter().skip(1);
    if let Some(line) = levels.filter_map(|level| find(level, "return")).next() {
        location.problems.push(format!(
            "return ({}) answers before anything is passed on",
            line.place()
        ));
    }
}

fn server_name(server: &[Directive]) -> String {
    let named = find(server, "server_name").map(|line| line.words.join(" "));
    let listens = || {
        find(server, "listen")
            .map_or("80", |line| line.word(0))
            .to_owned()
    };
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("listen {}", listens()))
}

/// A time of nginx: `60`, `60s`, `1h 30m` as `1h30m`, `500ms`. `None` for `off` and variables.
fn milliseconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit: u64 = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

fn seconds(milliseconds: u64) -> String {
    if milliseconds % 1000 == 0 {
        format!("{} s", milliseconds / 1000)
    } else {
        format!("{milliseconds} ms")
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
