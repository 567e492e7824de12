//! The default: what breaks a rule without danger goes on, and is named.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::nginx::lines_with;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use super::case::{ON, accepted_by, refused_by, sample};

/// Asserts that a handshake which breaks this rule makes a working connection, and that one line at
/// `info` names the rule.
#[track_caller]
fn named(request: &Handshake, rule: &str) -> nginx_tests::http::Head {
    let (got, lines) = accepted_by(ON, request);
    let named = format!("although the handshake breaks a rule: {rule}: ");
    let naming: Vec<_> = lines.iter().filter(|line| line.contains(rule)).collect();
    assert_eq!(naming.len(), 1, "{lines:#?}");
    assert!(
        naming[0].contains(&named) && naming[0].contains("[info]"),
        "{lines:#?}"
    );
    got.head
}

#[test]
fn a_key_of_another_length_or_none() {
    for key in [
        "c2hvcnQ=",
        "",
        "not base64!",
        "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    ] {
        let got = named(&sample().set("Sec-WebSocket-Key", key), "key-invalid");
        assert_eq!(got.all("Sec-WebSocket-Key"), [key]);
    }
    let got = named(&sample().without("Sec-WebSocket-Key"), "key-missing");
    assert_eq!(got.lines("Sec-WebSocket-Key"), [""; 0]);
}

#[test]
fn another_version_or_none() {
    let got = named(
        &sample().set("Sec-WebSocket-Version", "8"),
        "version-unsupported",
    );
    assert_eq!(got.all("Sec-WebSocket-Version"), ["8"]);
    named(
        &sample().without("Sec-WebSocket-Version"),
        "version-missing",
    );
}

#[test]
fn another_method() {
    let got = named(&sample().method("PUT"), "method-not-get");
    assert_eq!(got.start, "PUT /chat HTTP/1.1");
}

#[test]
fn http_1_0_in_front() {
    let got = named(&sample().version("HTTP/1.0"), "http-version");
    assert_eq!(got.start, "GET /chat HTTP/1.1");
}

#[test]
fn a_connection_that_a_proxy_has_rewritten() {
    for request in [
        sample().without("Connection"),
        sample().set("Connection", "close"),
        sample().set("Connection", "upgraded, keep-alive"),
    ] {
        named(&request, "connection-not-upgrade");
    }
}

#[test]
fn a_version_behind_websocket() {
    named(
        &sample().set("Upgrade", "websocket/13"),
        "upgrade-not-websocket",
    );
}

#[test]
fn subprotocols_that_are_no_tokens() {
    for value in [
        "SPDY/3.1+portforward.k8s.io",
        "base64.c2VjcmV0==",
        "https://example.com/a",
        "chat, chat",
        "",
    ] {
        let request = sample().add("Sec-WebSocket-Protocol", value);
        let got = named(&request, "subprotocol-malformed");
        assert_eq!(got.all("Sec-WebSocket-Protocol"), [value]);
    }
}

#[test]
fn a_subprotocol_is_never_in_the_log() {
    let request = sample().add("Sec-WebSocket-Protocol", "ok, bearer=S3CRET");
    for server in [ON, super::case::STRICT] {
        let backend = ScriptedBackend::standard();
        let nginx = Nginx::server(server)
            .set("BACKEND", backend.address())
            .start();
        Client::connect(nginx.port()).ask(&request);
        let log = nginx.stop();
        assert_eq!(lines_with(&log, "\"=\" at character 11").len(), 1, "{log}");
        assert_eq!(lines_with(&log, "S3CRET"), [""; 0]);
    }
}

#[test]
fn extensions_without_a_name() {
    for value in ["", "permessage-deflate;", "; a"] {
        let request = sample().add("Sec-WebSocket-Extensions", value);
        named(&request, "extensions-malformed");
    }
}

#[test]
fn what_is_dangerous_is_refused() {
    let twice = format!("{SAMPLE_KEY}, {SAMPLE_KEY}");
    for (request, cause) in [
        (
            sample().add("Sec-WebSocket-Key", SAMPLE_KEY),
            "key-repeated",
        ),
        (sample().set("Sec-WebSocket-Key", &twice), "key-repeated"),
        (
            sample().add("Sec-WebSocket-Version", "13"),
            "version-repeated",
        ),
        (
            sample().add("Content-Length", "5").body("hello"),
            "body-present",
        ),
        // Another broken rule before it does not hide it.
        (
            sample()
                .without("Connection")
                .add("Content-Length", "5")
                .body("hello"),
            "body-present",
        ),
    ] {
        refused_by(ON, &request, cause, 400);
    }
}

/// The line on a broken handshake that a backend answers so.
#[track_caller]
fn line_on(answer: &'static str, status: u16) -> String {
    let backend = ScriptedBackend::start(move |conn| {
        conn.read_request()?;
        conn.send(answer)
    });
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let request = sample().set("Sec-WebSocket-Key", "short");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), status);
    let lines = lines_with(&nginx.stop(), "websocket handshake failed");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

#[test]
fn a_broken_rule_is_the_cause_where_the_upstream_refuses_it_as_such() {
    for status in [400, 405, 426, 501, 505] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        let line = line_on(answer.leak(), status);
        let named = format!(
            "failed: key-invalid: Sec-WebSocket-Key is \"short\", and upstream answered {status}"
        );
        assert!(line.contains(&named), "{line}");
    }
    let line = line_on("", 502);
    let named =
        "failed: key-invalid: Sec-WebSocket-Key is \"short\", and upstream prematurely closed";
    assert!(line.contains(named), "{line}");
}

#[test]
fn with_any_other_answer_the_line_mentions_the_rule() {
    for (status, cause) in [
        (200, "upstream-not-websocket"),
        (401, "upstream-unauthorized"),
        (403, "upstream-forbidden"),
        (404, "upstream-not-found"),
        (503, "upstream-overloaded"),
    ] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        let line = line_on(answer.leak(), status);
        assert!(line.contains(&format!("failed: {cause}: ")), "{line}");
        let mentioned =
            "the handshake also breaks a rule: key-invalid: Sec-WebSocket-Key is \"short\"";
        assert!(line.contains(mentioned), "{line}");
    }
}

#[test]
fn an_error_page_elsewhere_does_not_hide_the_rule() {
    let backend = ScriptedBackend::answering("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
    let nginx = Nginx::server(
        "error_page 400 /page;
        location /page { return 200 page; }
        location / { websocket on; proxy_intercept_errors on; proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let request = sample().set("Sec-WebSocket-Key", "c2hvcnQ=");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 400);
    let lines = lines_with(&nginx.stop(), "websocket");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let named = "failed: key-invalid: Sec-WebSocket-Key is \"c2hvcnQ=\", and upstream answered 400";
    assert!(lines[0].contains(named), "{lines:#?}");
}
