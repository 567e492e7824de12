//! A stream as a load has it.

use std::cell::RefCell;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::connection::Connection;
use crate::tls_stream::TlsStream;

/// One of its ends. Dropped with the others, it closes the connection.
pub struct Stream {
    connection: Rc<RefCell<Connection>>,
    socket: Rc<TcpStream>,
    index: usize,
}

impl Stream {
    /// The first one of a connection, which says hello when it can.
    pub fn connect(tls: TlsStream, slot: usize) -> io::Result<Self> {
        let socket = tls.socket().clone();
        let connection = Connection::begin(tls, slot)?;
        Ok(Self {
            connection: Rc::new(RefCell::new(connection)),
            socket,
            index: 0,
        })
    }

    /// Another one of the same connection.
    pub fn beside(&self, slot: usize) -> Self {
        Self {
            connection: self.connection.clone(),
            socket: self.socket.clone(),
            index: self.connection.borrow_mut().add(slot),
        }
    }

    pub const fn connection(&self) -> &Rc<RefCell<Connection>> {
        &self.connection
    }

    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.connection.borrow_mut().read(self.index, into, true)
    }

    pub fn discard(&self, into: &mut [u8]) -> io::Result<usize> {
        self.connection.borrow_mut().read(self.index, into, false)
    }

    /// A request, all at once, or what goes through a tunnel.
    pub fn write(&self, from: &[u8]) -> io::Result<usize> {
        self.connection.borrow_mut().write(self.index, from)
    }

    pub fn flush(&self) -> io::Result<()> {
        self.connection.borrow_mut().flush()
    }

    /// Sends nothing more on this stream.
    pub fn finish(&self) -> io::Result<()> {
        self.connection.borrow_mut().finish(self.index)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.borrow_mut().leave(self.index);
    }
}
