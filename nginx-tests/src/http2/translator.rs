//! Carries WebSockets of clients that speak HTTP/1.1 to nginx over HTTP/2, so that every test can run over both.
//!
//! It stands in front of nginx's port. A right handshake goes on as an extended CONNECT (RFC 8441) on an HTTP/2
//! connection of its own, and the answer comes back as HTTP/1.1. Whatever else comes, which HTTP/2 has no word for or
//! which is no WebSocket, goes to nginx as it is.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::{str, thread};

use rustix::net::sockopt::set_socket_send_buffer_size;

use super::stream::{Answer, Stream};
use crate::backend::switching_protocols;
use crate::client::SAMPLE_KEY;
use crate::environment::{is_over_http2, nginx_version};
use crate::http::Head;
use crate::tls::Certificate;

/// The name of nginx's port for HTTP/2 in a configuration.
pub const PORT: &str = "HTTP2PORT";

/// What nginx needs for the whole of its configuration. `CERTIFICATE` and `KEY` are the names of files.
pub const HTTP: &str =
    "    websocket_http2 on; ssl_certificate http2.pem; ssl_certificate_key http2-key.pem;\n";
/// The file of the certificate.
pub const CERTIFICATE: &str = "http2.pem";
/// The file of its key.
pub const KEY: &str = "http2-key.pem";

/// The certificate of nginx's port for HTTP/2, where a test has none of its own.
pub fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(Certificate::localhost)
}

/// A configuration that listens for HTTP/2 wherever it listens on `%PORT%`. Lines keep their numbers.
pub fn configure(http: &str) -> String {
    let plain = "listen 127.0.0.1:%PORT%;";
    // Later it warns of the parameter.
    let ends = if nginx_version() < (1, 25, 1) {
        "ssl http2;"
    } else {
        "ssl; http2 on;"
    };
    http.replace(plain, &format!("{plain} listen 127.0.0.1:%{PORT}% {ends}"))
}

/// Says so, and is true, where a test has no meaning over HTTP/2.
pub fn is_skipped_over_http2(why: &str) -> bool {
    if is_over_http2() {
        println!("skipped over HTTP/2: {why}");
    }
    is_over_http2()
}

/// The protocol that nginx notes of a handshake.
pub fn protocol() -> &'static str {
    if is_over_http2() {
        "HTTP/2.0"
    } else {
        "HTTP/1.1"
    }
}

/// The status that nginx notes of a handshake that opens a tunnel.
pub fn opened() -> u16 {
    if is_over_http2() { 200 } else { 101 }
}

/// The status of a handshake that HTTP/1.1 answers with this one, and no tunnel: over HTTP/2 a success would be one.
pub fn without_tunnel(status: u16) -> u16 {
    match status {
        200..300 if is_over_http2() => 502,
        _ => status,
    }
}

/// What HTTP/1.1 has in the place of a tunnel's status in nginx's log.
pub fn noted(status: u16, state: &str) -> u16 {
    match (status, state) {
        (200, "established") if is_over_http2() => 101,
        _ => status,
    }
}

/// A line of a request's head that an upstream got, as it had been if the client's handshake had come over HTTP/1.1: names
/// are in small letters in HTTP/2, and the key is nginx's.
pub fn received(line: &str) -> String {
    let Some((name, value)) = line.split_once(": ").filter(|_| is_over_http2()) else {
        return line.to_owned();
    };
    let name = titled(name);
    match &*name {
        "Sec-WebSocket-Key" if is_right(value) => format!("{name}: {SAMPLE_KEY}"),
        _ => format!("{name}: {value}"),
    }
}

/// Listens in front of these ports of nginx, on the port that it gives, as long as the process runs.
pub fn start(plain: u16, http2: u16, certificate: Certificate) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    let certificate = Arc::new(certificate);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = client.set_nodelay(true);
            // What the client has not taken is to be known.
            let _ = set_socket_send_buffer_size(&client, 16 << 10);
            let certificate = Arc::clone(&certificate);
            // What goes wrong is the end of the client's connection, as it is with nginx.
            thread::spawn(move || serve(client, plain, http2, &certificate));
        }
    });
    port
}

fn serve(client: TcpStream, plain: u16, http2: u16, certificate: &Certificate) -> io::Result<()> {
    let mut behind = Vec::new();
    loop {
        let (head, rest) = read_head(&client, behind)?;
        let Some(handshake) = Handshake::of(&head) else {
            let nginx = TcpStream::connect(("127.0.0.1", plain))?;
            return splice(client, nginx, &[head, rest].concat());
        };
        let mut stream = Stream::open(http2, certificate, &handshake.fields)?;
        let answer = stream.answer(&client, &rest)?;
        (&client).write_all(&handshake.translate(&answer))?;
        if answer.status == 200 {
            return stream.carry(&client);
        }
        behind = stream.unsent();
    }
}

/// Reads the head of a request, or all that comes if there is none.
fn read_head(mut client: &TcpStream, mut bytes: Vec<u8>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut chunk = [0; 16 * 1024];
    loop {
        // Lines may end otherwise, which HTTP/2 has no word for.
        let ends: [&[u8]; 3] = [b"\r\n\r\n", b"\n\n", b"\n\r\n"];
        let end = |end: &[u8]| {
            let place = bytes.windows(end.len()).position(|at| at == end)?;
            Some(place + end.len())
        };
        if let Some(end) = ends.into_iter().filter_map(end).min() {
            let rest = bytes.split_off(end);
            return Ok((bytes, rest));
        }
        match client.read(&mut chunk)? {
            0 => return Ok((bytes, Vec::new())),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Sixteen bytes in Base64.
fn is_right(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix("==")
        .is_some_and(|digits| digits.len() == 22 && digits.bytes().all(is_base64))
}

/// A handshake that HTTP/2 has words for.
struct Handshake {
    key: String,
    fields: Vec<(String, String)>,
}

impl Handshake {
    fn of(bytes: &[u8]) -> Option<Self> {
        let lines = str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
        let is_plain = |line: &str| {
            line.split_once(':')
                .is_some_and(|(name, _)| !name.contains([' ', '\t']) && !name.is_empty())
        };
        if !lines.split("\r\n").skip(1).all(is_plain)
            || lines.replace("\r\n", "").contains(['\r', '\n'])
        {
            return None;
        }
        let head = Head::parse(bytes.to_vec());
        let (target, version) = head.start.strip_prefix("GET ")?.split_once(' ')?;
        let one = |name: &str| match head.all(name)[..] {
            [value] => Some(value.to_owned()),
            _ => None,
        };
        let key = one("Sec-WebSocket-Key")?;
        let is_translated = version == "HTTP/1.1"
            && target.starts_with('/')
            && one("Upgrade")?.eq_ignore_ascii_case("websocket")
            && head.lines("Upgrade")[0].is_ascii()
            && one("Connection")?.eq_ignore_ascii_case("upgrade")
            && is_right(&key)
            && [
                "Content-Length",
                "Transfer-Encoding",
                "Keep-Alive",
                "Proxy-Connection",
            ]
            .iter()
            .all(|name| head.header(name).is_none());
        let mut fields: Vec<(String, String)> = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", target),
            (":authority", &*one("Host")?),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (name, value) in &head.headers {
            let name = name.to_ascii_lowercase();
            if !["host", "upgrade", "connection", "sec-websocket-key"].contains(&&*name) {
                fields.push((name, value.clone()));
            }
        }
        is_translated.then_some(Self { key, fields })
    }

    /// An answer as it would have been over HTTP/1.1.
    fn translate(&self, answer: &Answer) -> Vec<u8> {
        let mut head = match answer.status {
            200 => switching_protocols(&self.key).trim_end().to_owned() + "\r\n",
            status => format!(
                "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n",
                answer.body.len()
            ),
        };
        for (name, value) in &answer.fields {
            if name != "content-length" {
                head += &format!("{}: {value}\r\n", titled(name));
            }
        }
        [head.as_bytes(), b"\r\n", &answer.body].concat()
    }
}

/// `sec-websocket-protocol` as it is written in HTTP/1.1.
fn titled(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "websocket" => "WebSocket".to_owned(),
        word => word[..1].to_uppercase() + &word[1..],
    });
    words.collect::<Vec<_>>().join("-")
}

/// Carries bytes both ways until both have ended.
fn splice(client: TcpStream, nginx: TcpStream, first: &[u8]) -> io::Result<()> {
    (&nginx).write_all(first)?;
    let (client, nginx) = (Arc::new(client), Arc::new(nginx));
    let (from, to) = (Arc::clone(&client), Arc::clone(&nginx));
    let upwards = thread::spawn(move || copy(&from, &to));
    copy(&nginx, &client);
    let _ = client.shutdown(Shutdown::Read);
    let _ = upwards.join();
    Ok(())
}

/// Carries bytes until they end; a reset goes on as one.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    match io::copy(&mut from, &mut to) {
        Ok(_) => drop(to.shutdown(Shutdown::Write)),
        Err(_) => super::leaving::reset(to),
    }
}
