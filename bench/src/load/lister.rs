//! A client that asks for a list of all tunnels, again and again.

use crate::epoll::{Epoll, unless_blocked};
use crate::http;
use crate::load::contract::Link;
use crate::result::Result;
use crate::stream::Stream;

pub struct Lister {
    stream: Option<Stream>,
    /// How much of a request has been sent; `None` where there is none.
    sent: Option<usize>,
    /// The last bytes that came.
    tail: [u8; END.len()],
    scratch: Vec<u8>,
}

/// The last chunk of an answer, with the end of the one before.
const END: &[u8; 7] = b"\r\n0\r\n\r\n";
const STATUS: &[u8] = b"HTTP/1.1 200 ";
const SCRATCH: usize = 64 << 10;

impl Lister {
    pub fn new() -> Self {
        Self {
            stream: None,
            sent: None,
            tail: [0; END.len()],
            scratch: vec![0; SCRATCH],
        }
    }

    /// Asks, unless it has.
    pub fn ask(&mut self, link: &Link, epoll: &Epoll, slot: usize) -> Result<bool> {
        let asks = self.sent.is_none();
        if asks {
            self.sent = Some(0);
            if self.stream.is_none() {
                self.stream = Some(link.connect(epoll, slot, slot as u64)?);
            }
        }
        Ok(asks)
    }

    /// Whether a list has come to its end.
    pub fn advance(&mut self) -> Result<bool> {
        let (Some(stream), Some(sent)) = (&mut self.stream, &mut self.sent) else {
            return Ok(false);
        };
        while let Some(rest @ [_, ..]) = http::LIST.get(*sent..) {
            match unless_blocked(stream.write(rest))? {
                Some(count) => *sent += count,
                None => break,
            }
        }
        unless_blocked(stream.flush())?;
        while let Some(count) = unless_blocked(stream.read(&mut self.scratch))? {
            let bytes = &self.scratch[..count];
            let begins = self.tail == [0; END.len()];
            if count == 0 || (begins && !bytes.starts_with(STATUS)) {
                return Err("the proxy lists no tunnels: a peer for that is zone".into());
            }
            let joined = [&self.tail[..], bytes].concat();
            self.tail
                .copy_from_slice(&joined[joined.len() - END.len()..]);
            if self.tail == *END {
                self.tail = [0; END.len()];
                self.sent = None;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
