//! Whose bytes a direction's receiver gets next, and how many.

use super::direction::{Direction, Passage};
use super::limits::{Limits, Side};
use super::pong::{Payload, Pong};
use super::write::Write;

impl Direction {
    /// Whose bytes come next, and how many.
    #[inline]
    pub fn next_write(&mut self, unsent: &[u8], limits: &Limits, ping: Payload) -> Write {
        let limit = match self.from() {
            Side::Client => limits.message,
            Side::Upstream => None,
        };
        let is_plain = self.ours.is_none()
            && self.owed == 0
            && self.passage == Passage::Open
            && self.unanswered == 0;
        // So it is nearly always.
        let write = if is_plain && limit.is_none() {
            Write::all_of(unsent)
        } else {
            self.choose(unsent, limit.map(u64::from), ping)
        };
        if write == Write::Nothing {
            self.starved = true;
            self.is_stuck = false;
        }
        write
    }

    fn choose(&mut self, unsent: &[u8], limit: Option<u64>, ping: Payload) -> Write {
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
        let mut passes = unsent;
        if let Some(Ok(admitted)) = limit.map(|limit| self.scanner.admit(unsent, limit)) {
            self.too_big |= admitted.exceeded;
            // Of a header that stays incomplete nobody has to be kept from.
            if admitted.exceeded || !self.ended {
                passes = unsent.get(..admitted.bytes).unwrap_or(unsent);
            }
        }
        self.without_answers(passes, ping)
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
