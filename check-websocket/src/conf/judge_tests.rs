//! Configurations and what is said of them.

use super::*;
use crate::conf::parse::parse;
use crate::conf::times::milliseconds;

#[track_caller]
fn judged(text: &str) -> Judgement {
    judge(
        &parse("nginx.conf", text).expect("right syntax"),
        Some((1, 26, 3)),
    )
}

/// The only location of a server with this text.
#[track_caller]
fn location(http: &str, server: &str) -> Location {
    let text = format!("http {{ {http}\nserver {{ server_name a.example; {server} }} }}");
    let mut locations = judged(&text).locations;
    assert_eq!(locations.len(), 1, "{locations:#?}");
    locations.remove(0)
}

#[track_caller]
fn passes(http: &str, server: &str) -> Location {
    let location = location(http, server);
    assert_eq!(location.problems, [""; 0]);
    location
}

#[track_caller]
fn fails(http: &str, server: &str, why: &str) {
    let location = location(http, server);
    assert!(
        location
            .problems
            .iter()
            .any(|problem| problem.contains(why)),
        "{:#?}",
        location.problems
    );
}

#[track_caller]
fn remarks(location: &Location, text: &str) {
    assert!(
        location.remarks.iter().any(|r| r.contains(text)),
        "{:#?}",
        location.remarks
    );
}

const MAP: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";
const BY_HAND: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                       proxy_set_header Connection $connection_upgrade;";
const PASS: &str = "proxy_pass http://b;";

#[test]
fn nothing_is_set_up() {
    let location = location("", &format!("location / {{ {PASS} }}"));
    assert_eq!(location.by, By::Nothing);
    assert_eq!(location.problems.len(), 3, "{:#?}", location.problems);
    assert_eq!(location.server, "a.example");
    assert_eq!(location.name, "location /");
}

#[test]
fn websocket_on_is_inherited_and_can_be_turned_off() {
    for (http, server) in [
        ("websocket on;", ""),
        ("", "websocket on;"),
        ("websocket off;", "websocket on;"),
    ] {
        let location = passes(http, &format!("{server} location / {{ {PASS} }}"));
        assert_eq!(location.by, By::Module);
        remarks(
            &location,
            "an idle tunnel ends after 3600 s (websocket_timeout)",
        );
    }
    fails(
        "websocket on;",
        &format!("location / {{ websocket off; {PASS} }}"),
        "Upgrade is not passed on",
    );
}

#[test]
fn by_hand_as_the_manual_has_it() {
    let location = passes(MAP, &format!("location / {{ {BY_HAND} {PASS} }}"));
    assert_eq!(location.by, By::Hand);
    remarks(&location, "forwards any upgrade, even to h2c");
    remarks(
        &location,
        "ends after 60 s in which neither side sends a byte",
    );
}

#[test]
fn headers_are_inherited_all_or_none() {
    passes(
        &format!("{MAP} {BY_HAND}"),
        &format!("location / {{ {PASS} }}"),
    );
    fails(
        &format!("{MAP} {BY_HAND}"),
        &format!("location / {{ proxy_set_header Host $host; {PASS} }}"),
        "Upgrade is not sent: the proxy_set_header of nginx.conf:1 is not inherited",
    );
}

#[test]
fn http_1_0_has_no_upgrade() {
    let headers = BY_HAND.replace("proxy_http_version 1.1;", "");
    let text = format!("http {{ {MAP} server {{ location / {{ {headers} {PASS} }} }} }}");
    let directives = parse("nginx.conf", &text).expect("right syntax");
    let problems = |version| judge(&directives, version).locations[0].problems.len();
    assert_eq!(problems(Some((1, 29, 6))), 1);
    assert_eq!(problems(Some((1, 29, 7))), 0);
    assert_eq!(problems(None), 1);
    let http = format!("{MAP} proxy_http_version 1.0;");
    fails(
        &http,
        &format!("location / {{ {headers} {PASS} }}"),
        "proxy_http_version is 1.0 (nginx.conf:1)",
    );
}

#[test]
fn values_are_what_they_are_in_a_handshake() {
    let with = |connection: &str| {
        format!(
            "location / {{ {PASS} proxy_http_version 1.1; proxy_set_header upgrade $http_upgrade; \
                 proxy_set_header connection {connection}; }}"
        )
    };
    passes("", &with("Upgrade"));
    passes("", &with("\"keep-alive, upgrade\""));
    passes("", &with("$http_connection"));
    fails("", &with("''"), "Connection is sent as \"\"");
    fails(
        "",
        &with("keep-alive"),
        "Connection is sent as \"keep-alive\"",
    );
    let wrong = "map $http_upgrade $c { default close; h2c upgrade; }";
    fails(wrong, &with("$c"), "Connection is sent as \"close\"");
    let unknown = location("", &with("$somewhere_else"));
    assert!(unknown.passes());
    remarks(&unknown, "which the configuration does not tell");
}

#[test]
fn a_constant_connection_goes_with_plain_requests_too() {
    let text = format!(
        "location / {{ {PASS} proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
         proxy_set_header Connection \"upgrade\"; }}"
    );
    let location = passes("", &text);
    remarks(
        &location,
        "Connection \"upgrade\" (nginx.conf:2) is sent with plain requests too",
    );
    remarks(&location, "h2c");
}

#[test]
fn what_makes_it_another_request() {
    const BY_HAND: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;";
    for (line, why) in [
        ("proxy_method POST;", "makes it POST"),
        ("proxy_pass_request_headers off;", "drops Sec-WebSocket-Key"),
        (
            "proxy_set_header Sec-WebSocket-Key '';",
            "removes what the handshake needs",
        ),
    ] {
        fails(
            "",
            &format!("location / {{ {PASS} {BY_HAND} {line} }}"),
            why,
        );
        passes("websocket on;", &format!("location / {{ {PASS} {line} }}"));
    }
    // nginx sends it all the same.
    let body = passes(
        "",
        &format!("location / {{ {PASS} {BY_HAND} proxy_set_body x; }}"),
    );
    remarks(&body, "gives the handshake a body");
    for (line, why) in [
        (
            "proxy_set_header sec-websocket-protocol '';",
            "removes the subprotocols",
        ),
        (
            "proxy_set_header Sec-WebSocket-Version 8;",
            "replaces what the client sent",
        ),
        ("proxy_read_timeout 0;", "closes at once"),
        (
            "return 301 https://$host$request_uri;",
            "answers before the request is passed on",
        ),
    ] {
        fails(
            "websocket on;",
            &format!("location / {{ {PASS} {line} }}"),
            why,
        );
    }
    for line in [
        "proxy_method GET;",
        "proxy_method $request_method;",
        "proxy_pass_request_headers on;",
        "proxy_set_header Sec-WebSocket-Version 13;",
        "proxy_set_header Sec-WebSocket-Protocol $http_sec_websocket_protocol;",
        "proxy_set_header Sec-WebSocket-Extensions '';",
        "proxy_read_timeout 1;",
        "if ($a) { return 403; }",
    ] {
        passes("websocket on;", &format!("location / {{ {PASS} {line} }}"));
    }
    fails(
        "websocket on;",
        &format!("return 404; location / {{ {PASS} }}"),
        "return 404 (nginx.conf:2)",
    );
}

#[test]
fn what_is_redundant_with_the_module_is_said() {
    let location = passes(
        &format!("{MAP} websocket on;"),
        &format!("location / {{ {BY_HAND} {PASS} }}"),
    );
    remarks(
        &location,
        "proxy_set_header Upgrade (nginx.conf:2) is redundant",
    );
    remarks(
        &location,
        "proxy_set_header Connection (nginx.conf:2) is redundant",
    );
    // Other upgrades are passed on by these very lines.
    calls_nothing_redundant(&format!(
        "{MAP} server {{ websocket on; websocket_other_upgrades pass; {BY_HAND}
         location / {{ {PASS} }} }}"
    ));
    // One that inherits them, or one by hand, needs them.
    for line in ["websocket_other_upgrades pass;", "websocket off;"] {
        calls_nothing_redundant(&format!(
            "{MAP} server {{ websocket on; {BY_HAND}
             location / {{ {PASS} }} location /docker {{ {line} {PASS} }} }}"
        ));
    }
    // Plain requests need the Connection that is empty for them.
    let keepalive = "proxy_set_header Connection $connection_upgrade;";
    for line in [keepalive, "proxy_set_header Connection '';"] {
        calls_nothing_redundant(&format!(
            "map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
             server {{ websocket on; location / {{ {line} {PASS} }} }}"
        ));
    }
}

#[track_caller]
fn calls_nothing_redundant(http: &str) {
    for location in judged(&format!("http {{ {http} }}")).locations {
        let redundant = |remark: &String| remark.contains("redundant");
        assert!(!location.remarks.iter().any(redundant), "{location:?}");
    }
}

#[test]
fn times() {
    let on = |lines: &str| passes("websocket on;", &format!("location / {{ {PASS} {lines} }}"));
    remarks(
        &on("proxy_read_timeout 1d;"),
        "only bounds the wait for the answer to the handshake",
    );
    remarks(
        &on("websocket_timeout 5m;"),
        "an idle tunnel ends after 300 s",
    );
    remarks(
        &on("websocket_timeout 10s; websocket_ping 30s;"),
        "websocket_timeout ends an idle tunnel before the first websocket_ping",
    );
    let quiet = on("websocket_timeout 30s; websocket_ping 10s;");
    assert!(
        !quiet.remarks.iter().any(|remark| remark.contains("later")),
        "{:#?}",
        quiet.remarks
    );
    assert_eq!(on("websocket_timeout off;").remarks, [""; 0]);
    assert_eq!(milliseconds("1h30m"), Some(5_400_000));
    assert_eq!(milliseconds("1h 30m"), Some(5_400_000));
    assert_eq!(milliseconds("500ms"), Some(500));
    assert_eq!(milliseconds("7"), Some(7000));
    assert_eq!(milliseconds("off"), None);
    assert_eq!(milliseconds(""), None);
    assert_eq!(milliseconds("99999999999999999999y"), None);
}

#[test]
fn folklore_is_told_once_and_only_where_websocket_is_meant() {
    let lines = "proxy_buffering off; client_max_body_size 0; keepalive_timeout 1d;";
    let locations = format!("location /a {{ {PASS} }} location /b {{ {PASS} }}");
    let with = |on: &str| judged(&format!("http {{ {lines} {on} server {{ {locations} }} }}"));
    let notes = with("websocket on;").notes;
    assert_eq!(notes.len(), 3, "{notes:#?}");
    for (note, name) in notes.iter().zip([
        "proxy_buffering",
        "client_max_body_size",
        "keepalive_timeout",
    ]) {
        assert!(
            note.starts_with(name) && note.contains("has no effect on tunnels"),
            "{note}"
        );
    }
    assert_eq!(with("").notes, [""; 0]);
}

#[test]
fn every_location_that_proxies_is_found() {
    let text = "http { websocket on; server { listen 81; \
        location /a { proxy_pass http://b; location /a/b { proxy_pass http://c; } } \
        location /c { if ($x) { proxy_pass http://d; } } \
        location /d { root /srv; } location @e { uwsgi_pass e; } \
        location /f { fastcgi_pass f; } location /g { grpc_pass g; } } \
        server { location ~ \\.x$ { proxy_pass http://h; } } }";
    let judgement = judged(text);
    let found: Vec<(&str, &str, bool)> = judgement
        .locations
        .iter()
        .map(|l| (l.server.as_str(), l.name.as_str(), l.passes()))
        .collect();
    assert_eq!(
        found,
        [
            ("listen 81", "location /a", true),
            ("listen 81", "location /a/b", true),
            ("listen 81", "location /c if ($x)", true),
            ("listen 81", "location @e", true),
            ("listen 81", "location /f", false),
            ("listen 81", "location /g", false),
            ("listen 80", "location ~ \\.x$", true),
        ]
    );
    // What the whole of http says is not meant for FastCGI and gRPC.
    assert!(judgement.works());
}

#[test]
fn a_configuration_works_where_websocket_is_meant_and_somewhere_at_all() {
    let works = |locations: &str| judged(&format!("http {{ server {{ {locations} }} }}")).works();
    let on = format!("location /ws {{ {PASS} websocket on; }}");
    let plain = format!("location / {{ {PASS} }}");
    let broken = format!("location /b {{ {PASS} websocket on; proxy_read_timeout 0; }}");
    assert!(works(&on));
    assert!(works(&format!("{on} {plain}")));
    assert!(!works(&plain));
    assert!(!works(&format!("{on} {broken}")));
    assert!(!works(""));
}

#[test]
fn a_file_without_http_is_judged_with_a_word() {
    let judgement = judged("server { location / { proxy_pass http://b; websocket on; } }");
    assert!(judgement.works());
    assert!(
        judgement.notes[0].contains("no http block"),
        "{:?}",
        judgement.notes
    );
}

#[test]
fn a_stream_is_said_not_to_be_judged() {
    let judgement = judged("stream { server { listen 1; proxy_pass a; } }\nhttp { }");
    assert_eq!(judgement.locations.len(), 0);
    assert!(
        judgement.notes[0].starts_with("stream (nginx.conf:1) is not judged"),
        "{:?}",
        judgement.notes
    );
}

#[test]
fn a_return_is_not_inherited_from_the_location_around() {
    let text = format!(
        "http {{ websocket on; server {{ location /a {{ return 404; location /a/b {{ {PASS} }} }} }} }}"
    );
    assert!(judged(&text).works());
}
