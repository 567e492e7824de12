//! Messages through tunnels: on each, some are under way and every answer is followed by the next.

use crate::epoll::Epoll;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::tunnel::{Frames, SCRATCH, Tunnel};
use crate::result::Result;

pub struct EchoLoad {
    handshake: &'static [u8],
    frames: Frames,
    tunnels: Vec<Tunnel>,
    wanted: usize,
    opening: usize,
    scratch: Vec<u8>,
    account: Account,
}

impl EchoLoad {
    pub fn new(handshake: &'static [u8], size: usize, depth: usize, connections: usize) -> Self {
        Self {
            handshake,
            frames: Frames::new(size, depth),
            tunnels: Vec::with_capacity(connections),
            wanted: connections,
            opening: 0,
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
            self.account.in_flight += self.frames.depth;
            self.ready(link, epoll, slot, false)?;
        }
        Ok(())
    }
}

impl Load for EchoLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.running = true;
        for tunnel in &mut self.tunnels {
            self.account.in_flight += self.frames.depth;
            tunnel.queue(&self.frames, self.frames.depth)?;
        }
        self.open_more(link, epoll)
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()> {
        let Some(tunnel) = self.tunnels.get_mut(slot) else {
            return Ok(());
        };
        if closed {
            return Err("the proxy closed a tunnel that is in use".into());
        }
        if !tunnel.is_open() {
            if !tunnel.open(self.handshake)? {
                return Ok(());
            }
            tunnel.queue(&self.frames, self.frames.depth)?;
            self.opening -= 1;
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
            if self.account.running {
                tunnel.queue(&self.frames, whole)?;
            } else {
                self.account.in_flight -= whole;
            }
        }
        Ok(())
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}
