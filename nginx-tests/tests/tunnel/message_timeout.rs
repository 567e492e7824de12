//! `websocket_message_timeout`.

use std::time::{Duration, Instant};

use nginx_tests::{Certificate, Client, Frame, Nginx, ScriptedBackend, patient};

use crate::case::{assert_ended, backend, ended, join, location, server, wait_for_frames};

/// Sends Pings, and answers nginx's, until a Close comes; answers that. How long it took.
#[track_caller]
fn ping_until_closed(mut client: Client) -> Duration {
    let since = Instant::now();
    while since.elapsed() < patient(Duration::from_secs(10)) {
        let ping = Frame::new(9, "still here").masked().bytes();
        client.send(ping).unwrap();
        loop {
            let frame = client.frame();
            match frame.opcode {
                8 => {
                    assert_eq!(frame, Frame::close(1001, ""));
                    let took = since.elapsed();
                    client.send(frame.masked().bytes()).unwrap();
                    client.read_until_close();
                    return took;
                }
                9 => client
                    .send(Frame::new(10, frame.payload).masked().bytes())
                    .unwrap(),
                // The upstream's answer.
                _ => break,
            }
        }
    }
    panic!("no Close came");
}

fn echo() -> ScriptedBackend {
    backend(|conn| conn.echo_frames())
}

#[test]
fn pings_and_pongs_keep_no_tunnel() {
    let backend = echo();
    let lines = "websocket_message_timeout 700ms; websocket_timeout 300ms;
        websocket_ping 50ms timeout=5s to=both;";
    let nginx = server(lines, &backend).start();
    let mut client = join(&nginx);
    client.echo("the only message");
    let took = ping_until_closed(client);
    assert!((650..4000).contains(&took.as_millis()), "{took:?}");
    assert_ended(&nginx, ("nginx", "message-timeout", "1001"), "warn");
    let frames = wait_for_frames(&backend, 0, 3);
    let close = frames.last().unwrap();
    assert_eq!(close.close_code(), Some(1001));
}

#[test]
fn where_it_is_not_set_they_do() {
    let backend = echo();
    let nginx = server("websocket_timeout 400ms;", &backend).start();
    let mut client = join(&nginx);
    for _ in 0..8 {
        client.send(Frame::new(9, "").masked().bytes()).unwrap();
        assert_eq!(client.frame(), Frame::new(10, ""));
        assert!(client.silent_for(Duration::from_millis(150)));
    }
    client.close_politely();
    assert_eq!(ended(&nginx).why(), ("client", "normal", "1000"));
}

#[test]
fn messages_keep_it_whoever_sends_them() {
    let backend = backend(|conn| {
        for _ in 0..5 {
            let frame = conn.read_frame()?;
            // Half of them are the upstream's, without a word of the client's.
            if frame.opcode == 9 {
                conn.send(Frame::text("of the upstream").bytes())?;
            }
        }
        conn.echo_frames()
    });
    let nginx = server("websocket_message_timeout 800ms;", &backend).start();
    let mut client = join(&nginx);
    let since = Instant::now();
    for round in 0..5 {
        assert!(client.silent_for(Duration::from_millis(450)));
        if round % 2 == 0 {
            client.send(Frame::new(9, "").masked().bytes()).unwrap();
            assert_eq!(client.frame(), Frame::text("of the upstream"));
        } else {
            let fragment = Frame::new(if round == 1 { 1 } else { 0 }, "");
            let fragment = if round == 1 {
                fragment.unfinished()
            } else {
                fragment
            };
            client.send(fragment.masked().bytes()).unwrap();
        }
    }
    assert!(since.elapsed() > Duration::from_millis(1600));
    let took = ping_until_closed(client);
    assert!((700..4000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(ended(&nginx).why(), ("nginx", "message-timeout", "1001"));
}

#[test]
fn levels_inherit_it() {
    let backend = echo();
    let http = "websocket on; websocket_message_timeout 300ms; websocket_timeout 1h;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; }
            location /off/ { proxy_pass http://%BACKEND%; websocket_message_timeout off; }
        }";
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let mut off = Client::connect(nginx.port());
    off.establish("/off/");
    ping_until_closed(join(&nginx));
    off.echo("still there");
}

#[test]
fn through_tls() {
    let certificate = Certificate::localhost();
    let backend = echo();
    let lines = "proxy_pass http://%BACKEND%; websocket_message_timeout 400ms;";
    let http = location(lines).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    let nginx = Nginx::http(http)
        .certificate(&certificate)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect_tls(nginx.port(), &certificate);
    client.establish("/");
    client.echo("hello");
    let took = ping_until_closed(client);
    assert!((350..4000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(ended(&nginx).why(), ("nginx", "message-timeout", "1001"));
}
