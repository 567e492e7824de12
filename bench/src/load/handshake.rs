//! Connect, handshake, close, from the beginning each time.

use crate::epoll::{Epoll, unless_blocked};
use crate::http;
use crate::load::contract::{Account, Link, Load};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

pub struct HandshakeLoad {
    connections: Vec<Option<Connection>>,
    begun: u64,
    account: Account,
}

struct Connection {
    stream: Stream,
    exchange: Exchange,
    established: bool,
}

impl HandshakeLoad {
    pub fn new(connections: usize) -> Self {
        Self {
            connections: (0..connections).map(|_| None).collect(),
            begun: 0,
            account: Account::default(),
        }
    }

    fn begin(&mut self, link: &Link, epoll: &Epoll, slot: usize) -> Result<()> {
        self.begun += 1;
        self.account.in_flight += 1;
        self.connections[slot] = Some(Connection {
            stream: link.connect(epoll, slot, self.begun)?,
            exchange: Exchange::new(),
            established: false,
        });
        // The request goes out with the connection, where it can.
        self.ready(link, epoll, slot, false)
    }
}

impl Load for HandshakeLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        (0..self.connections.len()).try_for_each(|slot| self.begin(link, epoll, slot))
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, _: bool) -> Result<()> {
        let Some(connection) = self.connections[slot].as_mut() else {
            return Ok(());
        };
        if !connection.advance()? {
            return Ok(());
        }
        self.connections[slot] = None;
        self.account.in_flight -= 1;
        self.account.done += 1;
        self.account.handshakes += 1;
        if self.account.running {
            self.begin(link, epoll, slot)?;
        }
        Ok(())
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl Connection {
    /// Whether the proxy has closed its side too, and all is over.
    fn advance(&mut self) -> Result<bool> {
        if !self.established {
            let Self {
                stream, exchange, ..
            } = self;
            if !exchange.advance(stream, http::BROWSER_HANDSHAKE, http::switched)? {
                return Ok(false);
            }
            self.established = true;
            self.stream.finish()?;
        }
        match unless_blocked(self.stream.read(&mut [0; 64]))? {
            None => Ok(false),
            Some(0) => Ok(true),
            Some(_) => Err("the proxy sent something into an empty tunnel".into()),
        }
    }
}
