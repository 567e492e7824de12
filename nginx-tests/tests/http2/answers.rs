//! What a CONNECT is answered where no tunnel comes of it: never with what a client takes for one.

use nginx_tests::http2::session::END_STREAM;
use nginx_tests::{Frame, ScriptedBackend};

use crate::case::{PROXIES, connected};

const RULES: &str = "location / { proxy_pass http://%BACKEND%; }
    location /off { websocket off; proxy_pass http://%BACKEND%; }
    location /fine { return 200 fine; }
    location /moved { return 301 /elsewhere; }
    location /denied { deny all; proxy_pass http://%BACKEND%; }
    location /origin { websocket_allow_origin same; proxy_pass http://%BACKEND%; }
    location /page { error_page 403 /403.html; deny all; proxy_pass http://%BACKEND%; }
    location = /403.html { websocket off; internal; return 403 sorry; }
    location /bad { return 400; }
    location /nobody { proxy_pass http://127.0.0.1:1; }
    location /sorry { error_page 502 = @sorry; proxy_pass http://127.0.0.1:1; }
    location @sorry { websocket off; proxy_pass http://%BACKEND%; }";

#[test]
fn no_answer_without_a_tunnel_is_2xx() {
    let backend = ScriptedBackend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (nginx, mut session) = connected(&backend, RULES);
    let expected = [
        (
            "/upstream",
            "502 /upstream http2 failed upstream-not-websocket",
        ),
        ("/off", "501 /off http2 rejected local-websocket-off"),
        ("/fine", "502 /fine http2 rejected local-status"),
        ("/bad", "400 /bad http2 rejected local-status"),
        ("/moved", "301 /moved "),
        ("/denied", "403 /denied http2 rejected "),
        ("/origin", "403 /origin http2 rejected origin-not-allowed"),
        ("/page", "403 /page http2 rejected "),
        ("/nobody", "502 /nobody http2 failed upstream-refused"),
        // Why there is a page stays what is said.
        ("/sorry", "502 /sorry http2 failed upstream-refused"),
    ];
    for (place, (path, expected)) in expected.into_iter().enumerate() {
        let stream = session.open(path);
        let status = session.status(stream);
        session.wait(|session| session.of(stream).is_ended);
        let outcomes = nginx.wait_for_access("outcome.log", place + 1);
        assert!(outcomes[place].starts_with(expected), "{outcomes:?}");
        assert!(
            expected.starts_with(&status.to_string()),
            "{path}: {status}"
        );
    }
    let plain = session.get("/fine");
    assert_eq!(
        (session.status(plain), session.body(plain)),
        (200, b"fine".to_vec())
    );
    assert_eq!(backend.connections(), 2);
    nginx.wait_for_log("local-status: nginx answered 200 before any upstream was asked");
}

/// A location that is off may only lead to the one that proxies.
#[test]
fn a_location_that_is_reached_from_one_that_is_off_has_tunnels() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(
        &backend,
        "location / { websocket off; auth_request /who; try_files /none @chat; }
        location /page/ { websocket off; try_files /none =404; }
        location @chat { proxy_pass http://%BACKEND%; }
        location = /who { internal; return 204; }",
    );
    let stream = session.open("/chat");
    assert_eq!(session.status(stream), 200);
    session.echo(stream, Frame::text("hello"));
    let stream = session.open("/page/");
    assert_eq!(session.status(stream), 404);
    nginx.wait_for_access("outcome.log", 1);
}

/// `post_action` comes when all is over, and nobody takes its answer for a tunnel.
#[test]
fn what_comes_behind_a_tunnel_may_go_through_a_location_that_is_off() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(
        &backend,
        "location / { post_action /done; proxy_pass http://%BACKEND%; }
        location = /done { internal; websocket off; proxy_pass http://%BACKEND%; }",
    );
    let stream = session.establish("/chat");
    session.close(stream);
    assert_eq!(backend.request(1).head.target(), "/done");
}

/// What is known of a tunnel while it lasts.
#[test]
fn a_tunnel_that_is_open_has_no_cause() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(
        &backend,
        "websocket_log_open on; location / { proxy_pass http://%BACKEND%; }",
    );
    let stream = session.open("/chat");
    assert_eq!(session.status(stream), 200);
    assert_eq!(
        nginx.wait_for_access("outcome.log", 1),
        ["200 /chat http2 established  "]
    );
}

#[test]
fn an_upstreams_refusal_is_passed_on() {
    let backend =
        ScriptedBackend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.open("/chat");
    assert_eq!(session.status(stream), 403);
    assert_eq!(session.body(stream), b"no");
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert!(
        outcomes[0].starts_with("403 /chat http2 failed "),
        "{outcomes:?}"
    );
}

#[test]
fn an_upstreams_accept_is_verified() {
    let backend = ScriptedBackend::answering(nginx_tests::backend::switching_protocols("other"));
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.open("/chat");
    assert_eq!(session.status(stream), 502);
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert!(
        outcomes[0].starts_with("502 /chat http2 failed accept-"),
        "{outcomes:?}"
    );
    nginx.stop();
}

#[test]
fn what_the_upstream_sends_with_its_101_is_not_lost() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        let head = nginx_tests::backend::switching_protocols(key);
        let hello = Frame::text("hello").bytes();
        conn.send([head.as_bytes(), &hello].concat())?;
        conn.echo_frames()
    });
    let (_nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat");
    assert_eq!(session.read(stream), Frame::text("hello"));
    session.echo(stream, Frame::text("again"));
}

/// It is a 101, as far as filters are concerned, and those let one pass.
#[test]
fn no_filter_takes_a_tunnel_for_a_body() {
    let backend = ScriptedBackend::standard();
    let (_nginx, mut session) = connected(
        &backend,
        "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; gzip_vary on;
        location / { proxy_pass http://%BACKEND%; }
        location /chat {
            addition_types *; add_before_body /text; add_after_body /text; add_trailer Over yes always;
            proxy_pass http://%BACKEND%;
        }
        location = /text { return 200 added; }",
    );
    let fields = [
        ("sec-websocket-version", "13"),
        ("accept-encoding", "gzip"),
        ("if-match", "\"none\""),
    ];
    let stream = session.open_with("/chat", &fields);
    assert_eq!(session.status(stream), 200);
    session.echo(stream, Frame::text("hello"));
    session.close(stream);
    assert!(session.of(stream).bytes.is_empty());
    assert_eq!(session.of(stream).status, Some(200));
    let plain = session.request(
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/plain"),
            (":authority", "localhost"),
            ("accept-encoding", "gzip"),
        ],
        END_STREAM,
    );
    // It would have been compressed.
    assert!(session.body(plain).starts_with(&[0x1f, 0x8b]));
}
