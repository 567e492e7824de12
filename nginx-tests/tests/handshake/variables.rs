//! The variables that tell of a handshake.

use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use super::case::{default_connection, passed_on, sample};
use super::other_upgrades::h2c;

#[track_caller]
fn variables(request: &Handshake, location: &str) -> String {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(format!(
        "log_format variables '[$websocket|$websocket_upgrade|$websocket_connection]';
        server {{
            listen 127.0.0.1:%PORT%;
            access_log logs/variables variables;
            location / {{ proxy_pass http://%BACKEND%; {location} }}
        }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    client.ask(request);
    drop(client);
    nginx.wait_for_access("variables", 1)[0].replace('-', "")
}

#[test]
fn variables_of_a_handshake() {
    assert_eq!(
        variables(&sample(), "websocket on;"),
        "[1|websocket|upgrade]"
    );
    let list = sample()
        .set("Upgrade", "h2c, WebSocket")
        .set("Connection", "keep-alive, Upgrade");
    assert_eq!(variables(&list, "websocket on;"), "[1|websocket|upgrade]");
}

/// As nginx shows its own.
#[test]
fn what_is_empty_is_a_dash_in_a_log() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "log_format chosen '$websocket_protocol $websocket_extensions $websocket_state';
        server {
            listen 127.0.0.1:%PORT%;
            access_log logs/chosen chosen;
            location / { proxy_pass http://%BACKEND%; websocket on; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.close_politely();
    assert_eq!(nginx.wait_for_access("chosen", 1), ["- - established"]);
}

#[test]
fn variables_of_a_plain_request() {
    let expected = format!("[||{}]", default_connection());
    assert_eq!(variables(&Handshake::plain("/"), "websocket on;"), expected);
}

#[test]
fn variables_of_an_attempt_without_upgrade() {
    let line = variables(&sample().without("Upgrade"), "websocket on;");
    assert!(line.starts_with("[1||"), "{line}");
    assert!(!line.contains("upgrade"), "{line}");
}

#[test]
fn variables_of_another_upgrade() {
    let line = variables(&h2c(), "websocket on;");
    assert_eq!(line, format!("[||{}]", default_connection()));
}

#[test]
fn variables_in_the_user_s_own_lines() {
    let server = "location / {
        proxy_pass http://%BACKEND%;
        proxy_set_header X-WebSocket $websocket;
        proxy_set_header X-Upgrade $websocket_upgrade;
        proxy_set_header X-Connection $websocket_connection;
        websocket on;
    }";
    let (got, _) = passed_on(server, &sample());
    assert_eq!(got.head.all("X-WebSocket"), ["1"]);
    assert_eq!(got.head.all("X-Upgrade"), ["websocket"]);
    assert_eq!(got.head.all("X-Connection"), ["upgrade"]);
    let (got, _) = passed_on(server, &Handshake::plain("/"));
    assert_eq!(got.head.header("X-WebSocket"), None);
    assert_eq!(got.head.header("X-Upgrade"), None);
    assert_eq!(
        got.head.header("X-Connection").unwrap_or_default(),
        default_connection()
    );
}

#[test]
fn variables_in_the_lines_that_people_write_by_hand() {
    let server = "location / {
        proxy_pass http://%BACKEND%;
        proxy_set_header Upgrade $websocket_upgrade;
        proxy_set_header Connection $websocket_connection;
        websocket on;
    }";
    let (got, _) = passed_on(server, &sample());
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.head.lines("Connection"), ["Connection: upgrade"]);
    let (got, _) = passed_on(server, &Handshake::plain("/"));
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert_eq!(
        got.head.header("Connection").unwrap_or_default(),
        default_connection()
    );
}
