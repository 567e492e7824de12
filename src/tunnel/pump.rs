//! Moves the bytes of one direction, as the rules say.

use core::ptr::NonNull;

use nginx_sys::{ngx_log_t, ngx_pool_t};
use websocket_protocol::tunnel::{
    self as rules, CloseText, Farewell, Flood, Piece, Side, Sizes, Write,
};

use super::buffers::Buffer;
use super::socket::{Moved, Socket};
use crate::conf::LocationConf;
use crate::nginx::clock::now;
use crate::nginx::pool;

/// Reads at once at most this often, and moves about this much, so that one busy tunnel doesn't keep the
/// worker from others. TLS takes more time for less.
const MAX_ROUNDS: u32 = 16;
const MAX_BYTES: usize = 256 << 10;
const MAX_BYTES_OF_TLS: usize = 128 << 10;

/// What is read for a receiver that takes hardly anything: a record of TLS.
const SMALL: usize = 16 << 10;

/// No buffer that keeps bytes is smaller: the rest of a frame's header has to fit, and more.
const SMALLEST: usize = 4 << 10;

/// One direction of a tunnel, for a turn.
pub struct Pump<'a> {
    pub rules: &'a mut rules::Tunnel<'static>,
    /// The unsent bytes of this direction.
    pub buffer: &'a mut Option<Buffer>,
    pub flood: &'a mut Flood,
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
    pub sizes: Sizes,
    /// How many free ones of the usual size a worker keeps.
    pub keep: usize,
    /// How many large ones it lends.
    pub most_large: usize,
}

impl Pump<'_> {
    /// Moves bytes until one of the sides has to be waited for. How many came.
    #[inline(always)]
    pub fn run(mut self) -> u64 {
        let mut received = 0;
        let mut rounds = 0;
        while self.write() {
            if rounds == MAX_ROUNDS || received >= MAX_BYTES_OF_TLS && received >= self.most() {
                if self.source.is_readable() {
                    self.source.post();
                }
                break;
            }
            rounds += 1;
            match self.read(received) {
                0 => break,
                count => received += count,
            }
        }
        if self.rules.is_stuck(self.from) && self.source.has_left() {
            leave(self.rules, self.from, self.source);
        }
        self.flood.turned(received, self.memory.sizes);
        match self.buffer {
            Some(buffer) if !buffer.is_empty() => self.keep_no_more(),
            _ => self.memory.release(self.buffer),
        }
        received as u64
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
                    self.failed();
                    return false;
                }
            }
        }
        true
    }

    /// The receiver can't be written to. What it sent before it broke is still to be read, as nginx tells.
    #[cold]
    fn failed(&mut self) {
        let to = self.from.other();
        if self.sink.is_closed() {
            self.rules.unreachable(to);
        } else {
            self.rules.lost(to);
        }
    }

    /// How much is moved in a turn.
    #[cold]
    fn most(&self) -> usize {
        if self.source.is_tls() || self.sink.is_tls() {
            MAX_BYTES_OF_TLS
        } else {
            MAX_BYTES
        }
    }

    /// Reads once, after so much that came in this turn. 0: there is nothing to read for now, or nothing
    /// that may be.
    #[inline(always)]
    fn read(&mut self, received: usize) -> usize {
        if !self.source.is_readable() {
            if self.source.has_ended() {
                self.ended();
            }
            return 0;
        }
        // One that has had its turn is called again when the others have had theirs.
        if self.source.is_posted() {
            return 0;
        }
        let most = self.rules.next_read(self.from, now());
        if most == 0 {
            if self.source.has_left() {
                leave(self.rules, self.from, self.source);
            }
            return 0;
        }
        let Some((room, mut size)) = self.room() else {
            self.rules.give_up();
            return 0;
        };
        if size > self.memory.sizes.usual {
            size = size.min(self.most().saturating_sub(received));
        }
        if size == 0 {
            return 0;
        }
        // SAFETY: the buffer has room for so many bytes.
        match unsafe { self.source.recv(room, size.min(most)) } {
            Moved::Bytes(count) => {
                if let Some(buffer) = self.buffer {
                    buffer.fill(count);
                }
                self.flood.read(count, size);
                self.rules.received(self.from, count, now());
                return count;
            }
            Moved::Again => {}
            Moved::End => self.ended(),
            Moved::Error => {
                self.rules.reset(self.from);
                // nginx's own loop takes an error for the end, too.
                self.source.end();
            }
        }
        0
    }

    /// The sender has sent all.
    #[cold]
    fn ended(&mut self) {
        if self.source.is_stream() && !self.source.is_broken() {
            self.rules.half_ended(self.from);
        } else {
            self.rules.ended(self.from);
        }
    }

    /// Where the next bytes go, and how many fit. `None` without memory.
    #[inline(always)]
    fn room(&mut self) -> Option<(*mut u8, usize)> {
        if self.buffer.as_ref().is_none_or(Buffer::is_empty) {
            let sink = self.sink;
            let size = self.flood.size(self.memory.sizes, || sink.send_room());
            self.memory.borrow(self.buffer, size, self.source.log())?;
        }
        let buffer = self.buffer.as_mut()?;
        if buffer.room().1 == 0 {
            buffer.compact();
        }
        Some(buffer.room())
    }

    /// What the receiver didn't take is kept, and no room for more: it may be slow for long.
    #[cold]
    fn keep_no_more(&mut self) {
        let Some(buffer) = self.buffer else { return };
        // TLS wants the bytes of an unfinished write where they were.
        if !self.rules.is_stuck(self.from) || self.sink.is_tls() && !self.sink.is_stream() {
            return;
        }
        let needed = buffer.bytes().len().max(SMALLEST);
        if needed.saturating_add(SMALLEST) > buffer.capacity() {
            return;
        }
        let capacity = self.memory.made_for(needed);
        if let Some(mut kept) = Buffer::borrow(capacity, self.source.log()) {
            kept.append(buffer.bytes());
            self.memory.release(self.buffer);
            *self.buffer = Some(kept);
        }
    }
}

/// The sender has closed its connection. Nothing else would tell where more that it sent can be read, but is not
/// for now. A receiver that is slow is due all of it, also where a reset came behind: its time to take some is
/// bounded. What a rate holds back of a connection that is broken is due to nobody.
#[cold]
fn leave(rules: &mut rules::Tunnel<'_>, from: Side, source: Socket) {
    if !rules.is_held_back(from) {
        return;
    }
    if source.has_failed() || !rules.waits_for_receiver(from) && source.is_broken() {
        rules.lost(from);
    } else {
        rules.leaves(from, now());
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
        let large = conf.large_buffers();
        Self {
            sizes: Sizes {
                small: SMALL,
                usual: conf.buffer_size(),
                large: large.size,
            },
            keep: conf.buffers(),
            most_large: large.number,
        }
    }

    /// Sees to it that there is a buffer of this size, in place of one that is empty. `None` without
    /// memory.
    #[inline(always)]
    fn borrow(self, buffer: &mut Option<Buffer>, size: usize, log: *mut ngx_log_t) -> Option<()> {
        if buffer
            .as_ref()
            .is_some_and(|buffer| buffer.capacity() == size)
        {
            return Some(());
        }
        self.release(buffer);
        *buffer = if size > self.sizes.usual {
            Buffer::borrow_large(size, self.most_large, log)
        } else {
            None
        };
        if buffer.is_none() {
            *buffer = Buffer::borrow(size.min(self.sizes.usual), log);
        }
        buffer.is_some().then_some(())
    }

    /// Gives a buffer back, whatever is in it.
    #[inline]
    pub fn release(self, buffer: &mut Option<Buffer>) {
        let Some(buffer) = buffer.take() else { return };
        let capacity = buffer.capacity();
        if capacity == self.sizes.usual {
            buffer.give_back(self.keep);
        } else if capacity == self.sizes.large && capacity > self.sizes.usual {
            buffer.give_back_large(self.most_large);
        } else {
            // Made for what it holds, or for a receiver that was slow.
            buffer.give_back(0);
        }
    }

    /// How large a buffer is made for so many bytes. Not as large as those that are lent for floods, which are
    /// told by that.
    pub fn made_for(self, bytes: usize) -> usize {
        bytes.saturating_add(usize::from(bytes == self.sizes.large))
    }
}
