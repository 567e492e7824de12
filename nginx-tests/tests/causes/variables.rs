//! The variables on a handshake's outcome, and `websocket_cause_header`.

use nginx_tests::client;
use nginx_tests::http2::translator::without_tunnel;
use nginx_tests::{Client, Frame, Handshake, Nginx, ScriptedBackend};

use crate::case::{ask, glob, http, outcomes, server};

const ALL: &str = "log_format all escape=none '<$websocket_state><$websocket_cause>\
<$websocket_advice><$websocket_protocol><$websocket_extensions><$websocket_handshake_time>';
access_log logs/all.log all;";

#[test]
fn of_a_tunnel() {
    let backend = choosing();
    let nginx = Nginx::http(format!(
        "{ALL} server {{ listen 127.0.0.1:%PORT%; websocket on;
            location / {{ proxy_pass http://%BACKEND%; }} }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let handshake = Handshake::new("/")
        .add("Sec-WebSocket-Protocol", "talk, chat")
        .add(
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        );
    let mut client = Client::connect(nginx.port());
    client.accepted(&handshake);
    client.close();
    let line = nginx.wait_for_access("all.log", 1).remove(0);
    let expected = "<established><><><chat><permessage-deflate; server_no_context_takeover><#.#>";
    assert!(glob(expected, &line), "{line}");
}

#[test]
fn of_a_refusal_and_of_a_plain_request() {
    let nginx = Nginx::http(format!(
        "{ALL} server {{ listen 127.0.0.1:%PORT%; websocket on; websocket_handshake strict;
            location / {{ proxy_pass http://127.0.0.1:%CLOSED_PORT%; }} }}"
    ))
    .start();
    let handshake = Handshake::new("/").without("Sec-WebSocket-Version");
    let offering = handshake.add("Sec-WebSocket-Protocol", "chat");
    assert_eq!(Client::connect(nginx.port()).ask(&offering).status(), 400);
    assert_eq!(client::get(nginx.port(), "/").status(), 502);
    let lines = nginx.wait_for_access("all.log", 2);
    let expected = "<rejected><version-missing><send \"Sec-WebSocket-Version: 13\"><><><#.#>";
    assert!(glob(expected, &lines[0]), "{lines:?}");
    assert_eq!(lines[1], "<><><><><><>");
}

#[test]
fn the_handshake_time_is_the_handshake_s_and_not_the_tunnel_s() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        std::thread::sleep(std::time::Duration::from_millis(120));
        conn.accept(&request)?;
        conn.pause()?;
        conn.send(Frame::text("late").bytes())
    });
    let nginx = server("location / { proxy_pass http://%BACKEND%; }")
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    // Time goes by in the tunnel, too.
    std::thread::sleep(std::time::Duration::from_millis(200));
    backend.resume();
    assert_eq!(client.frame(), Frame::text("late"));
    client.read_until_close();
    let time = milliseconds(&outcomes(&nginx, 1)[0].time);
    assert!(time >= 110, "{time}");
    let line = nginx.wait_for_log("websocket established");
    assert!(
        line.contains(&format!("established in {time} ms")),
        "{line}"
    );
    let line = nginx.wait_for_log("websocket closed");
    let (_, lasted) = line.split_once(" after ").expect("a time");
    let lasted = lasted.split(' ').next().unwrap_or_default();
    assert!(milliseconds(lasted) >= 190, "{line}");
}

#[test]
fn in_a_map_and_in_a_header() {
    let absent = ScriptedBackend::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let nginx = http(
        "map_hash_bucket_size 64;
        map $websocket_cause $whose {
            default nobody;
            ~^upstream- upstream;
            origin-not-allowed page;
        }
        map $websocket_state $counts { '' 0; default 1; }",
        "websocket_allow_origin none;
        add_header X-Whose $whose always;
        add_header X-Counts $counts always;
        location / { proxy_pass http://%BACKEND%; }
        location /plain { return 200; }",
    )
    .set("BACKEND", absent.address())
    .start();
    let head = ask(&nginx, "/");
    assert_eq!(
        (head.header("X-Whose"), head.header("X-Counts")),
        (Some("upstream"), Some("1"))
    );
    let foreign = Handshake::new("/").add("Origin", "https://evil.example");
    let head = Client::connect(nginx.port()).ask(&foreign);
    assert_eq!(
        (head.header("X-Whose"), head.header("X-Counts")),
        (Some("page"), Some("1"))
    );
    let head = client::get(nginx.port(), "/plain").head;
    assert_eq!(
        (head.header("X-Whose"), head.header("X-Counts")),
        (Some("nobody"), Some("0"))
    );
}

#[test]
fn before_the_outcome_is_known_they_are_empty() {
    let nginx = server(
        "set $early <$websocket_state$websocket_cause$websocket_advice$websocket_handshake_time>;
        add_header X-Early $early always;
        location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }",
    )
    .start();
    let head = ask(&nginx, "/");
    assert_eq!((head.status(), head.header("X-Early")), (502, Some("<>")));
}

#[test]
fn the_cause_header_is_sent_where_it_is_on() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        match request.target() {
            "/absent" => conn.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            "/page" => conn.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            _ => conn.accept(&request),
        }
    });
    let nginx = server(
        "websocket_cause_header on;
        location / { proxy_pass http://%BACKEND%; }
        location /refused { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location /forbidden { deny all; proxy_pass http://%BACKEND%; }
        location /returned { return 301 https://localhost/; }
        location /off { websocket_cause_header off; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    for (target, status, cause) in [
        ("/", 101, None),
        ("/absent", 404, Some("upstream-not-found")),
        ("/page", without_tunnel(200), Some("upstream-not-websocket")),
        ("/refused", 502, Some("upstream-refused")),
        ("/forbidden", 403, Some("local-forbidden")),
        ("/returned", 301, Some("local-redirect")),
        ("/off", 502, None),
    ] {
        let head = ask(&nginx, target);
        assert_eq!(head.status(), status, "{target}");
        let expected: Vec<_> = cause.into_iter().collect();
        assert_eq!(head.all("X-WebSocket-Cause"), expected, "{target}");
    }
    let broken = Handshake::new("/").add("Sec-WebSocket-Key", "another");
    let head = Client::connect(nginx.port()).ask(&broken);
    assert_eq!(head.header("X-WebSocket-Cause"), Some("key-repeated"));
    let plain = client::get(nginx.port(), "/absent").head;
    assert_eq!(
        (plain.status(), plain.header("X-WebSocket-Cause")),
        (404, None)
    );
}

#[test]
fn the_cause_header_is_off_unless_set() {
    let nginx = server("location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }").start();
    let head = ask(&nginx, "/");
    assert_eq!(
        (head.status(), head.header("X-WebSocket-Cause")),
        (502, None)
    );
}

#[test]
fn where_the_log_says_nothing_of_errors_they_know_what_they_can() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        match request.target() {
            "/closed" => Ok(()),
            "/hangs" => conn.hang(),
            "/garbage" => conn.send("SSH-2.0-OpenSSH_9.2\r\n"),
            _ => conn.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        }
    });
    let nginx = server(
        "location / { proxy_pass http://%BACKEND%; proxy_read_timeout 200ms; }
        location /refused { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location /plain-tls { proxy_pass https://%BACKEND%; proxy_connect_timeout 200ms; }
        location /unresolved { set $name chat.invalid; proxy_pass http://$name; }
        location /twice { error_page 502 = /unresolved; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location /forbidden { deny all; proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .log_level("crit")
    .start();
    let failures = [
        ("/", 404, "upstream-not-found"),
        ("/closed", 502, "upstream-closed"),
        ("/hangs", 504, "upstream-response-timeout"),
        ("/garbage", 502, "upstream-response-invalid"),
        ("/refused", 502, "upstream-refused"),
        ("/plain-tls", 504, "upstream-tls-failed"),
        ("/unresolved", 502, "upstream-unresolved"),
        ("/twice", 502, "upstream-unresolved"),
        ("/forbidden", 403, "local-forbidden"),
    ];
    for (number, (target, status, cause)) in failures.into_iter().enumerate() {
        assert_eq!(ask(&nginx, target).status(), status, "{target}");
        let log = outcomes(&nginx, number + 1);
        let last = log.last().expect("an outcome");
        let state = match target {
            "/forbidden" => "rejected",
            _ => "failed",
        };
        assert_eq!(
            (last.state.as_str(), last.cause.as_str()),
            (state, cause),
            "{target}"
        );
    }
}

/// Accepts with the second subprotocol and an extension.
fn choosing() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        let right = nginx_tests::backend::switching_protocols(
            request.header("Sec-WebSocket-Key").unwrap_or_default(),
        );
        let right = right.trim_end();
        conn.send(format!(
            "{right}\r\nSec-WebSocket-Protocol: chat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"
        ))?;
        conn.hang()
    })
}

/// The milliseconds of seconds with three decimals.
#[track_caller]
fn milliseconds(time: &str) -> u32 {
    assert!(glob("#.#", time), "{time}");
    let (seconds, rest) = time.split_once('.').expect("a point");
    assert_eq!(rest.len(), 3, "{time}");
    format!("{seconds}{rest}").parse().expect("digits")
}
