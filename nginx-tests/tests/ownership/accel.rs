//! X-Accel-Redirect: an answer that makes nginx answer by itself.

use nginx_tests::backend::switching_protocols;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use crate::case::{assert_carried, assert_failed, said, to, visit};

/// An upstream that agrees to every handshake and yet sends nginx to `/inner`.
fn agreeing() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let answer = switching_protocols(head.header("Sec-WebSocket-Key").unwrap_or_default());
        conn.send(answer.replacen("\r\n", "\r\nX-Accel-Redirect: /inner\r\n", 1))?;
        conn.echo_frames()
    })
}

fn start(upstream: &ScriptedBackend, lines: &str) -> Nginx {
    to(
        upstream,
        format!(
            "{lines} location / {{ proxy_pass http://%BACKEND%; }}
            location = /inner {{ internal; return 200 inner; }}"
        ),
    )
    .start()
}

#[test]
fn a_101_with_it_has_a_cause_of_its_own() {
    for lines in ["", "websocket_verify log;", "websocket_verify off;"] {
        let upstream = agreeing();
        let nginx = start(&upstream, lines);
        let message = Client::connect(nginx.port()).exchange(&Handshake::new("/"));
        assert_eq!(
            (message.status(), &*message.text()),
            (200, "inner"),
            "{lines}"
        );
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(outcomes, ["200 failed response-accel-redirect"], "{lines}");
        let log = nginx.stop();
        assert!(
            !log.contains("answered 101 where 101 was expected"),
            "{log}"
        );
        let said = said(&log);
        let start = "websocket handshake failed: response-accel-redirect: ";
        assert!(
            said.len() == 1 && said[0].starts_with(start),
            "{lines} {said:#?}"
        );
        assert!(said[0].contains("/inner"), "{said:#?}");
    }
}

#[test]
fn a_101_with_it_opens_a_tunnel_where_it_is_ignored() {
    let upstream = agreeing();
    let nginx = start(&upstream, "proxy_ignore_headers X-Accel-Redirect;");
    visit(&nginx, "/");
    assert_carried(&nginx.stop());
}

#[test]
fn another_answer_with_it_keeps_the_cause_of_its_status() {
    let upstream = ScriptedBackend::answering(
        "HTTP/1.1 403 Forbidden\r\nX-Accel-Redirect: /inner\r\nContent-Length: 0\r\n\r\n",
    );
    let nginx = start(&upstream, "");
    let message = Client::connect(nginx.port()).exchange(&Handshake::new("/"));
    assert_eq!((message.status(), &*message.text()), (200, "inner"));
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert_eq!(outcomes, ["200 failed upstream-forbidden"]);
    let seen = "upstream-forbidden: upstream answered 403 where 101 was expected";
    assert_failed(&nginx.stop(), seen);
}
