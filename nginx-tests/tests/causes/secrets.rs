//! What a log line says of a handshake is the handshake's, and holds no credential of it.

use nginx_tests::backend::switching_protocols;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};

use crate::case::{lines, said, server};

const PROXY: &str = "location / { proxy_pass http://%BACKEND%; }";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl";

/// nginx gives the links of a request's chain to the body that it passes on as it comes.
#[test]
fn a_body_is_not_taken_for_the_request_that_was_sent() {
    const PIECES: usize = 4;
    const PIECE: &str =
        "POST /of-the-body HTTP/1.1\r\nHost: secret\r\nOrigin: http://secret\r\n\r\n";
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")?;
        conn.hang()
    });
    let nginx = server(
        "websocket_handshake lenient;
        location / { proxy_pass http://%BACKEND%; proxy_request_buffering off; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    let length = (PIECE.len() * PIECES).to_string();
    let request = Handshake::new("/")
        .method("POST")
        .add("Content-Length", &length);
    client.send(request.bytes()).unwrap();
    for count in 1..=PIECES {
        client.send(PIECE).unwrap();
        wait_until("a piece to arrive", || {
            backend.connections() > 0
                && String::from_utf8_lossy(&backend.received(0))
                    .matches(PIECE)
                    .count()
                    == count
        });
    }
    assert_eq!(client.read_head().unwrap().status(), 403);
    let said = said(&nginx);
    assert!(
        said.starts_with("upstream-forbidden: upstream answered 403 where 101 was expected; "),
        "{said}"
    );
}

#[test]
fn an_origin_is_shown_without_a_password() {
    let backend = ScriptedBackend::answering("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    for (setting, seen) in [
        (
            "websocket_allow_origin same;",
            "Origin is \"http://...@a.example\"",
        ),
        ("", "and Origin \"http://...@a.example\""),
    ] {
        let nginx = server(format!("{setting} {PROXY}"))
            .set("BACKEND", backend.address())
            .start();
        let origin = Handshake::new("/").set("Origin", "http://user:secret@a.example");
        assert_eq!(Client::connect(nginx.port()).ask(&origin).status(), 403);
        let said = said(&nginx);
        assert!(said.contains(seen) && !said.contains("secret"), "{said}");
    }
}

/// Pages put credentials among the subprotocols, and some servers give all of them back.
#[test]
fn a_list_of_subprotocols_that_comes_back_is_not_shown() {
    for (verify, line) in [
        ("", "handshake passed on"),
        ("websocket_handshake strict;", "handshake failed"),
    ] {
        let (_backend, nginx) = echoing(verify);
        let offer = Handshake::new("/").add("Sec-WebSocket-Protocol", &format!("chat, {TOKEN}"));
        let _ = Client::connect(nginx.port()).ask(&offer);
        nginx.wait_for_log("Sec-WebSocket-Protocol has more than one name");
        let log = nginx.stop();
        assert_eq!(lines(&log, line).len(), 1, "{log}");
        assert!(!log.contains(TOKEN), "{log}");
    }
}

#[test]
fn a_subprotocol_that_is_too_long_for_a_name_is_not_shown() {
    let (_backend, nginx) = echoing("");
    let offer = Handshake::new("/").add("Sec-WebSocket-Protocol", TOKEN);
    Client::connect(nginx.port()).accepted(&offer);
    nginx.wait_for_log("websocket established in ");
    let log = nginx.stop();
    let length = TOKEN.len();
    let text = format!(" ms, subprotocol of {length} bytes, client: ");
    assert_eq!(lines(&log, &text).len(), 1, "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}

/// An nginx at `info` in front of a server that gives back the subprotocols it is offered.
fn echoing(setting: &str) -> (ScriptedBackend, Nginx) {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        let offered = request.header("Sec-WebSocket-Protocol").unwrap_or_default();
        let answer = switching_protocols(key);
        let head = answer.strip_suffix("\r\n").unwrap_or(&answer);
        conn.send(format!("{head}Sec-WebSocket-Protocol: {offered}\r\n\r\n"))?;
        conn.hang()
    });
    let nginx = server(format!("{setting} {PROXY}"))
        .set("BACKEND", backend.address())
        .log_level("info")
        .start();
    (backend, nginx)
}
