//! Messages at fixed times, one tunnel after the other, whether or not those before are back: how long
//! does each take?

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::http;
use crate::load::company::Company;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::lister::Lister;
use crate::load::slow::SlowReaders;
use crate::load::tunnel::{Frames, SCRATCH, Tunnel};
use crate::result::Result;

pub struct PacedLoad {
    frames: Frames,
    tunnels: Vec<Timed>,
    /// Who is there beside the others.
    beside: Beside,
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

enum Beside {
    Nobody,
    /// Those who are sent more than they read.
    Slow(SlowReaders),
    /// Who asks for lists of them.
    Lister(Lister),
    /// What is of the same page.
    Company(Box<Company>),
}

struct Timed {
    tunnel: Tunnel,
    /// When the messages were due that are not back yet.
    since: VecDeque<Instant>,
}

/// The slots: one that is ready all the time, who is beside the others, and after those the tunnels.
const CLOCK: usize = 0;
const BESIDE: usize = 1;

impl PacedLoad {
    pub fn new(size: usize, connections: usize, every: Duration) -> Self {
        Self {
            frames: Frames::new(size, 1),
            tunnels: Vec::with_capacity(connections),
            beside: Beside::Nobody,
            wanted: connections,
            opening: 0,
            every,
            due: Instant::now(),
            next: 0,
            scratch: vec![0; SCRATCH],
            account: Account::default(),
        }
    }

    pub fn beside_slow_readers(mut self, slow: SlowReaders) -> Self {
        self.beside = Beside::Slow(slow);
        self
    }

    pub fn beside_lists(mut self) -> Self {
        self.beside = Beside::Lister(Lister::new());
        self
    }

    pub fn in_company(mut self, company: Company) -> Self {
        self.beside = Beside::Company(Box::new(company));
        self
    }

    /// The slot of the first tunnel.
    const fn tunnels(&self) -> usize {
        BESIDE
            + match &self.beside {
                Beside::Slow(slow) => slow.count(),
                Beside::Lister(_) => 1,
                Beside::Company(company) => company.count(),
                Beside::Nobody => 0,
            }
    }

    fn open_more(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        while self.tunnels.len() < self.wanted && self.opening < OPENING_AT_ONCE {
            let index = self.tunnels.len();
            let slot = self.tunnels() + index;
            let stream = match (&self.beside, self.tunnels.first()) {
                (Beside::Company(_), Some(first)) => {
                    link.connect_beside(first.tunnel.stream(), epoll, slot, slot as u64)?
                }
                _ => link.connect(epoll, slot, slot as u64)?,
            };
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
        if !self.are_open() {
            self.due = now + self.every;
        }
        while self.account.running && self.due <= now {
            self.send()?;
        }
        if self.account.running {
            self.go_on_beside(link, epoll, now)?;
        }
        if self.account.running || self.account.in_flight > 0 {
            epoll.again(link.token | CLOCK as u64);
        }
        Ok(())
    }

    /// Whether all tunnels are, and those beside them.
    fn are_open(&self) -> bool {
        let are_beside = match &self.beside {
            Beside::Slow(slow) => slow.are_open(),
            Beside::Company(company) => company.is_complete(),
            Beside::Lister(_) | Beside::Nobody => true,
        };
        are_beside && self.opening == 0 && self.tunnels.len() == self.wanted
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
            self.account.in_flight -= whole;
            let waits = since.drain(..whole).map(|due| due.elapsed());
            match &self.beside {
                Beside::Company(company) if company.is_measured => {
                    self.account.messages += waits.count() as u64;
                }
                _ => {
                    self.account.waits.extend(waits);
                    self.account.done += whole as u64;
                }
            }
        }
        Ok(())
    }

    fn go_on_beside(&mut self, link: &Link, epoll: &Epoll, now: Instant) -> Result<()> {
        let are_open = self.are_open();
        match &mut self.beside {
            Beside::Slow(slow) => slow.sip(now)?,
            Beside::Lister(lister) => {
                if are_open && lister.ask(link, epoll, BESIDE)? {
                    self.account.in_flight += 1;
                    self.ready_beside(link, epoll, 0)?;
                }
            }
            Beside::Company(company) => {
                let Some(first) = self.tunnels.first() else {
                    return Ok(());
                };
                let first = first.tunnel.stream();
                company.join(first, link, epoll, BESIDE, &mut self.account)?;
                match are_open {
                    true => company.ask(now, &mut self.account)?,
                    false => company.resume(),
                }
            }
            Beside::Nobody => {}
        }
        Ok(())
    }

    fn ready_beside(&mut self, link: &Link, epoll: &Epoll, index: usize) -> Result<()> {
        match &mut self.beside {
            Beside::Slow(slow) => {
                slow.advance(index, &mut self.account)?;
                slow.open_more(link, epoll, BESIDE, &mut self.account)?;
            }
            Beside::Lister(lister) => {
                if lister.advance()? {
                    self.account.in_flight -= 1;
                }
            }
            Beside::Company(company) => company.advance(index, &mut self.account)?,
            Beside::Nobody => {}
        }
        Ok(())
    }
}

impl Load for PacedLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        self.due = Instant::now() + self.every;
        if let Beside::Slow(slow) = &mut self.beside {
            slow.resume();
            slow.open_more(link, epoll, BESIDE, &mut self.account)?;
        }
        if let Beside::Company(company) = &mut self.beside {
            company.resume();
        }
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
                None => self.ready_beside(link, epoll, slot - BESIDE),
                Some(index) => self.tunnel(link, epoll, index),
            },
        }
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}
