//! Upgrades to other protocols: `websocket_other_upgrades`.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::nginx::lines_with;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};

use super::case::{default_connection, passed_on, refused_by, sample};

pub fn h2c() -> Handshake {
    Handshake::plain("/")
        .add("Upgrade", "h2c")
        .add("Connection", "Upgrade, HTTP2-Settings")
        .add("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
}

fn other_upgrades(policy: &str, lines: &str) -> String {
    let policy = if policy.is_empty() {
        "".to_owned()
    } else {
        format!("websocket_other_upgrades {policy};")
    };
    format!("location / {{ proxy_pass http://%BACKEND%; websocket on; {policy} {lines} }}")
}

const BY_HAND: &str =
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;";

#[test]
fn another_upgrade_is_stripped() {
    for policy in ["", "strip"] {
        let (got, lines) = passed_on(&other_upgrades(policy, ""), &h2c());
        assert_eq!(got.head.lines("Upgrade"), [""; 0]);
        assert!(
            !got.head.has_token("Connection", "upgrade"),
            "{}",
            got.head.text()
        );
        let said = "websocket_other_upgrades strip: request is passed on without \"Upgrade: h2c\"";
        assert!(lines.len() == 1 && lines[0].contains(said), "{lines:?}");
    }
}

#[test]
fn another_upgrade_is_stripped_in_spite_of_the_user_s_own_lines() {
    let (got, _) = passed_on(&other_upgrades("strip", BY_HAND), &h2c());
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert!(
        !got.head.has_token("Connection", "upgrade"),
        "{}",
        got.head.text()
    );
}

#[test]
fn a_stripped_upgrade_makes_no_tunnel_of_a_101() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        )?;
        conn.hang()
    });
    let nginx = Nginx::server(other_upgrades("strip", BY_HAND) + "proxy_read_timeout 300ms;")
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.send(h2c().bytes()).unwrap();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    assert_eq!(client.read_head().unwrap().status(), 502);
    let _ = client.read_to_close();
    let got = String::from_utf8_lossy(&backend.received(0)).into_owned();
    assert!(
        !got.contains("PRI * HTTP/2.0"),
        "the client spoke to the backend: {got}"
    );
}

/// It is taken away where it comes first, and carried where it is led to.
#[test]
fn an_upgrade_is_there_for_the_location_that_carries_it() {
    let backend = ScriptedBackend::start(|conn| {
        if conn.read_request()?.head.header("Upgrade") != Some("tcp") {
            return conn.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        )?;
        conn.hang()
    });
    let ways = [
        "location / { root .; try_files /none @docker; }",
        "location / { proxy_pass http://%BACKEND%; proxy_intercept_errors on; error_page 404 = @docker; }",
    ];
    for way in ways {
        for carries in ["websocket off;", "websocket_other_upgrades pass;"] {
            let server = format!(
                "websocket on; {way} proxy_http_version 1.1;
                location @docker {{ proxy_pass http://%BACKEND%; {carries} {BY_HAND} }}"
            );
            let nginx = Nginx::server(server)
                .set("BACKEND", backend.address())
                .start();
            let before = backend.connections();
            let mut client = Client::connect(nginx.port());
            let request = Handshake::plain("/")
                .add("Upgrade", "tcp")
                .add("Connection", "Upgrade");
            assert_eq!(client.ask(&request).status(), 101, "{way} {carries}");
            client.send("raw bytes").unwrap();
            wait_until("the backend to get them", || {
                (before..backend.connections())
                    .any(|at| backend.received(at).ends_with(b"raw bytes"))
            });
        }
    }
}

#[test]
fn another_upgrade_is_passed_by_the_user_s_own_lines() {
    let (got, lines) = passed_on(&other_upgrades("pass", BY_HAND), &h2c());
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: h2c"]);
    assert_eq!(
        got.head.lines("Connection"),
        ["Connection: Upgrade, HTTP2-Settings"]
    );
    assert_eq!(lines, [""; 0]);
}

#[test]
fn another_upgrade_is_not_passed_without_lines_of_the_user_s() {
    let (got, _) = passed_on(&other_upgrades("pass", ""), &h2c());
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert_eq!(
        got.head.header("Connection").unwrap_or_default(),
        default_connection()
    );
}

#[test]
fn another_upgrade_is_rejected() {
    for lines in ["", BY_HAND] {
        let server = other_upgrades("reject", lines);
        refused_by(&server, &h2c(), "upgrade-not-websocket", 400);
    }
}

#[test]
fn an_upgrade_without_a_name_is_another_one() {
    for value in ["", ",", " , ", "\t"] {
        let request = h2c().set("Upgrade", value);
        refused_by(
            &other_upgrades("reject", BY_HAND),
            &request,
            "upgrade-not-websocket",
            400,
        );
        let (got, _) = passed_on(&other_upgrades("strip", BY_HAND), &request);
        assert_eq!(got.head.lines("Upgrade"), [""; 0], "{value:?}");
    }
}

#[test]
fn each_upgrade_that_is_stripped_has_a_line() {
    for request in [h2c(), sample().set("Upgrade", "h2c")] {
        let backend = ScriptedBackend::standard();
        let nginx = Nginx::server(other_upgrades("", ""))
            .set("BACKEND", backend.address())
            .start();
        assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 200);
        let lines = lines_with(&nginx.stop(), "websocket");
        let said = "websocket_other_upgrades strip: request is passed on without \"Upgrade: h2c\"";
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].contains("[info]") && lines[0].contains(said),
            "{lines:#?}"
        );
    }
}

#[test]
fn reject_lets_websocket_and_plain_requests_be() {
    let server = other_upgrades("reject", "");
    assert_eq!(
        passed_on(&server, &sample()).0.head.lines("Upgrade"),
        ["Upgrade: websocket"]
    );
    assert_eq!(
        passed_on(&server, &Handshake::plain("/"))
            .0
            .head
            .lines("Upgrade"),
        [""; 0]
    );
}

/// What counts is the location that it comes to in the end.
#[test]
fn a_location_that_passes_does_so_behind_one_that_strips() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    );
    let nginx = Nginx::server(format!(
        "websocket on;
        location / {{ try_files /none @passes; }}
        location @passes {{
            proxy_pass http://%BACKEND%; proxy_http_version 1.1; {BY_HAND}
            websocket_other_upgrades pass;
        }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    for request in [h2c(), h2c().add("Sec-WebSocket-Key", SAMPLE_KEY)] {
        let status = Client::connect(nginx.port()).ask(&request).status();
        assert_eq!(status, 101);
    }
}
