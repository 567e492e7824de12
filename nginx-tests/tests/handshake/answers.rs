//! The upstream's answer to a handshake reaches the client as it is.

use nginx_tests::backend::switching_protocols;
use nginx_tests::client::SAMPLE_ACCEPT;
use nginx_tests::environment::is_over_http2;
use nginx_tests::{Client, Nginx, ScriptedBackend};

use super::case::{ON, sample};

/// Asserts that these lines of an answer reach the client, each as often as it was written.
#[track_caller]
fn passed_on(status: &str, lines: &[(&str, &str)]) {
    let headers = lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let answer = format!("HTTP/1.1 {status}\r\n{}\r\n", headers.collect::<String>());
    let backend = ScriptedBackend::answering(answer);
    let nginx = Nginx::server(format!("proxy_redirect off; {ON}"))
        .set("BACKEND", backend.address())
        .start();
    let request = sample()
        .add("Sec-WebSocket-Protocol", "chat, superchat")
        .add(
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        );
    let head = Client::connect(nginx.port()).ask(&request);
    if !is_over_http2() {
        assert_eq!(head.start, format!("HTTP/1.1 {status}"));
    }
    assert_eq!(Some(&*head.status().to_string()), status.split(' ').next());
    for (name, _) in lines {
        // What belongs to the client's key, which has no way over HTTP/2.
        if is_over_http2() && *name == "Sec-WebSocket-Accept" {
            continue;
        }
        let sent = lines.iter().filter(|(other, _)| other == name);
        let sent: Vec<&str> = sent.map(|(_, value)| *value).collect();
        assert_eq!(head.all(name), sent, "{name}");
    }
}

#[test]
fn a_101_with_all_that_was_chosen() {
    passed_on(
        "101 Switching Protocols",
        &[
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Accept", SAMPLE_ACCEPT),
            ("Sec-WebSocket-Protocol", "superchat"),
            (
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits=15",
            ),
            ("Set-Cookie", "a=b"),
            ("Set-Cookie", "c=d"),
        ],
    );
}

#[test]
fn a_redirect_with_its_location() {
    passed_on(
        "307 Temporary Redirect",
        &[
            ("Location", "https://elsewhere.example/chat"),
            ("Content-Length", "0"),
        ],
    );
}

#[test]
fn a_401_with_its_challenge() {
    passed_on(
        "401 Unauthorized",
        &[
            ("WWW-Authenticate", "Basic realm=\"chat\""),
            ("Content-Length", "0"),
        ],
    );
}

#[test]
fn a_426_with_the_versions_there_are() {
    passed_on(
        "426 Upgrade Required",
        &[
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Version", "8, 7"),
            ("Content-Length", "0"),
        ],
    );
}

/// Servers that read headers as text hash another key than its bytes.
#[test]
fn any_accept_for_what_is_no_key() {
    let backend = ScriptedBackend::answering(switching_protocols("another"));
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let request = sample().set("Sec-WebSocket-Key", "no key");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 101);
}

#[test]
fn an_extension_in_other_letters() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let key = head.header("Sec-WebSocket-Key").unwrap_or_default();
        let switching = switching_protocols(key);
        let (head, end) = switching.split_at(switching.len() - 2);
        conn.send(format!(
            "{head}Sec-WebSocket-Extensions: Permessage-Deflate\r\n{end}"
        ))
    });
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let request = sample().add("Sec-WebSocket-Extensions", "permessage-deflate");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 101);
}

/// It answers the key that it got.
#[test]
fn the_accept_of_a_key_that_the_location_sends() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(format!(
        "proxy_set_header Sec-WebSocket-Key \"AQIDBAUGBwgJCgsMDQ4PEA==\"; {ON}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let head = Client::connect(nginx.port()).ask(&sample());
    assert_eq!(head.status(), 101);
}
