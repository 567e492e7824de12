//! Subprotocols that the configuration sets or hides: the answer is held against what was sent.

use nginx_tests::backend::switching_protocols;
use nginx_tests::nginx::lines_with;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use super::case::sample;

/// The status that a client gets, and what the log says, where the upstream chooses this.
fn chosen(name: &'static str, lines: &str, request: &Handshake) -> (u16, Vec<String>) {
    let backend = ScriptedBackend::start(move |conn| {
        let request = conn.read_request()?;
        let key = request.head.header("Sec-WebSocket-Key").unwrap_or_default();
        let answer = switching_protocols(key).replace(
            "\r\n\r\n",
            &format!("\r\nSec-WebSocket-Protocol: {name}\r\n\r\n"),
        );
        conn.send(answer)?;
        conn.hang()
    });
    let server = format!(
        "websocket_handshake strict;
        location / {{ proxy_pass http://%BACKEND%; websocket on; {lines} }}"
    );
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .allow_log("upstream sent invalid header")
        .start();
    let status = Client::connect(nginx.port()).ask(request).status();
    (status, lines_with(&nginx.stop(), "subprotocol-not-offered"))
}

#[test]
fn one_that_the_configuration_sets_is_offered() {
    let lines = "proxy_set_header Sec-WebSocket-Protocol mqtt;";
    for request in [sample(), sample().add("Sec-WebSocket-Protocol", "other")] {
        let (status, named) = chosen("mqtt", lines, &request);
        assert_eq!((status, named), (101, vec![]));
    }
}

#[test]
fn one_that_the_configuration_hides_is_not_offered() {
    let lines = "proxy_set_header Sec-WebSocket-Protocol '';";
    let request = sample().add("Sec-WebSocket-Protocol", "chat");
    let (status, named) = chosen("chat", lines, &request);
    assert_eq!((status, named.len()), (502, 1), "{named:#?}");
}

#[test]
fn without_a_line_the_client_s_own_are() {
    let request = sample().add("Sec-WebSocket-Protocol", "chat");
    assert_eq!(chosen("chat", "", &request), (101, vec![]));
    assert_eq!(chosen("mqtt", "", &request).0, 502);
}
