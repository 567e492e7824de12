//! HTTP/2 without TLS: clients that know that it is spoken here (RFC 9113 section 3.3).

use std::net::TcpStream;

use nginx_tests::environment::nginx_version;
use nginx_tests::http2::session::{END_STREAM, Session};
use nginx_tests::wire::{Socket, Wire};
use nginx_tests::{Certificate, Client, Frame, Nginx, ScriptedBackend, client};

use crate::case::{PROXIES, http, server, with_long_fields};

/// An nginx that listens so, without TLS.
fn listening(backend: &ScriptedBackend, parameters: &str) -> Nginx {
    servers(
        backend,
        &format!(
            "server {{ listen 127.0.0.1:%PORT% {parameters}; websocket_http2 on; {PROXIES} }}"
        ),
    )
}

fn servers(backend: &ScriptedBackend, servers: &str) -> Nginx {
    let text = format!("websocket on; {servers}");
    http(&Certificate::localhost(), backend, text).start()
}

/// A connection at this address, and what is sent before all else.
fn over(address: &str, port: u16, first: &str) -> Session {
    let socket = TcpStream::connect((address, port)).expect("nginx accepts");
    let mut wire = Wire::plain(Socket::Tcp(socket)).expect("a socket");
    wire.send(first).expect("nginx reads");
    Session::over(wire)
}

#[track_caller]
fn carries(session: &mut Session) {
    session.wait(|session| session.connects == Some(true));
    let (one, other) = (session.establish("/one"), session.establish("/other"));
    session.echo(one, Frame::text("hello"));
    session.echo(other, Frame::binary(vec![7; 50_000]));
    session.close(one);
    session.close(other);
}

#[test]
fn tunnels_go_over_connections_without_tls() {
    let backend = ScriptedBackend::standard();
    let nginx = listening(&backend, "http2");
    for _ in 0..5 {
        carries(&mut over("127.0.0.1", nginx.port(), ""));
    }
    let outcomes = nginx.wait_for_access("outcome.log", 10);
    assert!(
        outcomes
            .iter()
            .all(|line| line.contains(" http2 established")),
        "{outcomes:?}"
    );
}

#[test]
fn the_first_bytes_may_come_with_the_connection_or_behind_a_proxys() {
    let backend = ScriptedBackend::standard();
    for (parameters, first) in [
        ("http2 deferred", ""),
        (
            "http2 proxy_protocol",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ),
    ] {
        let nginx = listening(&backend, parameters);
        carries(&mut over("127.0.0.1", nginx.port(), first));
    }
}

#[test]
fn http_1_goes_on_where_it_is_spoken_too() {
    let backend = ScriptedBackend::standard();
    let since = nginx_version() >= (1, 25, 1);
    let also: &[&str] = if since {
        &["http2", "http2 deferred"]
    } else {
        &[]
    };
    for parameters in [&["", "deferred"][..], also].concat() {
        let nginx = listening(&backend, parameters);
        assert_eq!(client::get(nginx.port(), "/plain").body, b"plain");
        let mut tunnel = Client::connect(nginx.port());
        tunnel.establish("/chat");
        tunnel.echo("hello");
        tunnel.echo("again");
        tunnel.close_politely();
        let outcomes = nginx.wait_for_access("outcome.log", 2);
        assert!(outcomes[1].contains(" http1 established"), "{outcomes:?}");
    }
}

/// Both have the same default server.
#[test]
fn only_the_addresses_of_a_server_that_has_it_tell_of_it() {
    let backend = ScriptedBackend::standard();
    for all in ["", "server { listen %PORT% http2; return 204; }"] {
        let nginx = servers(
            &backend,
            &format!(
                "server {{ listen 127.0.0.1:%PORT% http2; listen 127.0.0.2:%PORT% http2; {PROXIES} }}
                server {{ listen 127.0.0.2:%PORT% http2; server_name other; websocket_http2 on; {PROXIES} }}
                {all}"
            ),
        );
        for (address, connects) in [("127.0.0.1", false), ("127.0.0.2", true)] {
            let mut session = over(address, nginx.port(), "");
            let plain = session.get("/plain");
            assert_eq!(session.body(plain), b"plain");
            assert_eq!(session.connects, Some(connects), "{address} {all}");
        }
    }
}

/// Who speaks HTTP to a port with TLS is told so, and what it sends behind that is not taken for a handshake.
#[test]
fn a_request_without_tls_to_a_port_with_tls_comes_to_its_end() {
    let backend = ScriptedBackend::standard();
    let nginx = server(&Certificate::localhost(), &backend, PROXIES).start();
    let workers = nginx.worker_pids();
    let behind: [&[u8]; 3] = [b"", b"more", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]];
    for more in behind {
        let mut wire = Wire::connect(nginx.port()).expect("nginx accepts");
        wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nnginx reads on behind this")
            .expect("nginx reads");
        let head = wire.read_head().expect("an answer");
        assert_eq!(head.status(), 400, "{}", head.text());
        wire.read_body(&head).expect("a page");
        wire.send(more).expect("nginx reads");
        wire.finish().expect("nginx is there");
        wire.read_to_close().expect("nginx closes");
    }
    assert_eq!(nginx.wait_for_access("outcome.log", behind.len()).len(), 3);
    assert_eq!(nginx.worker_pids(), workers);
    nginx.stop();
}

/// Whether it asks for a tunnel can only be known when it is all there, for which there is no room: it is nginx's, and
/// what comes behind it is whose it was.
#[test]
fn a_block_that_there_is_no_room_for_takes_no_tunnel_with_it() {
    let backend = ScriptedBackend::standard();
    let text = format!(
        "websocket on; http2_recv_buffer_size 8k; {}
        server {{ listen 127.0.0.1:%PORT% http2 deferred; websocket_http2 on; {PROXIES} }}",
        with_long_fields()
    );
    let nginx = http(&Certificate::localhost(), &backend, text).start();
    let mut session = over("127.0.0.1", nginx.port(), "");
    session.wait(|session| session.connects == Some(true));
    session.is_compressing = true;
    let tunnel = session.establish("/plain");
    session.echo(tunnel, Frame::text("before"));
    let value = "v".repeat(12_000);
    let plain = session.request(
        &[
            // It is in the table, which only nginx looks into.
            (":path", "/plain"),
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "localhost"),
            ("x-long", &value),
        ],
        END_STREAM,
    );
    assert_eq!(session.body(plain), b"plain");
    session.echo(tunnel, Frame::text("behind"));
    session.close(tunnel);
}
