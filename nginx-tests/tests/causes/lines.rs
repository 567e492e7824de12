//! The module's lines in the error log: their level, their form, and what cannot get into them.

use nginx_tests::environment::nginx_version;
use nginx_tests::http2::translator::protocol;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_for};

use crate::case::{ask, glob, lines, outcomes, said, server, states};

#[test]
fn the_level_is_error_unless_set() {
    for (setting, level) in [
        ("", "error"),
        ("websocket_log_level error;", "error"),
        ("websocket_log_level warn;", "warn"),
        ("websocket_log_level notice;", "notice"),
        ("websocket_log_level info;", "info"),
    ] {
        let nginx = refusing(setting).start();
        assert_eq!(ask(&nginx, "/").status(), 400);
        nginx.wait_for_log("handshake failed");
        let log = nginx.stop();
        let failed = lines(&log, "websocket handshake failed");
        assert_eq!(failed.len(), 1, "{log}");
        assert!(failed[0].contains(&format!(" [{level}] ")), "{log}");
    }
}

#[test]
fn a_level_below_the_log_s_own_is_silent() {
    let nginx = refusing("websocket_log_level warn;")
        .log_level("error")
        .start();
    assert_eq!(ask(&nginx, "/").status(), 400);
    assert_eq!(states(&nginx, 1), ["400 rejected local-status"]);
    assert_eq!(lines(&nginx.stop(), "websocket"), [""; 0]);
}

#[test]
fn an_unknown_level_is_refused() {
    let check = server("websocket_log_level crit;").check();
    assert!(!check.ok);
    assert!(
        check.at_level("emerg")[0].contains("invalid value \"crit\""),
        "{check:?}"
    );
}

#[test]
fn a_failed_handshake_has_nginx_s_own_context() {
    let nginx = Nginx::http(
        "server { listen 127.0.0.1:%PORT%; server_name chat.example; websocket on;
            location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; } }",
    )
    .log_level("error")
    .start();
    let handshake = Handshake::new("/room?x=1").set("Host", "chat.example");
    assert_eq!(Client::connect(nginx.port()).ask(&handshake).status(), 502);
    let closed = nginx.port_of("CLOSED_PORT");
    let line = nginx.wait_for_log("websocket handshake failed");
    let expected = format!(
        "* [error] #\\##: *1 websocket handshake failed: upstream-refused: *; *, \
         client: 127.0.0.1, server: chat.example, request: \"GET /room?x=1 {}\", \
         upstream: \"http://127.0.0.1:{closed}/room?x=1\", host: \"chat.example\"",
        protocol()
    )
    .replace("\\#", "*");
    assert!(glob(&expected, &line), "{line}");
}

#[test]
fn established_and_closed_are_said_at_info() {
    let backend = nginx_tests::EchoBackend::on(nginx_tests::Listen::Tcp, &["chat"]);
    let nginx = server("location / { proxy_pass http://%BACKEND%; }")
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.accepted(&Handshake::new("/").add("Sec-WebSocket-Protocol", "talk, chat"));
    let address = backend.address();
    let line = nginx.wait_for_log("websocket established");
    let expected = format!(
        "* [info] *: * websocket established in # ms, subprotocol \"chat\", client: 127.0.0.1, \
         *upstream: \"http://{address}/\"*"
    );
    assert!(glob(&expected, &line), "{line}");
    client.echo("hello");
    client.close_politely();
    let line = nginx.wait_for_log("websocket closed");
    let expected = "* [info] *: * websocket closed *, client: 127.0.0.1, *";
    assert!(glob(expected, &line), "{line}");
    let log = nginx.stop();
    assert_eq!(lines(&log, "websocket").len(), 2, "{log}");
}

#[test]
fn who_closed_a_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        match request.target() {
            "/upstream" => Ok(()),
            _ => conn.hang(),
        }
    });
    let nginx = server(
        "location / { proxy_pass http://%BACKEND%; }
        location /nginx { proxy_pass http://%BACKEND%; websocket_timeout 200ms; }",
    )
    .set("BACKEND", backend.address())
    .start();
    for target in ["/upstream", "/nginx", "/client"] {
        let mut client = Client::connect(nginx.port());
        client.establish(target);
        if target != "/client" {
            // The end, or a Close frame before it.
            let _ = client.read_bytes(1);
        }
        client.close();
        let by = &target[1..];
        let line = wait_for("a line about the end", || {
            let lines = nginx.log_lines("websocket closed ");
            lines
                .into_iter()
                .find(|line| line.contains(&format!("\"GET {target} ")))
        });
        assert!(line.contains(&format!(" by {by}")), "{line}");
    }
}

#[test]
fn a_tunnel_is_not_spoken_of_at_the_default_level() {
    let backend = ScriptedBackend::standard();
    let nginx = server("location / { proxy_pass http://%BACKEND%; }")
        .set("BACKEND", backend.address())
        .log_level("error")
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.close_politely();
    assert_eq!(outcomes(&nginx, 1)[0].state, "established");
    assert_eq!(nginx.stop(), "");
}

/// What a client could send to forge or garble a line.
const NASTY: [&str; 6] = [
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "x\", client: 10.0.0.1, server: forged, request: \"",
    "\\x22; \\",
    "caf\u{e9} \u{202e}gnp.exe \u{1f600}",
    "a\tb\u{7f}\u{1}c",
    "2026/01/01 00:00:00 [error] 1#1: *1 forged",
];

#[test]
fn what_a_client_sent_is_escaped() {
    let backend = ScriptedBackend::standard();
    for name in [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Origin",
    ] {
        let nginx = server(
            "websocket_handshake strict; websocket_allow_origin https://example.com none;
            location / { proxy_pass http://%BACKEND%; }",
        )
        .set("BACKEND", backend.address())
        .log_level("error")
        .start();
        let values = NASTY.map(str::to_owned);
        let long = ["y\"".repeat(4000), "z".repeat(8000)];
        let count = values.len() + long.len();
        for value in values.iter().chain(&long) {
            let handshake = Handshake::new("/").set(name, &format!("<{value}>"));
            let head = Client::connect(nginx.port()).ask(&handshake);
            assert!(
                matches!(head.status(), 400 | 403 | 426),
                "{name}: {}",
                head.text()
            );
        }
        outcomes(&nginx, count);
        let log = nginx.stop();
        assert_lines(&log, count);
        for line in lines(&log, "handshake failed") {
            if name == "Sec-WebSocket-Protocol" {
                assert!(line.contains(" at character 1, "), "{line}");
                continue;
            }
            let (_, shown) = line
                .split_once(" is \"")
                .unwrap_or_else(|| panic!("{line}"));
            let (shown, _) = shown.split_once('"').expect("the closing quote");
            assert!(shown.len() <= 4 * 128 + 3, "{line}");
            assert!(shown.starts_with('<'), "{line}");
        }
        if name == "Sec-WebSocket-Protocol" {
            continue;
        }
        let cut = lines(&log, "handshake failed").split_off(values.len());
        assert!(cut.iter().all(|line| line.contains("...\"")), "{log}");
        assert!(
            cut[1].contains(&format!("\"<{}...\"", "z".repeat(127))),
            "{log}"
        );
    }
}

#[test]
fn what_an_upstream_sent_is_escaped() {
    for name in [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Location",
    ] {
        let long = "z".repeat(8000);
        for value in NASTY.iter().copied().chain([long.as_str()]) {
            let headers = [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", nginx_tests::client::SAMPLE_ACCEPT),
            ];
            let status = if name == "Location" {
                "302 Found"
            } else {
                "101 Switching"
            };
            let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n");
            for (other, right) in headers {
                if other != name {
                    answer += &format!("{other}: {right}\r\n");
                }
            }
            answer += &format!("{name}: <{value}>\r\n\r\n");
            let backend = ScriptedBackend::start(move |conn| {
                let request = conn.read_request()?.head;
                conn.answer(&request, answer.as_bytes())
            });
            let nginx = server(
                "websocket_handshake strict;
                location / {
                    proxy_pass http://%BACKEND%; proxy_buffer_size 16k; proxy_buffers 8 16k;
                    proxy_redirect off;
                }",
            )
            .set("BACKEND", backend.address())
            .log_level("error")
            .start();
            let status = if name == "Location" { 302 } else { 502 };
            assert_eq!(ask(&nginx, "/").status(), status);
            nginx.wait_for_log("handshake failed");
            assert_lines(&nginx.stop(), 1);
        }
    }
}

#[test]
fn nginx_s_words_about_an_upstream_are_escaped_and_cut() {
    if nginx_version() < (1, 21, 1) {
        return nginx_tests::skipped("this nginx takes such names");
    }
    for name in ["X-\u{1b}[2J".to_owned(), "\u{e9}\"\\".repeat(700) + "\u{1}"] {
        let backend =
            ScriptedBackend::answering(format!("HTTP/1.1 101 Switching\r\n{name}: x\r\n\r\n"));
        let nginx = server("location / { proxy_pass http://%BACKEND%; }")
            .set("BACKEND", backend.address())
            .log_level("error")
            .start();
        assert_eq!(ask(&nginx, "/").status(), 502);
        let said = said(&nginx);
        let seen = said.strip_prefix("upstream-response-invalid: upstream sent invalid header: ");
        let (seen, _) = seen
            .and_then(|seen| seen.rsplit_once("; "))
            .unwrap_or_else(|| panic!("{said}"));
        assert!(seen.bytes().all(|b| (b' '..=b'~').contains(&b)), "{seen:?}");
        assert!(seen.len() <= 4 * 128 + 5 && seen.ends_with('"'), "{seen}");
        let advice = websocket_protocol::Cause::UpstreamResponseInvalid.advice();
        assert!(said.ends_with(advice), "{said}");
    }
}

#[test]
fn line_ends_within_a_request_make_no_line_of_their_own() {
    for header in [
        "Sec-WebSocket-Version: 8\r\n 2026/01/01 00:00:00 [error] forged: x",
        "Sec-WebSocket-Version: 8\rforged: x",
        "Sec-WebSocket-Version: 8\nforged: x",
        "Sec-WebSocket-Version: 8%0d%0aforged",
    ] {
        let nginx = server(
            "location / {
                websocket_handshake strict;
                proxy_pass http://127.0.0.1:%CLOSED_PORT%;
            }",
        )
        .log_level("error")
        .start();
        let request = Handshake::new("/").without("Sec-WebSocket-Version").bytes();
        let mut request = String::from_utf8(request).expect("ASCII");
        request.truncate(request.len() - 2);
        let mut client = Client::connect(nginx.port());
        let sent = client.send(format!("{request}{header}\r\n\r\n"));
        sent.expect("nginx reads the request");
        assert!(client.read_head().expect("nginx answers").status() >= 400);
        nginx.wait_for_log("handshake failed");
        let log = nginx.stop();
        assert_lines(&log, 1);
        assert!(
            !log.contains("\nforged") && !log.contains("\rforged"),
            "{log}"
        );
        if header.contains("%0d") {
            assert!(
                log.contains("Sec-WebSocket-Version is \"8%0d%0aforged\""),
                "{log}"
            );
        }
    }
}

/// Every line of the log is a line that nginx began, and this many of them are about a handshake
/// that failed and hold nothing but printable ASCII up to nginx's context.
#[track_caller]
fn assert_lines(log: &str, count: usize) {
    for line in log.lines() {
        assert!(glob("#/#/# #:#:# [*] #*: *", line), "{line:?} in\n{log}");
    }
    let failed = lines(log, "websocket handshake failed: ");
    assert_eq!(failed.len(), count, "{log}");
    for line in failed {
        let (said, context) = line.rsplit_once(", client: ").expect("nginx's context");
        // What HTTP/2 has no word for goes over HTTP/1.1 in any case.
        assert!(
            ["HTTP/1.1", protocol()].iter().any(|protocol| {
                context.starts_with(&format!(
                    "127.0.0.1, server: , request: \"GET / {protocol}\""
                ))
            }),
            "{line}"
        );
        assert!(
            said.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{line:?}"
        );
    }
}

/// A server that refuses a right handshake.
fn refusing(text: &str) -> Setup {
    server(format!(
        "{text} location / {{ return 400; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }}"
    ))
}
