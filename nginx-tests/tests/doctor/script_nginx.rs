//! scripts/check-websocket.sh before an nginx that does not carry WebSocket.

use nginx_tests::{Nginx, ScriptedBackend};

use crate::script::names;

/// `websocket on` forgotten, and what nginx serves without an upstream.
#[test]
fn behind_nginx() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let status = match head.start.as_str() {
            start if start.ends_with("HTTP/1.0") => "505 HTTP Version Not Supported",
            start if start.starts_with("GET /missing ") => "404 Not Found",
            _ if head.has_token("Upgrade", "websocket") => "403 Forbidden",
            _ => "400 Bad Request",
        };
        conn.send(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        ))
    });
    let nginx = Nginx::server(
        "root html;
         location /off { proxy_http_version 1.1; proxy_pass http://%BACKEND%; }
         location /missing { proxy_http_version 1.1; proxy_pass http://%BACKEND%; }
         location /old { proxy_http_version 1.0; proxy_pass http://%BACKEND%; }
         location /on { websocket on; proxy_pass http://%BACKEND%; }",
    )
    .file("html/page.html", "<p>Welcome</p>")
    .set("BACKEND", backend.address())
    .start();
    for (path, cause) in [
        ("off", "upgrade-missing"),
        ("missing", "upgrade-missing"),
        ("old", "http-version"),
        ("on", "upstream-forbidden"),
        ("page.html", "local-status"),
    ] {
        let url = format!("ws://127.0.0.1:{}/{path}", nginx.port());
        names(&url, cause, &[]);
    }
}
