//! Tunnels on streams, beside each other and beside plain requests.

use nginx_tests::http2::session::{END_STREAM, Session};
use nginx_tests::wire::Wire;
use nginx_tests::{Certificate, Frame, ScriptedBackend};

use crate::case::{PROXIES, connected, http};

#[test]
fn a_stream_is_a_tunnel() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat?a=b");
    for size in [0, 1, 125, 126, 65_535, 65_536, 400_000] {
        session.echo(stream, Frame::binary(vec![b'x'; size]));
    }
    session.close(stream);
    let request = backend.request(0).head;
    assert_eq!(request.start, "GET /chat?a=b HTTP/1.1");
    assert_eq!(request.header("Upgrade"), Some("websocket"));
    assert!(request.has_token("Connection", "upgrade"));
    assert_eq!(request.header("Sec-WebSocket-Version"), Some("13"));
    assert_eq!(request.header("Sec-WebSocket-Key").map(str::len), Some(24));
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert_eq!(outcomes, ["200 /chat?a=b http2 established  1000"]);
    let log = nginx.stop();
    assert!(log.contains("websocket established in "), "{log}");
    assert!(
        log.contains(" by client: normal 1000, ")
            && log.contains(" in 8 frames (7 messages) from client"),
        "{log}"
    );
}

#[test]
fn many_tunnels_and_plain_requests_share_a_connection() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let streams: Vec<u32> = (0..40).map(|_| session.establish("/chat")).collect();
    for round in 0..5_usize {
        let plain = session.get("/plain");
        for (place, &stream) in streams.iter().enumerate() {
            session.message(
                stream,
                Frame::binary(vec![place as u8; 1000 * round + place]),
            );
        }
        for (place, &stream) in streams.iter().enumerate() {
            let expected = Frame::binary(vec![place as u8; 1000 * round + place]);
            assert_eq!(session.read(stream), expected);
        }
        assert_eq!(session.body(plain), b"plain");
    }
    for stream in streams {
        session.close(stream);
    }
    let log = nginx.stop();
    assert_eq!(log.matches("websocket closed after").count(), 40, "{log}");
}

#[test]
fn it_is_told_of_only_where_a_server_has_it() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = http(
        &certificate,
        &backend,
        format!(
            "websocket on;
            server {{ listen 127.0.0.1:%PORT% ssl http2; server_name localhost; {PROXIES} }}
            server {{ listen 127.0.0.1:%PORT2% ssl http2; server_name localhost; {PROXIES} }}
            server {{ listen 127.0.0.1:%PORT2% ssl http2; server_name other; websocket_http2 on; {PROXIES} }}"
        ),
    )
    .start();
    for (port, connects) in [(nginx.port(), false), (nginx.port_of("PORT2"), true)] {
        let mut session = Session::connect(port, &certificate);
        let plain = session.get("/plain");
        assert_eq!(session.body(plain), b"plain");
        assert_eq!(session.connects, Some(connects));
    }
    // The server that the request is for has it off.
    let mut session = Session::ready(nginx.port_of("PORT2"), &certificate);
    let stream = session.open("/chat");
    assert_eq!(session.status(stream), 501);
    let outcomes = nginx.wait_for_access("outcome.log", 3);
    assert_eq!(outcomes[2], "501 /chat http2 rejected local-websocket-off ");
    assert_eq!(backend.connections(), 2);
    let other = session.request(
        &[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/chat"),
            (":authority", "other"),
            ("sec-websocket-version", "13"),
        ],
        0,
    );
    assert_eq!(session.status(other), 200);
    session.echo(other, Frame::text("hello"));
}

#[test]
fn a_connection_without_tunnels_is_as_ever() {
    let backend = ScriptedBackend::start(|conn| {
        loop {
            let request = conn.read_request()?;
            let body = request.body;
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ))?;
            conn.send(body)?;
        }
    });
    let (_nginx, mut session) = connected(&backend, PROXIES);
    for size in [0, 1, 1000, 60_000] {
        let body = vec![b'b'; size];
        let length = size.to_string();
        let fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/echo"),
            (":authority", "localhost"),
            ("content-length", &*length),
        ];
        let stream = session.request(&fields, 0);
        session.data(stream, &body);
        session.end(stream);
        assert_eq!(session.body(stream), body);
    }
}

#[test]
fn nginxs_own_loop_carries_a_stream_as_well() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, &format!("websocket_tunnel off; {PROXIES}"));
    let stream = session.establish("/chat");
    for size in [0, 125, 70_000, 300_000] {
        session.echo(stream, Frame::binary(vec![b'x'; size]));
    }
    session.close(stream);
}

#[test]
fn a_client_that_is_announced_by_the_proxy_protocol_has_it_too() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = http(
        &certificate,
        &backend,
        format!(
            "websocket on; websocket_http2 on;
            server {{ listen 127.0.0.1:%PORT% ssl http2 proxy_protocol; {PROXIES} }}"
        ),
    )
    .start();
    let wire = Wire::connect_http2_behind(
        nginx.port(),
        &certificate,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n",
    );
    let mut session = Session::over(wire.unwrap());
    session.wait(|session| session.connects == Some(true));
    let stream = session.establish("/chat");
    session.echo(stream, Frame::text("hello"));
}

#[test]
fn a_request_that_is_no_connect_has_come_over_http2_as_well() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ];
    let stream = session.request(&fields, END_STREAM);
    assert_eq!(session.status(stream), 200);
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert_eq!(outcomes, ["200 /chat http2   "]);
}
