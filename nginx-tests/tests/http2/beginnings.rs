//! Tunnels that end as they begin, that begin many at once, and extended CONNECTs that seem to have content.

use nginx_tests::http2::session::Session;
use nginx_tests::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame,
};
use nginx_tests::{Certificate, Frame, ScriptedBackend, wait_until};

use crate::case::{PROXIES, connected, http, late};

const CANCEL: [u8; 4] = [0, 0, 0, 8];

const CONNECT: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "localhost"),
    ("sec-websocket-version", "13"),
];

/// A CONNECT of a new stream, to be sent with others.
fn connect(session: &mut Session) -> (u32, Vec<u8>) {
    let block = session.block(&CONNECT);
    let stream = session.stream();
    (stream, frame(HEADERS, END_HEADERS, stream, &block))
}

#[test]
fn many_come_in_one_piece_each_with_its_first_message() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    session.is_compressing = true;
    let mut bytes = vec![];
    let mut streams = vec![];
    for number in 0..20 {
        let (stream, connect) = connect(&mut session);
        let message = Frame::text(&format!("first of {number}")).masked().bytes();
        bytes.extend(connect);
        bytes.extend(frame(DATA, 0, stream, &message));
        streams.push(stream);
    }
    session.send(&bytes);
    for (number, &stream) in streams.iter().enumerate() {
        assert_eq!(session.status(stream), 200);
        assert_eq!(
            session.read(stream),
            Frame::text(&format!("first of {number}"))
        );
    }
    for stream in streams {
        session.close(stream);
    }
}

/// While it has no upstream, while that has not answered, and when it is there.
#[test]
fn a_reset_ends_a_stream_at_any_time_of_its_beginning() {
    let backend = late();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let other = session.establish("/chat");
    let message = Frame::text("first").masked().bytes();
    for _ in 0..3 {
        let (stream, connect) = connect(&mut session);
        let reset = frame(RST_STREAM, 0, stream, &CANCEL);
        session.send(&[connect, reset].concat());

        let (stream, connect) = self::connect(&mut session);
        let data = frame(DATA, 0, stream, &message);
        let reset = frame(RST_STREAM, 0, stream, &CANCEL);
        session.send(&[connect, data.clone(), reset.clone(), data, reset].concat());
    }
    let late = session.open("/late");
    wait_until("the upstream to be asked", || {
        backend
            .requests()
            .iter()
            .any(|request| request.head.start.contains("/late"))
    });
    session.message(late, Frame::text("nobody reads it"));
    session.reset(late);
    let stream = session.establish("/chat");
    session.reset(stream);
    session.echo(other, Frame::text("hello"));
    session.close(other);
    backend.resume();
    let outcomes = nginx.wait_for_access("outcome.log", 9);
    assert_eq!(outcomes.len(), 9, "{outcomes:?}");
}

#[test]
fn who_opens_and_resets_without_end_is_held_to_what_nginx_holds_others_to() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let tunnel = session.establish("/chat");
    session.echo(tunnel, Frame::text("hello"));
    for _ in 0..50 {
        let mut bytes = vec![];
        for _ in 0..20 {
            let (stream, connect) = connect(&mut session);
            bytes.extend(connect);
            bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
        }
        session.send(&bytes);
    }
    // After a thousand requests, or so many that it has refused, nginx takes no more.
    session.wait(|session| session.goes_away || session.is_closed);
    session.hang_up();
    nginx.wait_for_log("websocket closed after");
    let log = nginx.stop();
    let count = |text| log.matches(text).count();
    assert_eq!(
        count("websocket established in"),
        count("websocket closed after")
    );
}

/// RFC 8441 section 5: what comes behind the header block is the tunnel's.
#[test]
fn a_connect_has_no_content() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(
        &backend,
        "location / { client_body_timeout 1s; proxy_pass http://%BACKEND%; }
        location /unbuffered/ { proxy_request_buffering off; proxy_pass http://%BACKEND%; }",
    );
    for path in ["/chat", "/unbuffered/"] {
        let version = ("sec-websocket-version", "13");
        let stream = session.open_with(path, &[version, ("content-length", "0")]);
        assert_eq!(session.status(stream), 200);
        session.echo(stream, Frame::binary(vec![1; 200_000]));
        session.close(stream);
        let stream = session.open_with(path, &[version, ("content-length", "5")]);
        assert_eq!(session.status(stream), 400);
    }
    let requests = backend.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.head.header("Content-Length"), None);
        assert_eq!(request.head.header("Transfer-Encoding"), None);
    }
}

#[test]
fn a_connect_that_ends_its_stream_is_one_without_messages() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let block = session.block(&CONNECT);
    let stream = session.stream();
    let connect = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
    let data = frame(DATA, 0, stream, b"x");
    session.send(&connect);
    session.wait(|session| session.of(stream).is_ended || session.of(stream).reset.is_some());
    nginx.wait_for_access("outcome.log", 1);
    // And one with some, which it may not have.
    let block = session.block(&CONNECT);
    let stream = session.stream();
    let connect = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
    session.send(&[connect, frame(DATA, 0, stream, &data)].concat());
    session.wait(|session| session.of(stream).reset.is_some());
    nginx.wait_for_access("outcome.log", 2);
    let other = session.establish("/chat");
    session.echo(other, Frame::text("hello"));
}

/// What nginx runs beside a request, or in its place, has no stream of its own.
#[test]
fn a_connect_may_be_sent_elsewhere() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(
        &backend,
        "location /asks/ { auth_request /plain; proxy_pass http://%BACKEND%; }
        location /refused/ { auth_request /no; proxy_pass http://%BACKEND%; }
        location /mirrored/ { mirror /plain; proxy_pass http://%BACKEND%; }
        location /rewritten/ { rewrite ^ /chat last; }
        location /page/ { error_page 418 = @named; return 418; }
        location @named { proxy_pass http://%BACKEND%; }
        location /fallen/ { error_page 502 = @named; proxy_pass http://127.0.0.1:%PORT3%; }
        location /gone/ { error_page 410 /sorry; return 410; }
        location /sorry { return 200 sorry; }
        location /no { return 403; }
        location /static/ { root /; }
        location /plain { websocket off; proxy_pass http://%BACKEND%; }
        location / { proxy_pass http://%BACKEND%; }",
    );
    for path in ["/asks/", "/mirrored/", "/rewritten/", "/page/", "/fallen/"] {
        let stream = session.establish(path);
        session.echo(stream, Frame::text("hello"));
        session.close(stream);
    }
    for (path, status) in [
        ("/refused/", 403),
        ("/gone/", 410),
        ("/static/nothing", 404),
    ] {
        let stream = session.open(path);
        session.message(stream, Frame::text("too early"));
        assert_eq!(session.status(stream), status, "{path}");
        session.wait(|session| session.of(stream).is_ended);
    }
    let outcomes = nginx.wait_for_access("outcome.log", 8);
    assert_eq!(outcomes.len(), 8, "{outcomes:?}");
}

/// `limit_req` lets it wait, with its first message and a reset of another one behind it.
#[test]
fn a_connect_may_have_to_wait() {
    let (backend, certificate) = (ScriptedBackend::standard(), Certificate::localhost());
    let nginx = http(
        &certificate,
        &backend,
        format!(
            "websocket on; websocket_http2 on;
            limit_req_zone $server_name zone=slow:64k rate=4r/s;
            limit_req zone=slow burst=10;
            server {{ listen 127.0.0.1:%PORT% ssl http2; server_name localhost; {PROXIES} }}"
        ),
    )
    .start();
    let mut session = Session::ready(nginx.port(), &certificate);
    let streams: Vec<u32> = (0..4).map(|_| session.open("/chat")).collect();
    for &stream in &streams {
        session.message(stream, Frame::text("early"));
    }
    session.reset(streams[2]);
    for stream in [streams[0], streams[1], streams[3]] {
        assert_eq!(session.status(stream), 200);
        assert_eq!(session.read(stream), Frame::text("early"));
        session.close(stream);
    }
    let outcomes = nginx.wait_for_access("outcome.log", 4);
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}

#[test]
fn settings_that_change_beside_tunnels_change_their_windows() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    session.is_generous = false;
    let window = |session: &mut Session, bytes: u32| {
        // The other one is the size of nginx's own table, towards the client.
        let settings = [
            &[0, 4][..],
            &bytes.to_be_bytes(),
            &[0, 1],
            &(bytes % 5000).to_be_bytes(),
        ]
        .concat();
        session.frame(SETTINGS, 0, 0, &settings);
    };
    session.credit(0, 1 << 24);
    let streams: Vec<u32> = (0..5).map(|_| session.establish("/chat")).collect();
    let message = Frame::binary(vec![3; 90_000]);
    window(&mut session, 0);
    for &stream in &streams {
        session.message(stream, message.clone());
    }
    session.frame(PING, 0, 0, b"whatever");
    session.wait(|session| session.pongs > 0);
    assert!(
        streams
            .iter()
            .all(|&stream| session.of(stream).bytes.is_empty())
    );
    for bytes in [1, 0, 7, 3, 1000, 0, 65_535, 10, 200_000] {
        window(&mut session, bytes);
        // When this comes back nginx has sent what it could.
        session.frame(PING, 0, 0, b"whatever");
        let pongs = session.pongs;
        session.wait(|session| session.pongs > pongs);
    }
    for &stream in &streams {
        assert_eq!(session.read(stream), message);
    }
    let stream = session.establish("/chat");
    session.echo(stream, Frame::text("hello"));
}

#[test]
fn frames_that_nginx_answers_may_come_in_floods_beside_a_tunnel() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let tunnel = session.establish("/chat");
    let pings = frame(PING, 0, 0, b"whatever").repeat(1000);
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(1000);
    for _ in 0..20 {
        session.send(&pings);
        session.send(&settings);
        session.echo(tunnel, Frame::text("hello"));
    }
}
