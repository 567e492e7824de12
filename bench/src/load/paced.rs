//! Messages at fixed times, one tunnel after the other, whether or not those before are back: how long
//! does each take?

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::http;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::slow::{Pace, SlowReaders};
use crate::load::tunnel::{Frames, SCRATCH, Tunnel};
use crate::result::Result;

pub struct PacedLoad {
    frames: Frames,
    tunnels: Vec<Timed>,
    /// Those who are sent more than they read, beside the others.
    slow: SlowReaders,
    wanted: usize,
    opening: usize,
    /// The time from one message to the next, on whichever tunnel.
    every: Duration,
    /// When the next is to be sent, and where.
    due: Instant,
    next: usize,
    scratch: Vec<u8>,
    account: Account,
}

struct Timed {
    tunnel: Tunnel,
    /// When the messages were due that are not back yet.
    since: VecDeque<Instant>,
}

/// The slots: one that is ready all the time, the slow readers, and after those the tunnels.
const CLOCK: usize = 0;
const SLOW: usize = 1;

impl PacedLoad {
    pub fn new(size: usize, connections: usize, every: Duration) -> Self {
        Self {
            frames: Frames::new(size, 1),
            tunnels: Vec::with_capacity(connections),
            slow: SlowReaders::new(0, Pace::BYTE),
            wanted: connections,
            opening: 0,
            every,
            due: Instant::now(),
            next: 0,
            scratch: vec![0; SCRATCH],
            account: Account::default(),
        }
    }

    pub fn beside(mut self, slow: SlowReaders) -> Self {
        self.slow = slow;
        self
    }

    /// The slot of the first tunnel.
    const fn tunnels(&self) -> usize {
        SLOW + self.slow.count()
    }

    fn open_more(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        while self.tunnels.len() < self.wanted && self.opening < OPENING_AT_ONCE {
            let index = self.tunnels.len();
            let slot = self.tunnels() + index;
            let stream = link.connect(epoll, slot, slot as u64)?;
            self.tunnels.push(Timed {
                tunnel: Tunnel::new(stream),
                since: VecDeque::new(),
            });
            self.opening += 1;
            self.account.in_flight += 1;
            self.tunnel(link, epoll, index)?;
        }
        Ok(())
    }

    fn tick(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        let now = Instant::now();
        if self.opening > 0 || self.tunnels.len() < self.wanted || !self.slow.are_open() {
            self.due = now + self.every;
        }
        while self.account.running && self.due <= now {
            self.send()?;
        }
        if self.account.running {
            self.slow.sip(now)?;
        }
        if self.account.running || self.account.in_flight > 0 {
            epoll.again(link.token | CLOCK as u64);
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        if let Some(timed) = self.tunnels.get_mut(self.next) {
            timed.since.push_back(self.due);
            timed.tunnel.queue(&self.frames, 1)?;
            self.account.in_flight += 1;
        }
        self.next = (self.next + 1) % self.wanted;
        self.due += self.every;
        Ok(())
    }

    fn tunnel(&mut self, link: &Link, epoll: &Epoll, index: usize) -> Result<()> {
        let Some(Timed { tunnel, since }) = self.tunnels.get_mut(index) else {
            return Ok(());
        };
        if !tunnel.is_open() {
            if !tunnel.open(http::BROWSER_HANDSHAKE)? {
                return Ok(());
            }
            self.opening -= 1;
            self.account.in_flight -= 1;
            self.account.handshakes += 1;
            return self.open_more(link, epoll);
        }
        tunnel.send(&self.frames)?;
        let mut drained = false;
        while tunnel.under_way > 0 && !drained {
            let whole;
            (whole, drained) = tunnel.receive(&self.frames, &mut self.scratch)?;
            tunnel.under_way -= whole;
            self.account.done += whole as u64;
            self.account.in_flight -= whole;
            let waits = since.drain(..whole).map(|due| due.elapsed());
            self.account.waits.extend(waits);
        }
        Ok(())
    }

    fn slow_reader(&mut self, link: &Link, epoll: &Epoll, index: usize) -> Result<()> {
        self.slow.advance(index, &mut self.account)?;
        self.slow.open_more(link, epoll, SLOW, &mut self.account)
    }
}

impl Load for PacedLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        self.due = Instant::now() + self.every;
        self.slow.resume();
        self.slow.open_more(link, epoll, SLOW, &mut self.account)?;
        self.open_more(link, epoll)?;
        epoll.again(link.token | CLOCK as u64);
        Ok(())
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()> {
        if closed {
            return Err("the proxy closed a tunnel that is in use".into());
        }
        match slot {
            CLOCK => self.tick(link, epoll),
            _ => match slot.checked_sub(self.tunnels()) {
                None => self.slow_reader(link, epoll, slot - SLOW),
                Some(index) => self.tunnel(link, epoll, index),
            },
        }
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}
