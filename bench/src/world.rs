//! The event loop: the backend, and a load for each peer.

use std::iter;
use std::mem;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use crate::backend::{self, Backend};
use crate::epoll::{Epoll, Readiness};
use crate::load::{Account, Link, Load};
use crate::result::Result;

pub struct World {
    epoll: Epoll,
    pub backend: Backend,
    loads: Vec<(Link, Box<dyn Load>)>,
    ready: Vec<Readiness>,
}

/// A load's share of the tokens: the connection's number stands below.
const LOAD_SHIFT: u32 = 32;
/// Nothing takes this long: something has stopped.
const STALLED: Duration = Duration::from_secs(20);
const TURN: Duration = Duration::from_millis(50);

/// What a slice of time came to.
#[derive(Default)]
pub struct Slice {
    pub operations: u64,
    pub messages: u64,
    pub waits: Vec<Duration>,
    pub wall: Duration,
    /// The longest time from one look at the events to the next: what this process, not the proxy,
    /// may have kept waiting.
    pub pause: Duration,
}

impl Slice {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.wall.as_secs_f64()
    }
}

impl AddAssign for Slice {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.messages += other.messages;
        self.waits.extend(other.waits);
        self.wall += other.wall;
        self.pause = self.pause.max(other.pause);
    }
}

/// A load whose connections are closed: what remains is its account.
struct Gone(Account);

impl Load for Gone {
    fn resume(&mut self, _: &Link, _: &Epoll) -> Result<()> {
        Ok(())
    }

    /// The event is older than the end.
    fn ready(&mut self, _: &Link, _: &Epoll, _: usize, _: bool) -> Result<()> {
        Ok(())
    }

    fn account(&mut self) -> &mut Account {
        &mut self.0
    }
}

impl World {
    pub fn new() -> Result<Self> {
        let epoll = Epoll::new()?;
        Ok(Self {
            backend: Backend::new(&epoll)?,
            epoll,
            loads: Vec::new(),
            ready: Vec::new(),
        })
    }

    /// The number of the new load.
    pub fn add(&mut self, mut link: Link, load: Box<dyn Load>) -> usize {
        let index = self.loads.len();
        link.token = (index as u64) << LOAD_SHIFT;
        self.loads.push((link, load));
        index
    }

    pub fn accounts(&mut self) -> impl Iterator<Item = &Account> {
        self.loads.iter_mut().map(|(_, load)| &*load.account())
    }

    /// Closes a load's connections.
    pub fn leave(&mut self, index: usize) {
        let (_, load) = &mut self.loads[index];
        let account = mem::take(load.account());
        *load = Box::new(Gone(account));
    }

    /// Closes every client's connection, and waits until the proxies have closed theirs.
    pub fn clear(&mut self) -> Result<()> {
        self.loads.clear();
        let end = Instant::now() + STALLED;
        while !self.backend.is_quiet() {
            if Instant::now() > end {
                return Err("tunnels whose clients are gone are still open at the backend".into());
            }
            self.turn(TURN)?;
        }
        Ok(())
    }

    /// Lets a load work for a time, and finish what it has begun by then.
    pub fn slice(&mut self, index: usize, length: Duration) -> Result<Slice> {
        let start = Instant::now();
        let (link, load) = &mut self.loads[index];
        let account = load.account();
        let (before, messages) = (account.done, account.messages);
        let mut progress = (account.progress(), start);
        load.resume(link, &self.epoll)?;
        let (mut last, mut pause) = (start, Duration::ZERO);
        loop {
            let now = Instant::now();
            pause = pause.max(now - last);
            last = now;
            let account = self.loads[index].1.account();
            if now - start >= length {
                account.running = false;
                if account.in_flight == 0 {
                    return Ok(Slice {
                        operations: account.done - before,
                        messages: account.messages - messages,
                        waits: mem::take(&mut account.waits),
                        wall: start.elapsed(),
                        pause,
                    });
                }
            }
            if account.progress() != progress.0 {
                progress = (account.progress(), now);
            } else if now - progress.1 > STALLED {
                let waiting = account.in_flight;
                return Err(format!("{waiting} operations don't end").into());
            }
            // Without sleep: to wake this process would cost the proxy more than some of what is
            // measured here, and clients elsewhere don't cost it that.
            self.turn(Duration::ZERO)?;
        }
    }

    /// Lets the backend see what the proxy still does after a load.
    pub fn settle(&mut self, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left.min(TURN))?;
        }
        Ok(())
    }

    fn turn(&mut self, timeout: Duration) -> Result<()> {
        let mut ready = mem::take(&mut self.ready);
        self.epoll.wait(&mut ready, timeout)?;
        for event in &ready {
            if event.token & backend::TOKEN != 0 {
                self.backend.ready(&self.epoll, *event)?;
                continue;
            }
            let (index, slot) = (event.token >> LOAD_SHIFT, event.token as u32);
            if let Some((link, load)) = self.loads.get_mut(index as usize) {
                let slot = slot as usize;
                let others = link.woken_with(slot)?;
                for slot in iter::once(slot).chain(others) {
                    load.ready(link, &self.epoll, slot, event.closed)?;
                }
            }
        }
        self.ready = ready;
        Ok(())
    }
}
