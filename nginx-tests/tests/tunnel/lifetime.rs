//! `websocket_max_lifetime` with a value that is each client's own.

use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::backend::LONG_HEAD;
use nginx_tests::nginx::Setup;
use nginx_tests::{Certificate, Client, Frame, Handshake, Nginx, ScriptedBackend, wait_until};

use crate::case::{
    all_ended, assert_ended, backend, ended, http, join, location, server, tunnelled,
    wait_for_frames,
};

/// A handshake with what is left of a token's time in a cookie.
fn handshake(left: &str) -> Handshake {
    Handshake::new("/").add("Cookie", &format!("left={left}"))
}

fn enter(nginx: &Nginx, left: &str) -> Client {
    let mut client = Client::connect(nginx.port());
    client.accepted(&handshake(left));
    client
}

/// Waits for a Close with this code, and answers it.
#[track_caller]
fn part(mut client: Client, code: u16) {
    assert_eq!(client.frame(), Frame::close(code, ""));
    client
        .send(Frame::close(code, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
}

fn from_cookie(lines: &str) -> (ScriptedBackend, Nginx) {
    let backend = backend(|conn| conn.echo_frames());
    let lines = format!("websocket_max_lifetime $cookie_left; {lines}");
    let nginx = server(&lines, &backend).start();
    (backend, nginx)
}

#[test]
fn who_has_a_token_leaves_when_it_expires() {
    const CLIENTS: usize = 12;
    let (_backend, nginx) = from_cookie("");
    let clients: Vec<Client> = (0..CLIENTS).map(|_| enter(&nginx, "2s")).collect();
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(|| {
                client.echo("busy");
                part(client, 1008);
            });
        }
    });
    for ended in all_ended(&nginx, CLIENTS) {
        assert_eq!(ended.why(), ("nginx", "lifetime", "1008"));
        // To the moment, and not up to a tenth before it.
        let lasted = ended.seconds("request_time");
        assert!((1.98..6.0).contains(&lasted), "{lasted}");
    }
    let lines = nginx.log_lines("websocket closed after");
    assert!(
        lines.iter().all(|line| line.contains("[info]")),
        "{lines:#?}"
    );
}

#[test]
fn both_sides_are_told() {
    let (backend, nginx) = from_cookie("");
    part(enter(&nginx, "0.25"), 1008);
    let frames = wait_for_frames(&backend, 0, 1);
    assert_eq!(frames[0].close_code(), Some(1008));
    assert!(frames[0].mask.is_some());
    let lasted = ended(&nginx).seconds("request_time");
    assert!((0.23..5.0).contains(&lasted), "{lasted}");
}

#[test]
fn what_has_expired_lets_nothing_by() {
    for left in ["0", "0s", "-1", "-1h", "-0.5", "-12.75"] {
        let (backend, nginx) = from_cookie("");
        let mut client = Client::connect(nginx.port());
        let message = Frame::text("too late").masked().bytes();
        client
            .send([handshake(left).bytes(), message].concat())
            .unwrap();
        assert_eq!(client.read_head().unwrap().status(), 101, "{left}");
        part(client, 1008);
        assert_eq!(ended(&nginx).why(), ("nginx", "lifetime", "1008"), "{left}");
        let close = Frame::close(1008, "").bytes().len() + 4;
        assert_eq!(tunnelled(&backend, 0).len(), close, "{left}");
        assert!(nginx.log_lines("[error]").is_empty());
    }
}

#[test]
fn what_is_no_time_has_expired() {
    for (left, shown) in [
        ("soon", "\"soon\""),
        ("NaN", "\"NaN\""),
        ("1e3", "\"1e3\""),
        ("1.", "\"1.\""),
        (".5", "\".5\""),
        ("1.5s", "\"1.5s\""),
        ("--1", "\"--1\""),
        ("-", "\"-\""),
        ("1\"h\\", "\"1\\x22h\\x5C\""),
        ("99999999999999999999", "\"99999999999999999999\""),
        // It may be the token itself.
        ("eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2ln", "of 34 bytes"),
    ] {
        let (_backend, nginx) = from_cookie("");
        part(enter(&nginx, left), 1008);
        assert_eq!(ended(&nginx).why(), ("nginx", "lifetime", "1008"), "{left}");
        let lines = nginx.log_lines("[error]");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let text = format!(
            "websocket_max_lifetime has a value {shown}, which is not a time: the tunnel is closed at once, client: "
        );
        assert!(lines[0].contains(&text), "{lines:#?}");
    }
}

#[test]
fn what_has_no_end_has_none() {
    let (_backend, nginx) = from_cookie("");
    let mut clients: Vec<Client> = ["", "off", "4w2d", "2147484", "9000000000000000"]
        .map(|left| enter(&nginx, left))
        .into();
    clients.push(join(&nginx));
    // One that ends shows that the time of others would have come.
    part(enter(&nginx, "300ms"), 1008);
    for client in clients {
        client.close_politely();
    }
    let ended = all_ended(&nginx, 7);
    assert_eq!(ended[0].why(), ("nginx", "lifetime", "1008"));
    for ended in &ended[1..] {
        assert_eq!(ended.why(), ("client", "normal", "1000"));
    }
}

/// The client's cookie decides the time, if the plan knows it.
fn by_plan(lines: &str, backend: &ScriptedBackend) -> Setup {
    let plan = "map $cookie_left $plan { default off; trial 400ms; spent -1; }";
    Nginx::http(format!("{plan} {}", http(lines))).set("BACKEND", backend.address())
}

#[test]
fn a_map_may_say_it() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = by_plan("websocket_max_lifetime $plan;", &backend).start();
    let (mut free, trial) = (enter(&nginx, "other"), enter(&nginx, "trial"));
    part(enter(&nginx, "spent"), 1008);
    part(trial, 1008);
    free.echo("still there");
}

#[test]
fn an_auth_request_may_say_it() {
    let auth = ScriptedBackend::answering(
        "HTTP/1.1 204 No Content\r\nX-Expires-In: 0.4\r\nConnection: close\r\n\r\n",
    );
    let backend = backend(|conn| conn.echo_frames());
    let lines = "auth_request /auth; auth_request_set $left $upstream_http_x_expires_in;
        websocket_max_lifetime $left;
        location /auth { internal; proxy_pass http://%AUTH%; }";
    let nginx = server(lines, &backend).set("AUTH", auth.address()).start();
    part(join(&nginx), 1008);
    assert_eq!(ended(&nginx).why(), ("nginx", "lifetime", "1008"));
}

#[test]
fn the_time_counts_from_the_request_s_beginning() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.pause()?;
        conn.accept(&handshake)?;
        conn.echo_frames()
    });
    let nginx = server("websocket_max_lifetime $cookie_left;", &backend).start();
    let mut client = Client::connect(nginx.port());
    let since = Instant::now();
    client.send(handshake("1500ms").bytes()).unwrap();
    assert!(client.silent_for(Duration::from_millis(800)));
    backend.resume();
    assert_eq!(client.read_head().unwrap().status(), 101);
    part(client, 1008);
    let took = since.elapsed();
    assert!((1480..6000).contains(&took.as_millis()), "{took:?}");
    let ended = ended(&nginx);
    let lived = ended.seconds("request_time") - ended.seconds("websocket_handshake_time");
    assert!(
        lived < took.as_secs_f64() - 0.75,
        "it lived {lived} s of {took:?}"
    );
}

#[test]
fn another_code() {
    for (lines, code) in [
        ("websocket_max_lifetime $cookie_left code=4001;", 4001),
        ("websocket_max_lifetime 200ms code=1008;", 1008),
        ("websocket_max_lifetime 200ms;", 1001),
    ] {
        let backend = backend(|conn| conn.echo_frames());
        let nginx = server(lines, &backend).start();
        part(enter(&nginx, "200ms"), code);
        assert_ended(&nginx, ("nginx", "lifetime", &code.to_string()), "info");
    }
}

#[test]
fn plain_requests_have_no_lifetime() {
    let backend = ScriptedBackend::standard();
    let nginx = server("websocket_max_lifetime $cookie_left;", &backend).start();
    for left in ["-1", "soon"] {
        let mut client = Client::connect(nginx.port());
        let plain = Handshake::plain("/").add("Cookie", &format!("left={left}"));
        assert_eq!(client.exchange(&plain).status(), 200);
    }
    assert!(nginx.log_lines("websocket_max_lifetime").is_empty());
}

#[test]
fn levels_inherit_it_whole() {
    let backend = backend(|conn| conn.echo_frames());
    let http = "websocket_max_lifetime $cookie_left code=4002; websocket on;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; }
            location /fixed/ { proxy_pass http://%BACKEND%; websocket_max_lifetime 300ms; }
            location /off/ { proxy_pass http://%BACKEND%; websocket_max_lifetime off; }
        }";
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let enter = |path: &str| {
        let mut client = Client::connect(nginx.port());
        client.accepted(&Handshake::new(path).add("Cookie", "left=300ms"));
        client
    };
    let (inherits, fixed, mut off) = (enter("/"), enter("/fixed/"), enter("/off/"));
    part(inherits, 4002);
    part(fixed, 1001);
    off.echo("still there");
}

/// One whose socket has no room for the 101 would be carried by nginx's own loop, which heeds no limit.
#[test]
fn who_does_not_read_does_not_escape() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.accept_at_length(&handshake)?;
        conn.hang()
    });
    let lines = format!("websocket_max_lifetime $cookie_left; {LONG_HEAD}");
    let http = http(&lines).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT% sndbuf=4k;",
    );
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    client.send(handshake("1h").bytes()).unwrap();
    nginx.wait_for_log("there is no room for the whole 101");
    nginx.wait_for_log("websocket closed after");
    let _ = client.send(Frame::text("unbounded").masked().bytes());
    assert_eq!(tunnelled(&backend, 0), b"");
}

#[test]
fn through_tls() {
    let certificate = Certificate::localhost();
    let backend = backend(|conn| conn.echo_frames());
    let lines = "proxy_pass http://%BACKEND%; websocket_max_lifetime $cookie_left;";
    let http = location(lines).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    let nginx = Nginx::http(http)
        .certificate(&certificate)
        .set("BACKEND", backend.address())
        .start();
    for left in ["300ms", "-1"] {
        let mut client = Client::connect_tls(nginx.port(), &certificate);
        client.accepted(&handshake(left));
        part(client, 1008);
    }
    wait_until("both to be logged", || {
        nginx.log_lines("by nginx: lifetime 1008").len() == 2
    });
}
