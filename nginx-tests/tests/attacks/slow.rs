//! Handshakes that never end.

use std::time::Duration;

use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};

const CLIENTS: usize = 300;

/// nginx's own times bound them; here it is that the module keeps nothing of one, and holds up nobody.
#[test]
fn handshakes_that_never_end_hold_up_nobody_and_end() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "client_header_timeout 1s;
        location / { proxy_pass http://%BACKEND%; websocket on; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let head = Handshake::new("/").bytes();
    let mut slow: Vec<Client> = (0..CLIENTS)
        .map(|_| Client::connect(nginx.port()))
        .collect();
    for (number, client) in slow.iter_mut().enumerate() {
        // Each stops at another byte, the last one before the end of its head.
        client.send(&head[..number % head.len()]).unwrap();
    }
    let mut quick = Client::connect(nginx.port());
    quick.establish("/");
    quick.echo("hello");
    for client in &mut slow {
        // 408 without a word, or nothing where there was no request.
        client.read_until_close();
    }
    assert_eq!(backend.connections(), 1);
    quick.echo("again");
    quick.close_politely();
}

/// An upstream that neither takes nor refuses a handshake is bounded by the time of an answer.
#[test]
fn upstreams_that_never_answer_end_too() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nUpg" {
            conn.send([*byte])?;
        }
        conn.hang()
    });
    let nginx = Nginx::server(
        "proxy_read_timeout 500ms;
        location / { proxy_pass http://%BACKEND%; websocket on; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(nginx.port())).collect();
    for client in &mut clients {
        client.send(Handshake::new("/").bytes()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.read_head().unwrap().status(), 504);
    }
    wait_until("their upstreams to be left", || {
        nginx
            .log_lines("websocket handshake failed: upstream-response-timeout")
            .len()
            == 50
    });
}

/// A client that answers nothing after its handshake is bounded by the times of a tunnel.
#[test]
fn clients_that_fall_silent_behind_their_handshake_end_too() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "location / {
            proxy_pass http://%BACKEND%;
            websocket on;
            websocket_ping 200ms timeout=200ms;
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(nginx.port())).collect();
    for client in &mut clients {
        client.establish("/");
        client.set_read_timeout(Some(Duration::from_secs(30)));
    }
    for client in &mut clients {
        client.read_until_close();
    }
}
