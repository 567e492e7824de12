//! What an idle tunnel holds, and that one which holds no more carries what it should.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use nginx_tests::backend::switching_protocols;
use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::environment::is_over_http2;
use nginx_tests::environment::{is_musl, slowness};
use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::nginx::Setup;
use nginx_tests::{Certificate, Client, Frame, Handshake, Nginx, ScriptedBackend};

use crate::case::{self, memory};
use crate::duplex::Duplex;

const KIB: u64 = 1024;

/// [`case::location`], over TLS at `%TLSPORT%` as well.
fn server(lines: &str, certificate: &Certificate) -> Setup {
    server_with("websocket on;", lines, certificate)
}

/// The same with other lines in the place of these.
fn server_with(websocket: &str, lines: &str, certificate: &Certificate) -> Setup {
    let http = case::location(lines).replace("websocket on;", websocket).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT%;
         listen 127.0.0.1:%TLSPORT% ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    Nginx::http(http).certificate(certificate)
}

/// The headers that browsers send, with cookies of some length.
fn browser(cookies: usize) -> Handshake {
    [
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("Origin", "http://localhost"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-US,en;q=0.5"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "websocket"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Cookie", &"c".repeat(cookies)),
    ]
    .iter()
    .fold(
        Handshake::new("/chat?room=1"),
        |handshake, (name, value)| handshake.add(name, value),
    )
}

/// What carries a tunnel, and over what.
#[derive(Clone, Copy)]
struct Way {
    /// The module, or nginx with lines written by hand.
    module: bool,
    tls: bool,
    upstream_tls: bool,
}

const PLAIN: Way = Way {
    module: true,
    tls: false,
    upstream_tls: false,
};

/// Bytes of the worker's for each tunnel that has carried a message. `None` under a tool that has
/// memory of its own.
fn memory_of_a_tunnel(way: Way, handshake: &Handshake) -> Option<u64> {
    const FIRST: usize = 20;
    const MORE: usize = 200;
    // The figures are for glibc's malloc().
    if slowness() > 1 || is_musl() {
        return None;
    }
    let certificate = Certificate::localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if way.upstream_tls { "https" } else { "http" };
    let websocket = if way.module {
        "websocket on;"
    } else {
        "websocket off; proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
    };
    let nginx = server_with(
        websocket,
        &format!("proxy_pass {scheme}://%BACKEND%; proxy_ssl_protocols TLSv1.3;"),
        &certificate,
    )
    .set("BACKEND", listener.local_addr().unwrap())
    // glibc's malloc() writes to all that it gives: what nobody has touched counts, too.
    .environment("MALLOC_PERTURB_", 85)
    .start();
    let mut ends = Vec::new();
    let backends = {
        let certificate = way.upstream_tls.then(|| certificate.clone());
        thread::spawn(move || -> Vec<_> {
            (0..FIRST + MORE)
                .map(|_| {
                    let mut backend = Duplex::answer(&listener, certificate.as_ref());
                    backend.read_exactly(Frame::text("hello").masked().bytes().len());
                    backend.write_all(&Frame::text("hello").bytes());
                    backend
                })
                .collect()
        })
    };
    let mut open = |count: usize| {
        for _ in 0..count {
            let mut client = if way.tls {
                Client::connect_tls(nginx.port_of("TLSPORT"), &certificate)
            } else {
                Client::connect(nginx.port())
            };
            client.accepted(handshake);
            client.echo("hello");
            ends.push(client);
        }
        memory(nginx.worker_pids()[0])
    };
    // What a worker takes once, for its first tunnels, is not a tunnel's.
    let first = open(FIRST);
    let all = open(MORE);
    drop(backends.join().unwrap());
    Some(all.saturating_sub(first) / MORE as u64)
}

#[track_caller]
fn assert_at_most(limit: u64, handshake: &Handshake) {
    if let Some(each) = memory_of_a_tunnel(PLAIN, handshake) {
        assert!(each <= limit, "{each} bytes for each tunnel");
    }
}

/// Asserts that TLS costs less than with nginx alone, by all of the buffer but the odds and ends.
#[track_caller]
fn assert_no_buffer(tls: bool, upstream_tls: bool) {
    let handshake = Handshake::new("/");
    let cost = |module| {
        let plain = Way { module, ..PLAIN };
        let over_tls = Way {
            tls,
            upstream_tls,
            ..plain
        };
        let plain = memory_of_a_tunnel(plain, &handshake)?;
        Some(memory_of_a_tunnel(over_tls, &handshake)?.saturating_sub(plain))
    };
    if let (Some(ours), Some(theirs)) = (cost(true), cost(false)) {
        assert!(
            ours + 15 * KIB <= theirs,
            "{ours} bytes for TLS, {theirs} of nginx alone"
        );
    }
}

#[test]
fn a_plain_one_holds_two_blocks_of_its_request() {
    if is_skipped_over_http2("each tunnel has a TLS connection beside it") {
        return;
    }
    assert_at_most(12 * KIB, &Handshake::new("/"));
}

#[test]
fn long_headers_take_no_third_block() {
    if is_skipped_over_http2("each tunnel has a TLS connection beside it") {
        return;
    }
    assert_at_most(12 * KIB, &browser(100));
    // nginx keeps the buffer of what is longer than `client_header_buffer_size`.
    assert_at_most(12 * KIB + 8 * KIB, &browser(5000));
}

#[test]
fn over_tls_one_holds_no_buffer_of_nginx_s() {
    if is_skipped_over_http2("each tunnel has a TLS connection beside it") {
        return;
    }
    assert_no_buffer(true, false);
}

#[test]
fn an_upstream_s_tls_holds_none_either() {
    if is_skipped_over_http2("each tunnel has a TLS connection beside it") {
        return;
    }
    assert_no_buffer(false, true);
}

// Traffic, where nginx would have gone on using what is free now.

/// Sends small and large messages both ways.
fn talk(client: &mut Client) {
    for text in ["", "small", &"large ".repeat(100_000), "small again"] {
        client.echo(text);
    }
}

#[test]
fn on_a_connection_that_has_carried_a_page() {
    let certificate = Certificate::localhost();
    let page = "p".repeat(100_000);
    let lines = "proxy_pass http://%BACKEND%; }
        location = /page { root %PREFIX%;";
    let backend = ScriptedBackend::standard();
    let nginx = server(lines, &certificate)
        .file("page", &page)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    for _ in 0..2 {
        let answer = client.exchange(&Handshake::plain("/page"));
        assert!(answer.body == page.as_bytes());
    }
    client.establish("/");
    talk(&mut client);
    client.close_politely();

    // All of it comes at once: nginx doesn't free its buffer between two requests then.
    let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    let all = [
        Handshake::plain("/page").bytes(),
        Handshake::plain("/").bytes(),
        Handshake::new("/").bytes(),
        Frame::text("hello").masked().bytes(),
    ];
    client.send(all.concat()).unwrap();
    assert!(client.read_message().unwrap().body == page.as_bytes());
    assert_eq!(client.read_message().unwrap().body, b"plain");
    assert_eq!(client.read_head().unwrap().status(), 101);
    assert_eq!(client.frame(), Frame::text("hello"));
    talk(&mut client);
    client.close_politely();
    assert_eq!(case::all_ended(&nginx, 6)[5].why().1, "normal");
}

#[test]
fn a_101_that_limit_rate_slows_down_over_tls() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    for rate in ["10", "100k"] {
        let nginx = server(
            &format!("proxy_pass http://%BACKEND%; limit_rate {rate};"),
            &certificate,
        )
        .set("BACKEND", backend.address())
        .start();
        let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
        client.establish("/");
        talk(&mut client);
        client.close_politely();
    }
}

#[test]
fn keys_that_are_renewed_while_nothing_is_sent() {
    let certificate = Certificate::localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = "proxy_pass https://%BACKEND%; proxy_ssl_protocols TLSv1.3;";
    let nginx = server(lines, &certificate)
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let theirs = certificate.clone();
    let backend = thread::spawn(move || Duplex::answer(&listener, Some(&theirs)));
    let mut client = Duplex::open(nginx.port_of("TLSPORT"), Some(&certificate));
    let mut backend = backend.join().unwrap();
    for round in 0..10 {
        client.renew_keys();
        backend.renew_keys();
        let up = Frame::text(&format!("up {round}")).masked().bytes();
        let down = Frame::binary(vec![round; 100_000]).bytes();
        client.write_all(&up);
        assert!(backend.read_exactly(up.len()) == up);
        backend.write_all(&down);
        assert!(client.read_exactly(down.len()) == down);
    }
}

/// What was written for the first server is sent to the second one as well.
#[test]
fn a_long_request_goes_to_the_next_server_whole() {
    let refusing = ScriptedBackend::start(|conn| conn.read_request().map(drop));
    let backend = ScriptedBackend::standard();
    let http = format!(
        "upstream both {{ server {} max_fails=0; server {} backup; }}
        log_format headers '$http_cookie $sent_http_upgrade $upstream_http_upgrade';
        {}",
        refusing.address(),
        backend.address(),
        case::location(
            "proxy_pass http://both; proxy_set_header Host $host; access_log logs/headers.log headers;"
        )
    );
    let nginx = Nginx::http(http)
        // glibc's malloc() writes to what is freed, too.
        .environment("MALLOC_PERTURB_", 85)
        .allow_log("prematurely closed")
        .start();
    for cookies in [1, 500, 2000, 6000] {
        let handshake = (0..25).fold(browser(cookies), |handshake, number| {
            handshake.add(&format!("X-Header-{number}"), &"h".repeat(cookies / 50))
        });
        let before = backend.requests().len();
        let mut client = Client::connect(nginx.port());
        client.accepted(&handshake);
        talk(&mut client);
        client.close_politely();
        let (first, second) = (refusing.request(before).head, backend.request(before).head);
        assert_eq!(first.text(), second.text());
        assert_eq!(second.header("Cookie"), Some(&*"c".repeat(cookies)));
        let logged = nginx
            .wait_for_access("headers.log", before + 1)
            .swap_remove(before);
        // There is no such field over HTTP/2.
        let sent = if is_over_http2() { "-" } else { "websocket" };
        assert_eq!(logged, format!("{} {sent} websocket", "c".repeat(cookies)));
    }
    // What the log quotes of what was sent is still there.
    for line in nginx.log_lines("websocket closed after") {
        let address = format!("upstream: \"http://{}/chat?room=1\"", backend.address());
        assert!(line.contains(&address), "{line}");
    }
}

/// An upstream that answers before it has got the whole request: what is still to be sent stays.
#[test]
fn a_request_that_is_still_on_its_way() {
    if is_skipped_over_http2("nginx takes no head of eight megabytes there") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = "proxy_pass http://%BACKEND%; websocket_handshake lenient;";
    let http = case::location(lines).replace(
        "access_log logs",
        "large_client_header_buffers 16 2m; access_log logs",
    );
    let nginx = Nginx::http(http)
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let mut client = TcpStream::connect(("127.0.0.1", nginx.port())).unwrap();
    let handshake = (0..8).fold(Handshake::new("/"), |handshake, _| {
        handshake.add("Cookie", &"c".repeat(1_000_000))
    });
    let writer = {
        let mut client = client.try_clone().unwrap();
        thread::spawn(move || client.write_all(&handshake.bytes()))
    };
    let (mut backend, _) = listener.accept().unwrap();
    let mut some = [0; 100];
    backend.read_exact(&mut some).unwrap();
    backend
        .write_all(switching_protocols(SAMPLE_KEY).as_bytes())
        .unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    writer.join().unwrap().unwrap();
    drop(client);
    case::ended(&nginx);
    let mut got = some.to_vec();
    backend.read_to_end(&mut got).unwrap();
    // Nothing of it was overwritten, however little the socket took.
    let got = String::from_utf8(got).expect("ASCII");
    let cookies: Vec<_> = got
        .split("\r\n")
        .skip_while(|line| !line.contains("Cookie"))
        .collect();
    assert!(!cookies.is_empty());
    for cookie in cookies {
        assert!(
            "Cookie: ".starts_with(cookie.trim_end_matches('c')),
            "{}",
            cookie.len()
        );
    }
}
