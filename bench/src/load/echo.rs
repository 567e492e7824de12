//! Messages through tunnels: on each, some are under way and every answer is followed by the next.

use crate::epoll::{Epoll, unless_blocked};
use crate::frame::Template;
use crate::http;
use crate::load::contract::{Account, Link, Load, OPENING_AT_ONCE};
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

pub struct EchoLoad {
    handshake: &'static [u8],
    frames: Frames,
    tunnels: Vec<Tunnel>,
    wanted: usize,
    opening: usize,
    scratch: Vec<u8>,
    account: Account,
}

/// The frames that are sent and expected, several in a row where they are small, so that one call
/// moves many.
struct Frames {
    sent: Vec<u8>,
    expected: Vec<u8>,
    sent_length: usize,
    expected_length: usize,
    header: usize,
    depth: usize,
}

struct Tunnel {
    stream: Stream,
    /// The handshake, while it lasts.
    exchange: Option<Exchange>,
    /// Bytes that are still to be sent, and where in `sent` they begin.
    to_send: usize,
    send_at: usize,
    /// How much of the expected stream has come, modulo the length of `expected`.
    receive_at: usize,
    received: usize,
    under_way: usize,
}

/// As much as one read takes.
const SCRATCH: usize = 256 << 10;
/// Payloads longer than this are compared with what was sent in one frame of sixteen, and only
/// counted in the others: comparing would make the generator as busy as the proxy.
const COMPARED: usize = 4 << 10;
const COMPARED_OF: usize = 16;

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
        if let Some(exchange) = &mut tunnel.exchange {
            if !exchange.advance(&mut tunnel.stream, self.handshake, http::switched)? {
                return Ok(());
            }
            tunnel.exchange = None;
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

impl Frames {
    fn new(size: usize, depth: usize) -> Self {
        let template = Template::new(size);
        let in_a_row = (SCRATCH / template.masked.len()).max(1);
        Self {
            sent: template.masked.repeat(in_a_row),
            expected: template.echoed.repeat(in_a_row),
            sent_length: template.masked.len(),
            expected_length: template.echoed.len(),
            header: template.header,
            depth,
        }
    }
}

impl Tunnel {
    const fn new(stream: Stream) -> Self {
        Self {
            stream,
            exchange: Some(Exchange::new()),
            to_send: 0,
            send_at: 0,
            receive_at: 0,
            received: 0,
            under_way: 0,
        }
    }

    fn queue(&mut self, frames: &Frames, count: usize) -> Result<()> {
        self.under_way += count;
        self.to_send += count * frames.sent_length;
        self.send(frames)
    }

    fn send(&mut self, frames: &Frames) -> Result<()> {
        unless_blocked(self.stream.flush())?;
        while self.to_send > 0 {
            let end = (self.send_at + self.to_send).min(frames.sent.len());
            let Some(written) = unless_blocked(self.stream.write(&frames.sent[self.send_at..end]))?
            else {
                break;
            };
            self.to_send -= written;
            self.send_at = (self.send_at + written) % frames.sent.len();
        }
        Ok(())
    }

    /// Reads once; tells how many frames that completed, and whether nothing more is there now.
    fn receive(&mut self, frames: &Frames, scratch: &mut [u8]) -> Result<(usize, bool)> {
        let in_frame = self.receive_at % frames.expected_length;
        let compares = frames.expected_length <= COMPARED
            || in_frame < frames.header
            || self.received % COMPARED_OF == 0;
        let most = if frames.expected_length <= COMPARED {
            frames.expected.len() - self.receive_at
        } else if in_frame < frames.header {
            frames.header - in_frame
        } else {
            frames.expected_length - in_frame
        };
        let room = most.min(scratch.len());
        let into = &mut scratch[..room];
        let read = if compares {
            self.stream.read(into)
        } else {
            self.stream.discard(into)
        };
        let read = match unless_blocked(read)? {
            None => return Ok((0, true)),
            Some(0) => return Err("the proxy closed a tunnel that is in use".into()),
            Some(read) => read,
        };
        let end = self.receive_at + read;
        if compares && into[..read] != frames.expected[self.receive_at..end] {
            return Err("what came back is not what was sent".into());
        }
        let whole = (in_frame + read) / frames.expected_length;
        if whole > self.under_way {
            return Err("more came back than was sent".into());
        }
        self.receive_at = end % frames.expected.len();
        self.received += whole;
        // TLS gives no more than one record at a time.
        let drained = read < room && self.stream.is_plain();
        Ok((whole, drained))
    }
}
