//! Handshakes that one party reads in another way than the next.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::environment::nginx_version;
use nginx_tests::{Client, Handshake, ScriptedBackend};

use crate::case::{asked, guarded, smuggled};

/// An upstream that would speak HTTP/2 with whoever asks.
fn willing() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        loop {
            let request = conn.read_request()?.head;
            if request.has_token("Upgrade", "h2c") {
                conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")?;
                return conn.hang();
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")?;
        }
    })
}

fn h2c(target: &str) -> Handshake {
    Handshake::plain(target)
        .add("Connection", "Upgrade, HTTP2-Settings")
        .add("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
}

#[test]
fn an_upgrade_to_h2c_opens_no_way_past_a_location() {
    let backend = willing();
    let nginx = guarded("", &backend);
    for upgrade in ["h2c", "H2C", "h2c, foo", "foo, h2c"] {
        let answer = Client::connect(nginx.port()).exchange(&h2c("/").add("Upgrade", upgrade));
        assert_eq!(
            (answer.status(), &*answer.text()),
            (200, "plain"),
            "{upgrade}"
        );
    }
    for request in backend.requests() {
        assert_eq!(request.head.lines("Upgrade"), [""; 0]);
    }
}

#[test]
fn one_to_h2c_beside_websocket_is_one_to_websocket() {
    for upgrade in ["websocket, h2c", "h2c, websocket"] {
        let backend = ScriptedBackend::standard();
        let nginx = guarded("", &backend);
        let mut client = Client::connect(nginx.port());
        client.accepted(&Handshake::new("/").set("Upgrade", upgrade));
        client.echo("hello");
        let head = backend.request(0).head;
        assert_eq!(head.lines("Upgrade"), ["Upgrade: websocket"]);
        assert_eq!(head.lines("Connection"), ["Connection: upgrade"]);
    }
}

#[test]
fn two_keys_or_versions_reach_nobody() {
    let twice = |name: &str, first: &str, second: &str| {
        let lines = Handshake::new("/").set(name, first).add(name, second);
        let list = Handshake::new("/").set(name, &format!("{first}, {second}"));
        [lines, list]
    };
    let other = "b3RoZXIga2V5IGhlcmUuLg==";
    let requests = [
        twice("Sec-WebSocket-Key", SAMPLE_KEY, other),
        twice("Sec-WebSocket-Key", other, other),
        twice("sec-websocket-key", "", SAMPLE_KEY),
        twice("Sec-WebSocket-Version", "13", "8"),
        twice("Sec-WebSocket-Version", "8", "13"),
    ];
    let backend = ScriptedBackend::standard();
    let nginx = guarded("", &backend);
    for request in requests.as_flattened() {
        assert_eq!(
            Client::connect(nginx.port()).ask(request).status(),
            400,
            "{request:?}"
        );
    }
    assert_eq!(backend.connections(), 0);
}

/// nginx drops or refuses what some take for the same name.
#[test]
fn names_that_only_some_take_for_the_key_s_reach_nobody() {
    let backend = ScriptedBackend::standard();
    let nginx = guarded("", &backend);
    let mut client = Client::connect(nginx.port());
    client.accepted(&Handshake::new("/").add("Sec_WebSocket_Key", "b3RoZXIga2V5IGhlcmUuLg=="));
    assert!(!backend.request(0).head.text().contains("Sec_WebSocket_Key"));
    let names = [
        "Sec-WebSocket-Key ",
        " Sec-WebSocket-Key",
        "Sec-WebSocket-Key\t",
    ];
    // Before 1.21.1 nginx drops them, and what is left has no key.
    let drops = nginx_version() < (1, 21, 1);
    for (number, name) in names.into_iter().enumerate() {
        let request = Handshake::new("/")
            .without("Sec-WebSocket-Key")
            .add(name, SAMPLE_KEY);
        let status = Client::connect(nginx.port()).ask(&request).status();
        if drops {
            assert_eq!(status, 101, "{name:?}");
            let passed = backend.request(1 + number).head.text();
            assert!(!passed.contains("Sec-WebSocket-Key"), "{passed}");
        } else {
            assert_eq!(status, 400, "{name:?}");
        }
    }
    assert_eq!(
        backend.connections(),
        1 + if drops { names.len() } else { 0 }
    );
}

#[test]
fn an_upgrade_without_a_token_opens_nothing() {
    for value in [
        "",
        ",",
        ", ,",
        "\t",
        "\"websocket\"",
        "web socket",
        "websocket;",
        "websocket\u{a0}",
    ] {
        // It would agree to whatever it is asked for.
        let backend = ScriptedBackend::start(|conn| {
            let request = conn.read_request()?.head;
            if request.header("Upgrade").is_some() {
                conn.accept(&request)?;
                return conn.hang();
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")?;
            conn.hang()
        });
        let nginx = guarded("", &backend);
        let request = Handshake::new("/").set("Upgrade", value);
        assert_eq!(
            Client::connect(nginx.port()).ask(&request).status(),
            200,
            "{value:?}"
        );
        assert_eq!(
            backend.request(0).head.lines("Upgrade"),
            [""; 0],
            "{value:?}"
        );
    }
}

#[test]
fn a_request_in_a_handshake_s_body_is_read_by_nobody() {
    let request = smuggled("/open");
    let length = request.len().to_string();
    let chunk = format!("{:x}\r\n{request}\r\n0\r\n\r\n", request.len());
    let backend = ScriptedBackend::standard();
    let nginx = guarded("", &backend);
    for handshake in [
        Handshake::new("/")
            .add("Content-Length", &length)
            .body(&*request),
        Handshake::new("/")
            .add("Transfer-Encoding", "chunked")
            .body(&*chunk),
        // Each of two parties goes by another of the two.
        Handshake::new("/")
            .add("Content-Length", &length)
            .add("Transfer-Encoding", "chunked")
            .body(format!("0\r\n\r\n{request}")),
        // The rest is a request to who goes by the length.
        Handshake::new("/")
            .add("Content-Length", "1")
            .body(format!("x{request}")),
    ] {
        let mut client = Client::connect(nginx.port());
        client.send(handshake.bytes()).unwrap();
        let head = client.read_head().unwrap();
        assert_eq!(
            (head.status(), head.header("Connection")),
            (400, Some("close"))
        );
        client.read_body(&head).unwrap();
        assert_eq!(client.read_until_close(), b"");
    }
    assert_eq!(asked(&backend), [""; 0]);
}
