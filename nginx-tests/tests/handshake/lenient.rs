//! `websocket_handshake lenient`: what is dangerous is passed on, too.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::http::Head;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use super::case::{LENIENT, passed_on, sample};

/// Asserts that a broken attempt reaches the backend, with one line in the error log.
#[track_caller]
fn lenient(request: &Handshake, cause: &str) -> Head {
    let (got, lines) = passed_on(LENIENT, request);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains(&format!("websocket handshake passed on: {cause}")),
        "{lines:#?}"
    );
    got.head
}

#[test]
fn lenient_passes_repeated_lines_on_unchanged() {
    let twice = sample().add("Sec-WebSocket-Key", "other");
    let got = lenient(&twice, "key-repeated");
    assert_eq!(got.all("Sec-WebSocket-Key"), [SAMPLE_KEY, "other"]);
    let twice = sample().add("Sec-WebSocket-Version", "8");
    let got = lenient(&twice, "version-repeated");
    assert_eq!(got.all("Sec-WebSocket-Version"), ["13", "8"]);
}

#[test]
fn lenient_passes_a_body_on() {
    let request = sample().add("Content-Length", "5").body("hello");
    let got = lenient(&request, "body-present");
    assert_eq!(got.lines("Upgrade"), ["Upgrade: websocket"]);
}

#[test]
fn lenient_logs_what_is_dangerous_where_an_operator_sees_it() {
    let request = sample().add("Sec-WebSocket-Version", "8");
    let (_, lines) = passed_on(LENIENT, &request);
    assert!(lines[0].contains("[error]"), "{lines:#?}");
}

#[test]
fn lenient_lets_a_right_handshake_be() {
    let (got, lines) = passed_on(LENIENT, &sample());
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.head.lines("Connection"), ["Connection: upgrade"]);
    assert_eq!(lines, [""; 0]);
}

#[test]
fn lenient_makes_a_tunnel_where_the_upstream_agrees() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(LENIENT)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.accepted(&sample().without("Sec-WebSocket-Version"));
    client.echo("hello");
}
