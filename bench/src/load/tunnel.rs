//! A tunnel through which frames of one size go to and fro.

use crate::epoll::unless_blocked;
use crate::frame::Template;
use crate::http;
use crate::load::exchange::Exchange;
use crate::result::Result;
use crate::stream::Stream;

/// The frames that are sent and expected, several in a row where they are small, so that one call
/// moves many.
pub struct Frames {
    sent: Vec<u8>,
    expected: Vec<u8>,
    sent_length: usize,
    expected_length: usize,
    header: usize,
    pub depth: usize,
}

pub struct Tunnel {
    stream: Stream,
    /// The handshake, while it lasts.
    exchange: Option<Exchange>,
    /// Bytes that are still to be sent, and where in `sent` they begin.
    to_send: usize,
    send_at: usize,
    /// How much of the expected stream has come, modulo the length of `expected`.
    receive_at: usize,
    received: usize,
    pub under_way: usize,
}

/// As much as one read takes.
pub const SCRATCH: usize = 256 << 10;
/// Payloads longer than this are compared with what was sent in one frame of sixteen, and only
/// counted in the others: comparing would make the generator as busy as the proxy.
const COMPARED: usize = 4 << 10;
const COMPARED_OF: usize = 16;

impl Frames {
    pub fn new(size: usize, depth: usize) -> Self {
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
    pub const fn new(stream: Stream) -> Self {
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

    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    pub const fn is_open(&self) -> bool {
        self.exchange.is_none()
    }

    /// Goes on with the handshake; tells whether it is over.
    pub fn open(&mut self, handshake: &[u8]) -> Result<bool> {
        if let Some(exchange) = &mut self.exchange {
            if !exchange.advance(&mut self.stream, handshake, http::switched)? {
                return Ok(false);
            }
            self.exchange = None;
        }
        Ok(true)
    }

    pub fn queue(&mut self, frames: &Frames, count: usize) -> Result<()> {
        self.under_way += count;
        self.to_send += count * frames.sent_length;
        self.send(frames)
    }

    pub fn send(&mut self, frames: &Frames) -> Result<()> {
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
    pub fn receive(&mut self, frames: &Frames, scratch: &mut [u8]) -> Result<(usize, bool)> {
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
