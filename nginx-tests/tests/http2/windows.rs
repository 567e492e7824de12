//! Flow control both ways: who does not read holds up nobody else, and holds no more than its window.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::http2::DATA;
use nginx_tests::http2::session::Session;
use nginx_tests::tunnels::accept;
use nginx_tests::{Certificate, DEADLINE, Frame, Nginx, ScriptedBackend, wait_until};

use crate::case::{PROXIES, connected, server, with_a_small_socket};

const WINDOW: u64 = 65_536;

#[test]
fn an_upstream_that_does_not_read_closes_the_window_of_its_stream() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        if request.start.contains("/slow") {
            conn.pause()?;
        }
        conn.echo_frames()
    });
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let slow = session.establish("/slow");
    let fast = session.establish("/fast");
    // Ten megabytes at most: more than any two sockets hold.
    let message = Frame::binary(vec![b's'; 10 << 20]);
    let bytes = message.clone().masked().bytes();
    let mut rest = &bytes[..];
    loop {
        let (piece, behind) = rest.split_at(session.room(slow));
        session.data(slow, piece);
        rest = behind;
        // When these are back nothing more has come for the other stream.
        for _ in 0..20 {
            session.echo(fast, Frame::text("meanwhile"));
        }
        if session.room(slow) == 0 {
            break;
        }
    }
    backend.resume();
    session.data(slow, rest);
    assert_eq!(session.read(slow), message);
    session.close(slow);
    session.close(fast);
}

#[test]
fn fifty_tunnels_and_fifty_requests_go_on_beside_one_that_is_blocked() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::start(|conn| {
        loop {
            let request = conn.read_request()?.head;
            if request.header("Upgrade").is_none() {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")?;
                continue;
            }
            conn.accept(&request)?;
            if request.start.contains("/blocked") {
                conn.pause()?;
            }
            return conn.echo_frames();
        }
    });
    let nginx = server(&certificate, &backend, PROXIES).start();
    let mut session = Session::ready(nginx.port(), &certificate);
    let blocked = session.establish("/blocked");
    let tunnels: Vec<u32> = (0..49).map(|_| session.establish("/chat")).collect();
    let message = Frame::binary(vec![b'b'; 10 << 20]);
    let bytes = message.clone().masked().bytes();
    let mut sent = 0;
    for round in 0..5_usize {
        let plain: Vec<u32> = (0..50).map(|_| session.get("/plain")).collect();
        // As much as is taken, until no more is.
        let piece = session.room(blocked).min(bytes.len() - sent);
        session.data(blocked, &bytes[sent..][..piece]);
        sent += piece;
        for &stream in &tunnels {
            session.message(stream, Frame::binary(vec![b't'; 5000 * round]));
        }
        for &stream in &tunnels {
            assert_eq!(
                session.read(stream),
                Frame::binary(vec![b't'; 5000 * round])
            );
        }
        for stream in plain {
            assert_eq!(session.body(stream), b"plain");
        }
    }
    backend.resume();
    session.data(blocked, &bytes[sent..]);
    assert_eq!(session.read(blocked), message);
}

#[test]
fn a_tunnel_has_a_window_whatever_nginx_gives_a_body() {
    let certificate = Certificate::localhost();
    for preread in ["0", "1k", "64k"] {
        let backend = ScriptedBackend::standard();
        let nginx = server(
            &certificate,
            &backend,
            format!("http2_body_preread_size {preread}; {PROXIES}"),
        )
        .start();
        let mut session = Session::ready(nginx.port(), &certificate);
        let stream = session.establish("/chat");
        session.wait(|session| {
            u64::from(session.initial_window) + session.of(stream).credit >= WINDOW - 1
        });
        session.echo(stream, Frame::binary(vec![b'x'; 60_000]));
    }
}

#[test]
fn a_client_that_gives_no_credit_holds_up_nobody_else() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = server(&certificate, &backend, PROXIES).start();
    let mut session = Session::with_window(nginx.port(), &certificate, 10);
    session.wait(|session| session.connects == Some(true));
    session.is_generous = false;
    let blocked = session.establish("/chat");
    let other = session.establish("/chat");
    session.message(blocked, Frame::binary(vec![b'b'; 1000]));
    session.wait(|session| session.of(blocked).bytes.len() == 10);
    for _ in 0..3 {
        session.credit(other, 7);
        session.echo(other, Frame::text("hello"));
    }
    assert_eq!(session.of(blocked).bytes.len(), 10);
    session.credit(blocked, 5);
    session.wait(|session| session.of(blocked).bytes.len() == 15);
    session.credit(blocked, 2000);
    assert_eq!(session.read(blocked), Frame::binary(vec![b'b'; 1000]));
}

#[test]
fn the_window_of_the_connection_holds_for_tunnels() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    session.is_generous = false;
    let stream = session.establish("/chat");
    session.credit(stream, 1 << 20);
    let message = Frame::binary(vec![b'c'; 100_000]);
    session.message(stream, message.clone());
    session.wait(|session| session.of(stream).bytes.len() == 65_535);
    session.credit(0, 1 << 20);
    assert_eq!(session.read(stream), message);
}

#[test]
fn padding_counts_and_comes_back() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat");
    for _ in 0..600 {
        let frame = Frame::text("padded").masked().bytes();
        let payload = [&[200][..], &frame, &[0; 200]].concat();
        session.frame(0, 8, stream, &payload);
        assert_eq!(session.read(stream), Frame::text("padded"));
    }
    assert!(session.of(stream).credit > 600 * 200 - WINDOW);
}

/// It has windows for all that comes, and its socket takes little: what waits, waits in nginx and in the kernel.
#[test]
fn a_client_on_a_slow_line_is_alive_as_long_as_it_takes_some() {
    on_a_slow_line(usize::MAX);
}

#[test]
fn it_is_alive_where_all_of_its_stream_waits_in_the_kernel() {
    // Two thirds of what that takes at once, and half as much again as the client takes meanwhile.
    on_a_slow_line(3 << 20);
}

/// A client that answers no Ping takes 400 bytes a millisecond of `length` for more than twice the time that it has for
/// an answer, and then nothing.
fn on_a_slow_line(length: usize) {
    // Several segments of loopback's, so that the kernel tells the other side each time that there is room.
    const ROOM: usize = 128 << 10;
    const PIECE: usize = 8 << 10;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "log_format ends $websocket_close_reason; websocket on; websocket_http2 on;
        server {{
            listen 127.0.0.1:%PORT% http2; access_log logs/ends.log ends;
            send_timeout 1h; websocket_ping 300ms timeout=2s;
            {PROXIES}
        }}"
    );
    let address = listener.local_addr().unwrap();
    let nginx = Nginx::http(text)
        .set("BACKEND", address)
        .allow_log("the \"listen ... http2\" directive is deprecated")
        .start();
    let mut session = with_a_small_socket(&nginx, ROOM);
    let stream = session.open("/");
    let mut backend = accept(&listener);
    backend.set_nonblocking(true).unwrap();
    let frame = Frame::binary(vec![7; PIECE]).bytes();
    let mut written = 0;
    // Sends all it can. Whether it has been told to close.
    let mut is_told = || {
        while written < length {
            let Ok(count) = backend.write(&frame[written % frame.len()..]) else {
                break;
            };
            written += count;
        }
        backend.read(&mut [0]).is_ok()
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(4_500) {
        assert!(!is_told(), "after {:?}", since.elapsed());
        let due = since.elapsed().as_millis() as usize * 400;
        if session.of(stream).bytes.len() < due {
            session.step().unwrap();
        } else {
            thread::sleep(Duration::from_millis(10));
        }
    }
    // It takes nothing more.
    wait_until("a Close", is_told);
    drop((session, backend));
    assert_eq!(nginx.wait_for_access("ends.log", 1), ["ping-timeout"]);
}

/// What its connection holds of another, and the client takes, says nothing of a client that answers no Ping.
#[test]
fn a_flood_for_one_stream_keeps_no_other_alive() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        if request.start.contains("/flood") {
            let message = Frame::binary(vec![7; 8 << 10]).bytes();
            loop {
                conn.send(&message)?;
            }
        }
        conn.echo_frames()
    });
    let lines = format!("websocket_ping 100ms timeout=300ms; {PROXIES}");
    let certificate = Certificate::localhost();
    let nginx = server(&certificate, &backend, &lines).start();
    // What there is room for is more than sockets hold.
    let mut session = Session::with_window(nginx.port(), &certificate, 64 << 20);
    session.credit(0, 64 << 20);
    session.wait(|session| session.connects == Some(true));
    let silent = session.establish("/silent");
    session.establish("/flood");
    let since = Instant::now();
    while !session.of(silent).is_ended {
        assert!(since.elapsed() < *DEADLINE, "it is alive");
        session.step().unwrap();
        // Slower than nginx, which has more of the other at any time.
        thread::sleep(Duration::from_millis(1));
    }
}

/// nginx would have a frame for each half of a window, and the client's memory would be the least of it.
#[test]
fn who_sends_and_does_not_read_is_told_by_one_frame_of_all_its_room() {
    const PIECE: usize = 16 << 10;
    const PIECES: usize = 8192;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(
        "websocket on; websocket_http2 on;
        server {
            listen 127.0.0.1:%PORT% http2 sndbuf=4k; send_timeout 1h;
            location / { proxy_pass http://%BACKEND%; }
        }",
    )
    .set("BACKEND", listener.local_addr().unwrap())
    .allow_log("the \"listen ... http2\" directive is deprecated")
    .start();
    let mut session = with_a_small_socket(&nginx, 4 << 10);
    let stream = session.open("/");
    let mut backend = accept(&listener);
    assert_eq!(session.status(stream), 200);
    let header = b"\x82\xff\0\0\x01\0\0\0\0\0\0\0\0\0";
    session.data(stream, header);
    backend.read_exact(&mut [0; 14]).unwrap();
    // What has been passed on it may send again, though it has not read that it may.
    let piece = vec![7; PIECE];
    let mut come = vec![0; PIECE];
    for _ in 0..PIECES {
        session.frame(DATA, 0, stream, &piece);
        backend.read_exact(&mut come).unwrap();
    }
    let sent = (PIECES * PIECE) as u64;
    session.wait(|session| session.of(stream).credit + WINDOW / 2 >= sent);
    let credits = session.of(stream).credits;
    assert!(credits < PIECES / 4, "{credits} frames");
}
