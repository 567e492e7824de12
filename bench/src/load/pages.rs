//! Pages as browsers have them: one request for the page, and some tunnels that have carried a message each
//! and are silent.

use crate::epoll::Epoll;
use crate::http;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::exchange::Exchange;
use crate::load::tunnel::{Frames, SCRATCH, Tunnel};
use crate::result::Result;
use crate::scenario::TUNNELS_OF_PAGE;
use crate::stream::Stream;

pub struct PagesLoad {
    pages: Vec<Page>,
    wanted: usize,
    opening: usize,
    frames: Frames,
    scratch: Vec<u8>,
    account: Account,
}

struct Page {
    stream: Stream,
    exchange: Exchange,
    /// None until the page is there.
    tunnels: Vec<Tunnel>,
    /// Tunnels whose message isn't back.
    left: usize,
}

/// Each page has so many slots, the first for itself.
const SLOTS: usize = 1 + TUNNELS_OF_PAGE;

impl PagesLoad {
    /// The messages have this size.
    pub fn new(size: usize, pages: usize) -> Self {
        Self {
            pages: Vec::with_capacity(pages),
            wanted: pages,
            opening: 0,
            frames: Frames::new(size, 1),
            scratch: vec![0; SCRATCH],
            account: Account::default(),
        }
    }

    fn open_more(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        while self.pages.len() < self.wanted && self.opening * SLOTS < OPENING_AT_ONCE {
            let slot = self.pages.len() * SLOTS;
            self.pages.push(Page {
                stream: link.connect(epoll, slot, slot as u64)?,
                exchange: Exchange::new(),
                tunnels: Vec::new(),
                left: TUNNELS_OF_PAGE,
            });
            self.opening += 1;
            self.ready(link, epoll, slot, false)?;
        }
        Ok(())
    }

    fn page(&mut self, link: &Link, epoll: &Epoll, slot: usize) -> Result<()> {
        let Some(page) = self.pages.get_mut(slot / SLOTS) else {
            return Ok(());
        };
        let Page {
            stream, exchange, ..
        } = page;
        if !page.tunnels.is_empty() || !exchange.advance(stream, http::PLAIN, http::page)? {
            return Ok(());
        }
        self.account.done += 1;
        for slot in slot + 1..slot + SLOTS {
            let stream = link.connect_beside(&page.stream, epoll, slot, slot as u64)?;
            page.tunnels.push(Tunnel::new(stream));
        }
        (slot + 1..slot + SLOTS).try_for_each(|slot| self.tunnel(link, epoll, slot))
    }

    fn tunnel(&mut self, link: &Link, epoll: &Epoll, slot: usize) -> Result<()> {
        let Some(page) = self.pages.get_mut(slot / SLOTS) else {
            return Ok(());
        };
        let Some(tunnel) = page.tunnels.get_mut(slot % SLOTS - 1) else {
            return Ok(());
        };
        if !tunnel.is_open() {
            if !tunnel.open(http::BROWSER_HANDSHAKE)? {
                return Ok(());
            }
            self.account.handshakes += 1;
            tunnel.queue(&self.frames, 1)?;
        }
        tunnel.send(&self.frames)?;
        let mut drained = false;
        while tunnel.under_way > 0 && !drained {
            let whole;
            (whole, drained) = tunnel.receive(&self.frames, &mut self.scratch)?;
            tunnel.under_way -= whole;
            self.account.messages += whole as u64;
            page.left -= whole;
            if whole > 0 && page.left == 0 {
                self.opening -= 1;
                self.account.in_flight -= 1;
                return self.open_more(link, epoll);
            }
        }
        Ok(())
    }
}

impl Load for PagesLoad {
    fn resume(&mut self, link: &Link, epoll: &Epoll) -> Result<()> {
        self.account.in_flight += self.wanted - self.pages.len();
        self.open_more(link, epoll)
    }

    fn ready(&mut self, link: &Link, epoll: &Epoll, slot: usize, closed: bool) -> Result<()> {
        if closed {
            return Err("the proxy closed a connection that it should keep".into());
        }
        match slot % SLOTS {
            0 => self.page(link, epoll, slot),
            _ => self.tunnel(link, epoll, slot),
        }
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}
