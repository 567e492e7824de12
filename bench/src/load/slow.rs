//! Clients that read slowly what the backend sends them without end, beside those that are measured.

use std::time::{Duration, Instant};

use crate::epoll::{Epoll, unless_blocked};
use crate::flood::End;
use crate::http;
use crate::load::contract::{Account, Link, OPENING_AT_ONCE};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

/// How slowly each of them reads.
#[derive(Clone, Copy)]
pub struct Pace {
    pub piece: usize,
    pub every: Duration,
}

impl Pace {
    /// One megabyte a second, in pieces.
    pub const MEGABYTE: Self = Self {
        piece: 10_000,
        every: Duration::from_millis(10),
    };
    /// A byte a second.
    pub const BYTE: Self = Self {
        piece: 1,
        every: Duration::from_secs(1),
    };
}

pub struct SlowReaders {
    readers: Vec<Reader>,
    wanted: usize,
    opening: usize,
    pace: Pace,
    /// Whose turn to read it is, and when.
    next: usize,
    due: Instant,
    scratch: Vec<u8>,
}

struct Reader {
    stream: Stream,
    /// The handshake, while it lasts.
    exchange: Option<Exchange>,
    /// Asks for the flood.
    end: End,
}

impl SlowReaders {
    pub fn new(wanted: usize, pace: Pace) -> Self {
        Self {
            readers: Vec::with_capacity(wanted),
            wanted,
            opening: 0,
            pace,
            next: 0,
            due: Instant::now(),
            scratch: vec![0; pace.piece],
        }
    }

    /// How many there are to be.
    pub const fn count(&self) -> usize {
        self.wanted
    }

    /// Whether all have their tunnels.
    pub fn are_open(&self) -> bool {
        self.readers.len() == self.wanted && self.opening == 0
    }

    /// Begins the handshakes of some more. Their slots begin with this one.
    pub fn open_more(
        &mut self,
        link: &Link,
        epoll: &Epoll,
        slots: usize,
        account: &mut Account,
    ) -> Result<()> {
        while self.readers.len() < self.wanted && self.opening < OPENING_AT_ONCE {
            let index = self.readers.len();
            self.readers.push(Reader {
                stream: link.connect(epoll, slots + index, index as u64)?,
                exchange: Some(Exchange::new()),
                end: End::of_client(),
            });
            self.opening += 1;
            account.in_flight += 1;
            self.advance(index, account)?;
        }
        Ok(())
    }

    /// Goes on with a handshake, and with the wish for a flood. What comes is not read here.
    pub fn advance(&mut self, index: usize, account: &mut Account) -> Result<()> {
        let Some(reader) = self.readers.get_mut(index) else {
            return Ok(());
        };
        let Reader {
            stream,
            exchange: handshake,
            end,
        } = reader;
        if let Some(exchange) = handshake {
            if !exchange.advance(stream, http::ENDLESS_HANDSHAKE, http::switched)? {
                return Ok(());
            }
            *handshake = None;
            end.mark();
            self.opening -= 1;
            account.in_flight -= 1;
            account.handshakes += 1;
        }
        end.send(stream)?;
        Ok(())
    }

    /// Each reads at its pace, one after the other.
    pub fn sip(&mut self, now: Instant) -> Result<()> {
        if !self.are_open() || self.wanted == 0 {
            self.due = now;
            return Ok(());
        }
        let pause = self.pace.every / self.wanted as u32;
        while self.due <= now {
            self.due += pause;
            self.next = (self.next + 1) % self.wanted;
            if let Some(reader) = self.readers.get_mut(self.next) {
                let read = reader.stream.discard(&mut self.scratch);
                if unless_blocked(read)? == Some(0) {
                    return Err("the proxy closed the tunnel of a slow reader".into());
                }
            }
        }
        Ok(())
    }

    /// What was due while nothing was done is not made up for.
    pub fn resume(&mut self) {
        self.due = Instant::now();
    }
}
