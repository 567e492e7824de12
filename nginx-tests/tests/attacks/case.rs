//! A server with something that clients must not reach, and what became of it.

use std::io;

use nginx_tests::backend::Conn;
use nginx_tests::{Nginx, ScriptedBackend};

/// `/` is for everyone, `/private` for nobody; both are the same upstream's.
pub fn guarded(lines: &str, backend: &ScriptedBackend) -> Nginx {
    Nginx::server(format!(
        "{lines}
        websocket on;
        location / {{ proxy_pass http://%BACKEND%; }}
        location /private {{ deny all; proxy_pass http://%BACKEND%; }}"
    ))
    .set("BACKEND", backend.address())
    .start()
}

/// A request to be smuggled to a path.
pub fn smuggled(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// The lines of all requests that came to the backend.
pub fn asked(backend: &ScriptedBackend) -> Vec<String> {
    let requests = backend.requests().into_iter();
    requests.map(|request| request.head.start).collect()
}

/// Refuses every handshake as one of an unknown version, and answers other requests.
pub fn refusing(conn: &mut Conn) -> io::Result<()> {
    loop {
        let request = conn.read_request()?.head;
        conn.send(if request.has_token("Upgrade", "websocket") {
            "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"
        })?;
    }
}
