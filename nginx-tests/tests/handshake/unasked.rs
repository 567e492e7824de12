//! A 101 that nobody asked for: nginx makes no tunnel of it, and the client hears of none.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::environment::nginx_version;
use nginx_tests::nginx::lines_with;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, http2};

use super::case::{ON, sample};
use super::other_upgrades::h2c;

const LINE: &str = "response-unasked: upstream answered 101 to a request that asked for no upgrade";

fn switching() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        )?;
        conn.hang()
    })
}

#[test]
fn a_101_to_a_plain_request_becomes_502() {
    for request in [
        Handshake::plain("/"),
        Handshake::plain("/").method("HEAD"),
        h2c(),
        h2c().set("Upgrade", ""),
        h2c().set("Upgrade", ","),
        h2c().set("Upgrade", "\t"),
        sample().set("Upgrade", ""),
        sample().without("Upgrade"),
        Handshake::plain("/").add("Sec-WebSocket-Key", SAMPLE_KEY),
    ] {
        let backend = switching();
        let nginx = Nginx::server(format!("websocket_cause_header on; {ON}"))
            .set("BACKEND", backend.address())
            .start();
        let mut client = Client::connect(nginx.port());
        let head = client.ask(&request);
        assert_eq!(head.status(), 502, "{}", head.text());
        assert_eq!(head.all("X-WebSocket-Cause"), ["response-unasked"]);
        assert_eq!(head.lines("Upgrade"), [""; 0]);
        drop(client);
        let lines = lines_with(&nginx.stop(), "response-unasked");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let named = format!("websocket handshake failed: {LINE}");
        assert!(lines[0].contains(&named), "{lines:#?}");
    }
}

#[test]
fn a_subrequest_is_no_way_around_it() {
    let (backend, switching) = (ScriptedBackend::standard(), switching());
    let nginx = Nginx::server(
        "websocket on;
        location / { auth_request /auth; proxy_pass http://%BACKEND%; }
        location = /auth { proxy_pass http://%SWITCHING%; }",
    )
    .set("BACKEND", backend.address())
    .set("SWITCHING", switching.address())
    .allow_log("auth request unexpected status: 502")
    .start();
    let head = Client::connect(nginx.port()).ask(&sample());
    assert_eq!(head.status(), 500, "{}", head.text());
    assert_eq!(backend.connections(), 0);
    let lines = lines_with(&nginx.stop(), LINE);
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

/// Nothing that the page's upstream answers changes why the handshake was refused.
#[test]
fn one_to_an_error_page_is_not_what_was_seen_of_the_refusal() {
    let backend = switching();
    let nginx = Nginx::server(
        "websocket on;
        websocket_allow_origin https://a.example;
        error_page 403 = /page;
        location / { proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let request = sample().set("Origin", "https://b.example");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 502);
    let lines = lines_with(&nginx.stop(), "websocket");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let named = "failed: origin-not-allowed: Origin is \"https://b.example\"";
    assert!(lines[0].contains(named), "{lines:#?}");
}

#[test]
fn a_stream_of_http_2_becomes_no_tunnel() {
    // From nginx 1.31.0 on, such a request is refused before any module sees it.
    if nginx_version() >= (1, 31, 0) {
        return nginx_tests::skipped("this nginx refuses it before any module sees it");
    }
    let backend = switching();
    let nginx = Nginx::server(
        "listen 127.0.0.1:%PORT2% http2;
        location / {
            websocket on;
            websocket_other_upgrades pass;
            proxy_pass http://%BACKEND%;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut wire = Wire::connect(nginx.port_of("PORT2")).unwrap();
    let answer = http2::get(&mut wire, "/", &[("upgrade", "h2c")]).unwrap();
    assert_eq!(answer.status, 502);
    drop(wire);
    assert_eq!(lines_with(&nginx.stop(), LINE).len(), 1);
}

#[test]
fn another_upgrade_that_passes_makes_its_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")?;
        conn.read_bytes(4)?;
        conn.send("pong")?;
        conn.hang()
    });
    let nginx = Nginx::server(
        "location / {
            websocket on;
            websocket_other_upgrades pass;
            proxy_pass http://%BACKEND%;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    let attach = Handshake::plain("/containers/a/attach?stream=1")
        .method("POST")
        .add("Upgrade", "tcp")
        .add("Connection", "Upgrade");
    assert_eq!(client.ask(&attach).status(), 101);
    client.send("ping").unwrap();
    assert_eq!(client.read_bytes(4).unwrap(), b"pong");
}
