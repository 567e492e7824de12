//! What a location with `proxy_pass` makes of a handshake, with `websocket on` or by hand.

use std::ptr;

use websocket_protocol::header::has_token;

use super::location::{By, Location, Version};
use super::parse::Directive;
use super::scope::{Scope, pass};
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
    let upgrade = last(&headers, "Upgrade");
    let connection = last(&headers, "Connection");
    if location.by == By::Module {
        redundant(
            location,
            scope,
            maps,
            [(upgrade, "websocket"), (connection, "upgrade")],
        );
        times::websocket(location, scope);
    } else {
        let lost = ["Upgrade", "Connection"].map(|name| scope.lost_header(name));
        if upgrade.is_some() || lost.iter().any(Option::is_some) {
            location.by = By::Hand;
        }
        by_hand(location, scope, maps, version, [upgrade, connection]);
    }
    request_is_changed(location, scope, &headers, maps);
    times::read_timeout(location, scope);
}

fn by_hand(
    location: &mut Location,
    scope: &Scope<'_>,
    maps: &Maps<'_>,
    version: Option<Version>,
    [upgrade, connection]: [Option<&Directive>; 2],
) {
    if let Some(problem) = http_version(scope, version) {
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
                None => {
                    format!("{name} is not passed on by itself, and no proxy_set_header sets it")
                }
            }),
            Some(line) => match maps.value(line.word(1)) {
                Some(value) if has_token(value.as_bytes(), token.as_bytes()) => {}
                Some(value) => location.problems.push(format!(
                    "{name} is sent as \"{value}\" in a handshake ({}), but must be {token}",
                    line.place()
                )),
                None => location.remarks.push(format!(
                    "the value of {name} depends on {} ({}), which the configuration does not tell",
                    line.word(1),
                    line.place()
                )),
            },
        }
    }
    forwards_everything(location, upgrade, connection);
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
        if token == "upgrade" && keeps_alive(&line) || is_needed_elsewhere(scope, line) {
            continue;
        }
        location.remarks.push(format!(
            "proxy_set_header {} ({}) is redundant: `websocket on` sends its own in handshakes",
            line.word(0),
            line.place()
        ));
    }
}

/// Whether a location without `websocket on`, or one that passes other upgrades on, inherits a line.
fn is_needed_elsewhere(scope: &Scope<'_>, line: &Directive) -> bool {
    scope.locations().iter().any(|other| {
        let needs = !other.is("websocket", "on") || other.is("websocket_other_upgrades", "pass");
        let proxies = other
            .levels
            .last()
            .is_some_and(|level| pass(level).is_some_and(|pass| pass.name == "proxy_pass"));
        needs && proxies && other.headers().iter().any(|header| ptr::eq(*header, line))
    })
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
                "proxy_method ({}) makes it {}, but a handshake is a GET",
                line.place(),
                line.word(0)
            );
            location.problems.push(text);
        }
    }
    if let Some(line) = scope.nearest("proxy_set_body") {
        let text = format!(
            "proxy_set_body ({}) gives the handshake a body, which would be taken for frames",
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
            "Connection \"{}\" ({}) is a constant: plain requests have it too, which breaks \
             keepalive to the upstream",
            line.word(1),
            line.place()
        ));
    }
}
