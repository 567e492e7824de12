//! Internal locations that subrequests come to: those ask for no upgrade, so nothing is to be said.

use super::{PASS, is_silent, server, warns};

const UPGRADE: &str = "proxy_set_header Upgrade $http_upgrade;";

/// What would be warned of in a location that clients reach.
fn internal(name: &str) -> [String; 4] {
    [
        format!("location {name} {{\nwebsocket on;\nfastcgi_pass 127.0.0.1:1;\ninternal;\n}}"),
        format!("location {name} {{\nwebsocket on;\nproxy_read_timeout 1d;\ninternal;\n{PASS}\n}}"),
        format!("location {name} {{\nwebsocket on;\n{UPGRADE}\ninternal;\n{PASS}\n}}"),
        format!("location {name} {{\n{UPGRADE}\ninternal;\n{PASS}\n}}"),
    ]
}

#[test]
fn a_location_that_subrequests_come_to() {
    for (name, directive) in [
        ("= /auth", "auth_request /auth;"),
        ("/auth", "auth_request /auth/all;"),
        ("~ ^/auth", "auth_request /auth;"),
        ("= /copy", "mirror /other; mirror /copy;"),
    ] {
        for internal in internal(name) {
            let at_server = format!("{directive} location / {{ websocket on; {PASS} }} {internal}");
            is_silent(&server(&at_server));
            let in_location =
                format!("location / {{ websocket on; {directive} {PASS} }} {internal}");
            is_silent(&server(&in_location));
        }
    }
}

#[test]
fn a_location_that_only_looks_like_one() {
    for directive in [
        "",
        "auth_request /else;",
        "mirror /else;",
        "auth_request off; mirror off;",
    ] {
        let others = format!("location / {{ websocket_ping off; {directive} {PASS} }}");
        for internal in &internal("= /auth")[..3] {
            let lines = format!("{others}\nlocation /ws {{ {PASS} }}\n{internal}");
            let lines = lines.replace("websocket_ping off;", "");
            warns(&server(&lines), "in location \"/auth\" in", "websocket on;");
        }
    }
    // Another server's subrequests don't come here.
    let there = format!(
        "}} server {{ listen 127.0.0.1:%PORT%; server_name a; auth_request /auth; location / {{ {PASS} }}"
    );
    let [fastcgi, ..] = internal("= /auth");
    warns(
        &server(&format!("{fastcgi}\n{there}")),
        "\"fastcgi_pass\" cannot carry",
        "websocket on;",
    );
    // Clients reach it, too.
    warns(
        &server(&format!(
            "auth_request /auth;\nlocation /ws {{ {PASS} }}\nlocation = /auth {{\nwebsocket on;\n\
             fastcgi_pass 127.0.0.1:1; }}"
        )),
        "\"fastcgi_pass\" cannot carry",
        "websocket on;",
    );
}
