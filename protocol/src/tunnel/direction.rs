//! One direction of a tunnel: what a side sends, on its way to the other.

use super::limits::{Limits, Side};
use super::ours::Ours;
use super::summary::Count;
use super::time::{Time, later};
use crate::{ControlFrame, Frame, Opcode, Scanner};

/// What is to be written to a direction's receiver next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing; more is to be read first.
    Nothing,
    /// So many of the unsent bytes, from the front.
    Theirs(usize),
    /// [`Tunnel::ours`](super::Tunnel::ours): frames that the tunnel puts in.
    Ours,
    /// So many of the unsent bytes, from the front, are not to be written but dropped.
    Drop(usize),
}

impl Write {
    #[inline]
    fn all_of(unsent: &[u8]) -> Self {
        match unsent.len() {
            0 => Self::Nothing,
            count => Self::Theirs(count),
        }
    }

    fn drop_all(unsent: &[u8]) -> Self {
        match unsent.len() {
            0 => Self::Nothing,
            count => Self::Drop(count),
        }
    }
}

/// A Close frame as its sender wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Close {
    pub code: Option<u16>,
}

/// What becomes of the sender's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    Open,
    /// They are dropped behind a Close of ours, which is queued.
    Closing,
    /// The receiver gets nothing any more.
    Cut,
}

#[derive(Debug)]
pub(super) struct Direction {
    pub from: Side,
    passage: Passage,
    /// Follows the bytes that the receiver's socket has accepted, as long as they are frames.
    scanner: Scanner,
    are_frames: bool,
    /// How many bytes the last write was offered in vain: TLS wants the same bytes again.
    owed: usize,
    ours: Option<Ours>,
    /// Bytes received that are not gone yet.
    unsent: usize,
    /// Since when the receiver has taken nothing of what was to be written.
    stuck: Option<Time>,
    /// All that can be written before the sender sends more is written.
    starved: bool,
    bytes: u64,
    /// The sender's Close, passed on or dropped.
    pub close: Option<Close>,
    pub pongs: u32,
    /// When the sender was last heard of.
    heard: Time,
    /// When the receiver last took some of it.
    taken: Time,
    pub ended: bool,
    /// The message that is too big has been seen.
    pub too_big: bool,
    /// To be told: the bytes are no frames.
    pub not_frames: bool,
}

impl Direction {
    pub fn new(from: Side, now: Time) -> Self {
        Self {
            from,
            passage: Passage::Open,
            scanner: Scanner::new(from == Side::Client),
            are_frames: true,
            owed: 0,
            ours: None,
            unsent: 0,
            stuck: None,
            starved: false,
            bytes: 0,
            close: None,
            pongs: 0,
            heard: now,
            taken: now,
            ended: false,
            too_big: false,
            not_frames: false,
        }
    }

    // What happened.

    #[inline]
    pub fn received(&mut self, count: usize, now: Time) {
        self.bytes = self.bytes.wrapping_add(count as u64);
        self.unsent = self.unsent.saturating_add(count);
        self.heard = now;
        self.starved = false;
    }

    /// The receiver's socket has accepted these, the first of the unsent bytes. Whether there is
    /// something among them to be looked at.
    #[inline]
    pub fn sent(&mut self, bytes: &[u8], now: Time) -> bool {
        self.owed = 0;
        self.stuck = None;
        self.taken = now;
        self.gone(bytes)
    }

    /// Likewise, if they were only dropped.
    #[inline]
    pub fn gone(&mut self, bytes: &[u8]) -> bool {
        self.unsent = self.unsent.saturating_sub(bytes.len());
        if !self.are_frames {
            return false;
        }
        let mut remarkable = false;
        let (close, pongs) = (&mut self.close, &mut self.pongs);
        let followed = self.scanner.scan(bytes, |frame: Frame| match frame.opcode {
            Opcode::Close => {
                close.get_or_insert(Close {
                    code: frame.close_code,
                });
                remarkable = true;
            }
            Opcode::Pong => {
                *pongs = pongs.wrapping_add(1);
                remarkable = true;
            }
            _ => {}
        });
        if followed.is_err() {
            self.are_frames = false;
            self.not_frames = true;
            remarkable = true;
        }
        remarkable
    }

    /// So many bytes of [`Self::ours`] are gone. What that was, if it was all.
    pub fn sent_ours(&mut self, count: usize) -> Option<Ours> {
        self.stuck = None;
        self.ours.take_if(|ours| ours.sent(count))
    }

    /// The receiver's socket took nothing of what it was offered.
    pub fn refused(&mut self, write: Write, now: Time) {
        match (write, &mut self.ours) {
            (Write::Theirs(count), _) => self.owed = count,
            (Write::Ours, Some(ours)) => ours.begun = true,
            _ => {}
        }
        self.blocked(now);
    }

    /// The receiver has to be waited for.
    pub fn blocked(&mut self, now: Time) {
        self.stuck.get_or_insert(now);
    }

    // What is wanted.

    /// Queues a Ping for the next boundary, unless something is waiting for it already.
    pub fn send_ping(&mut self, frame: &ControlFrame) {
        if self.takes_pings() && self.ours.is_none() {
            self.ours = Some(Ours::new(frame));
            self.starved = false;
        }
    }

    /// Queues a Close, in place of a Ping that has not begun. What comes after it is dropped.
    pub fn send_close(&mut self, frame: &ControlFrame) {
        if !self.takes_pings() {
            return;
        }
        self.passage = Passage::Closing;
        self.starved = false;
        match &mut self.ours {
            // A Ping that has begun goes out whole; the Close follows it as part of it.
            Some(ping) if ping.begun => ping.add(frame),
            ours => *ours = Some(Ours::new(frame)),
        }
    }

    /// The receiver is given up: it gets nothing any more.
    pub fn cut(&mut self) {
        self.passage = Passage::Cut;
        self.ours = None;
        self.stuck = None;
    }

    // What to do next.

    /// Whose bytes come next, and how many.
    #[inline]
    pub fn next_write(&mut self, unsent: &[u8], limits: &Limits) -> Write {
        let limit = match self.from {
            Side::Client => limits.message,
            Side::Upstream => None,
        };
        let is_plain = self.ours.is_none() && self.owed == 0 && self.passage == Passage::Open;
        // So it is nearly always.
        let write = if is_plain && limit.is_none() {
            Write::all_of(unsent)
        } else {
            self.choose(unsent, limit.map(u64::from))
        };
        if write == Write::Nothing {
            self.starved = true;
            self.stuck = None;
        }
        write
    }

    fn choose(&mut self, unsent: &[u8], limit: Option<u64>) -> Write {
        if self.passage == Passage::Cut {
            return Write::drop_all(unsent);
        }
        if self.owed > 0 {
            return Write::all_of(unsent.get(..self.owed).unwrap_or(unsent));
        }
        if self.close.is_some() && self.passage == Passage::Open {
            // The sender's Close has overtaken our Ping.
            self.ours.take_if(|ping| !ping.begun);
        }
        if !self.are_frames {
            self.ours = None;
            return Write::all_of(unsent);
        }
        if let Some(ours) = &self.ours {
            if ours.begun || self.scanner.at_boundary() {
                return Write::Ours;
            }
            // Up to the boundary, and no further.
            let count = match self.scanner.next_boundary(unsent) {
                Ok(Some(count)) => count,
                _ => unsent.len(),
            };
            return Write::all_of(unsent.get(..count).unwrap_or(unsent));
        }
        if self.passage == Passage::Closing {
            return Write::drop_all(unsent);
        }
        match limit.map(|limit| self.scanner.admit(unsent, limit)) {
            Some(Ok(admitted)) => {
                self.too_big |= admitted.exceeded;
                Write::all_of(unsent.get(..admitted.bytes).unwrap_or(unsent))
            }
            _ => Write::all_of(unsent),
        }
    }

    // What can be asked.

    /// Whether more may be read from the sender, as far as the receiver is concerned.
    #[inline]
    pub fn takes_more(&self) -> bool {
        self.stuck.is_none() && (!self.too_big || self.passage != Passage::Open)
    }

    pub fn ours(&self) -> &[u8] {
        self.ours.as_ref().map_or(&[], Ours::left)
    }

    /// Whether there is nothing to be written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.unsent == 0 && self.ours.is_none()
    }

    /// Whether everything that was read has been passed on, or all that ever can be when the sender
    /// has ended: what it left unfinished then holds nothing up.
    pub fn is_drained(&self) -> bool {
        self.is_empty() || (self.ended && self.starved)
    }

    /// Since when the receiver has to be waited for.
    pub fn stuck(&self) -> Option<Time> {
        self.stuck
    }

    /// Whether frames of ours can be put in.
    pub fn takes_frames(&self) -> bool {
        self.are_frames && self.passage != Passage::Cut
    }

    /// Whether a Ping can be put in: nothing may follow a Close, the sender's or ours.
    pub fn takes_pings(&self) -> bool {
        self.are_frames && self.passage == Passage::Open && self.close.is_none()
    }

    /// Bytes received that the receiver has not taken yet.
    pub fn unsent(&self) -> usize {
        self.unsent
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn heard(&self) -> Time {
        self.heard
    }

    pub fn taken(&self) -> Time {
        self.taken
    }

    /// When a byte last went in or out.
    pub fn moved(&self) -> Time {
        later(self.heard, self.taken)
    }

    pub fn count(&self) -> Count {
        Count {
            bytes: self.bytes,
            frames: self.scanner.frames(),
            messages: self.scanner.messages(),
        }
    }
}
