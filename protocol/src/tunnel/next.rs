//! What a tunnel does next.

use super::close;
use super::limits::{Side, Sides};
use super::state::Tunnel;
use super::summary::Reason;
use super::time::Time;
use super::write::Write;

/// What is to be done when a turn has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To wait for a socket or the timer.
    Wait,
    /// Another turn, of what comes from this side.
    Turn(Side),
    /// To tell that what this side sends is not WebSocket frames. It is passed on all the same.
    NotFrames(Side),
    /// To end the tunnel: all that can be passed on is.
    End,
}

/// What to do next.
impl Tunnel {
    /// What is to be written of what comes from a side, given its unsent bytes.
    #[inline]
    pub fn next_write(&mut self, from: Side, unsent: &[u8]) -> Write {
        let direction = self.by.of_mut(from);
        let write = direction.next_write(unsent, &self.limits, self.clock.ping_payload);
        self.is_eventful |= direction.too_big;
        write
    }

    /// How many bytes may be read from a side at most. 0 is none for now: the receiver is waited for, or
    /// the timer.
    #[inline]
    pub fn next_read(&mut self, from: Side, now: Time) -> usize {
        if !self.by.of(from).takes_more() {
            return 0;
        }
        let Some(rate) = self.limits.rate.filter(|_| from == Side::Client) else {
            return usize::MAX;
        };
        self.credit.available(rate, now).unwrap_or_else(|pause| {
            let resume_at = now.wrapping_add(pause);
            self.clock.resume_at = Some(resume_at);
            self.clock.wake_by(resume_at);
            0
        })
    }

    /// Before a [tick](Self::tick): whether a side's socket is to be looked at, and
    /// [what it holds](Self::holds) to be told, as the side may have to be given up.
    pub fn has_doubts(&self, of: Side, now: Time) -> bool {
        self.closing.is_none() && self.clock.has_doubts(&self.limits, &self.by, of, now)
    }

    /// What is to be done when a turn has ended, or after a tick.
    #[inline]
    pub fn next(&mut self, now: Time) -> Next {
        if self.is_eventful {
            self.judge_events(now)
        } else {
            Next::Wait
        }
    }

    /// How long the timer is to be set for, where it has to be set anew, milliseconds.
    #[inline]
    pub fn timeout(&mut self, now: Time) -> Option<Time> {
        if !self.clock.is_late() {
            return None;
        }
        let delay = self.until_due(now);
        self.clock.is_set_to(now.wrapping_add(delay));
        Some(delay)
    }

    /// A timer is set for this long, milliseconds. Whether it will do; else [`timeout`](Self::timeout)
    /// says what would.
    pub fn has_timer(&mut self, delay: Time, now: Time) -> bool {
        let will_do = delay <= self.until_due(now);
        if will_do {
            self.clock.is_set_to(now.wrapping_add(delay));
        }
        will_do
    }

    #[cold]
    fn judge_events(&mut self, now: Time) -> Next {
        for side in Side::BOTH {
            if self.by.of_mut(side).tell() {
                return Next::NotFrames(side);
            }
        }
        if self.is_over {
            return Next::End;
        }
        if self.by.client.too_big && self.closing.is_none() {
            self.close(None, Reason::MessageTooBig, Sides::NONE, now);
        }
        if self.turns.take(Side::Upstream) {
            return Next::Turn(Side::Upstream);
        }
        if self.turns.take(Side::Client) {
            return Next::Turn(Side::Client);
        }
        if close::is_through(self.closing.is_some(), &self.by.client, &self.by.upstream) {
            self.is_over = true;
            return Next::End;
        }
        self.is_eventful = self.closing.is_some() || self.by.client.ended || self.by.upstream.ended;
        Next::Wait
    }

    fn until_due(&self, now: Time) -> Time {
        let deadline = self.closing.map(|closing| closing.deadline);
        self.clock.next(&self.limits, &self.by, deadline, now)
    }
}
