//! Requests that are none of the module's business.

use nginx_tests::nginx::lines_with;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, client};

use super::case::{ON, passed_on, sample};

#[test]
fn nothing_is_refused_where_websocket_is_off() {
    let server = "location / { proxy_pass http://%BACKEND%; }";
    let (got, lines) = passed_on(server, &sample().without("Sec-WebSocket-Key"));
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert_eq!(lines, [""; 0]);
}

#[test]
fn plain_requests_are_never_logged() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    client::get(nginx.port(), "/");
    Client::connect(nginx.port()).exchange(
        &Handshake::plain("/")
            .method("POST")
            .add("Content-Length", "1")
            .body("a"),
    );
    assert_eq!(lines_with(&nginx.stop(), "websocket"), [""; 0]);
}
