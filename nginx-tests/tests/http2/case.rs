//! What these tests share.

use std::fmt::Display;
use std::net::{SocketAddr, TcpStream};

use nginx_tests::environment::nginx_version;
use nginx_tests::http2::session::Session;
use nginx_tests::nginx::Setup;
use nginx_tests::wire::{Socket, Wire};
use nginx_tests::{Certificate, Nginx, ScriptedBackend};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};

/// An nginx with TLS and HTTP/2 whose server has this text, in front of a backend. Its access log is `outcome.log`.
pub fn server(certificate: &Certificate, backend: &ScriptedBackend, text: impl Display) -> Setup {
    http(
        certificate,
        backend,
        format!(
            "websocket on; websocket_http2 on;
            server {{ listen 127.0.0.1:%PORT% ssl http2; server_name localhost; {text} }}"
        ),
    )
}

/// The same with this text for all servers.
pub fn http(certificate: &Certificate, backend: &ScriptedBackend, text: impl Display) -> Setup {
    Nginx::http(format!(
        "log_format outcome escape=none '$status $request_uri $websocket_transport $websocket_state $websocket_cause $websocket_close_code';
        access_log logs/outcome.log outcome;
        ssl_certificate cert.pem; ssl_certificate_key key.pem;
        {text}"
    ))
    .certificate(certificate)
    .set("BACKEND", backend.address())
    // nginx 1.25.1 and later have a directive for it.
    .allow_log("the \"listen ... http2\" directive is deprecated")
}

/// A location that proxies.
pub const PROXIES: &str = "location / { proxy_pass http://%BACKEND%; }";

/// How many requests a connection may have, which HTTP/2 had a directive of its own for.
pub fn at_most_requests(count: usize) -> String {
    let name = if has_directives_of_its_own() {
        "http2_max_requests"
    } else {
        "keepalive_requests"
    };
    format!("{name} {count};")
}

/// That fields of a request may be long, likewise.
pub fn with_long_fields() -> &'static str {
    if has_directives_of_its_own() {
        "http2_max_field_size 16k; http2_max_header_size 64k;"
    } else {
        "large_client_header_buffers 4 16k;"
    }
}

fn has_directives_of_its_own() -> bool {
    nginx_version() < (1, 19, 7)
}

/// A backend, an nginx in front of it, and a client's connection that can have WebSockets.
pub fn connected(backend: &ScriptedBackend, text: &str) -> (Nginx, Session) {
    let certificate = Certificate::localhost();
    let nginx = server(&certificate, backend, text).start();
    let session = Session::ready(nginx.port(), &certificate);
    (nginx, session)
}

/// A backend that keeps a handshake for `/late` waiting until it is resumed.
pub fn late() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        if request.start.contains("/late") {
            conn.pause()?;
        }
        conn.accept(&request)?;
        conn.echo_frames()
    })
}

/// A client without TLS that has windows for all that comes, and a socket that takes little of it.
pub fn with_a_small_socket(nginx: &Nginx, room: usize) -> Session {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // Before it connects: what a peer was once given room for it may send.
    set_socket_recv_buffer_size(&socket, room).unwrap();
    connect(&socket, &SocketAddr::from(([127, 0, 0, 1], nginx.port()))).unwrap();
    let socket = TcpStream::from(socket);
    let wire = Wire::plain(Socket::Tcp(socket)).unwrap();
    let mut session = Session::over_with_window(wire, 64 << 20);
    session.credit(0, 64 << 20);
    session.wait(|session| session.connects == Some(true));
    session
}
