//! What `nginx -t` warns of: for each warning a configuration that brings it, with its line, and
//! one that doesn't.

use nginx_tests::nginx::{Check, Nginx};

const PASS: &str = "proxy_pass http://127.0.0.1:1;";

fn check(http: &str) -> Check {
    let check = Nginx::http(http).check();
    assert!(check.ok, "{}", check.output);
    check
}

/// In a server with one location that is on and proxies.
fn location(lines: &str) -> Check {
    check(&format!(
        "server {{ listen 127.0.0.1:%PORT%;\nlocation /ws {{\nwebsocket on;\n{PASS}\n{lines}\n}} }}"
    ))
}

/// Asserts that there is one warning, that it says `text` and names the line of `directive`.
#[track_caller]
fn warns(check: &Check, text: &str, directive: &str) {
    let warnings = check.at_level("warn");
    assert_eq!(warnings.len(), 1, "{}", check.output);
    let place = format!(":{}", check.line_of(directive));
    assert!(
        warnings[0].contains(text) && warnings[0].trim_end().ends_with(&place),
        "{text:?} at {place} is not in {warnings:?}"
    );
}

#[track_caller]
fn is_silent(check: &Check) {
    assert_eq!(check.at_level("warn").len(), 0, "{}", check.output);
}

#[test]
fn on_where_nothing_proxies() {
    let nothing = "\"websocket on\" has no effect";
    for http in [
        "server { listen 127.0.0.1:%PORT%;\nlocation / {\nwebsocket on;\nreturn 204; } }",
        "server { listen 127.0.0.1:%PORT%;\nwebsocket on;\nlocation / { return 204; } }",
        "websocket on;\nserver { listen 127.0.0.1:%PORT%; }",
    ] {
        warns(&check(http), nothing, "websocket on;");
    }
    is_silent(&location(""));
    is_silent(&check(&format!(
        "server {{ listen 127.0.0.1:%PORT%; websocket on;\n\
         location / {{ return 204; }} location /ws {{ {PASS} }} }}"
    )));
    is_silent(&check(&format!(
        "server {{ listen 127.0.0.1:%PORT%; location / {{ websocket on;\n\
         location /inner {{ {PASS} }} }} }}"
    )));
    is_silent(&check(
        "server { listen 127.0.0.1:%PORT%; location / { websocket on; uwsgi_pass 127.0.0.1:1; } }",
    ));
}

#[test]
fn what_handshakes_are_exempt_from() {
    for line in [
        "proxy_method POST;",
        "proxy_set_body x;",
        "proxy_pass_request_headers off;",
        "proxy_http_version 1.0;",
        "proxy_set_header Sec-WebSocket-Key \"\";",
        "proxy_set_header Sec-WebSocket-Version \"\";",
    ] {
        is_silent(&location(line));
    }
}

#[test]
fn handshake_headers_that_are_blanked() {
    warns(
        &location("proxy_set_header Sec-WebSocket-Protocol \"\";"),
        "Sec-WebSocket-Protocol",
        "websocket on;",
    );
    is_silent(&location("proxy_set_header Sec-WebSocket-Protocol chat;"));
    is_silent(&location("proxy_set_header X-Other \"\";"));
}

#[test]
fn lines_that_are_not_needed_any_more() {
    for line in [
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection \"upgrade\";",
        "proxy_set_header connection Upgrade;",
    ] {
        warns(&location(line), "is not needed any more", "websocket on;");
    }
    is_silent(&location("proxy_set_header Connection \"\";"));
    is_silent(&location("proxy_set_header Host $host;"));
    is_silent(&location(
        "websocket_other_upgrades pass; proxy_set_header Upgrade $http_upgrade;",
    ));
}

#[test]
fn a_hand_written_location_that_forwards_any_upgrade() {
    let hand_written = |upgrade: &str, other: &str| {
        check(&format!(
            "server {{ listen 127.0.0.1:%PORT%;\nlocation /ws {{ {other} {PASS} }}\n\
             location /old {{ proxy_set_header Upgrade {upgrade}; {PASS} }} }}"
        ))
    };
    warns(
        &hand_written("$http_upgrade", "websocket on;"),
        "location \"/old\" forwards any Upgrade",
        "server {",
    );
    is_silent(&hand_written("websocket", "websocket on;"));
    // Who does not use the module is not advised by it.
    is_silent(&hand_written("$http_upgrade", ""));
}

#[test]
fn a_drain_longer_than_the_shutdown() {
    let drain = |main: &str, time: &str| {
        let check = Nginx::http(format!(
            "server {{ listen 127.0.0.1:%PORT%; websocket on;\nwebsocket_drain {time};\n\
             location / {{ {PASS} }} location /b {{ {PASS} }} }}"
        ))
        .main(main)
        .check();
        assert!(check.ok, "{}", check.output);
        check
    };
    let limit = "worker_shutdown_timeout 10s;";
    warns(
        &drain(limit, "1m"),
        "\"websocket_drain\" is longer",
        "websocket_drain",
    );
    is_silent(&drain(limit, "5s"));
    is_silent(&drain("", "1m"));
}

#[test]
fn a_timeout_shorter_than_the_ping_interval() {
    warns(
        &location("websocket_timeout 10s;\nwebsocket_ping 30s;"),
        "\"websocket_timeout\" is shorter",
        "websocket_ping",
    );
    is_silent(&location("websocket_timeout 1m; websocket_ping 30s;"));
    is_silent(&location("websocket_timeout off; websocket_ping 30s;"));
}

#[test]
fn advice_can_be_turned_off() {
    is_silent(&location(
        "websocket_advice off; proxy_method POST; proxy_set_body x;",
    ));
    is_silent(&check(
        "websocket_advice off; websocket on; server { listen 127.0.0.1:%PORT%; }",
    ));
}
