//! What a connection knows of a stream.

use std::io::{self, ErrorKind};

use websocket_protocol::http2::window_update;

use super::block::{Asks, is_ok};
use crate::http;

/// What a browser lets a server send.
pub const STREAM_WINDOW: usize = 6 << 20;

/// A stream, or one stream after another: a client of plain requests.
pub struct End {
    pub slot: usize,
    /// 0: it has asked for nothing yet.
    pub number: u32,
    pub asks: Asks,
    /// What came of the answer, and how much of it was taken.
    pub came: Vec<u8>,
    taken: usize,
    pub is_over: bool,
    /// Why there is no answer.
    pub error: Option<String>,
    /// What the server takes.
    pub room: i64,
    /// Bytes that were read since the server was told of more room.
    owed: usize,
    /// Something became of it.
    pub is_woken: bool,
    pub is_left: bool,
}

impl End {
    pub const fn new(slot: usize) -> Self {
        Self {
            slot,
            number: 0,
            asks: Asks::ForPage,
            came: Vec::new(),
            taken: 0,
            is_over: false,
            error: None,
            room: 0,
            owed: 0,
            is_woken: false,
            is_left: false,
        }
    }

    /// It begins anew, with another stream.
    pub fn ask(&mut self, number: u32, asks: Asks, room: i64) {
        *self = Self {
            number,
            asks,
            room,
            ..Self::new(self.slot)
        };
    }

    /// An answer's head, as it would be in HTTP/1.1.
    pub fn answered(&mut self, block: &[u8]) {
        match self.asks {
            _ if !is_ok(block) => {
                self.is_over = true;
                self.error = Some(format!("the proxy's answer is not 200: {block:x?}"));
            }
            Asks::ForPage => self.came.extend(b"HTTP/1.1 200 \r\n\r\n"),
            Asks::ForWebSocket => self.came.extend(http::SWITCHING),
        }
    }

    /// Gives what has come to `into`, or to nobody. The connection may be closed.
    pub fn read(&mut self, into: &mut [u8], copies: bool, is_closed: bool) -> io::Result<usize> {
        let came = &self.came[self.taken..];
        let count = came.len().min(into.len());
        if count == 0 {
            return match self.error.take() {
                Some(error) => Err(io::Error::other(error)),
                None if self.is_over || is_closed => Ok(0),
                None => Err(ErrorKind::WouldBlock.into()),
            };
        }
        if copies {
            into[..count].copy_from_slice(&came[..count]);
        }
        self.taken += count;
        if self.taken == self.came.len() {
            self.came.clear();
            self.taken = 0;
        }
        self.owed += count;
        Ok(count)
    }

    /// What is to be told of room for more, if that is due.
    pub fn more_room(&mut self) -> Option<[u8; 13]> {
        if self.owed < STREAM_WINDOW / 2 || self.is_over {
            return None;
        }
        let owed = std::mem::take(&mut self.owed);
        Some(window_update(self.number, owed as u32))
    }
}
