//! Plain requests at fixed times, beside tunnels that carry all they can: how long does whoever
//! wants little wait for those who want much?

use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::flood::{self, End, Halt};
use crate::http;
use crate::load::contract::{Account, Link, Load};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::scenario::Direction;
use crate::stream::Stream;

/// How often a request is sent, whether or not those before it are answered: one that waits must not
/// keep others from being sent that would wait as well.
const EVERY: Duration = Duration::from_millis(10);

pub struct FairnessLoad {
    direction: Direction,
    tunnels: Vec<Tunnel>,
    visitors: Vec<Visitor>,
    wanted: usize,
    /// When the next request is to be sent.
    due: Instant,
    account: Account,
}

struct Tunnel {
    stream: Stream,
    /// The handshake, while it lasts.
    exchange: Option<Exchange>,
    end: End,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    Flooded,
    /// The end of the flood is on its way.
    Ebbing,
}

/// A client of plain requests. Its connection is kept, and used again once there was an answer: a
/// request waits for the proxy alone, not for a new connection or for the request before it.
struct Visitor {
    stream: Stream,
    exchange: Exchange,
    /// When the request was due that is not answered yet.
    waits_since: Option<Instant>,
}

/// The slots: one that is ready all the time, the tunnels, and after those the visitors.
const CLOCK: usize = 0;
const TUNNELS: usize = 1;

impl FairnessLoad {
    pub fn new(direction: Direction, tunnels: usize) -> Self {
        Self {
            direction,
            tunnels: Vec::with_capacity(tunnels),
            visitors: Vec::new(),
            wanted: tunnels,
            due: Instant::now(),
            account: Account::default(),
        }
    }

    const fn handshake(&self) -> &'static [u8] {
        match self.direction {
            Direction::Up => http::SINK_HANDSHAKE,
            Direction::Down => http::SOURCE_HANDSHAKE,
        }
    }

    fn tick(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        let now = Instant::now();
        while self.account.running && self.due <= now {
            let due = self.due;
            self.due += EVERY;
            self.request(link, epoll, due)?;
        }
        if !self.account.running {
            for index in 0..self.tunnels.len() {
                if self.tunnels[index].state == State::Flooded {
                    self.tunnels[index].ebb();
                    self.tunnel(link, epoll, index)?;
                }
            }
        }
        if self.account.running || self.account.in_flight > 0 {
            epoll.again(link.token | CLOCK as u64);
        }
        Ok(())
    }

    fn request(&mut self, link: &Link, epoll: &Epoll, due: Instant) -> Result<()> {
        let mut free = self.visitors.iter();
        let index = match free.position(|visitor| visitor.waits_since.is_none()) {
            Some(index) => index,
            None => {
                let slot = TUNNELS + self.wanted + self.visitors.len();
                self.visitors.push(Visitor {
                    stream: link.connect(epoll, slot, slot as u64)?,
                    exchange: Exchange::new(),
                    waits_since: None,
                });
                self.visitors.len() - 1
            }
        };
        self.visitors[index].waits_since = Some(due);
        self.account.in_flight += 1;
        self.visitor(index)
    }

    fn visitor(&mut self, index: usize) -> Result<()> {
        let Some(visitor) = self.visitors.get_mut(index) else {
            return Ok(());
        };
        let Visitor {
            stream, exchange, ..
        } = visitor;
        if let Some(due) = visitor.waits_since {
            if exchange.advance(stream, http::PLAIN, http::page)? {
                visitor.waits_since = None;
                self.account.waits.push(due.elapsed());
                self.account.done += 1;
                self.account.in_flight -= 1;
            }
        }
        Ok(())
    }

    fn tunnel(&mut self, link: &Link, epoll: &Epoll, index: usize) -> Result<()> {
        let (direction, handshake) = (self.direction, self.handshake());
        let Some(tunnel) = self.tunnels.get_mut(index) else {
            return Ok(());
        };
        if let Some(exchange) = &mut tunnel.exchange {
            if !exchange.advance(&mut tunnel.stream, handshake, http::switched)? {
                return Ok(());
            }
            tunnel.exchange = None;
            tunnel.flood(direction);
            self.account.handshakes += 1;
        }
        let sent = tunnel.end.send(&mut tunnel.stream)?;
        let received = tunnel.end.receive(&mut tunnel.stream, flood::AT_ONCE)?;
        self.account.messages += tunnel.end.take_frames();
        if sent == Halt::Ended || received == Halt::Ended {
            return Err("the proxy closed a tunnel that is in use".into());
        }
        if tunnel.end.take_marks() > 0 {
            tunnel.state = State::Quiet;
            self.account.in_flight -= 1;
        }
        if sent == Halt::Unfinished || received == Halt::Unfinished {
            epoll.again(link.token | (TUNNELS + index) as u64);
        }
        Ok(())
    }
}

impl Load for FairnessLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        self.account.in_flight += self.wanted;
        self.due = Instant::now() + EVERY;
        for index in 0..self.wanted {
            if index == self.tunnels.len() {
                let stream = link.connect(epoll, TUNNELS + index, index as u64)?;
                self.tunnels.push(Tunnel::new(stream));
            } else {
                self.tunnels[index].flood(self.direction);
            }
            self.tunnel(link, epoll, index)?;
        }
        epoll.again(link.token | CLOCK as u64);
        Ok(())
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()> {
        if closed {
            return Err("the proxy closed a connection that it should keep".into());
        }
        match slot.checked_sub(TUNNELS) {
            None => self.tick(link, epoll),
            Some(index) if index < self.wanted => self.tunnel(link, epoll, index),
            Some(index) => self.visitor(index - self.wanted),
        }
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl Tunnel {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            exchange: Some(Exchange::new()),
            end: End::of_client(),
            state: State::Quiet,
        }
    }

    /// The backend takes a mark for the wish to have its flood begun, or ended.
    const fn flood(&mut self, direction: Direction) {
        self.state = State::Flooded;
        match direction {
            Direction::Up => self.end.start(),
            Direction::Down => self.end.mark(),
        }
    }

    /// A mark comes back when all of the flood has arrived.
    const fn ebb(&mut self) {
        self.state = State::Ebbing;
        self.end.mark();
    }
}
