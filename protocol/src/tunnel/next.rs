//! What a tunnel does next.

use super::close;
use super::limits::{Side, Sides};
use super::state::Tunnel;
use super::time::{Time, left};
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
impl Tunnel<'_> {
    /// What is to be written of what comes from a side, given its unsent bytes. `now` is asked only where
    /// there is a rate.
    #[inline]
    pub fn next_write(&mut self, from: Side, unsent: &[u8], now: impl FnOnce() -> Time) -> Write {
        if from == Side::Client && self.guard.is_some() {
            return self.next_within(unsent, now());
        }
        let ping = self.clock.ping_payload;
        self.by.of_mut(from).next_write(unsent, ping)
    }

    /// How many bytes may be read from a side at most. 0 is none for now: the receiver is waited for, or
    /// the timer.
    #[inline]
    pub fn next_read(&mut self, from: Side, now: Time) -> usize {
        if !self.by.of(from).takes_more() {
            return 0;
        }
        if from == Side::Client && self.guard.is_some() {
            return self.may_read(now);
        }
        usize::MAX
    }

    /// Before a [tick](Self::tick): whether a side's socket is to be looked at, and
    /// [what it holds](Self::holds) to be told, as the side may have to be given up.
    pub fn has_doubts(&self, of: Side, now: Time) -> bool {
        let looked = self.by.towards(of).looked;
        let is_silent = || {
            let silence = self.silence_of(of);
            silence.is_some_and(|silence| silence.looks_now(looked, now))
        };
        self.closing.is_none()
            && (self.clock.has_doubts(&self.limits, &self.by, of, now) || is_silent())
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

    /// What is to be written of what comes from the client, where messages have bounds.
    #[cold]
    fn next_within(&mut self, unsent: &[u8], now: Time) -> Write {
        let (direction, ping) = (&mut self.by.client, self.clock.ping_payload);
        let Some(guard) = self.guard.as_deref_mut() else {
            return direction.next_write(unsent, ping);
        };
        let write = direction.next_within(unsent, guard, ping, now);
        self.is_eventful |= direction.exceeds;
        if let Some(until) = guard.holds_until() {
            self.resume_at(until);
        }
        write
    }

    /// How many bytes may be read from the client, where messages have bounds.
    #[cold]
    fn may_read(&mut self, now: Time) -> usize {
        let came = self.by.client.bytes();
        let guard = self.guard.as_deref_mut();
        match guard.map_or(Ok(usize::MAX), |guard| guard.may_read(came, now)) {
            Ok(count) => count,
            Err(pause) => {
                self.resume_at(now.wrapping_add(pause));
                0
            }
        }
    }

    /// The client is to have another turn then.
    fn resume_at(&mut self, time: Time) {
        self.clock.resume_at = Some(time);
        self.clock.wake_by(time);
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
        // What may pass goes first, if it has to wait for room.
        if self.by.client.exceeds && self.by.client.starved && self.closing.is_none() {
            self.close(None, self.excess(), Sides::NONE, now);
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
        let deadline = self.closing.map_or_else(
            || close::answer_due(&self.by),
            |closing| Some(closing.deadline),
        );
        let next = self.clock.next(&self.limits, &self.by, deadline, now);
        let Some(silence) = self.silence().filter(|_| deadline.is_none()) else {
            return next;
        };
        let looks = Side::BOTH.into_iter().filter_map(|side| {
            let looked = self.by.towards(side).looked;
            self.silence_of(side).map(|silence| silence.looks(looked))
        });
        let due = looks.chain([silence.ends()]).map(|time| left(time, now));
        due.fold(next, Time::min).max(1)
    }
}
