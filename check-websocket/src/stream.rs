//! A connection whose every read and write ends by a deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// A TCP connection with a deadline. A limit for each read alone would let a server that sends a
/// byte now and then hold the program for ever.
pub struct Line {
    socket: TcpStream,
    deadline: Instant,
}

impl Line {
    pub fn connect(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        if limit.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let socket = TcpStream::connect_timeout(&address, limit)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            deadline: Instant::now() + limit,
        })
    }

    /// This host's address on the connection.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn finish_within(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    fn remaining(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(Some(left))
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.remaining()?)?;
        self.socket.read(buffer).map_err(timed_out)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.remaining()?)?;
        self.socket.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A read that times out says "would block".
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// A connection, with TLS or without.
pub enum Stream {
    Plain(Line),
    Tls(Box<StreamOwned<ClientConnection, Line>>),
    /// What is within another connection.
    Within(Box<dyn Carrier>),
}

/// What carries a stream of bytes, by a deadline.
pub trait Carrier: Read + Write {
    fn finish_within(&mut self, limit: Duration);
}

impl Stream {
    pub fn finish_within(&mut self, limit: Duration) {
        match self {
            Self::Plain(line) => line.finish_within(limit),
            Self::Tls(tls) => tls.sock.finish_within(limit),
            Self::Within(carrier) => carrier.finish_within(limit),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(line) => line.read(buffer),
            Self::Tls(tls) => match tls.read(buffer) {
                // A server that closes without TLS's own farewell has closed all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
            Self::Within(carrier) => carrier.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(line) => line.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::Within(carrier) => carrier.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(line) => line.flush(),
            Self::Tls(tls) => tls.flush(),
            Self::Within(carrier) => carrier.flush(),
        }
    }
}
