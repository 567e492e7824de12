//! One says something, and all hear it: a message to the backend, which sends it to every client. The
//! next follows when all have it.

use crate::epoll::Epoll;
use crate::http;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::tunnel::{Frames, SCRATCH, Tunnel};
use crate::result::Result;

pub struct BroadcastLoad {
    frames: Frames,
    /// The first one speaks.
    tunnels: Vec<Tunnel>,
    wanted: usize,
    opening: usize,
    handshake: Vec<u8>,
    scratch: Vec<u8>,
    account: Account,
}

/// What is sent: a line of a chat, a price.
const MESSAGE: usize = 125;

impl BroadcastLoad {
    pub fn new(connections: usize) -> Self {
        Self {
            frames: Frames::new(MESSAGE, 1),
            tunnels: Vec::with_capacity(connections),
            wanted: connections,
            opening: 0,
            handshake: Vec::new(),
            scratch: vec![0; SCRATCH],
            account: Account::default(),
        }
    }

    fn open_more(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        while self.tunnels.len() < self.wanted && self.opening < OPENING_AT_ONCE {
            let slot = self.tunnels.len();
            let stream = link.connect(epoll, slot, slot as u64)?;
            self.tunnels.push(Tunnel::new(stream));
            self.opening += 1;
            self.account.in_flight += 1;
            self.ready(link, epoll, slot, false)?;
        }
        Ok(())
    }

    /// Says the next, if all have heard the last.
    fn go_on(&mut self) -> Result<()> {
        let are_open = self.opening == 0 && self.tunnels.len() == self.wanted;
        if !self.account.running || !are_open || self.account.in_flight > 0 {
            return Ok(());
        }
        self.account.in_flight = self.wanted;
        if let Some((speaker, others)) = self.tunnels.split_first_mut() {
            for tunnel in others {
                tunnel.under_way += 1;
            }
            speaker.queue(&self.frames, 1)?;
        }
        Ok(())
    }
}

impl Load for BroadcastLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        // Each load is a room of its own.
        self.handshake = http::broadcast_handshake(link.token);
        self.open_more(link, epoll)?;
        self.go_on()
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()> {
        let Some(tunnel) = self.tunnels.get_mut(slot) else {
            return Ok(());
        };
        if closed {
            return Err("the proxy closed a tunnel that is in use".into());
        }
        if !tunnel.is_open() {
            if !tunnel.open(&self.handshake)? {
                return Ok(());
            }
            self.opening -= 1;
            self.account.in_flight -= 1;
            self.account.handshakes += 1;
            self.open_more(link, epoll)?;
            return self.go_on();
        }
        tunnel.send(&self.frames)?;
        let mut drained = false;
        while tunnel.under_way > 0 && !drained {
            let whole;
            (whole, drained) = tunnel.receive(&self.frames, &mut self.scratch)?;
            tunnel.under_way -= whole;
            self.account.done += whole as u64;
            self.account.in_flight -= whole;
        }
        self.go_on()
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}
