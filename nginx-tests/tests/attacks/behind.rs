//! Data behind a handshake that fails: whoever believes that there is a tunnel must not have it read as a
//! request.

use nginx_tests::http::Head;
use nginx_tests::{Certificate, Client, Handshake, Nginx, ScriptedBackend, wait_until};

use crate::case::{asked, guarded, refusing, smuggled};

/// Sends a handshake with a request behind it, and asserts that the answer has this status, is the last
/// one, and that the other request is read by nobody.
#[track_caller]
fn is_the_last(client: &mut Client, handshake: Handshake, status: u16) {
    let request = handshake.body(smuggled("/open"));
    client.send(request.bytes()).expect("nginx reads");
    let head = client.read_head().expect("nginx answers");
    assert_eq!(head.status(), status, "{}", head.text());
    assert_eq!(head.lines("Connection"), ["Connection: close"]);
    client.read_body(&head).expect("the whole body comes");
    assert_eq!(client.read_until_close(), b"");
}

fn unknown_version() -> Handshake {
    Handshake::new("/chat").set("Sec-WebSocket-Version", "1777")
}

#[test]
fn a_request_behind_a_handshake_that_the_upstream_refuses_is_not_read() {
    let backend = ScriptedBackend::start(refusing);
    let nginx = guarded("", &backend);
    is_the_last(&mut Client::connect(nginx.port()), unknown_version(), 426);
    is_the_last(
        &mut Client::connect(nginx.port()),
        Handshake::new("/chat"),
        426,
    );
    assert_eq!(
        nginx.stop().matches("websocket handshake failed").count(),
        2
    );
    assert_eq!(asked(&backend), ["GET /chat HTTP/1.1"; 2]);
}

#[test]
fn nor_behind_one_that_nginx_refuses() {
    let backend = ScriptedBackend::standard();
    let nginx = guarded(
        "websocket_handshake strict; websocket_allow_origin same none;",
        &backend,
    );
    for (handshake, status) in [
        (unknown_version(), 426),
        (Handshake::new("/chat").method("PUT"), 405),
        (Handshake::new("/chat").without("Sec-WebSocket-Key"), 400),
        (
            Handshake::new("/chat").add("Origin", "https://evil.example"),
            403,
        ),
        (Handshake::new("/private"), 403),
    ] {
        is_the_last(&mut Client::connect(nginx.port()), handshake, status);
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn nor_behind_one_that_is_answered_before_it_is_judged() {
    let nginx = Nginx::server("websocket on; location / { return 301 /elsewhere; }").start();
    is_the_last(&mut Client::connect(nginx.port()), Handshake::new("/"), 301);
    let nginx = Nginx::server("websocket on; location / { return 200 hello; }").start();
    is_the_last(&mut Client::connect(nginx.port()), Handshake::new("/"), 200);
}

/// Any status but 101 is a failure, that of a success too.
#[test]
fn nor_behind_one_that_is_answered_with_a_page() {
    let backend = ScriptedBackend::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let nginx = guarded("", &backend);
    is_the_last(&mut Client::connect(nginx.port()), Handshake::new("/"), 200);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn nor_by_tls() {
    let (backend, certificate) = (ScriptedBackend::start(refusing), Certificate::localhost());
    let nginx = Nginx::server(
        "listen 127.0.0.1:%TLSPORT% ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        location / { proxy_pass http://%BACKEND%; websocket on; }
        location /open { proxy_pass http://%BACKEND%; }",
    )
    .certificate(&certificate)
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    is_the_last(&mut client, Handshake::new("/chat"), 426);
    assert_eq!(asked(&backend), ["GET /chat HTTP/1.1"]);
}

/// The head is read by itself here; what follows waits in the socket while the upstream is asked.
#[test]
fn nor_what_comes_while_the_upstream_is_asked() {
    for secure in [false, true] {
        let certificate = Certificate::localhost();
        let backend = ScriptedBackend::start(|conn| {
            conn.read_request()?;
            conn.pause()?;
            conn.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            conn.hang()
        });
        let nginx = Nginx::server(
            "listen 127.0.0.1:%TLSPORT% ssl;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            location / { proxy_pass http://%BACKEND%; websocket on; }",
        )
        .certificate(&certificate)
        .set("BACKEND", backend.address())
        .start();
        let mut client = if secure {
            Client::connect_tls(nginx.port_of("TLSPORT"), &certificate)
        } else {
            Client::connect(nginx.port())
        };
        client.send(Handshake::new("/chat").bytes()).unwrap();
        backend.request(0);
        client.send(smuggled("/open")).unwrap();
        wait_until("the kernel to have brought it to nginx", || {
            is_waiting(&nginx)
        });
        backend.resume();
        let head = client.read_head().unwrap();
        assert_eq!((head.status(), connection(&head)), (404, "close"));
        assert_eq!(client.read_until_close(), b"");
        assert_eq!(backend.requests().len(), 1);
    }
}

/// Whether bytes that nginx has not read are in one of its sockets, as the kernel lists them.
fn is_waiting(nginx: &Nginx) -> bool {
    let table =
        std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let ports = ["PORT", "TLSPORT"].map(|name| format!(":{:04X}", nginx.port_of(name)));
    table.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, queues, ..] = columns.as_slice() else {
            return false;
        };
        let is_nginx_s = ports.iter().any(|port| local.ends_with(port));
        is_nginx_s && *state == "01" && !queues.ends_with(":00000000")
    })
}

fn connection(head: &Head) -> &str {
    head.header("Connection").unwrap_or_default()
}

/// A client that waits for its answer loses nothing: it may ask again.
#[test]
fn a_client_that_waits_keeps_its_connection() {
    let backend = ScriptedBackend::start(refusing);
    let nginx = guarded("", &backend);
    let mut client = Client::connect(nginx.port());
    for _ in 0..3 {
        let answer = client.exchange(&unknown_version());
        assert_eq!(
            (answer.status(), connection(&answer.head)),
            (426, "keep-alive")
        );
    }
    assert_eq!(client.exchange(&Handshake::plain("/open")).text(), "plain");
}

/// Plain requests may be pipelined, those that have a handshake's headers left too.
#[test]
fn plain_requests_may_be_pipelined() {
    let backend = ScriptedBackend::start(refusing);
    let nginx = guarded("", &backend);
    for first in [
        Handshake::plain("/open"),
        Handshake::plain("/"),
        Handshake::plain("/").add("Sec-WebSocket-Version", "13"),
    ] {
        let mut client = Client::connect(nginx.port());
        client.send(first.body(smuggled("/open")).bytes()).unwrap();
        let head = client.read_head().unwrap();
        assert_eq!((head.status(), connection(&head)), (200, "keep-alive"));
        client.read_body(&head).unwrap();
        assert_eq!(client.read_head().unwrap().status(), 200);
    }
}

/// Likewise where they fail before they are judged.
#[test]
fn plain_requests_that_fail_may_be_pipelined() {
    let nginx = Nginx::server("websocket on; location / { return 410; }").start();
    let first = Handshake::plain("/").add("Sec-WebSocket-Version", "13");
    let mut client = Client::connect(nginx.port());
    client.send(first.body(smuggled("/open")).bytes()).unwrap();
    let head = client.read_head().unwrap();
    assert_eq!((head.status(), connection(&head)), (410, "keep-alive"));
    client.read_body(&head).unwrap();
    assert_eq!(client.read_head().unwrap().status(), 410);
}
