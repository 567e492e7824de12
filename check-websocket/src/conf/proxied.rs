//! What a location with `proxy_pass` makes of a handshake, with `websocket on` or by hand.

use websocket_protocol::header::has_token;

use super::location::{By, Location, Version};
use super::parse::Directive;
use super::scope::Scope;
use super::times;
use super::values::Maps;

/// Says of a location with `proxy_pass` what stops WebSocket there.
pub fn judge(
    location: &mut Location,
    scope: &Scope<'_>,
    maps: &Maps<'_>,
    version: Option<Version>,
) {
    let headers = scope.headers();
    let upgrade = Sent::of(headers, "Upgrade", maps);
    let connection = Sent::of(headers, "Connection", maps);
    if location.by == By::Module {
        redundant(
            location,
            scope,
            maps,
            [(upgrade.line, "websocket"), (connection.line, "upgrade")],
        );
        times::websocket(location, scope);
    } else {
        let lost = ["Upgrade", "Connection"].map(|name| scope.lost_header(name));
        if upgrade.line.is_some() || lost.iter().any(Option::is_some) {
            location.by = By::Hand;
        }
        by_hand(location, scope, version, [upgrade, connection]);
    }
    request_is_changed(location, scope, headers, maps);
    answer_is_changed(location, scope);
    no_server(location, scope, maps);
    times::connect_timeout(location, scope);
    times::read_timeout(location, scope);
}

/// What is sent of a header. Of several lines nginx sends each that is not empty.
struct Sent<'a> {
    /// The last of them.
    line: Option<&'a Directive>,
    /// The values together, as far as they can be told.
    value: String,
    /// The first that can't be told.
    unknown: Option<&'a Directive>,
}

impl<'a> Sent<'a> {
    fn of(headers: &[&'a Directive], name: &str, maps: &Maps<'_>) -> Self {
        let named = headers
            .iter()
            .filter(|line| line.word(0).eq_ignore_ascii_case(name));
        let mut sent = Self {
            line: None,
            value: String::new(),
            unknown: None,
        };
        for line in named {
            sent.line = Some(line);
            match maps.value(line.word(1)) {
                Some(value) if value.is_empty() => {}
                Some(value) if sent.value.is_empty() => sent.value = value,
                Some(value) => sent.value += &format!(", {value}"),
                None => sent.unknown = sent.unknown.or(Some(line)),
            }
        }
        sent
    }
}

fn by_hand(
    location: &mut Location,
    scope: &Scope<'_>,
    version: Option<Version>,
    [upgrade, connection]: [Sent<'_>; 2],
) {
    if let Some(problem) = http_version(scope, version) {
        location.problems.push(problem);
    }
    let lines = [
        ("Upgrade", &upgrade, "websocket"),
        ("Connection", &connection, "upgrade"),
    ];
    for (name, sent, token) in lines {
        if has_token(sent.value.as_bytes(), token.as_bytes()) {
            continue;
        }
        match (sent.line, sent.unknown) {
            (_, Some(line)) => location.remarks.push(format!(
                "the value of {name} depends on {} ({}), which the configuration does not tell",
                line.word(1),
                line.place()
            )),
            (Some(line), None) => location.problems.push(format!(
                "{name} is sent as \"{}\" in a handshake ({}), but must be {token}",
                sent.value,
                line.place()
            )),
            (None, None) => location.problems.push(match scope.lost_header(name) {
                Some(lost) => format!(
                    "{name} is not sent: the proxy_set_header of {} is not inherited, because a \
                     level further in has proxy_set_header lines of its own",
                    lost.place()
                ),
                None => {
                    format!("{name} is not passed on by itself, and no proxy_set_header sets it")
                }
            }),
        }
    }
    forwards_everything(location, upgrade.line, connection.line);
}

fn http_version(scope: &Scope<'_>, version: Option<Version>) -> Option<String> {
    match scope.nearest("proxy_http_version") {
        Some(line) if line.word(0) == "1.1" => None,
        Some(line) => Some(format!(
            "proxy_http_version is {} ({}): Upgrade needs 1.1",
            line.word(0),
            line.place()
        )),
        None if is_1_1_by_default(version) => None,
        None => Some(
            "proxy_http_version is not set, and is 1.0 before nginx 1.29.7: Upgrade needs 1.1"
                .to_owned(),
        ),
    }
}

/// nginx 1.29.7 made HTTP/1.1 the default towards upstreams.
pub fn is_1_1_by_default(version: Option<Version>) -> bool {
    version.is_some_and(|version| version >= (1, 29, 7))
}

/// Of several, which nginx would all send, the last stands for all.
pub fn last<'a>(headers: &[&'a Directive], name: &str) -> Option<&'a Directive> {
    let named = |header: &&&Directive| header.word(0).eq_ignore_ascii_case(name);
    headers.iter().rev().find(named).copied()
}

/// Lines for a handshake that the module sends itself. Others, such as an empty Connection for
/// keepalive, are for plain requests and do their work there.
fn redundant(
    location: &mut Location,
    scope: &Scope<'_>,
    maps: &Maps<'_>,
    lines: [(Option<&Directive>, &str); 2],
) {
    // What else is to be upgraded needs them.
    if scope.is("websocket_other_upgrades", "pass") {
        return;
    }
    let mut plain = maps.clone();
    plain.know("http_upgrade", "");
    for (line, token) in lines {
        let upgrades = |line: &&Directive| {
            maps.value(line.word(1))
                .is_some_and(|value| has_token(value.as_bytes(), token.as_bytes()))
        };
        // An empty Connection is for keepalive, which plain requests have from this line.
        let keeps_alive = |line: &&Directive| {
            plain
                .value(line.word(1))
                .is_some_and(|value| value.is_empty())
        };
        let Some(line) = line.filter(upgrades) else {
            continue;
        };
        if token == "upgrade" && keeps_alive(&line) || scope.headers_are_needed() {
            continue;
        }
        location.remarks.push(format!(
            "proxy_set_header {} ({}) is redundant: `websocket on` sends its own in handshakes",
            line.word(0),
            line.place()
        ));
    }
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
        let place = line.place();
        match maps.value(line.word(0)).as_deref() {
            Some("GET") => {}
            Some(method) => location.problems.push(format!(
                "proxy_method ({place}) makes it {method}, but a handshake is a GET"
            )),
            None => location.remarks.push(format!(
                "the method depends on {} ({place}), which the configuration does not tell",
                line.word(0)
            )),
        }
    }
    if let Some(line) = scope.nearest("proxy_set_body") {
        location.remarks.push(format!(
            "proxy_set_body ({}) gives the handshake a body, which most backends refuse or take for frames",
            line.place()
        ));
    }
    let headers = scope.nearest("proxy_pass_request_headers");
    if let Some(line) = headers.filter(|line| line.says("off")) {
        location.problems.push(format!(
            "proxy_pass_request_headers off ({}) drops Sec-WebSocket-Key",
            line.place()
        ));
    }
}

/// An upstream none of whose servers is to be asked.
fn no_server(location: &mut Location, scope: &Scope<'_>, maps: &Maps<'_>) {
    let level = scope.level();
    let Some(to) = level
        .find("proxy_pass")
        .and_then(|pass| maps.value(pass.word(0)))
    else {
        return;
    };
    let to = to.split_once("://").map_or(to.as_str(), |(_, to)| to);
    let Some(upstream) = maps.upstream(to.split('/').next().unwrap_or_default()) else {
        return;
    };
    let servers = upstream
        .children()
        .iter()
        .filter(|line| line.name == "server");
    let is_down = |server: &Directive| server.words.iter().skip(1).any(|word| word == "down");
    if servers.clone().count() > 0 && servers.clone().all(is_down) {
        location.problems.push(format!(
            "each server of upstream {} ({}) is down: nginx answers 502",
            upstream.word(0),
            upstream.place()
        ));
    }
}

/// Headers of the 101 that a client has to see. nginx writes Connection itself.
fn answer_is_changed(location: &mut Location, scope: &Scope<'_>) {
    let passed: Vec<&str> = scope
        .list("proxy_pass_header")
        .iter()
        .map(|line| line.word(0))
        .collect();
    for line in scope.list("proxy_hide_header") {
        let name = line.word(0);
        if passed.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            continue;
        }
        let text = format!("proxy_hide_header {name} ({})", line.place());
        match name.to_ascii_lowercase().as_str() {
            "sec-websocket-accept" | "upgrade" => location
                .problems
                .push(format!("{text} removes what the client needs")),
            "sec-websocket-protocol" => location.remarks.push(format!(
                "{text} hides the subprotocol: clients that offered some may close"
            )),
            _ => {}
        }
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
                "{text} removes the subprotocols: clients that offer some will fail"
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

fn forwards_everything(
    location: &mut Location,
    upgrade: Option<&Directive>,
    connection: Option<&Directive>,
) {
    if upgrade.is_some_and(|line| line.word(1).to_ascii_lowercase().contains("$http_upgrade")) {
        location.remarks.push(
            "forwards any upgrade, even to h2c, with which a client can bypass nginx's rules"
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
            "Connection \"{}\" ({}) is sent with plain requests too",
            line.word(1),
            line.place()
        ));
    }
}
