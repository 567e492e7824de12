//! Doctor and module name the same cause, for each way a handshake fails.
//!
//! A long file of short tests: what they share is at the top, and each is read by itself.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nginx_tests::backend::{self, Conn};
use nginx_tests::client::SAMPLE_ACCEPT;
use nginx_tests::http::Head;
use nginx_tests::{Certificate, Listen, Nginx, ScriptedBackend};
use tungstenite::handshake::derive_accept_key;
use websocket_protocol::Cause;

use crate::program::{examine, failure, run};

/// A port that nobody listens at, and that no test is given.
pub const NOBODY: &str = "127.0.0.1:1";

/// The cause that the module wrote into nginx's error log.
#[track_caller]
pub fn logged(nginx: &Nginx) -> String {
    let line = nginx.wait_for_log("websocket handshake failed: ");
    let (_, rest) = line
        .split_once("failed: ")
        .expect("the text it was found by");
    rest.split(':').next().unwrap_or_default().to_owned()
}

/// Asserts what the doctor says of a backend directly, of nginx that shows the module's cause, and
/// of nginx that doesn't but whose backend is known.
#[track_caller]
fn agree(cause: Cause, scheme: &str, address: &str) {
    let (browser, web) = match scheme {
        "https" => ("wss", "https"),
        _ => ("ws", "http"),
    };
    let direct = format!("{browser}://{address}/");
    let report = examine(&direct, &["--no-probes", "--insecure"]);
    assert_eq!(failure(&report), cause.name(), "directly: {report:#}");
    // TLS of the address itself is no matter of proxy_pass, which the module's advice is about.
    if cause != Cause::UpstreamTlsFailed {
        assert_eq!(report["front"]["failure"]["advice"], cause.advice());
    }

    let location = format!(
        "proxy_pass {web}://{address}; proxy_connect_timeout 500ms; proxy_read_timeout 500ms;"
    );
    let nginx = Nginx::server(format!(
        "websocket_handshake strict;
         location /told {{ websocket on; websocket_cause_header on; {location} }}
         location / {{ websocket on; {location} }}"
    ))
    .start();
    let told = examine(
        &format!("ws://127.0.0.1:{}/told", nginx.port()),
        &["--no-probes"],
    );
    assert_eq!(failure(&told), cause.name(), "through nginx: {told:#}");
    assert_eq!(logged(&nginx), cause.name());

    let untold = format!("ws://127.0.0.1:{}/", nginx.port());
    let compared = examine(&untold, &["--no-probes", "--backend", &direct]);
    assert_eq!(
        failure(&compared),
        cause.name(),
        "with --backend: {compared:#}"
    );
    assert_eq!(compared["comparison"]["verdict"], "backend-refuses");
    assert_eq!(compared["backend"]["failure"]["name"], cause.name());
}

#[track_caller]
fn doing(cause: Cause, script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) {
    let backend = ScriptedBackend::start(script);
    agree(cause, "http", &backend.address());
}

#[track_caller]
fn answering(cause: Cause, answer: &str) {
    let backend = ScriptedBackend::answering(answer);
    agree(cause, "http", &backend.address());
}

/// A 101 whose headers are made from the right accept value.
#[track_caller]
fn switching(cause: Cause, headers: fn(&str) -> String) {
    doing(cause, move |conn| {
        let head: Head = conn.read_request()?.head;
        let accept = derive_accept_key(head.header("Sec-WebSocket-Key").unwrap_or("").as_bytes());
        conn.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\n{}\r\n",
            headers(&accept)
        ))?;
        conn.hang()
    });
}

#[test]
fn unresolved() {
    // Longer than a label may be: no resolver asks anyone for it.
    let host = "a".repeat(64);
    let report = examine(&format!("ws://{host}/"), &[]);
    assert_eq!(failure(&report), "upstream-unresolved");
    let nginx = Nginx::server(format!(
        "set $upstream {host}; location / {{ websocket on; websocket_cause_header on;
         proxy_pass http://$upstream; }}"
    ))
    .start();
    let report = examine(
        &format!("ws://127.0.0.1:{}/", nginx.port()),
        &["--no-probes"],
    );
    assert_eq!(failure(&report), "upstream-unresolved");
    assert_eq!(logged(&nginx), "upstream-unresolved");
}

#[test]
fn refused() {
    agree(Cause::UpstreamRefused, "http", NOBODY);
}

#[test]
fn unreachable() {
    // The broadcast address of loopback: the kernel refuses it at once, and sends nothing.
    agree(Cause::UpstreamUnreachable, "http", "127.255.255.255:9");
}

#[test]
fn connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    rustix::net::listen(&listener, 0).expect("a shorter queue");
    let address: SocketAddr = listener.local_addr().expect("a bound socket");
    let mut full = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        full.push(stream);
    }
    agree(Cause::UpstreamConnectTimeout, "http", &address.to_string());
}

#[test]
fn tls_failed() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_bytes(1)?;
        conn.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    });
    agree(Cause::UpstreamTlsFailed, "https", &backend.address());
}

#[test]
fn closed() {
    doing(Cause::UpstreamClosed, |conn| conn.read_request().map(drop));
}

#[test]
fn closed_within_the_header() {
    doing(Cause::UpstreamClosed, |conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
    });
}

#[test]
fn reset() {
    doing(Cause::UpstreamClosed, |conn| {
        conn.read_request()?;
        conn.reset();
        Ok(())
    });
}

#[test]
fn response_timeout() {
    doing(Cause::UpstreamResponseTimeout, |conn| {
        conn.read_request()?;
        conn.hang()
    });
}

#[test]
fn response_timeout_within_the_header() {
    doing(Cause::UpstreamResponseTimeout, |conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 101 Switching ")?;
        conn.hang()
    });
}

#[test]
fn response_invalid() {
    answering(Cause::UpstreamResponseInvalid, "SSH-2.0-OpenSSH_9.2\r\n");
    let header = "HTTP/1.1 101 Switching Protocols\r\nUp\0grade: websocket\r\n\r\n";
    answering(Cause::UpstreamResponseInvalid, header);
    let tls = ScriptedBackend::on(Listen::Tls(Certificate::localhost()), backend::standard);
    agree(Cause::UpstreamResponseInvalid, "http", &tls.address());
}

#[test]
fn statuses() {
    for (status, header, cause) in [
        (
            "301 Moved Permanently",
            "Location: https://chat.example/\r\n",
            Cause::UpstreamRedirect,
        ),
        ("400 Bad Request", "", Cause::UpstreamBadRequest),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic\r\n",
            Cause::UpstreamUnauthorized,
        ),
        ("403 Forbidden", "", Cause::UpstreamForbidden),
        ("404 Not Found", "", Cause::UpstreamNotFound),
        (
            "426 Upgrade Required",
            "Sec-WebSocket-Version: 8\r\n",
            Cause::UpstreamVersion,
        ),
        ("429 Too Many Requests", "", Cause::UpstreamOverloaded),
        ("503 Service Unavailable", "", Cause::UpstreamOverloaded),
        ("200 OK", "", Cause::UpstreamNotWebsocket),
        ("500 Internal Server Error", "", Cause::UpstreamError),
        ("418 I'm a teapot", "", Cause::UpstreamStatus),
    ] {
        answering(
            cause,
            &format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\n\r\n"),
        );
    }
}

#[test]
fn response_upgrade() {
    switching(Cause::ResponseUpgrade, |accept| {
        format!("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n")
    });
}

#[test]
fn response_connection() {
    switching(Cause::ResponseConnection, |accept| {
        format!(
            "Upgrade: websocket\r\nConnection: keep-alive\r\nSec-WebSocket-Accept: {accept}\r\n"
        )
    });
}

#[test]
fn accept_missing() {
    switching(Cause::AcceptMissing, |_| {
        "Upgrade: websocket\r\nConnection: Upgrade\r\n".to_owned()
    });
}

#[test]
fn accept_mismatch() {
    switching(Cause::AcceptMismatch, |_| {
        format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n"
        )
    });
}

#[test]
fn subprotocol_not_offered() {
    switching(Cause::SubprotocolNotOffered, |accept| {
        format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
             Sec-WebSocket-Protocol: chat\r\n"
        )
    });
}

#[test]
fn extension_not_offered() {
    switching(Cause::ExtensionNotOffered, |accept| {
        format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n"
        )
    });
}

/// What nginx answers by itself is told from its own page, without the module's header.
#[test]
fn nginx_s_own_answers() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "limit_req_zone $server_name zone=one:64k rate=1r/m;
         server {
             listen 127.0.0.1:%PORT%;
             websocket on;
             location /moved { return 301 https://chat.example$request_uri; }
             location /private { auth_basic x; auth_basic_user_file none; proxy_pass http://%BACKEND%; }
             location /denied { deny all; proxy_pass http://%BACKEND%; }
             location /gone { return 404; }
             location /limited { return 503; }
             location /teapot { return 410; }
             location /origin {
                 websocket_allow_origin https://page.example;
                 websocket_cause_header on;
                 proxy_pass http://%BACKEND%;
             }
         }",
    )
    .set("BACKEND", backend.address())
    .start();
    for (at, (path, cause)) in [
        ("moved", "local-redirect"),
        ("private", "local-unauthorized"),
        ("denied", "local-forbidden"),
        ("gone", "local-not-found"),
        ("limited", "local-limited"),
        ("teapot", "local-status"),
        ("origin", "origin-not-allowed"),
    ]
    .iter()
    .enumerate()
    {
        let url = format!("ws://127.0.0.1:{}/{path}", nginx.port());
        let report = examine(&url, &["--no-probes"]);
        assert_eq!(failure(&report), *cause, "{report:#}");
        nginx_tests::wait_until("the log line", || {
            nginx.log_lines("websocket handshake failed: ").len() > at
        });
        assert_eq!(logged(&nginx), *cause);
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn none_live() {
    let nginx = Nginx::http(
        "upstream chat { server 127.0.0.1:%CLOSED_PORT% down; }
         server {
             listen 127.0.0.1:%PORT%;
             location / { websocket on; websocket_cause_header on; proxy_pass http://chat; }
         }",
    )
    .start();
    let report = examine(
        &format!("ws://127.0.0.1:{}/", nginx.port()),
        &["--no-probes"],
    );
    assert_eq!(failure(&report), "upstream-none-live");
    assert_eq!(logged(&nginx), "upstream-none-live");
}

/// A bad gateway without the module's header: every cause it may be is listed.
#[test]
fn a_bad_gateway_is_one_of_many() {
    let nginx =
        Nginx::server("location / { websocket on; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }");
    let nginx = nginx.start();
    let report = examine(
        &format!("ws://127.0.0.1:{}/", nginx.port()),
        &["--no-probes"],
    );
    assert_eq!(failure(&report), "upstream-error");
    let candidates = report["front"]["failure"]["candidates"]
        .as_array()
        .expect("a list");
    assert!(
        candidates
            .iter()
            .any(|candidate| *candidate == logged(&nginx).as_str()),
        "{report:#}"
    );
    // So many names would help nobody who reads them.
    let outcome = run([&format!("ws://127.0.0.1:{}/", nginx.port())]);
    let counted = format!("could be:   any of {} causes", candidates.len());
    assert!(outcome.out.contains(&counted), "{}", outcome.out);
}

/// A proxy in front that spoils the handshake: the nginx behind it, which has the module, says how.
#[test]
fn a_proxy_in_front() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let nginx = Nginx::http(
        "server {
             listen 127.0.0.1:%PORT%;
             location /old { proxy_pass http://127.0.0.1:%PORT2%; }
             location /stripped { proxy_http_version 1.1; proxy_pass http://127.0.0.1:%PORT2%; }
             location /half {
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade websocket;
                 proxy_set_header Connection keep-alive;
                 proxy_pass http://127.0.0.1:%PORT2%;
             }
         }
         server {
             listen 127.0.0.1:%PORT2%;
             websocket on;
             websocket_handshake strict;
             websocket_cause_header on;
             location / { proxy_pass http://%BACKEND%; }
         }",
    )
    .set("BACKEND", backend.address())
    .start();
    for (at, (path, cause)) in [
        ("stripped", "upgrade-missing"),
        ("half", "connection-not-upgrade"),
        ("old", "upgrade-missing"),
    ]
    .iter()
    .enumerate()
    {
        let url = format!("ws://127.0.0.1:{}/{path}", nginx.port());
        assert_eq!(failure(&examine(&url, &["--no-probes"])), *cause);
        nginx_tests::wait_until("the log line", || {
            nginx.log_lines("websocket handshake failed: ").len() > at
        });
        assert_eq!(logged(&nginx), *cause);
    }
}
