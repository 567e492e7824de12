//! Clients that break the rules of HTTP/2: nginx says so as it does of other requests, and others are not held up.

use std::time::Duration;

use nginx_tests::http2::session::{CONTINUATION, Session};
use nginx_tests::http2::{DATA, END_HEADERS, HEADERS, frame};
use nginx_tests::{Certificate, Frame, ScriptedBackend, patient};

use crate::case::{PROXIES, connected, http, late, server};

const FLOW_CONTROL_ERROR: u32 = 3;

#[test]
fn who_sends_more_than_its_window_loses_its_stream() {
    let backend = late();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let other = session.establish("/chat");
    let late = session.open("/late");
    backend.request(1);
    let window = session.initial_window as usize;
    session.data(late, &vec![0; window]);
    session.frame(DATA, 0, late, b"x");
    session.wait(|session| session.of(late).reset.is_some());
    assert_eq!(session.of(late).reset, Some(FLOW_CONTROL_ERROR));
    session.echo(other, Frame::text("hello"));
    session.close(other);
    backend.resume();
    drop(nginx);
}

#[test]
fn bytes_before_the_answer_wait_for_the_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.pause()?;
        conn.accept(&request)?;
        conn.echo_frames()
    });
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.open("/chat");
    session.message(stream, Frame::text("early"));
    backend.request(0);
    backend.resume();
    assert_eq!(session.status(stream), 200);
    assert_eq!(session.read(stream), Frame::text("early"));
}

#[test]
fn a_malformed_connect_is_answered_400() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let right = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ];
    let without = |left_out: usize| {
        let mut fields = right.to_vec();
        fields.remove(left_out);
        fields
    };
    let mut twice = right.to_vec();
    twice.insert(1, right[1]);
    let mut behind = right.to_vec();
    behind.push((":path", "/other"));
    let mut hop = right.to_vec();
    hop.push(("connection", "upgrade"));
    let mut upgrade = right.to_vec();
    upgrade.push(("upgrade", "websocket"));
    let mut other = right.to_vec();
    other[1].1 = "connect-udp";
    let mut method = right.to_vec();
    method[0].1 = "GET";
    for fields in [
        without(0),
        without(2),
        without(3),
        twice,
        behind,
        hop,
        upgrade,
        other,
        method,
    ] {
        for is_compressing in [false, true, true] {
            session.is_compressing = is_compressing;
            let stream = session.request(&fields, 0);
            assert_eq!(session.status(stream), 400, "{fields:?}");
        }
    }
    // The table is as it was.
    let stream = session.request(&right, 0);
    assert_eq!(session.status(stream), 200);
    session.echo(stream, Frame::text("hello"));
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_broken_block_ends_the_connection() {
    let backend = ScriptedBackend::standard();
    let start = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x87\x84\x01\x09localhost";
    for rest in [
        &b"\xff\x20"[..],
        b"\x80",
        b"\x00\x7f\xff\xff\x7fx",
        b"\x40\x85\xff\xff\xff\xff\xff\x00",
    ] {
        let (nginx, mut session) = connected(&backend, PROXIES);
        let tunnel = session.establish("/chat");
        session.echo(tunnel, Frame::text("hello"));
        let stream = session.stream();
        session.frame(HEADERS, END_HEADERS, stream, &[start, rest].concat());
        session.wait(|session| session.is_closed || session.goes_away);
        let log = nginx.stop();
        assert_eq!(log.matches("websocket closed after").count(), 1, "{log}");
    }
}

#[test]
fn a_small_block_of_large_fields_ends_the_connection() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    session.is_compressing = true;
    let value = "v".repeat(3000);
    let fields = [("sec-websocket-version", "13"), ("x-large", &*value)];
    let stream = session.open_with("/chat", &fields);
    assert_eq!(session.status(stream), 200);
    let large = session.block(&[("x-large", &value)]);
    let start = session.block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "localhost"),
    ]);
    let stream = session.stream();
    let bomb = [start, large.repeat(10_000)].concat();
    session.frame(HEADERS, END_HEADERS, stream, &bomb);
    session.wait(|session| session.is_closed || session.goes_away);
    nginx.stop();
}

/// nginx's own time for a block begins when it gets what there is.
#[test]
fn a_block_that_does_not_come_to_its_end_is_waited_for_as_others_are() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let timeout = patient(Duration::from_secs(1)).as_millis();
    let text = format!("client_header_timeout {timeout}ms; {PROXIES}");
    let nginx = server(&certificate, &backend, text).start();
    let mut session = Session::ready(nginx.port(), &certificate);
    let tunnel = session.establish("/chat");
    let late = session.stream();
    let block = session.block(&[(":method", "CONNECT"), (":protocol", "websocket")]);
    session.frame(HEADERS, 0, late, &block);
    session.wait(|session| session.of(late).reset.is_some() || session.of(late).status.is_some());
    // It goes on behind it as it does behind that of a plain request.
    let rest = session.block(&[("x-own", "value")]);
    session.frame(CONTINUATION, END_HEADERS, late, &rest);
    session.echo(tunnel, Frame::text("hello"));
    assert!(!session.goes_away && !session.is_closed);
}

/// More frames than are held back, each of which says nothing.
#[test]
fn a_storm_of_continuations_holds_up_nobody() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let tunnel = session.establish("/chat");
    let block = session.block(&[(":method", "CONNECT"), (":protocol", "websocket")]);
    for count in [100, 20_000] {
        let stream = session.stream();
        session.frame(HEADERS, 0, stream, &block);
        let empty = frame(CONTINUATION, 0, stream, &[]).repeat(count);
        session.send(&empty);
        let rest = session.block(&[
            (":scheme", "https"),
            (":path", "/chat"),
            (":authority", "localhost"),
            ("sec-websocket-version", "13"),
        ]);
        session.frame(CONTINUATION, END_HEADERS, stream, &rest);
        let expected = if count == 100 { 200 } else { 400 };
        assert_eq!(session.status(stream), expected);
        session.echo(tunnel, Frame::text("hello"));
    }
}

#[test]
fn a_block_that_is_larger_than_what_nginx_reads_at_once_is_nginxs() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = http(
        &certificate,
        &backend,
        format!(
            "websocket on; websocket_http2 on; http2_recv_buffer_size 1k;
            server {{ listen 127.0.0.1:%PORT% ssl http2; server_name localhost; {PROXIES} }}"
        ),
    )
    .start();
    let mut session = Session::connect(nginx.port(), &certificate);
    let value = "v".repeat(3000);
    for _ in 0..3 {
        let stream = session.open_with("/chat", &[("x-large", &value)]);
        assert_eq!(session.status(stream), 400);
    }
    let plain = session.get("/plain");
    assert_eq!(session.body(plain), b"plain");
}

#[test]
fn frames_of_no_use_are_a_flood_as_they_are_elsewhere() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let tunnel = session.establish("/chat");
    // nginx takes a mebibyte of what is used, eight times.
    let empty = [0, 0, 0, DATA, 0, 0, 0, 0, tunnel as u8].repeat(8 << 10);
    for _ in 0..(8 << 20) / empty.len() {
        session.send(&empty);
    }
    session.echo(tunnel, Frame::text("hello"));
    session.send(&empty);
    session.wait(|session| session.goes_away);
}

#[test]
fn nginx_counts_tunnels_among_the_streams() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = server(
        &certificate,
        &backend,
        format!("http2_max_concurrent_streams 3; {PROXIES}"),
    )
    .start();
    let mut session = Session::ready(nginx.port(), &certificate);
    for _ in 0..3 {
        session.establish("/chat");
    }
    let refused = session.open("/chat");
    session.wait(|session| session.of(refused).reset.is_some());
    assert_eq!(session.of(refused).reset, Some(7), "REFUSED_STREAM");
    // What goes on in it is nobody's.
    session.data(refused, b"whatever");
    let plain = session.get("/plain");
    session.wait(|session| session.of(plain).reset.is_some());
    session.hang_up();
    nginx.stop();
}

/// Less than the head of a frame: it is answered as if there were no tunnels.
#[test]
fn a_server_that_reads_next_to_nothing_at_once_answers_all_the_same() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    for size in [33, 36, 48, 64] {
        let nginx = http(
            &certificate,
            &backend,
            format!(
                "websocket on; websocket_http2 on; http2_recv_buffer_size {size};
                server {{ listen 127.0.0.1:%PORT% ssl http2; server_name localhost; {PROXIES} }}"
            ),
        )
        .start();
        for _ in 0..20 {
            let mut session = Session::connect(nginx.port(), &certificate);
            session.wait(|session| session.connects.is_some());
            let plain = session.get("/plain");
            assert_eq!(session.body(plain), b"plain");
        }
        nginx.stop();
    }
}
