//! Plain requests on connections that are kept.

use crate::epoll::Epoll;
use crate::http;
use crate::load::contract::{Account, Link, Load};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

pub struct PlainLoad {
    connections: Vec<Option<Connection>>,
    account: Account,
}

struct Connection {
    stream: Stream,
    exchange: Exchange,
    busy: bool,
}

impl PlainLoad {
    pub fn new(connections: usize) -> Self {
        Self {
            connections: (0..connections).map(|_| None).collect(),
            account: Account::default(),
        }
    }
}

impl Load for PlainLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        for slot in 0..self.connections.len() {
            let connection = &mut self.connections[slot];
            if let Some(connection) = connection {
                connection.busy = true;
            } else {
                *connection = Some(Connection {
                    stream: link.connect(epoll, slot, slot as u64)?,
                    exchange: Exchange::new(),
                    busy: true,
                });
            }
            self.account.in_flight += 1;
            self.ready(link, epoll, slot, false)?;
        }
        Ok(())
    }

    fn ready(&mut self, _: &Link, _: &Epoll, slot: usize, closed: bool) -> Result<()> {
        let Some(connection) = self.connections[slot].as_mut() else {
            return Ok(());
        };
        if closed {
            return Err("the proxy closed a connection that it should keep".into());
        }
        let Connection {
            stream, exchange, ..
        } = connection;
        // The answer to one request and the next one, as long as there is something to do.
        while connection.busy && exchange.advance(stream, http::PLAIN, http::page)? {
            self.account.done += 1;
            if !self.account.running {
                connection.busy = false;
                self.account.in_flight -= 1;
            }
        }
        Ok(())
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}
