//! Handshakes that keep every rule, in every spelling.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::http2::translator::received;

use super::case::{accepted, sample};

#[test]
fn a_handshake_reaches_the_backend_with_every_header_of_its_own() {
    let got = accepted(
        &sample()
            .add("Origin", "http://localhost")
            .add("Sec-WebSocket-Protocol", "chat, superchat")
            .add(
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits",
            )
            .add("Cookie", "a=b"),
    );
    for (name, value) in [
        ("Sec-WebSocket-Key", SAMPLE_KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Origin", "http://localhost"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("Cookie", "a=b"),
    ] {
        let lines: Vec<String> = got
            .head
            .lines(name)
            .iter()
            .map(|line| received(line))
            .collect();
        assert_eq!(lines, [format!("{name}: {value}")]);
    }
    assert_eq!(got.head.start, "GET /chat HTTP/1.1");
}

#[test]
fn names_and_tokens_in_any_case() {
    accepted(
        &sample()
            .without("Upgrade")
            .without("Connection")
            .add("UPGRADE", "WebSocket")
            .add("connection", "uPGRADE"),
    );
}

#[test]
fn connection_as_a_list() {
    accepted(&sample().set("Connection", "keep-alive, Upgrade"));
    accepted(&sample().set("Connection", "Upgrade,keep-alive"));
    accepted(&sample().set("Connection", ",\t upgrade ,"));
}

#[test]
fn connection_repeated() {
    accepted(
        &sample()
            .set("Connection", "keep-alive")
            .add("Connection", "Upgrade"),
    );
}

#[test]
fn upgrade_as_a_list() {
    accepted(&sample().set("Upgrade", "h2c, websocket"));
    accepted(&sample().set("Upgrade", "websocket,h2c"));
}

#[test]
fn upgrade_repeated() {
    accepted(&sample().set("Upgrade", "h2c").add("Upgrade", "websocket"));
    accepted(&sample().add("Upgrade", "h2c"));
}

#[test]
fn content_length_0_is_no_body() {
    accepted(&sample().add("Content-Length", "0"));
}

#[test]
fn subprotocols_over_several_lines() {
    let request = sample()
        .add("Sec-WebSocket-Protocol", "a")
        .add("Sec-WebSocket-Protocol", "b, c");
    assert_eq!(
        accepted(&request).head.all("Sec-WebSocket-Protocol"),
        ["a", "b, c"]
    );
}
