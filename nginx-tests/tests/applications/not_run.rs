//! The applications that are not run: their locations, with the bytes that they would send.

use nginx_tests::backend::{Conn, switching_protocols};
use nginx_tests::{Certificate, Client, Frame, Handshake, Listen, Nginx, ScriptedBackend};

use crate::page::location;

/// What `docker attach` sends, and what the daemon answers: neither speaks WebSocket's frames.
#[test]
fn docker() {
    let daemon = ScriptedBackend::start(|conn: &mut Conn| {
        let head = conn.read_request()?.head;
        assert_eq!(head.header("Upgrade"), Some("tcp"));
        conn.send(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
             Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        )?;
        let typed = conn.read_until(b"\n")?;
        conn.send(typed.to_ascii_uppercase())
    });
    let text = location("Docker")
        .replace("listen 80;", "listen 127.0.0.1:%PORT%;")
        .replace("127.0.0.1:2375", &daemon.address());
    let nginx = Nginx::http(text).start();

    let attach = Handshake::plain("/v1.45/containers/abc/attach?stdin=1&stdout=1&stream=1")
        .method("POST")
        .add("Content-Type", "text/plain")
        .add("Content-Length", "0")
        .add("Connection", "Upgrade")
        .add("Upgrade", "tcp");
    let mut client = Client::connect(nginx.port());
    let answer = client.ask(&attach);
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.header("Upgrade"), Some("tcp"));
    let mut wire = client.into_wire();
    wire.send("echo hello\n").expect("a tunnel");
    let said = wire.read_until(b"\n").expect("an answer");
    assert_eq!(said, b"ECHO HELLO\n");
    wire.finish().expect("the end");
    drop(wire);
    nginx.stop();
}

/// What `kubectl port-forward` sends: SPDY's frames in those of a WebSocket.
#[test]
fn kubernetes_port_forward() {
    const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
    let certificate = Certificate::localhost();
    let server = ScriptedBackend::on(Listen::Tls(certificate.clone()), |conn: &mut Conn| {
        let head = conn.read_request()?.head;
        assert_eq!(head.header("Sec-WebSocket-Protocol"), Some(PROTOCOL));
        assert_eq!(head.header("Authorization"), Some("Bearer token"));
        let key = head.header("Sec-WebSocket-Key").unwrap_or_default();
        let chosen = format!("\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n");
        conn.send(switching_protocols(key).replace("\r\n\r\n", &chosen))?;
        conn.echo_frames()
    });
    let text = location("Kubernetes port-forward").replace("127.0.0.1:6443", &server.address());
    let nginx = Nginx::server(text).start();

    let forward = Handshake::new("/api/v1/namespaces/default/pods/web/portforward")
        .add("Sec-WebSocket-Protocol", PROTOCOL)
        .add("Authorization", "Bearer token")
        .add("User-Agent", "kubectl/v1.31.0 (linux/amd64)");
    let mut client = Client::connect(nginx.port());
    let answer = client.accepted(&forward);
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some(PROTOCOL));
    // A SYN_STREAM of SPDY 3, version and type first.
    let syn_stream = Frame::new(
        0x2,
        b"\x80\x03\x00\x01\x01\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    );
    client
        .send(syn_stream.clone().masked().bytes())
        .expect("a tunnel");
    assert_eq!(client.frame(), syn_stream);
    client.close_politely();
    nginx.stop();
}
