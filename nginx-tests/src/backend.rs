//! Servers behind nginx: one that speaks WebSocket, and one that does what a script says.
//!
//! A little longer than others are: its parts have no use without each other.

use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixListener;
use std::panic;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use rustix::net::{Shutdown, shutdown};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::{Message as WsMessage, WebSocket};

use crate::client::SAMPLE_ACCEPT;
use crate::http::{Head, Message};
use crate::tls::Certificate;
use crate::wait::wait_for;
use crate::wire::{Closer, Socket, Wire};

/// Where a backend listens.
#[derive(Clone, Debug)]
pub enum Listen {
    /// A free port of 127.0.0.1.
    Tcp,
    /// A free port of 127.0.0.1, by TLS with this certificate.
    Tls(Certificate),
    /// A unix socket at this path.
    Unix(PathBuf),
}

/// What a backend does with one connection. An error ends the connection and is no failure of
/// the test; a panic is.
pub type Script = dyn Fn(&mut Conn) -> io::Result<()> + Send + Sync;

/// A server that records what it gets and does what its script says.
pub struct ScriptedBackend {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    address: Address,
    acceptor: Option<JoinHandle<()>>,
}

impl ScriptedBackend {
    /// Runs `script` for every connection to a free port.
    pub fn start(script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::on(Listen::Tcp, script)
    }

    /// Answers a handshake with a right 101 and echoes frames; answers anything else with
    /// `200` and the body `plain`, and keeps the connection unless told to close it.
    pub fn standard() -> Self {
        Self::start(standard)
    }

    /// Answers every request with these bytes, and keeps the connection. As [`Conn::answer`] does.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |conn| {
            loop {
                let request = conn.read_request()?.head;
                conn.answer(&request, &answer)?;
            }
        })
    }

    /// Runs `script` for every connection to this kind of socket.
    pub fn on(
        listen: Listen,
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = Listener::bind(&listen).expect("a backend finds its socket");
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared::default());
        let acceptor = {
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            let script: Arc<Script> = Arc::new(script);
            thread::spawn(move || accept_all(&listener, &listen, &shared, &script))
        };
        Self {
            shared,
            listener,
            address,
            acceptor: Some(acceptor),
        }
    }

    /// What `proxy_pass http://…` takes: `127.0.0.1:port`. Not for unix sockets, whose path the
    /// test has chosen itself.
    pub fn address(&self) -> String {
        match &self.address {
            Address::Port(port) => format!("127.0.0.1:{port}"),
            Address::Path(path) => path.display().to_string(),
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        match &self.address {
            Address::Port(port) => *port,
            Address::Path(path) => panic!("{} has no port", path.display()),
        }
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.records.lock().unwrap().len()
    }

    /// Every byte that came on the connection of this number, from 0.
    pub fn received(&self, connection: usize) -> Vec<u8> {
        let record = self.shared.records.lock().unwrap().get(connection).cloned();
        let record = record.unwrap_or_else(|| panic!("no connection {connection} yet"));
        record.lock().unwrap().clone()
    }

    /// The requests read by [`Conn::read_request`] so far, over all connections.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The request of this number, from 0; waits for it.
    #[track_caller]
    pub fn request(&self, number: usize) -> Recorded {
        wait_for("a request to reach the backend", || {
            self.shared.requests.lock().unwrap().get(number).cloned()
        })
    }

    /// Lets one [`Conn::pause`] go on.
    pub fn resume(&self) {
        *self.shared.permits.lock().unwrap() += 1;
        self.shared.permitted.notify_all();
    }
}

impl Drop for ScriptedBackend {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.permitted.notify_all();
        self.listener.close();
        let mut lost = self.acceptor.take().and_then(|thread| thread.join().err());
        lost = lost.or(self.shared.lost.lock().unwrap().take());
        for closer in self.shared.closers.lock().unwrap().drain(..) {
            closer.close();
        }
        let threads = std::mem::take(&mut *self.shared.threads.lock().unwrap());
        for thread in threads {
            lost = thread.join().err().or(lost);
        }
        if let (Some(payload), false) = (lost, thread::panicking()) {
            panic::resume_unwind(payload);
        }
    }
}

/// A request that reached a backend.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The number of its connection, from 0.
    pub connection: usize,
    /// Request line and headers.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection in the hands of a script: a [`Wire`] that knows its backend.
pub struct Conn {
    wire: Wire,
    number: usize,
    shared: Arc<Shared>,
}

impl Conn {
    /// The number of this connection, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads an HTTP request and notes it for the test.
    pub fn read_request(&mut self) -> io::Result<Message> {
        let Message { head, body } = self.wire.read_message()?;
        let request = Recorded {
            connection: self.number,
            head,
            body,
        };
        self.shared.requests.lock().unwrap().push(request.clone());
        Ok(Message {
            head: request.head,
            body: request.body,
        })
    }

    /// Sends the right 101 for this handshake.
    pub fn accept(&mut self, handshake: &Head) -> io::Result<()> {
        self.send(switching_protocols(
            handshake.header("Sec-WebSocket-Key").unwrap_or_default(),
        ))
    }

    /// Sends an answer that was written for [`SAMPLE_KEY`](crate::client::SAMPLE_KEY), with what belongs to the key
    /// that has come: over HTTP/2 it is nginx's own.
    pub fn answer(&mut self, handshake: &Head, answer: &[u8]) -> io::Result<()> {
        let sample = SAMPLE_ACCEPT.as_bytes();
        let place = answer.windows(sample.len()).position(|at| at == sample);
        let (Some(place), Some(key)) = (place, handshake.header("Sec-WebSocket-Key")) else {
            return self.send(answer);
        };
        let accept = derive_accept_key(key.as_bytes());
        let behind = &answer[place + sample.len()..];
        self.send([&answer[..place], accept.as_bytes(), behind].concat())
    }

    /// Sends such a 101 of three megabytes, which a client has to read for nginx to be rid of it. nginx needs
    /// [`LONG_HEAD`] for it.
    pub fn accept_at_length(&mut self, handshake: &Head) -> io::Result<()> {
        let key = handshake.header("Sec-WebSocket-Key").unwrap_or_default();
        let padding = format!("\r\nX-Padding: {}", "a".repeat(15_000)).repeat(200);
        let head = switching_protocols(key);
        self.send(head.replacen("\r\n", &format!("{padding}\r\n"), 1))
    }

    /// Waits for [`ScriptedBackend::resume`].
    pub fn pause(&mut self) -> io::Result<()> {
        let permits = self.shared.permits.lock().unwrap();
        let waiting = |permits: &mut usize| *permits == 0 && !self.shared.stopping();
        let mut permits = self.shared.permitted.wait_while(permits, waiting).unwrap();
        if self.shared.stopping() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        *permits -= 1;
        Ok(())
    }

    /// Says nothing until the peer closes or the test ends.
    pub fn hang(&mut self) -> io::Result<()> {
        self.wire.set_read_timeout(None);
        self.wire.read_to_close().map(drop)
    }
}

impl Deref for Conn {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

/// The script of [`ScriptedBackend::standard`].
pub fn standard(conn: &mut Conn) -> io::Result<()> {
    loop {
        let request = conn.read_request()?.head;
        if request.has_token("Upgrade", "websocket") {
            conn.accept(&request)?;
            return conn.echo_frames();
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")?;
        if request.has_token("Connection", "close") || request.start.ends_with("HTTP/1.0") {
            return Ok(());
        }
    }
}

/// What nginx reads a head of some megabytes with.
pub const LONG_HEAD: &str = "proxy_buffer_size 4m; proxy_buffers 8 4m; proxy_busy_buffers_size 8m;";

/// The right 101 for this Sec-WebSocket-Key.
pub fn switching_protocols(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// A WebSocket server that sends every message back.
pub struct EchoBackend {
    server: ScriptedBackend,
}

impl EchoBackend {
    /// Listens on a free port.
    pub fn start() -> Self {
        Self::on(Listen::Tcp, &[])
    }

    /// Listens there, and chooses the first of `subprotocols` that a client offers.
    pub fn on(listen: Listen, subprotocols: &[&str]) -> Self {
        let known: Vec<String> = subprotocols.iter().map(|&name| name.to_owned()).collect();
        let script = move |conn: &mut Conn| {
            let shared = Arc::clone(&conn.shared);
            let (number, record) = (conn.number, conn.record());
            let note = |head: Head| {
                let request = Recorded {
                    connection: number,
                    head,
                    body: Vec::new(),
                };
                shared.requests.lock().unwrap().push(request);
            };
            // A server that speaks the protocol, so what goes wrong here is the other side's.
            if let Some(socket) = accept_websocket(&mut conn.wire, &known, &record, note) {
                let _ = echo(socket);
            }
            Ok(())
        };
        Self {
            server: ScriptedBackend::on(listen, script),
        }
    }
}

impl Deref for EchoBackend {
    type Target = ScriptedBackend;

    fn deref(&self) -> &ScriptedBackend {
        &self.server
    }
}

/// Answers a handshake as tungstenite does, if it is one.
// The error type is tungstenite's own, and its closure must name it.
#[allow(clippy::result_large_err)]
fn accept_websocket<'a>(
    wire: &'a mut Wire,
    known: &[String],
    record: &Mutex<Vec<u8>>,
    note: impl Fn(Head),
) -> Option<WebSocket<&'a mut Wire>> {
    let answer = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let bytes = record.lock().unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        note(Head::parse(
            bytes[..end.map_or(bytes.len(), |end| end + 4)].to_vec(),
        ));
        let offered = request.headers().get_all("Sec-WebSocket-Protocol");
        let offered = offered.iter().filter_map(|value| value.to_str().ok());
        let chosen = offered
            .flat_map(|value| value.split(','))
            .find(|name| known.iter().any(|known| known == name.trim()));
        if let Some(chosen) = chosen.and_then(|name| HeaderValue::from_str(name.trim()).ok()) {
            response
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", chosen);
        }
        Ok(response)
    };
    tungstenite::accept_hdr(wire, answer).ok()
}

/// Sends every text or binary message back until the connection ends.
pub fn echo<S: io::Read + io::Write>(mut socket: WebSocket<S>) -> tungstenite::Result<()> {
    loop {
        match socket.read()? {
            message @ (WsMessage::Text(_) | WsMessage::Binary(_)) => socket.send(message)?,
            _ => socket.flush()?,
        }
    }
}

#[derive(Default)]
struct Shared {
    records: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    requests: Mutex<Vec<Recorded>>,
    closers: Mutex<Vec<Closer>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What one of them panicked with.
    lost: Mutex<Option<Box<dyn Any + Send>>>,
    permits: Mutex<usize>,
    permitted: Condvar,
    stopping: AtomicBool,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Threads keep their stacks until somebody takes note of their end.
    fn put_away_those_that_have_ended(&self) {
        let mut threads = self.threads.lock().unwrap();
        let all = std::mem::take(&mut *threads).into_iter();
        let (ended, others): (Vec<_>, Vec<_>) = all.partition(JoinHandle::is_finished);
        *threads = others;
        for payload in ended.into_iter().filter_map(|thread| thread.join().err()) {
            *self.lost.lock().unwrap() = Some(payload);
        }
    }
}

fn accept_all(listener: &Listener, listen: &Listen, shared: &Arc<Shared>, script: &Arc<Script>) {
    loop {
        let accepted = listener.accept();
        if shared.stopping() {
            return;
        }
        let wire = Wire::plain(accepted.expect("a backend accepts")).expect("a fresh socket");
        shared.closers.lock().unwrap().push(wire.closer());
        let number = {
            let mut records = shared.records.lock().unwrap();
            records.push(Arc::default());
            records.len() - 1
        };
        let (listen, shared_, script) = (listen.clone(), Arc::clone(shared), Arc::clone(script));
        let serve = move || {
            let wire = match &listen {
                Listen::Tls(certificate) => wire.accept_tls(certificate),
                Listen::Tcp | Listen::Unix(_) => Ok(wire),
            };
            let Ok(wire) = wire else { return };
            // It waits as long as nginx holds the connection; the end of the test ends both.
            wire.set_read_timeout(None);
            shared_.records.lock().unwrap()[number] = wire.record();
            let _ = script(&mut Conn {
                wire,
                number,
                shared: shared_,
            });
        };
        shared.put_away_those_that_have_ended();
        shared.threads.lock().unwrap().push(thread::spawn(serve));
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Address {
    Port(u16),
    Path(PathBuf),
}

impl Listener {
    fn bind(listen: &Listen) -> io::Result<(Self, Address)> {
        match listen {
            Listen::Tcp | Listen::Tls(_) => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let port = listener.local_addr()?.port();
                Ok((Self::Tcp(listener), Address::Port(port)))
            }
            Listen::Unix(path) => Ok((
                Self::Unix(UnixListener::bind(path)?),
                Address::Path(path.clone()),
            )),
        }
    }

    fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => Ok(Socket::Tcp(listener.accept()?.0)),
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept()?.0)),
        }
    }

    /// Makes a waiting `accept` return.
    fn close(&self) {
        let _ = match self {
            Self::Tcp(listener) => shutdown(listener, Shutdown::Both),
            Self::Unix(listener) => shutdown(listener, Shutdown::Both),
        };
    }
}
