//! No plain request is ever spoken of by the module, or seen by its variables.

use nginx_tests::client::get;
use nginx_tests::environment::nginx_version;
use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, Handshake, ScriptedBackend, http2, wait_until};

use crate::case::http;

/// What is said, at `info`, of a request that another upgrade is taken from.
const STRIPPED: &str = "websocket_other_upgrades strip: ";

#[test]
fn plain_requests_of_every_kind_and_end() {
    let backend = ScriptedBackend::start(|conn| {
        loop {
            let request = conn.read_request()?.head;
            match request.target() {
                "/closed" => return Ok(()),
                "/reset" => {
                    conn.reset();
                    return Ok(());
                }
                "/hangs" | "/left" => return conn.hang(),
                "/garbage" => return conn.send("SSH-2.0-OpenSSH_9.2\r\n"),
                "/wrong" => return conn.send("HTTP/1.1 200 OK\r\nX-\u{1}: x\r\n\r\n"),
                "/error" => conn.send("HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n")?,
                "/found" => {
                    conn.send("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")?;
                }
                "/elsewhere" => conn.send(
                    "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inner\r\nContent-Length: 0\r\n\r\n",
                )?,
                _ => conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")?,
            }
        }
    });
    let nginx = http(
        "limit_req_zone $server_port zone=one:64k rate=1r/m;
        upstream several { server 127.0.0.1:%CLOSED_PORT2%; server %BACKEND%; keepalive 2; }
        upstream none { server 127.0.0.1:%CLOSED_PORT2% down; }",
        "listen 127.0.0.1:%PORT2% http2;
        access_log logs/every.log;
        access_log logs/outcome.log outcome if=$websocket_state;
        websocket_cause_header on;
        websocket_allow_origin https://example.com;
        websocket_log_level error;
        location / { proxy_pass http://%BACKEND%; }
        location /hangs { proxy_pass http://%BACKEND%; proxy_read_timeout 200ms; }
        location /refused { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location /tls { proxy_pass https://%BACKEND%; proxy_connect_timeout 200ms; }
        location /several { proxy_pass http://several; }
        location /none { proxy_pass http://none; }
        location /unresolved { set $name chat.invalid; proxy_pass http://$name; }
        location /file { root files; }
        location /returned { return 301 /; }
        location /teapot { return 418; }
        location /closed-to-you { deny all; }
        location /limited { limit_req zone=one; proxy_pass http://%BACKEND%; }
        location /auth { auth_basic closed; auth_basic_user_file users; }
        location /asks { auth_request /refused; proxy_pass http://%BACKEND%; }
        location /mirrored { mirror /refused; proxy_pass http://%BACKEND%; }
        location /page { error_page 502 = @other; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location @other { proxy_pass http://%BACKEND%; }
        location /inner { internal; return 204; }
        location /left { proxy_pass http://%BACKEND%; }",
    )
    .file("users", "user:{PLAIN}password\n")
    .set("BACKEND", backend.address())
    .start();
    let mut expected = 0;
    // A control character in a header's name.
    let wrong = if nginx_version() < (1, 21, 1) {
        200
    } else {
        502
    };
    for (target, status) in [
        ("/", 200),
        ("/closed", 502),
        ("/reset", 502),
        ("/hangs", 504),
        ("/wrong", wrong),
        ("/error", 500),
        ("/found", 302),
        ("/elsewhere", 204),
        ("/refused", 502),
        ("/tls", 502),
        ("/several", 200),
        ("/several", 200),
        ("/none", 502),
        ("/unresolved", 502),
        ("/file", 404),
        ("/returned", 301),
        ("/teapot", 418),
        ("/closed-to-you", 403),
        ("/limited", 200),
        ("/limited", 503),
        ("/auth", 401),
        ("/asks", 500),
        ("/mirrored", 200),
        ("/page", 200),
        ("/inner", 404),
    ] {
        let head = get(nginx.port(), target).head;
        // A TLS port that reads a plain request's bytes may also wait for more of them.
        assert!(
            head.status() == status || target == "/tls",
            "{target}: {}",
            head.text()
        );
        assert_eq!(head.header("X-WebSocket-Cause"), None, "{target}");
        expected += 1;
    }

    for request in [
        Handshake::plain("/").version("HTTP/1.0"),
        Handshake::plain("/")
            .method("HEAD")
            .add("Connection", "close"),
        Handshake::plain("/")
            .method("POST")
            .add("Content-Length", "2")
            .body("hi"),
        Handshake::plain("/").add("Connection", "keep-alive"),
        Handshake::plain("/").add("Connection", "Upgrade"),
        Handshake::plain("/")
            .add("Connection", "Upgrade")
            .add("Upgrade", "h2c"),
        Handshake::plain("/").add("Sec-WebSocket-Protocol", "chat"),
        Handshake::plain("/").add("Sec-WebSocket-Extensions", "permessage-deflate"),
        Handshake::plain("/").add("Origin", "https://evil.example"),
        Handshake::plain("/").add("Upgrade", ""),
        Handshake::plain("/refused").version("HTTP/1.0"),
        Handshake::plain("/").without("Host"),
        Handshake::plain("/").add("Content-Length", "no number"),
        Handshake::plain("/").method("BREW"),
    ] {
        let head = Client::connect(nginx.port()).ask(&request);
        assert_ne!(head.status(), 101);
        expected += 1;
    }

    let mut client = Client::connect(nginx.port());
    for _ in 0..3 {
        assert_eq!(client.exchange(&Handshake::plain("/")).text(), "plain");
        expected += 1;
    }
    let pipelined = [
        Handshake::plain("/").bytes(),
        Handshake::plain("/refused").bytes(),
    ]
    .concat();
    client.send(pipelined).expect("nginx reads two requests");
    assert_eq!(client.read_message().expect("an answer").status(), 200);
    assert_eq!(client.read_message().expect("an answer").status(), 502);
    expected += 2;

    let mut client = Client::connect(nginx.port());
    client
        .send(Handshake::plain("/left").bytes())
        .expect("nginx reads a request");
    wait_until("the backend to be asked", || {
        backend
            .requests()
            .iter()
            .any(|request| request.head.target() == "/left")
    });
    client.close();
    expected += 1;

    for (target, status) in [("/", 200), ("/refused", 502), ("/file", 404)] {
        let mut wire = Wire::connect(nginx.port_of("PORT2")).expect("nginx accepts");
        let answer = http2::get(&mut wire, target, &[("origin", "https://evil.example")]);
        assert_eq!(answer.expect("nginx answers").status, status);
        expected += 1;
    }

    nginx.wait_for_access("every.log", expected);
    let states = nginx.access_log("outcome.log");
    let log = nginx.stop();
    let of_websocket = |line: &&str| line.contains("websocket") && !line.contains(STRIPPED);
    assert_eq!(log.lines().find(of_websocket), None);
    assert_eq!(states, "", "attempts were counted");
}

#[test]
fn nothing_is_said_where_the_module_is_off() {
    if is_skipped_over_http2("nginx tells of no WebSocket over HTTP/2 then") {
        return;
    }
    let nginx =
        nginx_tests::Nginx::server("location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }")
            .start();
    let head = Client::connect(nginx.port()).ask(&Handshake::new("/"));
    assert_eq!(head.status(), 502);
    let broken = Handshake::new("/").without("Sec-WebSocket-Key");
    assert_eq!(Client::connect(nginx.port()).ask(&broken).status(), 502);
    nginx.wait_for_access("access.log", 2);
    let log = nginx.stop();
    assert_eq!(log.lines().find(|line| line.contains("websocket")), None);
}
