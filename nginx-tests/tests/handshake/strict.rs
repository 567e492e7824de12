//! `websocket_handshake strict`: whatever breaks a rule is refused.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::nginx::lines_with;
use nginx_tests::{Client, Nginx, ScriptedBackend};

use super::case::{STRICT, refused, sample};

#[test]
fn another_method_is_refused_with_allow_get() {
    for method in ["POST", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let backend = ScriptedBackend::standard();
        let nginx = Nginx::server(STRICT)
            .set("BACKEND", backend.address())
            .start();
        let head = Client::connect(nginx.port()).ask(&sample().method(method));
        assert_eq!(head.status(), 405, "{method}");
        assert_eq!(head.all("Allow"), ["GET"], "{method}");
        let lines = lines_with(&nginx.stop(), "websocket");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].contains("websocket handshake failed: method-not-get"),
            "{lines:#?}"
        );
        assert_eq!(backend.connections(), 0);
    }
}

#[test]
fn http_1_0_is_refused() {
    refused(&sample().version("HTTP/1.0"), "http-version", 400);
}

#[test]
fn an_upgrade_to_something_else_with_a_key_is_refused() {
    refused(
        &sample().set("Upgrade", "h2c"),
        "upgrade-not-websocket",
        400,
    );
    refused(
        &sample().set("Upgrade", "websocket2"),
        "upgrade-not-websocket",
        400,
    );
    refused(
        &sample().set("Upgrade", "web socket"),
        "upgrade-not-websocket",
        400,
    );
}

#[test]
fn an_upgrade_without_a_name_is_refused() {
    for value in ["", ",", " , ", "\t"] {
        let request = sample().set("Upgrade", value);
        refused(&request, "upgrade-not-websocket", 400);
    }
}

#[test]
fn an_upgrade_to_a_version_of_websocket_is_refused() {
    let request = sample().set("Upgrade", "websocket/13");
    refused(&request, "upgrade-not-websocket", 400);
}

#[test]
fn a_missing_connection_is_refused() {
    refused(
        &sample().without("Connection"),
        "connection-not-upgrade",
        400,
    );
}

#[test]
fn a_connection_without_upgrade_is_refused() {
    refused(
        &sample().set("Connection", "keep-alive"),
        "connection-not-upgrade",
        400,
    );
    refused(
        &sample().set("Connection", "upgraded, keep-alive"),
        "connection-not-upgrade",
        400,
    );
    refused(
        &sample().set("Connection", "close"),
        "connection-not-upgrade",
        400,
    );
}

#[test]
fn a_missing_key_is_refused() {
    refused(&sample().without("Sec-WebSocket-Key"), "key-missing", 400);
}

#[test]
fn a_key_that_is_not_16_bytes_in_base64_is_refused() {
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZ!==",
    ] {
        refused(&sample().set("Sec-WebSocket-Key", key), "key-invalid", 400);
    }
}

#[test]
fn a_repeated_key_is_refused() {
    let twice = format!("{SAMPLE_KEY}, {SAMPLE_KEY}");
    refused(
        &sample().set("Sec-WebSocket-Key", &twice),
        "key-repeated",
        400,
    );
    refused(
        &sample().add("Sec-WebSocket-Key", SAMPLE_KEY),
        "key-repeated",
        400,
    );
}

#[test]
fn a_missing_version_is_refused() {
    refused(
        &sample().without("Sec-WebSocket-Version"),
        "version-missing",
        400,
    );
}

#[test]
fn another_version_is_refused_with_the_version_that_is_supported() {
    for version in ["8", "7", "12", "14", "013", "13x", ""] {
        let request = sample().set("Sec-WebSocket-Version", version);
        let head = refused(&request, "version-unsupported", 426);
        assert_eq!(head.all("Sec-WebSocket-Version"), ["13"], "{version:?}");
    }
}

#[test]
fn a_repeated_version_is_refused() {
    for request in [
        sample().add("Sec-WebSocket-Version", "13"),
        sample().set("Sec-WebSocket-Version", "13, 8"),
    ] {
        refused(&request, "version-repeated", 400);
    }
}

#[test]
fn a_body_is_refused() {
    refused(
        &sample().add("Content-Length", "5").body("hello"),
        "body-present",
        400,
    );
    let chunked = sample()
        .add("Transfer-Encoding", "chunked")
        .body("0\r\n\r\n");
    refused(&chunked, "body-present", 400);
}

#[test]
fn malformed_subprotocols_are_refused() {
    for value in ["a b", "a;b", "chat, chat", "\"chat\"", "a/b"] {
        let request = sample().add("Sec-WebSocket-Protocol", value);
        refused(&request, "subprotocol-malformed", 400);
    }
}

#[test]
fn malformed_extensions_are_refused() {
    for value in ["a b", "a;", "a; =1", "a; b=", "a; b=\"", "; a"] {
        let request = sample().add("Sec-WebSocket-Extensions", value);
        refused(&request, "extensions-malformed", 400);
    }
}

#[test]
fn a_refusal_leaves_the_connection_fit_for_another_request() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(STRICT)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    let answer = client.exchange(&sample().set("Sec-WebSocket-Version", "8"));
    assert_eq!(answer.status(), 426);
    client.establish("/");
    client.echo("hello");
}

#[test]
fn a_refusal_takes_an_error_page() {
    let server = "
        websocket_handshake strict;
        error_page 426 /hint;
        location = /hint { internal; return 200 'use version 13'; }
        location / { proxy_pass http://%BACKEND%; websocket on; }";
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    let answer =
        Client::connect(nginx.port()).exchange(&sample().set("Sec-WebSocket-Version", "8"));
    assert_eq!((answer.status(), &*answer.text()), (426, "use version 13"));
    assert_eq!(
        lines_with(&nginx.stop(), "websocket handshake failed").len(),
        1
    );
}
