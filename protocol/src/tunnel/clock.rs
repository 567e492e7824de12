//! What time does to a tunnel.
//!
//! One timer serves all. It is not moved when bytes go by, only when it has fired, or when
//! something is due before it: then it is set to whatever comes next.

use core::num::NonZeroU32;

use super::direction::Direction;
use super::farewell::Parting;
use super::limits::{Limits, Ping, Side};
use super::pair::Pair;
use super::pong::Payload;
use super::summary::Reason;
use super::time::{Time, after, is_after, is_due, later, left};

/// No timer is set for longer, as an event loop may hand it to the kernel as an `int`.
const LONGEST: Time = i32::MAX as Time;

#[derive(Debug)]
pub(super) struct Clock {
    client: Heartbeat,
    upstream: Heartbeat,
    pub ends: Option<Ending>,
    pub resume_at: Option<Time>,
    /// What Pings carry, so that their answers can be told.
    pub ping_payload: Payload,
    /// What the timer was last set to.
    timer: Time,
    /// Set when the timer has fired, or something comes earlier.
    is_late: bool,
    /// Pings that are gone, and Pongs that answered one.
    pub pings: u16,
    pub pongs: u32,
    /// How long the last of them took, milliseconds.
    rtt: u32,
}

/// When the tunnel is to be closed, whatever goes on in it, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub at: Time,
    pub reason: Reason,
    /// The Close that it is to be done with, where somebody has chosen one.
    pub parting: Parting,
}

/// Pings to one side.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    /// Since when an answer is waited for.
    since: Option<Time>,
    /// What had come from that side by then. A clock is too coarse to tell an answer by.
    bytes: u64,
    /// Until when that side's silence said nothing, as it was not listened to or not silent.
    excused: Time,
}

/// What a Ping's time has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Wait,
    Send,
    Dead,
}

impl Clock {
    pub fn new(now: Time, random: usize) -> Self {
        let heartbeat = Heartbeat {
            since: None,
            bytes: 0,
            excused: now,
        };
        Self {
            client: heartbeat,
            upstream: heartbeat,
            ends: None,
            resume_at: None,
            // Another proxy like this one may stand on either side: its Pings are not ours.
            ping_payload: (random as u32).to_be_bytes(),
            timer: now,
            is_late: true,
            pings: 0,
            pongs: 0,
            rtt: 0,
        }
    }

    /// The tunnel is to end so, unless it is to end before. Whether that is not the case.
    pub fn end_by(&mut self, ending: Ending) -> bool {
        let is_next = self.ends.is_none_or(|known| is_after(known.at, ending.at));
        if is_next {
            self.ends = Some(ending);
            self.wake_by(ending.at);
        }
        is_next
    }

    /// Something is due then: the timer must not fire later.
    #[inline]
    pub fn wake_by(&mut self, time: Time) {
        self.is_late |= is_after(self.timer, time);
    }

    pub fn fired(&mut self) {
        self.is_late = true;
    }

    #[inline]
    pub fn is_late(&self) -> bool {
        self.is_late
    }

    /// The timer is now set to this.
    pub fn is_set_to(&mut self, time: Time) {
        self.timer = time;
        self.is_late = false;
    }

    /// How long until something is due, at least a millisecond.
    pub fn next(&self, limits: &Limits, by: &Pair, closing: Option<Time>, now: Time) -> Time {
        let mut delay = LONGEST;
        let mut consider = |time: Option<Time>| {
            if let Some(time) = time {
                delay = delay.min(left(time, now));
            }
        };
        consider(self.resume_at);
        if closing.is_some() {
            consider(closing);
        } else {
            consider(idle_at(limits, by));
            consider(self.ends.map(|ending| ending.at));
            for side in Side::BOTH {
                consider(send_due(limits, by, side));
                if let Some(ping) = limits.ping(side) {
                    consider(self.ping_due(ping, by, side));
                }
            }
        }
        delay.max(1)
    }

    fn ping_due(&self, ping: Ping, by: &Pair, to: Side) -> Option<Time> {
        if !by.towards(to).takes_pings() {
            return None;
        }
        let heartbeat = self.heartbeat(to);
        Some(match heartbeat.since {
            Some(since) => after(since, ping.timeout),
            None => after(later(by.of(to).heard(), heartbeat.excused), ping.interval),
        })
    }

    /// Looks whether a side is to be asked, or has not answered.
    pub fn beat(&mut self, limits: &Limits, by: &Pair, to: Side, now: Time) -> Beat {
        let Some(ping) = limits.ping(to) else {
            return Beat::Wait;
        };
        let (answers, way) = (by.of(to), by.towards(to));
        let heartbeat = self.heartbeat_mut(to);
        if answers.stuck().is_some() || !way.takes_pings() {
            // Its answer would not be read, or there can be no question.
            heartbeat.excused = now;
            heartbeat.since = None;
            return Beat::Wait;
        }
        heartbeat.excused = later(answers.heard(), heartbeat.excused);
        if answers.bytes() != heartbeat.bytes {
            heartbeat.since = None;
        }
        let Some(since) = heartbeat.since else {
            return if left(after(heartbeat.excused, ping.interval), now) == 0 {
                Beat::Send
            } else {
                Beat::Wait
            };
        };
        if left(after(since, ping.timeout), now) != 0 {
            return Beat::Wait;
        }
        // Behind a frame that is still on its way the Ping has to wait, and so have we; not where
        // the side itself takes nothing.
        if way.has_ours() && (way.stuck().is_none() || is_after(way.taken(), since)) {
            heartbeat.since = Some(now);
            return Beat::Wait;
        }
        Beat::Dead
    }

    /// A Ping to a side is queued.
    pub fn asks(&mut self, to: Side, answers: &Direction, now: Time) {
        self.heartbeat_mut(to).begin(answers, now);
    }

    /// What was queued to a side is gone, and with it a Ping, if one was.
    pub fn has_asked(&mut self, to: Side, answers: &Direction, now: Time) {
        let heartbeat = self.heartbeat_mut(to);
        if heartbeat.since.is_some() {
            heartbeat.begin(answers, now);
        }
    }

    /// A side has answered a Ping that is gone.
    pub fn note_pong(&mut self, from: Side, now: Time) {
        let heartbeat = self.heartbeat_mut(from);
        if let Some(since) = heartbeat.since.take() {
            self.rtt = u32::try_from(now.wrapping_sub(since)).unwrap_or(u32::MAX);
            self.pongs = self.pongs.wrapping_add(1);
        }
    }

    /// How long the last answer to a Ping took, milliseconds.
    pub fn rtt(&self) -> Option<u32> {
        (self.pongs != 0).then_some(self.rtt)
    }

    fn heartbeat(&self, to: Side) -> &Heartbeat {
        match to {
            Side::Client => &self.client,
            Side::Upstream => &self.upstream,
        }
    }

    fn heartbeat_mut(&mut self, to: Side) -> &mut Heartbeat {
        match to {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }
}

impl Heartbeat {
    fn begin(&mut self, answers: &Direction, now: Time) {
        self.since = Some(now);
        self.bytes = answers.bytes();
    }
}

/// When nothing has moved for too long.
fn idle_at(limits: &Limits, by: &Pair) -> Option<Time> {
    let moved = later(by.client.moved(), by.upstream.moved());
    limits.idle.map(|idle| after(moved, idle))
}

/// When a side has taken nothing for too long.
fn send_due(limits: &Limits, by: &Pair, to: Side) -> Option<Time> {
    let (stuck, timeout) = (by.towards(to).stuck()?, limits.send(to)?);
    Some(after(stuck, timeout))
}

pub(super) fn is_idle(limits: &Limits, by: &Pair, now: Time) -> bool {
    is_due(idle_at(limits, by), now)
}

pub(super) fn takes_nothing(limits: &Limits, by: &Pair, to: Side, now: Time) -> bool {
    is_due(send_due(limits, by, to), now)
}

/// The time within which a tunnel is to leave, and with what is left until it would be cut off:
/// there has to be room for the closing handshake, where there is some.
pub(super) fn drain_spread(within: Time, left: Option<Time>) -> Time {
    const HANDSHAKE: NonZeroU32 = super::CLOSE_TIMEOUT;
    match left {
        None => within,
        Some(left) => within.min(left.saturating_sub(HANDSHAKE.get() as Time).max(left / 2)),
    }
}
