//! A client that reads slowly what the backend sends without end.

use std::time::{Duration, Instant};

use crate::epoll::{Epoll, unless_blocked};
use crate::flood::End;
use crate::http;
use crate::load::contract::Link;
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

/// One megabyte a second, in pieces.
const PIECE: usize = 10_000;
const EVERY: Duration = Duration::from_millis(10);

pub struct SlowReader {
    stream: Option<Stream>,
    exchange: Exchange,
    is_open: bool,
    /// Asks for the flood.
    end: End,
    /// When it reads next.
    due: Instant,
    scratch: Vec<u8>,
}

impl SlowReader {
    pub fn new() -> Self {
        Self {
            stream: None,
            exchange: Exchange::new(),
            is_open: false,
            end: End::of_client(),
            due: Instant::now(),
            scratch: vec![0; PIECE],
        }
    }

    /// Goes on with the handshake; tells whether that ended it.
    pub fn open(&mut self, link: &Link, epoll: &Epoll, slot: usize) -> Result<bool> {
        if self.is_open {
            return Ok(false);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(link.connect(epoll, slot, slot as u64)?),
        };
        let exchange = &mut self.exchange;
        self.is_open = exchange.advance(stream, http::ENDLESS_HANDSHAKE, http::switched)?;
        if self.is_open {
            self.end.mark();
            self.end.send(stream)?;
        }
        Ok(self.is_open)
    }

    pub fn advance(&mut self, now: Instant) -> Result<()> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.is_open) else {
            return Ok(());
        };
        if self.due <= now {
            self.due = now + EVERY;
            if unless_blocked(stream.discard(&mut self.scratch))? == Some(0) {
                return Err("the proxy closed the tunnel of the slow reader".into());
            }
        }
        Ok(())
    }
}
