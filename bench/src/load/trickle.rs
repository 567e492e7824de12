//! Tunnels from a backend that sends all it can to clients that read a little each second.

use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::flood::{End, Halt};
use crate::http;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

/// What each client reads, and how often.
const SIP: usize = 1 << 10;
const EVERY: Duration = Duration::from_secs(1);

pub struct TrickleLoad {
    tunnels: Vec<Tunnel>,
    wanted: usize,
    opening: usize,
    /// Whose turn to read it is, and when.
    next: usize,
    due: Instant,
    account: Account,
}

struct Tunnel {
    stream: Stream,
    /// The handshake, while it lasts.
    exchange: Option<Exchange>,
    end: End,
}

/// The slots: one that is ready all the time, and the tunnels.
const CLOCK: usize = 0;
const TUNNELS: usize = 1;

impl TrickleLoad {
    pub fn new(tunnels: usize) -> Self {
        Self {
            tunnels: Vec::with_capacity(tunnels),
            wanted: tunnels,
            opening: 0,
            next: 0,
            due: Instant::now(),
            account: Account::default(),
        }
    }

    fn open_more(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        while self.tunnels.len() < self.wanted && self.opening < OPENING_AT_ONCE {
            let index = self.tunnels.len();
            self.tunnels.push(Tunnel {
                stream: link.connect(epoll, TUNNELS + index, index as u64)?,
                exchange: Some(Exchange::new()),
                end: End::of_client(),
            });
            self.opening += 1;
            self.account.in_flight += 1;
            self.tunnel(link, epoll, index)?;
        }
        Ok(())
    }

    /// What a tunnel has to send: its handshake, and the wish for a flood. It is not read here.
    fn tunnel(&mut self, link: &Link, epoll: &Epoll, index: usize) -> Result<()> {
        let Some(tunnel) = self.tunnels.get_mut(index) else {
            return Ok(());
        };
        if let Some(exchange) = &mut tunnel.exchange {
            if !exchange.advance(&mut tunnel.stream, http::SOURCE_HANDSHAKE, http::switched)? {
                return Ok(());
            }
            tunnel.exchange = None;
            tunnel.end.mark();
            self.opening -= 1;
            self.account.in_flight -= 1;
            self.account.handshakes += 1;
            tunnel.end.send(&mut tunnel.stream)?;
            return self.open_more(link, epoll);
        }
        tunnel.end.send(&mut tunnel.stream)?;
        Ok(())
    }

    /// Each reads once a second, one after the other.
    fn tick(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        let (now, pause) = (Instant::now(), EVERY / self.wanted as u32);
        while self.account.running && self.due <= now {
            self.due += pause;
            self.next = (self.next + 1) % self.wanted;
            if let Some(tunnel) = self.tunnels.get_mut(self.next) {
                tunnel.sip(&mut self.account)?;
            }
        }
        if self.account.running || self.account.in_flight > 0 {
            epoll.again(link.token | CLOCK as u64);
        }
        Ok(())
    }
}

impl Load for TrickleLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        self.due = Instant::now();
        epoll.again(link.token | CLOCK as u64);
        self.open_more(link, epoll)
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()> {
        if closed {
            return Err("the proxy closed a tunnel that is in use".into());
        }
        match slot.checked_sub(TUNNELS) {
            None => self.tick(link, epoll),
            Some(index) => self.tunnel(link, epoll, index),
        }
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl Tunnel {
    fn sip(&mut self, account: &mut Account) -> Result<()> {
        if self.exchange.is_some() {
            return Ok(());
        }
        if self.end.receive(&mut self.stream, SIP)? == Halt::Ended {
            return Err("the proxy closed a tunnel that is in use".into());
        }
        account.messages += self.end.take_frames();
        account.done += 1;
        Ok(())
    }
}
