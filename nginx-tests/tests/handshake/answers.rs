//! The upstream's answer to a handshake reaches the client as it is.

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
