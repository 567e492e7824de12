//! Plain requests on connections that are kept.

use crate::Result;
use crate::epoll::Epoll;
use crate::http;
use crate::load::exchange::Exchange;
use crate::load::{Link, Load};
use crate::stream::Stream;

pub struct PlainLoad {
    connections: Vec<Option<Connection>>,
    running: bool,
    in_flight: usize,
    done: u64,
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
            running: false,
            in_flight: 0,
            done: 0,
        }
    }
}

impl Load for PlainLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.running = true;
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
            self.in_flight += 1;
            self.ready(link, epoll, slot, false)?;
        }
        Ok(())
    }

    fn pause(&mut self) {
        self.running = false;
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
            self.done += 1;
            if !self.running {
                connection.busy = false;
                self.in_flight -= 1;
            }
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn handshakes(&self) -> u64 {
        0
    }
}
