//! A client's connection, plain, TLS or a stream of HTTP/2, that never blocks.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect, recv, socket_with, sockopt,
};
use rustls::ClientConfig;

use crate::http2;
use crate::tls_stream::TlsStream;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
    Http2(http2::Stream),
}

/// What a client speaks.
pub enum Transport {
    Plain,
    Tls(Arc<ClientConfig>),
    /// Over TLS.
    Http2(Arc<ClientConfig>),
}

impl Stream {
    /// Begins to connect. Writing is tried at once: over loopback it mostly succeeds. The slot is whom
    /// HTTP/2 is to wake.
    pub fn connect(
        address: SocketAddrV4,
        source: Ipv4Addr,
        transport: &Transport,
        slot: usize,
    ) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        match connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        Ok(match transport {
            Transport::Plain => Self::Plain(socket),
            Transport::Tls(config) => Self::Tls(Box::new(TlsStream::new(socket, config)?)),
            Transport::Http2(config) => {
                let tls = TlsStream::new(socket, config)?;
                Self::Http2(http2::Stream::connect(tls, slot)?)
            }
        })
    }

    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
            Self::Http2(stream) => stream.read(into),
        }
    }

    pub fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(from),
            Self::Tls(stream) => stream.write(from),
            Self::Http2(stream) => stream.write(from),
        }
    }

    pub const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// What TLS and HTTP/2 still have to write by themselves.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
            Self::Http2(stream) => stream.flush(),
        }
    }

    /// As `read`, but TCP may drop the bytes instead of copying them.
    pub fn discard(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => Ok(recv(socket, into, RecvFlags::TRUNC)?.1),
            Self::Tls(stream) => stream.read(into),
            Self::Http2(stream) => stream.discard(into),
        }
    }

    /// Tells the other side that no more will come.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.finish(),
            Self::Http2(stream) => stream.finish(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(socket) => socket.as_fd(),
            Self::Tls(stream) => stream.socket().as_fd(),
            Self::Http2(stream) => stream.as_fd(),
        }
    }
}
