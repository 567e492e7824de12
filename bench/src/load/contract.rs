//! What every load does and tells, and what it is given.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::epoll::Epoll;
use crate::result::Result;
use crate::stream::Stream;

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
    pub tls: Option<Arc<ClientConfig>>,
    /// The load's place among the tokens.
    pub token: u64,
}

impl Link {
    /// Connections come from many addresses: a port that a client has closed is held for a minute,
    /// and one address has only some thousands of them.
    pub fn connect(&self, epoll: &Epoll, slot: usize, nth: u64) -> io::Result<Stream> {
        let source = Ipv4Addr::new(127, 1, 0, 1 + (nth % 250) as u8);
        let stream = Stream::connect(self.address, source, self.tls.as_ref())?;
        epoll.add(&stream, self.token | slot as u64)?;
        Ok(stream)
    }
}
