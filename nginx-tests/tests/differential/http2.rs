//! Where a location speaks HTTP/2 to its upstream, plain requests go on doing so, and handshakes,
//! which HTTP/2 does not know, go over HTTP/1.1. Both share a cache of idle connections.

use std::io::{self, Read};

use nginx_tests::backend::Conn;
use nginx_tests::environment::nginx_version;
use nginx_tests::http::Head;
use nginx_tests::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS};
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, client};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether this nginx can; says so if not.
fn can() -> bool {
    let can = nginx_version() >= (1, 29, 4);
    if !can {
        nginx_tests::skipped("this nginx has no \"proxy_http_version 2\"");
    }
    can
}

fn server(backend: &ScriptedBackend, keepalive: &str) -> Setup {
    Nginx::http(format!(
        "%ON%
        upstream both {{ server %BACKEND%; {keepalive} }}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{ proxy_http_version 2; proxy_pass http://both; }}
        }}"
    ))
    .set("BACKEND", backend.address())
    .set("ON", "websocket on;")
}

/// One cache for the upstream, one for each location and nothing said, and none.
const CACHES: [&str; 4] = ["keepalive 4;", "keepalive 4 local;", "", "keepalive 0;"];

/// The caches that this nginx can be told of.
fn caches() -> Vec<&'static str> {
    let known = |cache: &&str| {
        let unknown = match *cache {
            "keepalive 4 local;" | "keepalive 0;" => nginx_version() < (1, 29, 7),
            _ => false,
        };
        !unknown
    };
    CACHES.into_iter().filter(known).collect()
}

#[test]
fn plain_requests_go_out_by_http_2_as_without_the_module() {
    if !can() {
        return;
    }
    for cache in caches() {
        let through = |change: fn(Setup) -> Setup| {
            let backend = ScriptedBackend::start(both);
            let nginx = change(server(&backend, cache)).start();
            let requests = [
                Handshake::plain("/a"),
                Handshake::plain("/b")
                    .method("POST")
                    .add("Content-Length", "2")
                    .body("ab"),
                Handshake::plain("/c").version("HTTP/1.0"),
                Handshake::plain("/d")
                    .add("Upgrade", "h2c")
                    .add("Connection", "Upgrade"),
            ];
            for request in requests {
                let mut client = Client::connect(nginx.port());
                assert_eq!(client.exchange(&request).text(), "plain");
            }
            nginx.stop();
            received(&backend)
        };
        let without = through(|setup| setup.set("ON", "").without_module());
        let with = through(|setup| setup);
        assert!(without.iter().all(|bytes| bytes.starts_with(PREFACE)));
        assert_eq!(without, with, "{cache}");
    }
}

#[test]
fn handshakes_go_over_http_1_1_and_share_no_connection() {
    if !can() {
        return;
    }
    for cache in caches() {
        let backend = ScriptedBackend::start(both);
        let nginx = server(&backend, cache).start();
        // Each kind finds what the other has left.
        for _ in 0..2 {
            assert_eq!(client::get(nginx.port(), "/plain").text(), "plain");
            let mut client = Client::connect(nginx.port());
            client.establish("/tunnel");
            client.echo("hello");
            client.close_politely();
            assert_eq!(client::get(nginx.port(), "/plain").text(), "plain");
            // The upstream keeps the connection of a handshake that it refuses.
            let mut client = Client::connect(nginx.port());
            assert_eq!(client.exchange(&Handshake::new("/refused")).status(), 404);
        }
        assert_eq!(client::get(nginx.port(), "/plain").text(), "plain");
        nginx.stop();
        let (plain, handshakes) = by_language(&backend);
        assert_eq!((plain, handshakes.len()), (5, 4), "{cache}");
        for handshake in &handshakes {
            assert!(
                handshake.start.ends_with(" HTTP/1.1"),
                "{}",
                handshake.text()
            );
            assert_eq!(handshake.all("Upgrade"), ["websocket"], "{cache}");
            assert_eq!(handshake.all("Connection"), ["upgrade"], "{cache}");
            assert_eq!(handshake.all("Host"), ["both"], "{cache}");
        }
    }
}

#[test]
fn plain_requests_go_on_by_http_2_beside_a_tunnel() {
    if !can() {
        return;
    }
    for cache in caches() {
        let backend = ScriptedBackend::start(both);
        let nginx = server(&backend, cache).start();
        assert_eq!(client::get(nginx.port(), "/before").text(), "plain");
        let mut client = Client::connect(nginx.port());
        client.establish("/tunnel");
        client.echo("hello");
        for _ in 0..3 {
            assert_eq!(client::get(nginx.port(), "/beside").text(), "plain");
        }
        client.echo("hello again");
        client.close_politely();
        nginx.stop();
        let (plain, handshakes) = by_language(&backend);
        assert_eq!((plain, handshakes.len()), (4, 1), "{cache}");
    }
}

/// How many requests came by HTTP/2, and the heads of those that came by HTTP/1.1. Each
/// connection must stay what it began as.
#[track_caller]
fn by_language(backend: &ScriptedBackend) -> (usize, Vec<Head>) {
    let (mut streams, mut heads) = (0, Vec::new());
    for (number, bytes) in received(backend).iter().enumerate() {
        if let Some(mut frames) = bytes.strip_prefix(PREFACE) {
            while let Ok(Some(frame)) = Http2Frame::read(&mut frames) {
                streams += usize::from(frame.kind == HEADERS);
            }
            continue;
        }
        let text = bytes.escape_ascii();
        assert!(
            bytes.starts_with(b"GET /"),
            "connection {number} began with {text}"
        );
        let preface = bytes.windows(PREFACE.len()).any(|window| window == PREFACE);
        assert!(!preface, "connection {number} changed to HTTP/2: {text}");
        let mut rest = bytes.as_slice();
        while rest.starts_with(b"GET ") {
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
            let (head, behind) = rest.split_at(end.expect("a whole head") + 4);
            heads.push(Head::parse(head.to_vec()));
            rest = behind;
        }
    }
    (streams, heads)
}

fn received(backend: &ScriptedBackend) -> Vec<Vec<u8>> {
    (0..backend.connections())
        .map(|number| backend.received(number))
        .collect()
}

/// A server that speaks HTTP/1.1 and HTTP/2 at one port. A panic of it fails the test.
fn both(conn: &mut Conn) -> io::Result<()> {
    let head = conn.read_head()?;
    if head.start == "PRI * HTTP/2.0" {
        conn.read_until(b"SM\r\n\r\n")?;
        return http_2(conn);
    }
    http_1(conn, head)
}

fn http_1(conn: &mut Conn, mut head: Head) -> io::Result<()> {
    loop {
        let refused = head.target() == "/refused";
        if head.header("Upgrade").is_some() && !refused {
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        let status = if refused { "404 Not Found" } else { "200 OK" };
        let body = "by HTTP/1.1";
        let length = body.len();
        conn.send(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))?;
        head = conn.read_head()?;
    }
}

// Of HTTP/2 as much as nginx needs to be answered "plain".

const GOAWAY: u8 = 7;
const LAST_KIND: u8 = 9;
const ACK: u8 = 1;

struct Http2Frame {
    kind: u8,
    flags: u8,
    stream: [u8; 4],
    payload: Vec<u8>,
}

impl Http2Frame {
    /// The next one, unless the peer has closed.
    fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; 9];
        if from.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[1..])?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut payload)?;
        Ok(Some(Self {
            kind,
            flags,
            stream,
            payload,
        }))
    }

    fn bytes(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        [&length, &[kind, flags][..], &stream, payload].concat()
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn http_2(conn: &mut Conn) -> io::Result<()> {
    conn.send(Http2Frame::bytes(SETTINGS, 0, [0; 4], &[]))?;
    while let Some(frame) = Http2Frame::read(&mut **conn)? {
        assert!(
            frame.kind <= LAST_KIND,
            "not a frame of HTTP/2: {}",
            frame.kind
        );
        let answer = match frame.kind {
            SETTINGS | PING if !frame.has(ACK) => {
                let payload = if frame.kind == PING {
                    &*frame.payload
                } else {
                    &[]
                };
                Http2Frame::bytes(frame.kind, ACK, [0; 4], payload)
            }
            // 0x88 is ":status: 200" in HPACK's static table.
            HEADERS | DATA if frame.has(END_STREAM) => [
                Http2Frame::bytes(HEADERS, END_HEADERS, frame.stream, &[0x88]),
                Http2Frame::bytes(DATA, END_STREAM, frame.stream, b"plain"),
            ]
            .concat(),
            GOAWAY => return Ok(()),
            _ => continue,
        };
        conn.send(answer)?;
    }
    Ok(())
}
