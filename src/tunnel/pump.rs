//! Moves the bytes of one direction, as the rules say.

use core::ptr::NonNull;

use nginx_sys::ngx_pool_t;
use websocket_protocol::tunnel::{self as rules, CloseText, Farewell, Piece, Side, Write};

use super::buffers::Buffer;
use super::socket::{Moved, Socket};
use crate::conf::LocationConf;
use crate::nginx::clock::now;
use crate::nginx::pool;

/// Reads at once at most this often, so that one busy tunnel doesn't keep the worker from others.
const MAX_ROUNDS: u32 = 16;

/// One direction of a tunnel, for a turn.
pub struct Pump<'a> {
    pub rules: &'a mut rules::Tunnel<'static>,
    /// The unsent bytes of this direction.
    pub buffer: &'a mut Option<Buffer>,
    pub memory: Memory,
    pub from: Side,
    pub source: Socket,
    pub sink: Socket,
    /// The request's memory, for the text of a Close.
    pub pool: *mut ngx_pool_t,
    pub close_text: &'a mut Option<NonNull<CloseText>>,
    pub farewell: Option<&'a Farewell>,
}

/// Where a tunnel's buffers come from.
#[derive(Clone, Copy)]
pub struct Memory {
    /// How much a buffer holds.
    pub size: usize,
    /// How many free ones a worker keeps.
    pub keep: usize,
}

impl Pump<'_> {
    /// Moves bytes until one of the sides has to be waited for. How many came.
    #[inline(always)]
    pub fn run(mut self) -> u64 {
        let mut received = 0;
        let mut rounds = 0;
        while self.write() {
            if rounds == MAX_ROUNDS {
                if self.source.is_readable() {
                    self.source.post();
                }
                break;
            }
            rounds += 1;
            match self.read() {
                0 => break,
                count => received += count as u64,
            }
        }
        if self.rules.is_stuck(self.from) && self.source.has_left() {
            // Nothing else would tell: what can be read is not, as long as the other side takes
            // nothing.
            if self.source.is_broken() {
                self.rules.lost(self.from);
            } else {
                self.rules.leaves(self.from, now());
            }
        }
        self.memory.release_empty(self.buffer);
        received
    }

    /// Writes what there is. `false`: the receiver has to be waited for.
    #[inline(always)]
    fn write(&mut self) -> bool {
        while !self.rules.is_empty(self.from) {
            let unsent = front(self.buffer, usize::MAX);
            let write = self.rules.next_write(self.from, unsent, now);
            let bytes = match write {
                Write::Nothing => return true,
                Write::Drop(count) => {
                    self.rules
                        .dropped(self.from, front(self.buffer, count), now());
                    take(self.buffer, count);
                    continue;
                }
                Write::Theirs(count) => front(self.buffer, count),
                Write::Ours => self.rules.ours(self.from, self.farewell),
            };
            if !self.sink.is_writable() {
                self.rules.blocked(self.from, now());
                return false;
            }
            match (self.sink.send(bytes), write) {
                (Moved::Bytes(count), Write::Ours) => self.rules.sent_ours(self.from, count, now()),
                (Moved::Bytes(count), _) => {
                    let bytes = front(self.buffer, count);
                    if let Some(text) = self.rules.sent(self.from, bytes, now()) {
                        note(self.close_text, text, self.pool);
                    }
                    take(self.buffer, count);
                }
                (Moved::Again, _) => {
                    self.rules.refused(self.from, write, now());
                    return false;
                }
                (Moved::End | Moved::Error, _) => {
                    self.rules.lost(self.from.other());
                    return false;
                }
            }
        }
        true
    }

    /// Reads once. 0: there is nothing to read for now, or nothing that may be.
    #[inline(always)]
    fn read(&mut self) -> usize {
        if !self.source.is_readable() {
            if self.source.has_ended() {
                self.rules.ended(self.from);
            }
            return 0;
        }
        // One that has had its turn is called again when the others have had theirs.
        if self.source.is_posted() {
            return 0;
        }
        let most = self.rules.next_read(self.from, now());
        if most == 0 {
            return 0;
        }
        let Some((room, size)) = self.room() else {
            self.rules.give_up();
            return 0;
        };
        if size == 0 {
            return 0;
        }
        // SAFETY: the buffer has room for so many bytes.
        match unsafe { self.source.recv(room, size.min(most)) } {
            Moved::Bytes(count) => {
                if let Some(buffer) = self.buffer {
                    buffer.fill(count);
                }
                self.rules.received(self.from, count, now());
                return count;
            }
            Moved::Again => {}
            Moved::End => self.rules.ended(self.from),
            Moved::Error => {
                self.rules.reset(self.from);
                // nginx's own loop takes an error for the end, too.
                self.source.end();
            }
        }
        0
    }

    /// Where the next bytes go, and how many fit. `None` without memory.
    fn room(&mut self) -> Option<(*mut u8, usize)> {
        let buffer = match &mut *self.buffer {
            Some(buffer) => buffer,
            none => none.insert(Buffer::borrow(self.memory.size, self.source.log())?),
        };
        if buffer.room().1 == 0 {
            buffer.compact();
        }
        Some(buffer.room())
    }
}

/// Keeps a piece of a Close's text. Without memory for it there is none.
#[cold]
fn note(text: &mut Option<NonNull<CloseText>>, piece: Piece<'_>, pool: *mut ngx_pool_t) {
    if text.is_none() {
        // SAFETY: the request's pool, which lives as long as the tunnel.
        *text = unsafe { pool::place(pool, CloseText::new()) };
    }
    if let Some(text) = text {
        // SAFETY: it is the tunnel's alone, and the tunnel is in a turn.
        unsafe { text.as_mut() }.add(piece);
    }
}

/// The first unsent bytes, so many at most.
fn front(buffer: &Option<Buffer>, count: usize) -> &[u8] {
    let unsent = buffer.as_ref().map_or(&[] as &[u8], Buffer::bytes);
    unsent.get(..count).unwrap_or(unsent)
}

fn take(buffer: &mut Option<Buffer>, count: usize) {
    if let Some(buffer) = buffer {
        buffer.take(count);
    }
}

impl Memory {
    pub fn of(conf: &LocationConf) -> Self {
        Self {
            size: conf.buffer_size(),
            keep: conf.buffers(),
        }
    }

    /// Gives a buffer back, whatever is in it.
    pub fn release(self, buffer: &mut Option<Buffer>) {
        if let Some(buffer) = buffer.take() {
            // One made for more than the usual, for what came before the tunnel, is not kept.
            let is_usual = buffer.capacity() == self.size;
            buffer.give_back(if is_usual { self.keep } else { 0 });
        }
    }

    fn release_empty(self, buffer: &mut Option<Buffer>) {
        if buffer.as_ref().is_some_and(Buffer::is_empty) {
            self.release(buffer);
        }
    }
}
