//! One connection: plain, unix or TLS, read and written byte for byte.
//!
//! A little longer than others are: its parts have no use without each other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection, StreamOwned};

use crate::frame::Frame;
use crate::http::{Head, Message};
use crate::tls::Certificate;
use crate::wait::DEADLINE;

/// A connection. Reading waits for [`DEADLINE`] at most, and so does writing, unless told otherwise.
pub struct Wire {
    stream: Stream,
    /// Read from the socket and not yet asked for.
    buffer: Vec<u8>,
    received: Arc<Mutex<Vec<u8>>>,
}

/// Ends a connection from another thread, if it is still there.
pub struct Closer(Weak<Socket>);

impl Closer {
    /// Shuts the socket down in both directions.
    pub fn close(&self) {
        if let Some(socket) = self.0.upgrade() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Wire {
    /// Connects to a port of 127.0.0.1.
    pub fn connect(port: u16) -> io::Result<Self> {
        Self::plain(Socket::Tcp(TcpStream::connect(("127.0.0.1", port))?))
    }

    /// Connects to a unix socket.
    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        Self::plain(Socket::Unix(UnixStream::connect(path)?))
    }

    /// Connects by TLS as a client that trusts `certificate` alone and asks for `localhost`.
    pub fn connect_tls(port: u16, certificate: &Certificate) -> io::Result<Self> {
        Self::connect_tls_as(port, certificate, None)
    }

    /// The same with a certificate of the client's own.
    pub fn connect_tls_as(
        port: u16,
        certificate: &Certificate,
        own: Option<&Certificate>,
    ) -> io::Result<Self> {
        Self::connect_tls_with(port, certificate.client_config(own), &[])
    }

    /// The same as one that speaks HTTP/2 and nothing else.
    pub fn connect_http2(port: u16, certificate: &Certificate) -> io::Result<Self> {
        Self::connect_http2_behind(port, certificate, &[])
    }

    /// The same with bytes in front of TLS.
    pub fn connect_http2_behind(
        port: u16,
        certificate: &Certificate,
        first: &[u8],
    ) -> io::Result<Self> {
        let mut config = ClientConfig::clone(&certificate.client_config(None));
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self::connect_tls_with(port, Arc::new(config), first)
    }

    fn connect_tls_with(port: u16, config: Arc<ClientConfig>, first: &[u8]) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("localhost is a name");
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut socket = Shared::new(Socket::Tcp(TcpStream::connect(("127.0.0.1", port))?))?;
        socket.write_all(first)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::over(Stream::Client(Box::new(StreamOwned::new(
            tls, socket,
        )))))
    }

    /// The accepted end of a plain connection.
    pub fn plain(socket: Socket) -> io::Result<Self> {
        Ok(Self::over(Stream::Plain(Shared::new(socket)?)))
    }

    /// Answers the TLS handshake on an accepted connection.
    pub fn accept_tls(self, certificate: &Certificate) -> io::Result<Self> {
        let Stream::Plain(mut socket) = self.stream else {
            return Err(io::Error::other("TLS goes over a plain connection"));
        };
        let mut tls =
            ServerConnection::new(certificate.server_config()).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let stream = Stream::Server(Box::new(StreamOwned::new(tls, socket)));
        Ok(Self {
            stream,
            buffer: self.buffer,
            received: self.received,
        })
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            received: Arc::default(),
        }
    }

    /// Every byte that ever came, read by the test or not, as it grows.
    pub fn record(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.received)
    }

    /// A way to end this connection from another thread.
    pub fn closer(&self) -> Closer {
        Closer(
            self.stream
                .socket()
                .map(|shared| Arc::downgrade(&shared.0))
                .unwrap_or_default(),
        )
    }

    /// How long a read may wait; `None` is for ever.
    pub fn set_read_timeout(&self, limit: Option<Duration>) {
        if let Some(socket) = self.stream.socket() {
            socket
                .0
                .set_read_timeout(limit)
                .expect("a socket takes a timeout");
        }
    }

    /// How long a write may wait for a peer that does not read.
    pub fn set_write_timeout(&self, limit: Option<Duration>) {
        if let Some(socket) = self.stream.socket() {
            socket
                .0
                .set_write_timeout(limit)
                .expect("a socket takes a timeout");
        }
    }

    /// Sends all of these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.write_all(bytes.as_ref())?;
        self.flush()
    }

    /// Reads until the bytes end with `pattern`.
    pub fn read_until(&mut self, pattern: &[u8]) -> io::Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            if let Some(at) = find(&self.buffer[seen..], pattern) {
                let rest = self.buffer.split_off(seen + at + pattern.len());
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            seen = self
                .buffer
                .len()
                .saturating_sub(pattern.len().saturating_sub(1));
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads exactly this many bytes.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the head of a request or response.
    pub fn read_head(&mut self) -> io::Result<Head> {
        self.read_until(b"\r\n\r\n").map(Head::parse)
    }

    /// Reads the body that belongs to this head: chunked, counted, or for a response that says
    /// neither until the connection closes.
    pub fn read_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.has_token("Transfer-Encoding", "chunked") {
            return self.read_chunks();
        }
        match head.header("Content-Length") {
            Some(length) => self.read_bytes(length.parse().map_err(io::Error::other)?),
            None if !head.start.starts_with("HTTP/") => Ok(Vec::new()),
            None if matches!(head.status(), 100..=199 | 204 | 304) => Ok(Vec::new()),
            None => self.read_to_close(),
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n")?;
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            let chunk = self.read_bytes(size + 2)?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Reads a head and its body.
    pub fn read_message(&mut self) -> io::Result<Message> {
        let head = self.read_head()?;
        let body = self.read_body(&head)?;
        Ok(Message { head, body })
    }

    /// Reads one WebSocket frame.
    pub fn read_frame(&mut self) -> io::Result<Frame> {
        Frame::read(self)
    }

    /// Reads what comes until the peer closes. A reset is an error.
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? != 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Sends back every message unmasked, as a WebSocket server would, until the peer closes or
    /// a Close frame is answered.
    pub fn echo_frames(&mut self) -> io::Result<()> {
        loop {
            let frame = match self.read_frame() {
                Ok(frame) => frame,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            match frame.opcode {
                9 => self.send(Frame::new(10, frame.payload).bytes())?,
                10 => (),
                8 => {
                    return self.send(
                        Frame {
                            mask: None,
                            ..frame
                        }
                        .bytes(),
                    );
                }
                _ => self.send(
                    Frame {
                        mask: None,
                        ..frame
                    }
                    .bytes(),
                )?,
            }
        }
    }

    /// Says that nothing more will be sent; reading goes on.
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Client(tls) => tls.conn.send_close_notify(),
            Stream::Server(tls) => tls.conn.send_close_notify(),
            Stream::Plain(_) | Stream::Closed => (),
        }
        self.flush()?;
        self.stream
            .socket()
            .map_or(Ok(()), |socket| socket.0.shutdown(Shutdown::Write))
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.stream = Stream::Closed;
    }

    /// Breaks the connection with a TCP reset.
    pub fn reset(&mut self) {
        if let Some(socket) = self.stream.socket() {
            let at_once = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(&*socket.0, at_once).expect("SO_LINGER");
        }
        self.close();
    }

    /// Reads once from the stream into the buffer; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = loop {
            match self.stream.read(&mut chunk) {
                Ok(count) => break count,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => (),
                    io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                    // A TLS peer that closed without saying so has closed.
                    io::ErrorKind::UnexpectedEof => break 0,
                    _ => return Err(error),
                },
            }
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        self.received
            .lock()
            .unwrap()
            .extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Ok(0);
        }
        let count = into.len().min(self.buffer.len());
        into[..count].copy_from_slice(&self.buffer[..count]);
        self.buffer.drain(..count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Client(tls) => tls.write(bytes),
            Stream::Server(tls) => tls.write(bytes),
            Stream::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(_) | Stream::Closed => Ok(()),
            Stream::Client(tls) => tls.flush(),
            Stream::Server(tls) => tls.flush(),
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A unix stream connection.
    Unix(UnixStream),
}

impl Socket {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(how),
            Self::Unix(socket) => socket.shutdown(how),
        }
    }

    fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(limit),
            Self::Unix(socket) => socket.set_read_timeout(limit),
        }
    }

    fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_write_timeout(limit),
            Self::Unix(socket) => socket.set_write_timeout(limit),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// The socket under a stream. A [`Closer`] knows it weakly, so that the last stream closes it.
struct Shared(Arc<Socket>);

impl Shared {
    fn new(socket: Socket) -> io::Result<Self> {
        if let Socket::Tcp(socket) = &socket {
            socket.set_nodelay(true)?;
        }
        socket.set_read_timeout(Some(*DEADLINE))?;
        socket.set_write_timeout(Some(*DEADLINE))?;
        Ok(Self(Arc::new(socket)))
    }
}

impl Read for Shared {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &*self.0 {
            Socket::Tcp(socket) => (&mut &*socket).read(into),
            Socket::Unix(socket) => (&mut &*socket).read(into),
        }
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*self.0 {
            Socket::Tcp(socket) => (&mut &*socket).write(bytes),
            Socket::Unix(socket) => (&mut &*socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Stream {
    Plain(Shared),
    Client(Box<StreamOwned<ClientConnection, Shared>>),
    Server(Box<StreamOwned<ServerConnection, Shared>>),
    Closed,
}

impl Stream {
    fn socket(&self) -> Option<&Shared> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Client(tls) => Some(&tls.sock),
            Self::Server(tls) => Some(&tls.sock),
            Self::Closed => None,
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Client(tls) => tls.read(into),
            Self::Server(tls) => tls.read(into),
            Self::Closed => Ok(0),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
