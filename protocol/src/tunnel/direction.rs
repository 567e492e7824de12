//! One direction of a tunnel: what a side sends, on its way to the other.

use super::limits::Side;
use super::ours::Ours;
use super::summary::Count;
use super::text::Piece;
use super::time::{Time, later};
use super::write::Write;
use crate::{ControlFrame, Opcode, Scanner};

/// A Close frame as its sender wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Close {
    pub code: Option<u16>,
}

/// Among bytes that are gone was something to be looked at.
#[derive(Default)]
pub(super) struct Seen<'a> {
    /// A piece of the text of the sender's first Close.
    pub text: Option<Piece<'a>>,
    /// They were an answer to a Ping of the tunnel's.
    pub is_answer: bool,
}

/// What the sender's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Frames,
    /// Something else, which is to be told.
    Unframed,
    /// Something else.
    Told,
}

/// What becomes of the sender's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// They are dropped behind a Close of ours, which is queued.
    Closing,
    /// The receiver gets nothing any more.
    Cut,
}

#[derive(Debug)]
pub(super) struct Direction {
    pub passage: Passage,
    /// Follows the bytes that the receiver's socket has accepted, as long as they are frames.
    pub scanner: Scanner,
    kind: Kind,
    /// How many bytes the last write was offered in vain: TLS wants the same bytes again.
    pub owed: usize,
    pub ours: Option<Ours>,
    /// Bytes received that are not gone yet.
    unsent: usize,
    /// The receiver has to be waited for.
    pub is_stuck: bool,
    /// Since when it has taken nothing of what was to be written, if so.
    pub stuck: Time,
    /// All that can be written before the sender sends more is written.
    pub starved: bool,
    bytes: u64,
    /// The sender's Close, passed on or dropped.
    pub close: Option<Close>,
    /// How much of that Close's text is still to come.
    text_left: u8,
    /// How many Pings the sender has been sent by the tunnel and not answered.
    pub unanswered: u8,
    /// When the sender was last heard of.
    pub heard: Time,
    /// When the receiver last took some of it.
    pub taken: Time,
    /// When its socket was last looked at, and what had been acknowledged by then, as far as it tells more
    /// from less.
    pub looked: Time,
    pub acknowledged: u32,
    /// Whether the socket held some that was not.
    pub holds: bool,
    /// Whether some of it was not even sent.
    pub waits: bool,
    pub ended: bool,
    /// The sender has sent its Close and ended, and takes the answer.
    pub awaits_close: bool,
    /// A message that must not pass has been seen.
    pub exceeds: bool,
}

impl Direction {
    pub fn new(from: Side, now: Time) -> Self {
        Self {
            passage: Passage::Open,
            scanner: Scanner::new(from == Side::Client),
            kind: Kind::Frames,
            owed: 0,
            ours: None,
            unsent: 0,
            is_stuck: false,
            stuck: now,
            starved: false,
            bytes: 0,
            close: None,
            text_left: 0,
            unanswered: 0,
            heard: now,
            taken: now,
            looked: now.wrapping_sub(1),
            acknowledged: 0,
            holds: false,
            waits: false,
            ended: false,
            awaits_close: false,
            exceeds: false,
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

    /// The receiver's socket has accepted these, the first of the unsent bytes.
    #[inline]
    pub fn sent<'b>(&mut self, bytes: &'b [u8], now: Time) -> Option<Seen<'b>> {
        self.owed = 0;
        self.is_stuck = false;
        self.taken = now;
        self.gone(bytes)
    }

    /// Likewise, if they were only dropped, as [`Write::Drop`] said; or if they are the last, where it is not to go on.
    pub fn dropped<'b>(&mut self, bytes: &'b [u8], are_last: bool) -> Option<Seen<'b>> {
        let seen = self.gone(bytes);
        if are_last {
            self.owed = 0;
        }
        if are_last || self.passage != Passage::Open {
            return seen;
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        Some(Seen {
            is_answer: true,
            ..seen.unwrap_or_default()
        })
    }

    #[inline]
    fn gone<'b>(&mut self, bytes: &'b [u8]) -> Option<Seen<'b>> {
        self.unsent = self.unsent.saturating_sub(bytes.len());
        if !self.are_frames() {
            return None;
        }
        let mut seen = None;
        let (close, text_left) = (&mut self.close, &mut self.text_left);
        if *text_left > 0 {
            let text = Some(next_text(text_left, bytes, None));
            seen = Some(Seen {
                text,
                is_answer: false,
            });
        }
        let followed = self.scanner.scan_with(bytes, |frame, behind| {
            if frame.opcode == Opcode::Close && close.is_none() {
                let code = frame.close_code;
                *close = Some(Close { code });
                // 125 at most, with two of the code.
                *text_left = code.map_or(0, |_| frame.length.saturating_sub(2) as u8);
                let text = (*text_left > 0).then(|| next_text(text_left, behind, Some(frame.mask)));
                seen = Some(Seen {
                    text,
                    is_answer: false,
                });
            }
        });
        if followed.is_err() {
            // Behind a Close of ours nobody misses them.
            self.kind = match self.passage {
                Passage::Open => Kind::Unframed,
                Passage::Closing | Passage::Cut => Kind::Told,
            };
            seen.get_or_insert_default();
        }
        seen
    }

    /// So many bytes of [`Self::ours`] are gone. What that was, if it was all.
    pub fn sent_ours(&mut self, count: usize, farewell: u8) -> Option<Ours> {
        self.is_stuck = false;
        self.ours.take_if(|ours| ours.sent(count, farewell))
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

    /// It is told now that the sender's bytes are no frames. Whether it had to be.
    pub fn tell(&mut self) -> bool {
        let is_news = self.is_unframed();
        if is_news {
            self.kind = Kind::Told;
        }
        is_news
    }

    /// Nothing more comes from the sender. Whether that tells what is to become of bytes that were held
    /// back.
    pub fn ends(&mut self) -> bool {
        let held_back = self.unsent > 0 && !self.is_stuck;
        let is_news = !core::mem::replace(&mut self.ended, true) && held_back;
        self.starved &= !is_news;
        is_news
    }

    // What is wanted.

    /// Queues a Ping for the next boundary, unless something is waiting for it already. Whether it did.
    pub fn send_ping(&mut self, frame: &ControlFrame) -> bool {
        let is_free = self.takes_pings() && self.ours.is_none();
        if is_free {
            self.ours = Some(Ours::new(frame));
            self.starved = false;
        }
        is_free
    }

    /// The sender has been asked, so a Pong of it may be for the tunnel.
    pub fn expect_pong(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// Queues a Close, in place of a Ping that has not begun. What comes after it is dropped.
    pub fn send_close(&mut self, frame: &ControlFrame) {
        if !self.begin_to_close() {
            return;
        }
        match &mut self.ours {
            // A Ping that has begun goes out whole; the Close follows it as part of it.
            Some(ping) if ping.begun => ping.add(frame),
            ours => *ours = Some(Ours::new(frame)),
        }
    }

    /// Likewise a farewell.
    pub fn send_farewell(&mut self) {
        if !self.begin_to_close() {
            return;
        }
        match &mut self.ours {
            Some(ping) if ping.begun => ping.add_farewell(),
            ours => *ours = Some(Ours::farewell()),
        }
    }

    fn begin_to_close(&mut self) -> bool {
        if !self.takes_pings() {
            return false;
        }
        self.passage = Passage::Closing;
        self.starved = false;
        true
    }

    /// The receiver is given up: it gets nothing any more.
    pub fn cut(&mut self) {
        self.passage = Passage::Cut;
        self.ours = None;
        self.is_stuck = false;
    }

    // What can be asked.

    #[inline]
    pub fn from(&self) -> Side {
        if self.scanner.is_from_client() {
            Side::Client
        } else {
            Side::Upstream
        }
    }

    /// Whether more may be read from the sender, as far as the receiver is concerned.
    #[inline]
    pub fn takes_more(&self) -> bool {
        !self.is_stuck && (!self.exceeds || self.passage != Passage::Open)
    }

    pub fn ours<'a>(&'a self, farewell: &'a [u8]) -> &'a [u8] {
        let ours = self.ours.as_ref();
        ours.map_or(&[], |ours| ours.left(farewell))
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

    /// Whether a frame of ours waits to be put in.
    pub fn has_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Since when the receiver has to be waited for.
    pub fn stuck(&self) -> Option<Time> {
        self.is_stuck.then_some(self.stuck)
    }

    /// Whether what has come so far is WebSocket frames.
    pub fn are_frames(&self) -> bool {
        self.kind == Kind::Frames
    }

    /// What follows the bytes, if they are.
    pub fn frames(&self) -> Option<&Scanner> {
        self.are_frames().then_some(&self.scanner)
    }

    /// Whether it is to be told that they are not.
    pub fn is_unframed(&self) -> bool {
        self.kind == Kind::Unframed
    }

    /// Whether the receiver has been sent a Close, the tunnel's or the sender's, or will be.
    pub fn asks_to_close(&self) -> bool {
        match self.passage {
            Passage::Open => self.close.is_some(),
            Passage::Closing => self.ours.is_none() || !(self.ended && self.starved),
            Passage::Cut => false,
        }
    }

    /// Whether frames of ours can be put in.
    pub fn takes_frames(&self) -> bool {
        self.are_frames() && self.passage != Passage::Cut
    }

    /// Whether a Ping can be put in: nothing may follow a Close, the sender's or ours.
    pub fn takes_pings(&self) -> bool {
        self.are_frames() && self.passage == Passage::Open && self.close.is_none()
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

/// The first bytes of what has come, as far as they belong to a Close's text.
fn next_text<'a>(left: &mut u8, bytes: &'a [u8], mask: Option<[u8; 4]>) -> Piece<'a> {
    let bytes = bytes.get(..usize::from(*left)).unwrap_or(bytes);
    // No more than is left of it.
    *left = left.saturating_sub(bytes.len() as u8);
    Piece { mask, bytes }
}

mod saved;
