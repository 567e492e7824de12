//! Clients that answer nginx's own Pings and Closes unmasked, as some do, and sides that don't answer.

use std::time::{Duration, Instant};

use nginx_tests::{Certificate, Client, Frame, Listen, Nginx, ScriptedBackend};

use crate::case::{Ended, all_ended, assert_ended, backend, ended, frames, join, location, server};

/// Much less than a closing handshake may last.
const SOON: Duration = Duration::from_secs(3);

const PING: u8 = 9;
const CLOSE: u8 = 8;

/// A backend that echoes, and a client in a tunnel to it, over TLS on both sides or on none.
fn connect(tls: bool, lines: &str) -> (ScriptedBackend, Nginx, Client) {
    let certificate = Certificate::localhost();
    let listen = if tls {
        Listen::Tls(certificate.clone())
    } else {
        Listen::Tcp
    };
    let backend = ScriptedBackend::on(listen, |conn| {
        let handshake = conn.read_request()?.head;
        conn.accept(&handshake)?;
        conn.echo_frames()
    });
    let scheme = if tls { "https" } else { "http" };
    let http = location(&format!("proxy_pass {scheme}://%BACKEND%; {lines}")).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT%; listen 127.0.0.1:%TLSPORT% ssl;
         ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    let nginx = Nginx::http(http)
        .certificate(&certificate)
        .set("BACKEND", backend.address())
        .start();
    let mut client = if tls {
        Client::connect_tls(nginx.port_of("TLSPORT"), &certificate)
    } else {
        Client::connect(nginx.port())
    };
    client.establish("/");
    (backend, nginx, client)
}

/// The next frame that is no Ping; those are answered unmasked.
fn next_frame(client: &mut Client) -> Frame {
    loop {
        let frame = client.frame();
        if frame.opcode != PING {
            return frame;
        }
        client.send(Frame::new(10, frame.payload).bytes()).unwrap();
    }
}

#[test]
fn an_unmasked_pong_reaches_nobody() {
    for tls in [false, true] {
        let (backend, nginx, mut client) = connect(tls, "websocket_ping 150ms timeout=10s;");
        for round in 0..3 {
            let ping = client.frame();
            assert_eq!((ping.opcode, ping.payload.len()), (PING, 4));
            // A byte at a time, the next message behind it at once.
            for byte in Frame::new(10, ping.payload).bytes() {
                client.send([byte]).unwrap();
            }
            let text = Frame::text(&format!("message {round}"));
            client.send(text.clone().masked().bytes()).unwrap();
            assert_eq!(next_frame(&mut client), text);
        }
        client
            .send(Frame::close(1000, "").masked().bytes())
            .unwrap();
        assert_eq!(next_frame(&mut client), Frame::close(1000, ""));
        client.read_until_close();
        assert_ended(&nginx, ("client", "normal", "1000"), "info");
        assert_ne!(&ended(&nginx)["websocket_ping_rtt"], "-");
        let (got, rest) = frames(&backend, 0);
        let opcodes: Vec<u8> = got.iter().map(|frame| frame.opcode).collect();
        assert_eq!((&opcodes[..], rest.len()), (&[1, 1, 1, CLOSE][..], 0));
        assert_eq!(nginx.log_lines("not WebSocket frames"), [""; 0]);
    }
}

#[test]
fn pongs_that_are_a_peer_s_own_arrive() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_ping 150ms timeout=10s;", &backend).start();
    let mut client = join(&nginx);
    let ping = client.frame();
    let own = [
        Frame::new(10, "").masked(),
        Frame::new(10, "heartbeat").masked(),
        // Wrong, but nginx has not asked for it.
        Frame::new(10, "heart"),
    ];
    let answer = Frame::new(10, ping.payload).bytes();
    let all = [own.each_ref().map(Frame::bytes).concat(), answer].concat();
    client.send(all).unwrap();
    client
        .send(Frame::text("the end").masked().bytes())
        .unwrap();
    assert_eq!(next_frame(&mut client), Frame::text("the end"));
    let (got, _) = frames(&backend, 0);
    assert_eq!(got[..3], own);
    assert_eq!(got[3].opcode, 1);
}

#[test]
fn a_close_is_answered_unmasked() {
    for tls in [false, true] {
        let (backend, nginx, mut client) = connect(tls, "websocket_max_lifetime 500ms;");
        client.echo("hello");
        assert_eq!(next_frame(&mut client), Frame::close(1001, ""));
        let since = Instant::now();
        // A message that was under way comes first.
        let late = Frame::text("too late").masked().bytes();
        client
            .send([late, Frame::close(1001, "").bytes()].concat())
            .unwrap();
        client.read_until_close();
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        assert_ended(&nginx, ("nginx", "lifetime", "1001"), "info");
        let (got, rest) = frames(&backend, 0);
        assert_eq!((got.len(), rest.len()), (2, 0), "{got:?}");
        assert!(got[1].opcode == CLOSE && got[1].mask.is_some());
        assert_eq!(nginx.log_lines("not WebSocket frames"), [""; 0]);
    }
}

#[test]
fn bytes_that_are_no_frames_end_the_wait_for_a_close() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_max_lifetime 500ms;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::close(1001, ""));
    let since = Instant::now();
    client.send("\u{3}\u{4} goodbye").unwrap();
    client.read_until_close();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    let (got, rest) = frames(&backend, 0);
    assert_eq!((got.len(), rest.len()), (1, 0), "{got:?}");
}

#[test]
fn a_dead_client_is_not_waited_for() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_ping 150ms timeout=300ms;", &backend).start();
    let mut client = join(&nginx);
    let since = Instant::now();
    assert_eq!(client.frame().opcode, PING);
    assert_eq!(client.frame(), Frame::close(1001, ""));
    client.read_until_close();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_ended(&nginx, ("nginx", "ping-timeout", "1001"), "warn");
}

#[test]
fn a_dead_upstream_is_not_waited_for() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_ping 150ms timeout=300ms to=upstream;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::close(1001, ""));
    let since = Instant::now();
    client.send(Frame::close(1001, "").bytes()).unwrap();
    client.read_until_close();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_ended(&nginx, ("nginx", "ping-timeout", "1001"), "warn");
}

#[test]
fn a_drain_is_answered_unmasked_by_many() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 500ms;", &backend).start();
    let mut clients: Vec<Client> = (0..20).map(|_| join(&nginx)).collect();
    let since = Instant::now();
    nginx.reload();
    for client in &mut clients {
        let close = client.frame();
        assert_eq!(close.opcode, CLOSE);
        client.send(close.bytes()).unwrap();
        client.read_until_close();
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    let all: Vec<Ended> = all_ended(&nginx, clients.len());
    assert!(all.iter().all(|ended| ended.why().1 == "drain"), "{all:?}");
}
