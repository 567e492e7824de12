//! A tunnel on its way to another process: what it has come to, without what its configuration makes of it.
//!
//! Times go along as distances from the moment of writing: clocks of two processes need not agree.

use super::clock::{Clock, Ending};
use super::direction::Direction;
use super::farewell::Parting;
use super::guard::Guard;
use super::limits::{Side, Sides};
use super::state::Tunnel;
use super::summary::Reason;
use super::time::{Time, put_time, take_time};
use crate::wire::{In, Out};

/// A tunnel as bytes, which have been looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved<'a>(pub(crate) &'a [u8]);

impl<'a> Saved<'a> {
    /// `None`: these bytes are no tunnel.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut read = In::new(bytes);
        State::take(&mut read, 0)?;
        read.is_at_end().then_some(Self(bytes))
    }
}

/// All of it that goes along.
struct State {
    client: Direction,
    upstream: Direction,
    clock: Clock,
    /// When it is to be old enough, and with what code.
    ends: Option<(Time, u16)>,
    guard: Option<Guard>,
}

impl State {
    fn take(read: &mut In<'_>, now: Time) -> Option<Self> {
        Some(Self {
            client: Direction::take(Side::Client, read, now)?,
            upstream: Direction::take(Side::Upstream, read, now)?,
            clock: Clock::take(read, now)?,
            ends: read.option(|read| Some((take_time(read, now)?, read.u16()?)))?,
            guard: read.option(|read| Guard::take(read, now))?,
        })
    }
}

impl Tunnel<'_> {
    /// Writes it down for another process; how many bytes that took. `None`: it is about to end, and is to do
    /// so where it is, or there is no room.
    pub fn save(&self, bytes: &mut [u8], now: Time) -> Option<usize> {
        let is_ending = self.closing.is_some()
            || self.is_over
            || self.is_finished()
            || self.broken.is_some()
            || self.first_close.is_some()
            || Side::BOTH.iter().any(|side| self.by.of(*side).is_ending());
        let lifetime = match self.clock.ends {
            None => None,
            Some(ending) if ending.reason == Reason::Lifetime => Some(ending),
            Some(_) => return None,
        };
        if is_ending {
            return None;
        }
        let mut out = Out::new(bytes);
        self.by.client.put(&mut out, now);
        self.by.upstream.put(&mut out, now);
        self.clock.put(&mut out, now);
        out.option(lifetime, |out, ending| {
            put_time(out, ending.at, now);
            out.u16(ending.parting.code());
        });
        out.option(self.guard.as_ref(), |out, guard| guard.put(out, now));
        out.finish()
    }

    /// Goes on where one that was written down has stopped, in place of beginning. `unsent` is how many bytes
    /// of the client's and of the upstream's wait. It ends when it would have ended, or when this one would,
    /// whichever comes first. Whether it could: else it is as it was.
    pub fn resume(&mut self, saved: Saved<'_>, unsent: (usize, usize), now: Time) -> bool {
        let Some(state) = State::take(&mut In::new(saved.0), now) else {
            return false;
        };
        self.by.client = state.client.with_unsent(unsent.0);
        self.by.upstream = state.upstream.with_unsent(unsent.1);
        self.clock.go_on(state.clock);
        if let Some((at, code)) = state.ends {
            self.end_by(Ending {
                at,
                reason: Reason::Lifetime,
                parting: Parting::of_code(code),
            });
        }
        if let Some(guard) = self.guard.as_deref_mut() {
            guard.go_on(state.guard.as_ref(), &self.by, now);
        }
        self.is_eventful = true;
        for side in Side::BOTH {
            self.turns.add(side);
        }
        true
    }

    /// The configuration does not let it go on: both sides are sent a Close, 1012.
    pub fn refuse(&mut self, now: Time) {
        self.close(None, Reason::HandoverRefused, Sides::NONE, now);
    }
}
