//! What `nginx -t` says: for each warning a configuration that brings it, with its line, and one that
//! doesn't; and what it says of words that it refuses.

mod effect;
mod headers;
mod http2;
mod refused;
mod subrequests;
mod times;

use nginx_tests::nginx::{Check, Nginx};

const PASS: &str = "proxy_pass http://127.0.0.1:1;";

#[track_caller]
fn check(http: &str) -> Check {
    let check = Nginx::http(http).check();
    assert!(check.ok, "{}", check.output);
    check
}

/// In a server; each line is one of the configuration.
#[track_caller]
fn server(lines: &str) -> Check {
    check(&format!("server {{\nlisten 127.0.0.1:%PORT%;\n{lines}\n}}"))
}

/// In a server with one location that is on and proxies.
#[track_caller]
fn location(lines: &str) -> Check {
    server(&format!(
        "location /ws {{\nwebsocket on;\n{PASS}\n{lines}\n}}"
    ))
}

/// Asserts that there is one warning, that it says `text` and names the line of `directive`.
#[track_caller]
fn warns(check: &Check, text: &str, directive: &str) {
    let warnings = check.at_level("warn");
    assert_eq!(warnings.len(), 1, "{}", check.output);
    let place = format!("nginx.conf:{}", check.line_of(directive));
    assert!(
        warnings[0].contains(text) && warnings[0].trim_end().ends_with(&place),
        "{text:?} and {place:?} are not in {warnings:?}"
    );
}

#[track_caller]
fn is_silent(check: &Check) {
    assert_eq!(check.at_level("warn").len(), 0, "{}", check.output);
}

#[test]
fn advice_can_be_turned_off() {
    is_silent(&location(
        "websocket_advice off; proxy_set_header Upgrade websocket; proxy_read_timeout 1d;",
    ));
    is_silent(&check(
        "websocket_advice off; websocket on; server { listen 127.0.0.1:%PORT%; }",
    ));
    is_silent(&server("websocket_advice off; websocket_ping 1m;"));
}
