//! `websocket_max_message_size`, `websocket_rate`, and nginx's `limit_conn`.

use std::time::{Duration, Instant};

use nginx_tests::{Certificate, Client, Frame, Handshake, Nginx, ScriptedBackend, wait_until};

use crate::case::{
    active, assert_ended, backend, ended, frames, http, join, location, server, tunnelled,
    wait_for_frames,
};

/// Asserts that both sides get a 1009, and the upstream these frames and no byte more.
#[track_caller]
fn assert_too_big(nginx: &Nginx, mut client: Client, backend: &ScriptedBackend, before: &[Frame]) {
    loop {
        let frame = client.frame();
        if frame.opcode == 8 {
            break assert_eq!(frame, Frame::close(1009, ""));
        }
    }
    client
        .send(Frame::close(1009, "").masked().bytes())
        .unwrap();
    client.read_until_close();
    assert_ended(nginx, ("nginx", "message-too-big", "1009"), "warn");
    let (frames, rest) = frames(backend, 0);
    let (close, passed) = frames.split_last().unwrap();
    assert_eq!(close.close_code(), Some(1009));
    assert!(close.mask.is_some());
    assert!(passed == before, "{} frames", passed.len());
    assert_eq!(rest, b"");
}

fn limited() -> (ScriptedBackend, Nginx) {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_max_message_size 1000;", &backend).start();
    (backend, nginx)
}

#[test]
fn a_message_of_the_limit_passes_and_a_larger_one_does_not() {
    let (backend, nginx) = limited();
    let mut client = join(&nginx);
    let passes = Frame::binary(vec![1; 1000]);
    for _ in 0..3 {
        client.send(passes.clone().masked().bytes()).unwrap();
        assert_eq!(client.frame(), passes);
    }
    client
        .send(Frame::binary(vec![1; 1001]).masked().bytes())
        .unwrap();
    let passed = vec![passes.masked(); 3];
    assert_too_big(&nginx, client, &backend, &passed);
}

#[test]
fn fragments_are_added_up() {
    let (backend, nginx) = limited();
    let mut client = join(&nginx);
    let passed = [
        Frame::binary(vec![1; 400]).unfinished().masked(),
        Frame::new(9, vec![2; 125]).masked(),
        Frame::new(0, vec![3; 600]).unfinished().masked(),
        Frame::new(0, "").unfinished().masked(),
    ];
    for frame in &passed {
        client.send(frame.bytes()).unwrap();
    }
    client.send(Frame::new(0, "x").masked().bytes()).unwrap();
    assert_too_big(&nginx, client, &backend, &passed);
}

#[test]
fn a_message_that_only_says_it_is_large() {
    for length in [1001u64, 1 << 31, 1 << 62] {
        let (backend, nginx) = limited();
        let mut client = join(&nginx);
        let mut header = Frame::binary("").masked().bytes();
        header.splice(1..2, [0xFF].into_iter().chain(length.to_be_bytes()));
        if length < 65_536 {
            header = Frame::binary(vec![0; length as usize]).masked().bytes();
            header.truncate(8);
        }
        client.send(Frame::text("before").masked().bytes()).unwrap();
        client.send(&header).unwrap();
        loop {
            let frame = client.frame();
            if frame.opcode == 8 {
                break assert_eq!(frame, Frame::close(1009, ""));
            }
        }
        // The client doesn't finish its frame, and doesn't answer: it leaves.
        drop(client);
        assert_eq!(ended(&nginx).why(), ("nginx", "message-too-big", "1009"));
        let frames = frames(&backend, 0);
        assert_eq!(frames.0[0], Frame::text("before").masked());
        assert_eq!((frames.0.len(), frames.1), (2, vec![]));
    }
}

#[test]
fn headers_that_come_byte_by_byte() {
    let (backend, nginx) = limited();
    let mut client = join(&nginx);
    let passes = Frame::binary(vec![9; 300]);
    let large = Frame::binary(vec![1; 70_000]).masked().bytes();
    for byte in passes.clone().masked().bytes() {
        client.send([byte]).unwrap();
    }
    assert_eq!(client.frame(), passes);
    for byte in &large[..14] {
        client.send([*byte]).unwrap();
        // So that nginx reads each alone.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_too_big(&nginx, client, &backend, &[passes.masked()]);
}

#[test]
fn headers_cut_anywhere() {
    let passes = Frame::binary(vec![9; 300]).masked().bytes();
    let large = Frame::binary(vec![1; 70_000]).masked().bytes();
    for cut in [1, 2, 3, 9, 13] {
        let (backend, nginx) = limited();
        let mut client = join(&nginx);
        client.send([&passes, &large[..cut]].concat()).unwrap();
        client.frame();
        // The beginning of the header is held back.
        assert_eq!(tunnelled(&backend, 0).len(), passes.len());
        client.send(&large[cut..200]).unwrap();
        let passed = [Frame::binary(vec![9; 300]).masked()];
        // The rest of the frame comes when the Close is on its way.
        client.send(&large[200..]).unwrap();
        assert_too_big(&nginx, client, &backend, &passed);
    }
}

#[test]
fn a_message_in_the_handshake_s_segment() {
    let (backend, nginx) = limited();
    let mut client = Client::connect(nginx.port());
    let large = Frame::binary(vec![1; 1001]).masked().bytes();
    client
        .send([Handshake::new("/").bytes(), large].concat())
        .unwrap();
    assert_eq!(client.read_head().unwrap().status(), 101);
    assert_too_big(&nginx, client, &backend, &[]);
}

#[test]
fn the_upstream_s_messages_are_not_limited() {
    let backend = backend(|conn| {
        conn.send(Frame::binary(vec![1; 100_000]).bytes())?;
        conn.echo_frames()
    });
    let nginx = server("websocket_max_message_size 1000;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame().payload.len(), 100_000);
    client.close_politely();
}

#[test]
fn through_tls() {
    let certificate = Certificate::localhost();
    let backend = backend(|conn| conn.echo_frames());
    let lines = "proxy_pass http://%BACKEND%; websocket_max_message_size 1000;";
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
    client
        .send(Frame::binary(vec![1; 100_000]).masked().bytes())
        .unwrap();
    assert_too_big(&nginx, client, &backend, &[Frame::text("hello").masked()]);
}

// Rate.

#[test]
fn bytes_from_the_client_are_slowed_down() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_rate 100k;", &backend).start();
    let mut client = join(&nginx);
    // The first second's worth goes at once.
    client.echo("at once");
    let started = Instant::now();
    let message = Frame::binary(vec![5; 300 * 1024]);
    client.send(message.clone().masked().bytes()).unwrap();
    assert!(client.frame() == message);
    let took = started.elapsed();
    assert!((1800..6000).contains(&took.as_millis()), "{took:?}");
    // A tunnel that is slowed down is still closed at once.
    drop(client);
    assert_eq!(ended(&nginx).why(), ("client", "no-close-frame", "-"));
}

/// Each millisecond earns less than two bytes, and what is less than a whole one is not lost.
#[test]
fn a_rate_holds_for_small_pieces_too() {
    const RATE: f64 = 1900.0;
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_rate 1900;", &backend).start();
    let mut client = join(&nginx);
    let frames = Frame::binary([1; 10]).masked().bytes().repeat(2000);
    let mut pieces = frames.chunks(3);
    let started = Instant::now();
    let mut sent = 0.0;
    while started.elapsed() < Duration::from_secs(4) {
        let piece = pieces.next().unwrap();
        client.send(piece).unwrap();
        sent += piece.len() as f64;
        std::thread::sleep(Duration::from_millis(1));
    }
    let came = tunnelled(&backend, 0).len() as f64;
    let seconds = started.elapsed().as_secs_f64();
    // A second's worth was there at the start.
    let most = (seconds + 1.0) * RATE;
    // A busy machine may send less than that.
    let least = most.min(sent) * 0.85;
    assert!(
        (least..most * 1.01).contains(&came),
        "{came} of {sent}, where {most} may come"
    );
}

#[test]
fn bytes_from_the_upstream_are_not_slowed_down() {
    let backend = backend(|conn| {
        conn.send(Frame::binary(vec![5; 1 << 20]).bytes())?;
        conn.hang()
    });
    let nginx = server("websocket_rate 10k;", &backend).start();
    let started = Instant::now();
    let mut client = join(&nginx);
    assert_eq!(client.frame().payload.len(), 1 << 20);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_slowed_down_tunnel_can_be_ended() {
    // The client's answer to the Close comes behind two seconds' worth of bytes.
    let backend = backend(|conn| conn.echo_frames());
    let lines = "websocket_rate 1k; websocket_max_lifetime 500ms;";
    let nginx = server(lines, &backend).start();
    let mut client = join(&nginx);
    client
        .send(Frame::binary(vec![5; 3000]).masked().bytes())
        .unwrap();
    assert_eq!(client.frame(), Frame::close(1001, ""));
    let since = Instant::now();
    client
        .send(Frame::close(1001, "").masked().bytes())
        .unwrap();
    client.read_until_close();
    let took = since.elapsed();
    assert!((500..4000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(ended(&nginx).why(), ("nginx", "lifetime", "1001"));
}

#[test]
fn a_client_that_has_left_is_not_heard_for_ever() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_rate 2k; websocket_timeout 1s;", &backend).start();
    let mut client = join(&nginx);
    let message = Frame::binary([1; 94]).masked().bytes();
    client.send(message.repeat(500)).unwrap();
    client.finish().unwrap();
    assert_eq!(ended(&nginx).why(), ("nginx", "rate", "1008"));
    // What may come in the first moment, and what may in a second; a frame of 100 bytes each.
    let (frames, _) = frames(&backend, 0);
    assert!((25..100).contains(&frames.len()), "{}", frames.len());
}

// limit_conn.

#[test]
fn limit_conn_counts_a_tunnel_for_its_whole_life() {
    let backend = backend(|conn| conn.echo_frames());
    let http = format!(
        "limit_conn_zone $binary_remote_addr zone=tunnels:1m; {}",
        http("limit_conn tunnels 2;")
    );
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let (mut first, mut second) = (join(&nginx), join(&nginx));
    for _ in 0..3 {
        let refused = Client::connect(nginx.port()).ask(&Handshake::new("/"));
        assert_eq!(refused.status(), 503);
        first.echo("long after its handshake");
        second.echo("long after its handshake");
    }
    first.close_politely();
    wait_until("the first tunnel to be gone", || active(&nginx) == 1);
    let mut third = join(&nginx);
    third.echo("in its place");
    let refused = Client::connect(nginx.port()).ask(&Handshake::new("/"));
    assert_eq!(refused.status(), 503);
    wait_for_frames(&backend, 2, 1);
}
