//! The socket of a client is full: it reads nothing, and nginx has more for it.

use std::io::{Read, Write};
use std::net::TcpListener;

use nginx_tests::http2::session::Session;
use nginx_tests::tunnels::{accept, read_head};
use nginx_tests::{DEADLINE, Frame, Nginx};

use crate::case::with_a_small_socket;

/// More than sockets of this kind hold.
const FLOOD: usize = 2 << 20;

/// What a client's socket takes, and nginx's for it.
const ROOM: usize = 64 << 10;

/// An nginx that keeps the whole of an answer which its client does not read, and a client that has windows for all.
fn crowded(text: &str) -> (Nginx, TcpListener, Session) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(format!(
        "log_format outcome '$status $request_uri $websocket_state'; access_log logs/outcome.log outcome;
        websocket on; websocket_http2 on;
        server {{
            listen 127.0.0.1:%PORT% http2 sndbuf={ROOM}; send_timeout 1h;
            proxy_buffers 160 32k; proxy_max_temp_file_size 0;
            location / {{ proxy_pass http://%BACKEND%; }}
            {text}
        }}"
    ))
    .set("BACKEND", listener.local_addr().unwrap())
    .allow_log("the \"listen ... http2\" directive is deprecated")
    .start();
    let session = with_a_small_socket(&nginx, ROOM);
    (nginx, listener, session)
}

/// Asks for what fills the socket. Nothing is read from here on.
fn fill(session: &mut Session, listener: &TcpListener) -> u32 {
    let flood = session.get("/flood");
    let (mut upstream, _) = listener.accept().unwrap();
    read_head(&mut upstream);
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {FLOOD}\r\n\r\n");
    upstream.write_all(head.as_bytes()).unwrap();
    upstream.write_all(&vec![b'f'; FLOOD]).unwrap();
    // nginx has all of it, and closes.
    assert_eq!(upstream.read(&mut [0]).unwrap(), 0);
    flood
}

#[test]
fn a_tunnel_begins_all_the_same() {
    for text in ["", "websocket_tunnel off;"] {
        let (nginx, listener, mut session) = crowded(text);
        let flood = fill(&mut session, &listener);
        let stream = session.open("/chat");
        let mut backend = accept(&listener);
        let message = Frame::text("said at once");
        backend.write_all(&message.bytes()).unwrap();
        nginx.wait_for_log("websocket established in");
        assert_eq!(session.body(flood).len(), FLOOD);
        assert_eq!(session.status(stream), 200, "{text}");
        assert_eq!(session.read(stream), message);
        session.message(stream, message.clone());
        let come = Frame::read(&mut backend).unwrap();
        assert_eq!(come.payload, message.payload, "{text}");
    }
}

/// Of its message nothing is left with the tunnel: nginx has it, and can't send it.
#[test]
fn a_tunnel_ends_with_its_connection() {
    for text in ["", "websocket_tunnel off;"] {
        let (nginx, listener, mut session) = crowded(text);
        let stream = session.open("/chat");
        let mut backend = accept(&listener);
        assert_eq!(session.status(stream), 200);
        fill(&mut session, &listener);
        backend.write_all(&Frame::text("hello").bytes()).unwrap();
        session.break_off();
        backend.set_read_timeout(Some(*DEADLINE)).unwrap();
        while backend.read(&mut [0; 100]).unwrap() > 0 {}
        let outcomes = nginx.wait_for_access("outcome.log", 2);
        let tunnel = "200 /chat established".to_owned();
        assert!(outcomes.contains(&tunnel), "{text}: {outcomes:?}");
    }
}
