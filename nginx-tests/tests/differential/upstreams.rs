//! The servers behind nginx: each notes the very bytes of a request, and answers the same always.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use nginx_tests::backend::{Conn, switching_protocols};
use nginx_tests::environment::environment;
use nginx_tests::http::Head;
use nginx_tests::nginx::Setup;
use nginx_tests::{Certificate, Frame, Listen, ScriptedBackend};
use tempfile::TempDir;

use crate::exchange::{ASIDE, Piece};

/// What upstreams got and nobody has asked for yet.
#[derive(Default)]
pub struct Notes {
    pieces: Vec<Piece>,
    /// Connections of this run, by upstream and the number that the backend gives them.
    connections: BTreeMap<(&'static str, usize), usize>,
}

impl Notes {
    fn note(&mut self, upstream: &'static str, connection: usize, bytes: Vec<u8>) {
        let of_this_one = |(name, _): &&(&str, usize)| *name == upstream;
        let next = self.connections.keys().filter(of_this_one).count();
        let connection = *self
            .connections
            .entry((upstream, connection))
            .or_insert(next);
        self.pieces.push(Piece {
            upstream,
            connection,
            bytes,
        });
    }
}

/// All of them. They outlive each nginx, so that their addresses are the same for every one.
pub struct Upstreams {
    notes: Arc<Mutex<Notes>>,
    certificate: Certificate,
    tcp: Vec<(&'static str, ScriptedBackend)>,
    socket: PathBuf,
    _unix: ScriptedBackend,
    _directory: TempDir,
}

impl Upstreams {
    pub fn start() -> Self {
        let notes: Arc<Mutex<Notes>> = Arc::default();
        let certificate = Certificate::localhost();
        let directory = TempDir::new_in(environment().temporary()).expect("a directory");
        let socket = directory.path().join("backend.sock");
        let start = |name: &'static str, listen: Listen, serve: Serve| {
            let notes = Arc::clone(&notes);
            ScriptedBackend::on(listen, move |conn| {
                serve_and_note(name, conn, &notes, serve)
            })
        };
        let tls = Listen::Tls(certificate.clone());
        let tcp = vec![
            ("BACKEND", start("BACKEND", Listen::Tcp, http)),
            (ASIDE, start(ASIDE, Listen::Tcp, http)),
            ("TLS", start("TLS", tls, http)),
            ("UWSGI", start("UWSGI", Listen::Tcp, uwsgi)),
            ("SCGI", start("SCGI", Listen::Tcp, scgi)),
        ];
        let unix = start("UNIX", Listen::Unix(socket.clone()), http);
        Self {
            notes,
            certificate,
            tcp,
            socket,
            _unix: unix,
            _directory: directory,
        }
    }

    /// Says where they are.
    pub fn introduce(&self, setup: Setup) -> Setup {
        let socket = environment().inside(&self.socket);
        let setup = setup
            .certificate(&self.certificate)
            .set("UNIX", socket.display());
        self.tcp.iter().fold(setup, |setup, (name, backend)| {
            setup.set(name, backend.address())
        })
    }

    /// Counts connections from 0 again.
    pub fn begin(&self) {
        *self.notes.lock().unwrap() = Notes::default();
    }

    /// What came since it was asked last.
    pub fn take(&self) -> Vec<Piece> {
        let mut pieces = std::mem::take(&mut self.notes.lock().unwrap().pieces);
        // Two upstreams have two threads.
        pieces.sort_by_key(|piece| piece.upstream);
        pieces
    }
}

/// Serves one request, tells `got` when it has come whole, and says whether another may come.
type Serve = fn(&mut Conn, &mut dyn FnMut(&Conn)) -> io::Result<bool>;

fn serve_and_note(
    name: &'static str,
    conn: &mut Conn,
    notes: &Mutex<Notes>,
    serve: Serve,
) -> io::Result<()> {
    let mut noted = 0;
    let mut note = |conn: &Conn| {
        let record = conn.record();
        let bytes = record.lock().unwrap()[noted..].to_vec();
        noted += bytes.len();
        if !bytes.is_empty() {
            notes.lock().unwrap().note(name, conn.number(), bytes);
        }
    };
    let end = loop {
        match serve(conn, &mut note) {
            Ok(true) => (),
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // What came behind the last request and should not be there.
    note(conn);
    end
}

fn http(conn: &mut Conn, got: &mut dyn FnMut(&Conn)) -> io::Result<bool> {
    let request = conn.read_request()?.head;
    got(conn);
    if request.has_token("Upgrade", "websocket") {
        conn.accept(&request)?;
        tunnel(conn, got)?;
        return Ok(false);
    }
    let head_only = request.start.starts_with("HEAD ");
    let old = request.start.ends_with("HTTP/1.0");
    let stays = !old && !request.has_token("Connection", "close");
    conn.send(answer(&request, head_only, old, stays))?;
    Ok(stays)
}

fn answer(request: &Head, head_only: bool, old: bool, stays: bool) -> String {
    let target = request.target();
    let host = request.header("Host").unwrap_or_default();
    let always = "Server: backend\r\nX-Own: 1\r\nETag: \"tag\"\r\n\
        Set-Cookie: id=1; Path=/app/; Domain=backend.test\r\n\
        Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n";
    let body = "<body><!--#include virtual=\"/included/\" --></body>";
    let length = body.len();
    let (status, more, body) = if target.contains("answer=redirect") {
        let location = format!("Location: http://{host}/app/moved\r\nContent-Length: 5\r\n");
        ("302 Found", location, "moved".to_owned())
    } else if target.contains("answer=error") {
        (
            "500 Broken",
            "Content-Length: 6\r\n".to_owned(),
            "broken".to_owned(),
        )
    } else if target.contains("answer=nothing") {
        ("204 Nothing", String::new(), String::new())
    } else if target.contains("answer=chunks") && old {
        ("200 OK", String::new(), body.to_owned())
    } else if target.contains("answer=chunks") {
        let chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        (
            "200 OK",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            chunks,
        )
    } else {
        (
            "200 OK",
            format!("Content-Length: {length}\r\n"),
            body.to_owned(),
        )
    };
    let body = if head_only { "" } else { &body };
    // nginx would keep a connection whose end it isn't told of, and send the next POST to no one.
    let end = if stays { "" } else { "Connection: close\r\n" };
    format!("HTTP/1.1 {status}\r\n{always}{more}{end}\r\n{body}")
}

fn uwsgi(conn: &mut Conn, got: &mut dyn FnMut(&Conn)) -> io::Result<bool> {
    let variables = conn.read_uwsgi()?;
    cgi(conn, got, &variables, "HTTP/1.1 ")
}

fn scgi(conn: &mut Conn, got: &mut dyn FnMut(&Conn)) -> io::Result<bool> {
    let variables = conn.read_scgi()?;
    cgi(conn, got, &variables, "Status: ")
}

/// The same for both. The body is there for its length alone.
fn cgi(
    conn: &mut Conn,
    got: &mut dyn FnMut(&Conn),
    variables: &BTreeMap<String, String>,
    status: &str,
) -> io::Result<bool> {
    let length = variables
        .get("CONTENT_LENGTH")
        .and_then(|length| length.parse().ok());
    conn.read_bytes(length.unwrap_or(0))?;
    got(conn);
    if let Some(key) = variables.get("HTTP_SEC_WEBSOCKET_KEY") {
        conn.send(switching_protocols(key).replacen("HTTP/1.1 ", status, 1))?;
        tunnel(conn, got)?;
        return Ok(false);
    }
    conn.send(format!(
        "{status}200 OK\r\nX-Own: 1\r\nContent-Type: text/plain\r\n\r\nplain"
    ))?;
    Ok(false)
}

/// A message and a Close frame, back and forth.
fn tunnel(conn: &mut Conn, got: &mut dyn FnMut(&Conn)) -> io::Result<()> {
    let message = conn.read_frame()?;
    conn.send(unmasked(message))?;
    let close = conn.read_frame()?;
    got(conn);
    conn.send(unmasked(close))
}

fn unmasked(frame: Frame) -> Vec<u8> {
    Frame {
        mask: None,
        ..frame
    }
    .bytes()
}
