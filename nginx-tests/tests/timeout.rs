//! How long a tunnel may be idle, and how long a handshake may take.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::backend::{Conn, standard};
use nginx_tests::client;
use nginx_tests::{Client, EchoBackend, Frame, Handshake, Nginx, ScriptedBackend};

fn location(lines: &str) -> String {
    format!("location / {{ proxy_pass http://%BACKEND%; websocket on; {lines} }}")
}

/// The end of an idle tunnel: a Close frame, and when it is answered the end of the connection.
#[track_caller]
fn ended_as_idle(mut client: Client) {
    assert_eq!(client.frame().close_code(), Some(1001));
    client
        .send(Frame::close(1001, "").masked().bytes())
        .expect("the tunnel takes a frame");
    assert_eq!(client.read_until_close(), b"");
}

/// Reads frames and says nothing until it can answer a Close frame.
fn answer_close(conn: &mut Conn) -> io::Result<()> {
    while conn.read_frame()?.opcode != 8 {}
    conn.send(Frame::close(1001, "").bytes())
}

/// A tunnel that says something and then nothing, until it is ended for that after half a second.
#[track_caller]
fn assert_ends_after_half_a_second(lines: &str) {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(location(&format!("websocket_timeout 500ms; {lines}")))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    let idle_since = Instant::now();
    assert_eq!(client.frame().close_code(), Some(1001));
    let idle = idle_since.elapsed();
    assert!((450..3000).contains(&idle.as_millis()), "{idle:?}");
    client
        .send(Frame::close(1001, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
}

#[test]
fn websocket_timeout_ends_an_idle_tunnel() {
    assert_ends_after_half_a_second("");
}

/// The timer that nginx had set for the answer fires first, and means nothing to the tunnel.
#[test]
fn websocket_timeout_outlasts_the_answer_s_timer() {
    assert_ends_after_half_a_second("proxy_read_timeout 100ms;");
}

#[test]
fn websocket_timeout_ends_an_idle_tunnel_in_nginx_s_own_loop() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(location("websocket_timeout 500ms; websocket_tunnel off;"))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    let idle_since = Instant::now();
    assert_eq!(client.read_until_close(), b"");
    let idle = idle_since.elapsed();
    assert!((450..3000).contains(&idle.as_millis()), "{idle:?}");
}

#[test]
fn proxy_timeouts_do_not_end_an_idle_tunnel_in_nginx_s_own_loop() {
    let backend = EchoBackend::start();
    let lines = "proxy_read_timeout 300ms; proxy_send_timeout 300ms; websocket_tunnel off;";
    let nginx = Nginx::server(location(lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    assert!(client.silent_for(Duration::from_millis(1000)));
    client.echo("hello");
}

#[test]
fn websocket_timeout_is_inherited() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(format!("websocket_timeout 500ms; {}", location("")))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    ended_as_idle(client);
}

#[test]
fn proxy_timeouts_do_not_end_an_idle_tunnel() {
    let backend = EchoBackend::start();
    let lines = "proxy_read_timeout 300ms; proxy_send_timeout 300ms;";
    let nginx = Nginx::server(location(lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    assert!(client.silent_for(Duration::from_millis(1000)));
    client.echo("hello");
}

#[test]
fn websocket_timeout_off_lets_a_tunnel_idle() {
    let backend = EchoBackend::start();
    let lines = "proxy_read_timeout 300ms; proxy_send_timeout 300ms; websocket_timeout off;";
    let nginx = Nginx::server(format!("websocket_timeout 300ms; {}", location(lines)))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    assert!(client.silent_for(Duration::from_millis(1000)));
    client.echo("hello");
}

#[test]
fn data_from_the_upstream_alone_keeps_a_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        for _ in 0..6 {
            thread::sleep(Duration::from_millis(200));
            conn.send(Frame::text("tick").bytes())?;
        }
        answer_close(conn)
    });
    let nginx = Nginx::server(location("websocket_timeout 600ms;"))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    for _ in 0..6 {
        assert_eq!(client.frame(), Frame::text("tick"));
    }
    ended_as_idle(client);
}

#[test]
fn data_from_the_client_alone_keeps_a_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        answer_close(conn)
    });
    let nginx = Nginx::server(location("websocket_timeout 600ms;"))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    for _ in 0..6 {
        assert!(client.silent_for(Duration::from_millis(200)));
        client.send(Frame::text("tick").masked().bytes()).unwrap();
    }
    ended_as_idle(client);
}

#[test]
fn proxy_read_timeout_bounds_the_handshake() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.hang()
    });
    let nginx = Nginx::server(location("proxy_read_timeout 300ms;"))
        .set("BACKEND", backend.address())
        .start();
    let started = Instant::now();
    let head = Client::connect(nginx.port()).ask(&Handshake::new("/"));
    assert_eq!(head.status(), 504);
    let waited = started.elapsed();
    assert!((250..5000).contains(&waited.as_millis()), "{waited:?}");
}

#[test]
fn proxy_read_timeout_bounds_plain_requests() {
    let backend = ScriptedBackend::start(|conn| {
        if conn.read_request()?.head.target() == "/silent" {
            return conn.hang();
        }
        conn.send("HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nContent-Length: 10\r\n\r\nab")?;
        conn.hang()
    });
    let nginx = Nginx::server(location("proxy_read_timeout 300ms;"))
        .set("BACKEND", backend.address())
        .start();
    assert_eq!(client::get(nginx.port(), "/silent").status(), 504);
    let mut client = Client::connect(nginx.port());
    let head = client.ask(&Handshake::plain("/halves"));
    assert_eq!(
        (head.status(), head.header("Content-Length")),
        (200, Some("10"))
    );
    assert_eq!(client.read_until_close(), b"ab");
}

#[test]
fn proxy_read_timeout_still_holds_for_plain_requests_after_a_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        if request.header("Upgrade").is_none() {
            return conn.hang();
        }
        conn.accept(&request)?;
        conn.echo_frames()
    });
    let nginx = Nginx::server(location("proxy_read_timeout 1s;"))
        .set("BACKEND", backend.address())
        .start();
    let mut tunnel = Client::connect(nginx.port());
    tunnel.establish("/");
    tunnel.echo("hello");
    let started = Instant::now();
    assert_eq!(client::get(nginx.port(), "/").status(), 504);
    assert!(started.elapsed() < Duration::from_secs(5));
    let started = Instant::now();
    let mut second = Client::connect(nginx.port());
    second.establish("/");
    assert!(started.elapsed() < Duration::from_secs(5));
    tunnel.echo("still there");
}

#[test]
fn locations_have_timeouts_of_their_own() {
    let backend = ScriptedBackend::start(standard);
    let nginx = Nginx::server(
        "websocket on;
        location /short { proxy_pass http://%BACKEND%; websocket_timeout 400ms; }
        location /long { proxy_pass http://%BACKEND%; websocket_timeout 1h; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let (mut short, mut long) = (Client::connect(nginx.port()), Client::connect(nginx.port()));
    short.establish("/short");
    long.establish("/long");
    ended_as_idle(short);
    long.echo("hello");
}
