//! What becomes of bytes that a socket has accepted.
//!
//! A socket that is full takes more only when a good part of what it holds is acknowledged, which a slow
//! peer may need minutes for; and a Ping waits its turn in it. So before a side is given up, its socket is
//! looked at: while what it holds gets less, the peer takes some.

use core::num::NonZeroU32;

use super::direction::Direction;
use super::time::{Time, after, is_after, later, left};

/// What a side's socket says of the bytes that were written to it. Only differences count.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// How many it has accepted. TLS may have made more of them.
    pub accepted: usize,
    /// How many it holds, as the peer has not acknowledged them, or how much memory they take.
    pub held: usize,
    /// How many of these it has not even sent, as the peer has no room for them or the network is slow; all,
    /// where the kernel does not tell.
    pub waiting: usize,
}

impl Queue {
    /// What the peer has acknowledged, or less: it grows only when the peer takes some. It wraps.
    fn acknowledged(self) -> usize {
        self.accepted.wrapping_sub(self.held)
    }
}

/// The part of one of those that share a connection, as streams of HTTP/2 do: up to its last byte that the connection
/// has accepted. What others send behind that says nothing of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    /// How much it had got rid of, and the connection had accepted from all, when it had last sent some.
    own: usize,
    end: usize,
}

impl Share {
    /// What the connection holds of it. `own`: how much it has got rid of so far; `waits`: it has more to be sent.
    pub fn of(&mut self, connection: Queue, own: usize, waits: bool) -> Queue {
        if waits || own != self.own {
            (self.own, self.end) = (own, connection.accepted);
        }
        let held = self.end.wrapping_sub(connection.acknowledged()) as isize;
        let held = held.max(0) as usize;
        Queue {
            accepted: self.end,
            held,
            waiting: connection.waiting.min(held),
        }
    }
}

/// How often a socket is looked at within the time that its side has: the first look says only what
/// there is to be taken, each further one whether some of it was.
const LOOKS: Time = 4;

/// The time that a side has for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub since: Time,
    pub limit: NonZeroU32,
}

impl Patience {
    pub fn ends(self) -> Time {
        after(self.since, self.limit)
    }

    /// Whether the side's socket is to be looked at now, if it was last looked at then.
    pub fn looks_now(self, looked: Time, now: Time) -> bool {
        left(self.looks(looked), now) == 0
    }

    /// When the side's socket is to be looked at, if it was last looked at then.
    pub fn looks(self, looked: Time) -> Time {
        let next = later(self.since, looked).wrapping_add(self.pause());
        if is_after(next, self.ends()) {
            self.ends()
        } else {
            next
        }
    }

    /// Since when it runs after a look, if that is to be changed.
    pub fn renewed(self, look: Look) -> Option<Time> {
        if !is_after(self.since, look.last) {
            return look.has_taken.then_some(look.now);
        }
        // There is nothing yet to compare with. Mostly there is time for more looks, but a timer may come
        // late.
        let ends = look.now.wrapping_add(self.pause());
        let since = ends.wrapping_sub(self.limit.get() as Time);
        (look.holds && is_after(since, self.since)).then_some(since)
    }

    fn pause(self) -> Time {
        (self.limit.get() as Time / LOOKS).max(1)
    }
}

/// What a look at a socket has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub now: Time,
    /// When it was looked at last.
    last: Time,
    /// Whether its peer has taken some of what it held then. A socket that held nothing shows nothing: what
    /// it has got rid of since, the kernel of a peer that reads nothing would acknowledge, too.
    has_taken: bool,
    /// Whether it holds some now.
    holds: bool,
    /// Whether some waited in it then, and whether some does now.
    waited: bool,
    waits: bool,
}

impl Look {
    /// What it says of the answer to a Ping, or of messages. Where nothing waits, what is held is on its way,
    /// and the kernel of a peer that hangs takes that as soon as it arrives; it may be a control frame alone.
    pub fn of_backlog(self) -> Self {
        Self {
            has_taken: self.has_taken && self.waited,
            holds: self.waits,
            ..self
        }
    }
}

impl Direction {
    /// The receiver has to be waited for.
    pub fn blocked(&mut self, now: Time) {
        if !self.is_stuck {
            (self.is_stuck, self.stuck) = (true, now);
        }
    }

    /// All that can be written is written.
    pub fn starve(&mut self) {
        self.starved = true;
        self.is_stuck = false;
    }

    /// What comes from the sender waits for its time: until now nobody is to blame for silence.
    pub fn excuse(&mut self, now: Time) {
        self.heard = now;
        (self.is_stuck, self.stuck) = (true, now);
    }

    /// The receiver's socket is looked at.
    pub fn look(&mut self, queue: Option<Queue>, now: Time) -> Look {
        let known = self.acknowledged;
        let acknowledged = queue.map_or(known, |queue| queue.acknowledged() as u32);
        let more = acknowledged.wrapping_sub(known) as i32;
        let look = Look {
            now,
            last: self.looked,
            has_taken: self.holds && more > 0,
            holds: queue.is_some_and(|queue| queue.held > 0),
            waited: self.waits,
            waits: queue.is_some_and(|queue| queue.waiting > 0),
        };
        self.acknowledged = acknowledged;
        self.holds = look.holds;
        self.waits = look.waits;
        // What is written at the same moment comes behind a look that found nothing.
        self.looked = if look.holds { now } else { now.wrapping_sub(1) };
        look
    }
}
