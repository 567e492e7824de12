//! Whose bytes a direction's receiver gets next, and how many.

use super::direction::{Direction, Passage};
use super::guard::Guard;
use super::limits::Side;
use super::pong::{Payload, Pong};
use super::summary::Reason;
use super::time::Time;
use super::write::Write;

impl Direction {
    /// Whose bytes come next, and how many.
    #[inline]
    pub fn next_write(&mut self, unsent: &[u8], ping: Payload) -> Write {
        let is_plain = self.ours.is_none()
            && self.owed == 0
            && self.passage == Passage::Open
            && self.unanswered == 0;
        // So it is nearly always.
        let write = if is_plain {
            Write::all_of(unsent)
        } else {
            self.choose(unsent, None, ping)
        };
        if write == Write::Nothing {
            self.starve();
        }
        write
    }

    /// The same, where messages have bounds.
    pub fn next_within(
        &mut self,
        unsent: &[u8],
        guard: &mut Guard,
        ping: Payload,
        now: Time,
    ) -> Write {
        if guard.look(&self.scanner, self.is_stuck, now) {
            self.is_stuck = false;
        }
        let write = self.choose(unsent, Some((&mut *guard, now)), ping);
        if write == Write::Nothing {
            if guard.holds_until().is_some() {
                self.blocked(now);
            } else {
                self.starve();
            }
        }
        write
    }

    fn choose(&mut self, unsent: &[u8], guard: Option<(&mut Guard, Time)>, ping: Payload) -> Write {
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
        if !self.are_frames() {
            if self.ours.take().is_some() {
                // The boundary that it waited for never comes.
                self.passage = Passage::Open;
            }
            if self.passage == Passage::Open {
                return Write::all_of(unsent);
            }
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
        let passes = match guard {
            Some((guard, now)) => self.within(unsent, guard, now),
            None => unsent,
        };
        self.without_answers(passes, ping)
    }

    /// As far as the bounds of its messages allow.
    fn within<'b>(&mut self, unsent: &'b [u8], guard: &mut Guard, now: Time) -> &'b [u8] {
        let (in_time, exceeds) = guard.may_pass(&self.scanner, unsent, now);
        self.exceeds |= exceeds;
        let mut passes = unsent.get(..in_time).unwrap_or(unsent);
        let limit = guard.bounds.message.map(u64::from);
        let admitted = limit.map(|limit| self.scanner.admit(passes, limit));
        if let Some(Ok(admitted)) = admitted {
            if admitted.exceeded {
                self.exceeds = true;
                guard.excess = Reason::MessageTooBig;
            }
            // Of a header that stays incomplete nobody has to be kept from.
            if admitted.exceeded || !self.ended {
                passes = passes.get(..admitted.bytes).unwrap_or(passes);
            }
        }
        passes
    }

    /// Writes these, but for the sender's answers to the tunnel itself.
    fn without_answers(&self, bytes: &[u8], ping: Payload) -> Write {
        if self.unanswered == 0 {
            return Write::all_of(bytes);
        }
        let mut pong = Pong::Theirs;
        let found = self.scanner.find(bytes, |frame| {
            pong = Pong::read(frame, ping, self.from() == Side::Client);
            pong != Pong::Theirs
        });
        match (found, pong) {
            (Ok(Some(0)), Pong::Ours(length)) => Write::Drop(length),
            (Ok(Some(before)), Pong::Ours(_)) => {
                Write::all_of(bytes.get(..before).unwrap_or(bytes))
            }
            (Ok(Some(before)), Pong::Unknown) if !self.ended => {
                Write::all_of(bytes.get(..before).unwrap_or(bytes))
            }
            _ => Write::all_of(bytes),
        }
    }
}
