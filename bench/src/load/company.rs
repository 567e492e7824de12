//! What a page has beside the tunnels that are measured: requests, many at once, and where it is wanted a tunnel
//! whose backend reads nothing of what it is sent.

use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::flood::End;
use crate::http;
use crate::load::contract::{Account, Link};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

/// How often all that the page wants is asked for.
const EVERY: Duration = Duration::from_millis(50);

pub struct Company {
    visitors: Vec<Visitor>,
    blocked: Option<Blocked>,
    wanted: usize,
    has_blocked: bool,
    /// Whether it is what is measured.
    pub is_measured: bool,
    due: Instant,
}

struct Visitor {
    stream: Stream,
    exchange: Exchange,
    /// When the request was due that is not answered yet.
    waits_since: Option<Instant>,
}

struct Blocked {
    stream: Stream,
    /// The handshake, while it lasts.
    exchange: Option<Exchange>,
    end: End,
}

impl Company {
    pub fn new(visitors: usize, has_blocked: bool, is_measured: bool) -> Self {
        Self {
            visitors: Vec::with_capacity(visitors),
            blocked: None,
            wanted: visitors,
            has_blocked,
            is_measured,
            due: Instant::now(),
        }
    }

    /// How many slots it has: the last is the blocked tunnel's.
    pub const fn count(&self) -> usize {
        self.wanted + 1
    }

    pub fn is_complete(&self) -> bool {
        let blocked = self.blocked.as_ref();
        self.visitors.len() == self.wanted
            && (!self.has_blocked || blocked.is_some_and(|blocked| blocked.exchange.is_none()))
    }

    /// Connects beside the first one of the page. The slots begin with this one.
    pub fn join(
        &mut self,
        first: &Stream,
        link: &Link,
        epoll: &Epoll,
        slots: usize,
        account: &mut Account,
    ) -> Result<()> {
        while self.visitors.len() < self.wanted {
            let slot = slots + self.visitors.len();
            self.visitors.push(Visitor {
                stream: link.connect_beside(first, epoll, slot, slot as u64)?,
                exchange: Exchange::new(),
                waits_since: None,
            });
        }
        if self.has_blocked && self.blocked.is_none() {
            let slot = slots + self.wanted;
            self.blocked = Some(Blocked {
                stream: link.connect_beside(first, epoll, slot, slot as u64)?,
                exchange: Some(Exchange::new()),
                end: End::of_client(),
            });
            account.in_flight += 1;
            self.advance(self.wanted, account)?;
        }
        Ok(())
    }

    /// What was due while nothing was done is not made up for.
    pub fn resume(&mut self) {
        self.due = Instant::now() + EVERY;
    }

    /// Asks for everything at once, where it is time to.
    pub fn ask(&mut self, now: Instant, account: &mut Account) -> Result<()> {
        if self.due > now {
            return Ok(());
        }
        for index in 0..self.visitors.len() {
            let visitor = &mut self.visitors[index];
            if visitor.waits_since.is_none() {
                visitor.waits_since = Some(self.due);
                account.in_flight += 1;
                self.advance(index, account)?;
            }
        }
        self.due += EVERY;
        Ok(())
    }

    pub fn advance(&mut self, index: usize, account: &mut Account) -> Result<()> {
        match self.visitors.get_mut(index) {
            Some(visitor) => visitor.advance(self.is_measured, account),
            None => match &mut self.blocked {
                Some(blocked) if index == self.wanted => blocked.advance(account),
                _ => Ok(()),
            },
        }
    }
}

impl Visitor {
    fn advance(&mut self, is_measured: bool, account: &mut Account) -> Result<()> {
        let Self {
            stream, exchange, ..
        } = self;
        let Some(due) = self.waits_since else {
            return Ok(());
        };
        if exchange.advance(stream, http::PLAIN, http::page)? {
            self.waits_since = None;
            account.in_flight -= 1;
            if is_measured {
                account.done += 1;
                account.waits.push(due.elapsed());
            } else {
                account.messages += 1;
            }
        }
        Ok(())
    }
}

impl Blocked {
    fn advance(&mut self, account: &mut Account) -> Result<()> {
        if let Some(exchange) = &mut self.exchange {
            if !exchange.advance(&mut self.stream, http::DEAF_HANDSHAKE, http::switched)? {
                return Ok(());
            }
            self.exchange = None;
            self.end.start();
            account.in_flight -= 1;
            account.handshakes += 1;
        }
        // As much as is taken, which soon is nothing.
        self.end.send(&mut self.stream)?;
        Ok(())
    }
}
