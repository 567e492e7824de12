//! What every load does and tells, and what it is given.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::epoll::Epoll;
use crate::http2;
use crate::result::Result;
use crate::stream::{Stream, Transport};

/// Connections to one peer that all do the same.
pub trait Load {
    /// Begins an operation on every connection, and from then on a new one for each that is done.
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()>;
    /// Something may have happened to a connection.
    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()>;
    fn account(&mut self) -> &mut Account;
}

/// What a load is about.
#[derive(Default)]
pub struct Account {
    /// Whether what is done is followed by the next.
    pub running: bool,
    /// Operations begun and not done.
    pub in_flight: usize,
    pub done: u64,
    /// Handshakes that succeeded, whether or not they are what is counted.
    pub handshakes: u64,
    /// Messages that were sent or received, where they are not what is counted.
    pub messages: u64,
    /// How long operations took, where that is what is measured.
    pub waits: Vec<Duration>,
}

impl Account {
    /// What grows as long as nothing has stopped: a tunnel that has opened is something, too.
    pub const fn progress(&self) -> u64 {
        self.done + self.handshakes
    }
}

/// How many handshakes are under way at once, where a load opens many tunnels: fewer than a
/// listening socket holds.
pub const OPENING_AT_ONCE: usize = 64;

/// The way to a peer.
pub struct Link {
    pub address: SocketAddrV4,
    transport: Transport,
    /// The load's place among the tokens.
    pub token: u64,
    /// Connections of HTTP/2, each by the slot that has its events.
    connections: RefCell<HashMap<usize, Weak<RefCell<http2::Connection>>>>,
}

impl Link {
    pub fn new(address: SocketAddrV4, transport: Transport) -> Self {
        Self {
            address,
            transport,
            token: 0,
            connections: RefCell::default(),
        }
    }

    /// Connections come from many addresses: a port that a client has closed is held for a minute,
    /// and one address has only some thousands of them.
    pub fn connect(&self, epoll: &Epoll, slot: usize, nth: u64) -> io::Result<Stream> {
        let source = Ipv4Addr::new(127, 1, 0, 1 + (nth % 250) as u8);
        let stream = Stream::connect(self.address, source, &self.transport, slot)?;
        epoll.add(&stream, self.token | slot as u64)?;
        if let Stream::Http2(stream) = &stream {
            let connection = Rc::downgrade(stream.connection());
            self.connections.borrow_mut().insert(slot, connection);
        }
        Ok(stream)
    }

    /// As a browser does it that has this one already: over HTTP/2 it takes another stream of the same
    /// connection.
    pub fn connect_beside(
        &self,
        first: &Stream,
        epoll: &Epoll,
        slot: usize,
        nth: u64,
    ) -> io::Result<Stream> {
        match first {
            Stream::Http2(first) => Ok(Stream::Http2(first.beside(slot))),
            _ => self.connect(epoll, slot, nth),
        }
    }

    /// Whom beside it an event of a slot is about: over HTTP/2 others of the same connection.
    pub fn woken_with(&self, slot: usize) -> io::Result<Vec<usize>> {
        let connection = self.connections.borrow().get(&slot).and_then(Weak::upgrade);
        let Some(connection) = connection else {
            return Ok(Vec::new());
        };
        let mut woken = connection.borrow_mut().advance()?;
        woken.retain(|&other| other != slot);
        Ok(woken)
    }
}
