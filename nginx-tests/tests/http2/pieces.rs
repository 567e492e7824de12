//! A client's bytes however they come, and connections that end at every one of them.

use std::net::TcpStream;

use nginx_tests::http2::session::{CONTINUATION, PADDED, Session, WINDOW_UPDATE};
use nginx_tests::http2::{DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame};
use nginx_tests::wire::{Socket, Wire};
use nginx_tests::{Certificate, Frame, Nginx, ScriptedBackend, client, wait_until};

use crate::case::{PROXIES, http};

const PRIORITY: u8 = 0x20;

/// An nginx that speaks it with TLS and without, and HTTP/1.1 beside that.
fn started(backend: &ScriptedBackend, certificate: &Certificate) -> Nginx {
    let text = format!(
        "websocket on; websocket_http2 on;
        server {{
            listen 127.0.0.1:%PORT% ssl http2;
            listen 127.0.0.1:%PLAINPORT% http2;
            listen 127.0.0.1:%HTTP1PORT%;
            {PROXIES}
        }}"
    );
    http(certificate, backend, text).start()
}

fn plain(nginx: &Nginx) -> Wire {
    let address = ("127.0.0.1", nginx.port_of("PLAINPORT"));
    let socket = TcpStream::connect(address).expect("nginx accepts");
    Wire::plain(Socket::Tcp(socket)).expect("a socket")
}

/// All that a client sends who opens two tunnels and asks for something: with every kind of frame that there is of
/// such, and blocks that use the table. On stream 1 it says "one" and "two", on stream 5 "five".
fn recorded() -> Vec<u8> {
    let connect: &[u8] =
        b"\x42\x07CONNECT\x40\x09:protocol\x09websocket\x87\x44\x05/chat\x41\x09localhost\
        \x40\x15sec-websocket-version\x0213";
    let again: &[u8] = b"\xc2\xc1\x87\xc0\xbf\xbe";
    let text = |text: &str| Frame::text(text).masked().bytes();
    let (front, behind) = connect.split_at(20);
    [
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(SETTINGS, 1, 0, &[]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]),
        frame(
            HEADERS,
            PADDED | PRIORITY,
            1,
            &[&[2][..], &[0, 0, 0, 0, 9], front, &[0; 2]].concat(),
        ),
        frame(CONTINUATION, END_HEADERS, 1, behind),
        frame(DATA, 0, 1, &text("one")),
        frame(HEADERS, END_HEADERS | 1, 3, b"\x82\x87\xc0\xbf"),
        frame(PING, 0, 0, b"whatever"),
        frame(DATA, PADDED, 1, &[&[3][..], &text("two"), &[0; 3]].concat()),
        frame(HEADERS, END_HEADERS, 5, again),
        frame(DATA, 0, 5, &text("five")),
        frame(HEADERS, END_HEADERS, 7, again),
        frame(RST_STREAM, 0, 7, &[0, 0, 0, 8]),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]),
    ]
    .concat()
}

/// What is to come back of it.
#[track_caller]
fn comes_back(session: &mut Session) {
    session.note(&[1, 3, 5, 7]);
    for (stream, texts) in [(1, &["one", "two"][..]), (5, &["five"])] {
        assert_eq!(session.status(stream), 200);
        for text in texts {
            assert_eq!(session.read(stream), Frame::text(text));
        }
    }
    assert_eq!(session.body(3), b"plain");
    session.close(1);
    session.close(5);
    assert!(!session.goes_away && !session.is_closed);
}

/// nginx has one worker: when it has answered this it has read what came before.
#[track_caller]
fn is_read(nginx: &Nginx) {
    let answer = client::get(nginx.port_of("HTTP1PORT"), "/plain");
    assert_eq!(answer.body, b"plain");
}

/// A client without TLS that has read nginx's settings: what it sends with the preface nginx reads by itself, and nobody
/// asks for a tunnel there.
fn ready(nginx: &Nginx) -> Session {
    let mut session = Session::over(plain(nginx));
    session.wait(|session| session.connects == Some(true));
    session
}

#[test]
fn bytes_may_come_in_two_pieces_cut_anywhere() {
    let (backend, certificate) = (ScriptedBackend::standard(), Certificate::localhost());
    let nginx = started(&backend, &certificate);
    let bytes = recorded();
    for cut in 0..bytes.len() {
        let mut session = ready(&nginx);
        session.send(&bytes[..cut]);
        is_read(&nginx);
        session.send(&bytes[cut..]);
        comes_back(&mut session);
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let (backend, certificate) = (ScriptedBackend::standard(), Certificate::localhost());
    let nginx = started(&backend, &certificate);
    let tls = Wire::connect_http2(nginx.port(), &certificate).expect("nginx speaks HTTP/2");
    let mut tls = Session::silent(tls);
    for byte in PREFACE {
        tls.send(&[*byte]);
        is_read(&nginx);
    }
    for mut session in [ready(&nginx), tls] {
        for byte in recorded() {
            session.send(&[byte]);
            is_read(&nginx);
        }
        comes_back(&mut session);
    }
}

/// With a FIN and with a reset, without TLS and with it.
#[test]
fn a_connection_may_end_at_any_byte() {
    let (backend, certificate) = (ScriptedBackend::standard(), Certificate::localhost());
    let nginx = started(&backend, &certificate);
    let workers = nginx.worker_pids();
    let bytes = recorded();
    for end in 0..=bytes.len() {
        for is_reset in [false, true] {
            let mut session = ready(&nginx);
            session.send(&bytes[..end]);
            is_read(&nginx);
            if is_reset {
                session.break_off();
            } else {
                session.hang_up();
            }
        }
        // And with all at once, so that nginx learns of the end while there is more to read.
        let mut wire =
            Wire::connect_http2(nginx.port(), &certificate).expect("nginx speaks HTTP/2");
        wire.send([PREFACE, &bytes[..end]].concat())
            .expect("nginx reads");
        wire.close();
    }
    for end in 0..PREFACE.len() {
        let mut wire = plain(&nginx);
        wire.send(&PREFACE[..end]).expect("nginx reads");
        is_read(&nginx);
        wire.reset();
    }
    let mut session = ready(&nginx);
    session.send(&bytes);
    comes_back(&mut session);
    wait_until("all tunnels to end", || {
        let log = nginx.error_log();
        log.matches("websocket established in").count()
            == log.matches("websocket closed after").count()
    });
    assert_eq!(nginx.worker_pids(), workers);
    nginx.stop();
}
