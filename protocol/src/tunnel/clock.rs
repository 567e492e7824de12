//! What time does to a tunnel.
//!
//! One timer serves all. It is not moved when bytes go by, only when it has fired, or when
//! something is due before it: then it is set to whatever comes next.

use core::num::NonZeroU32;

use super::delivery::Patience;
use super::direction::Direction;
use super::farewell::Parting;
use super::limits::{Limits, Side};
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
    /// An answer is waited for.
    is_asked: bool,
    /// Since when, if so.
    asked: Time,
    /// What had come from that side by then, as far as it tells an answer. A clock is too coarse for that.
    bytes: u32,
    /// Until when that side's silence said nothing, as it was not listened to, not silent, or behind with
    /// what it is sent.
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
            is_asked: false,
            asked: now,
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
                consider(self.asks_at(limits, by, side));
                for patience in self.patience(limits, by, side).into_iter().flatten() {
                    consider(Some(patience.looks(by.towards(side).looked)));
                }
            }
        }
        delay.max(1)
    }

    /// When a side is to be sent a Ping, if none is under way.
    fn asks_at(&self, limits: &Limits, by: &Pair, to: Side) -> Option<Time> {
        let ping = limits.ping(to).filter(|_| by.towards(to).takes_pings())?;
        let heartbeat = self.heartbeat(to);
        let quiet = later(by.of(to).heard(), heartbeat.excused);
        (!heartbeat.is_asked).then(|| after(quiet, ping.interval))
    }

    /// What a side has a time for that is running: to take what is to be written, to answer a Ping, and
    /// to take what has been written, where nothing else moves.
    pub fn patience(&self, limits: &Limits, by: &Pair, to: Side) -> [Option<Patience>; 3] {
        let way = by.towards(to);
        let patience = |since: Option<Time>, limit: Option<NonZeroU32>| {
            since
                .zip(limit)
                .map(|(since, limit)| Patience { since, limit })
        };
        let asked = self.heartbeat(to).asked().filter(|_| way.takes_pings());
        let moved = (way.bytes() > 0).then(|| moved(by));
        [
            patience(way.stuck(), limits.send(to)),
            // It may have been asked by a configuration that no longer does.
            patience(asked, limits.ping(to).map(|ping| ping.timeout)),
            patience(moved, limits.idle),
        ]
    }

    /// Whether a side's socket is to be looked at, before it can be said whether the side is alive.
    pub fn has_doubts(&self, limits: &Limits, by: &Pair, of: Side, now: Time) -> bool {
        let looked = by.towards(of).looked;
        self.patience(limits, by, of)
            .into_iter()
            .flatten()
            .any(|patience| patience.looks_now(looked, now))
    }

    /// A side's silence said nothing until then.
    pub fn excuse(&mut self, side: Side, until: Time) {
        let heartbeat = self.heartbeat_mut(side);
        heartbeat.excused = later(heartbeat.excused, until);
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
            heartbeat.is_asked = false;
            return Beat::Wait;
        }
        heartbeat.excused = later(answers.heard(), heartbeat.excused);
        if answers.bytes() as u32 != heartbeat.bytes {
            heartbeat.is_asked = false;
        }
        let Some(since) = heartbeat.asked() else {
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
            heartbeat.asked = now;
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
        if heartbeat.is_asked {
            heartbeat.begin(answers, now);
        }
    }

    /// A side has answered a Ping that is gone.
    pub fn note_pong(&mut self, limits: &Limits, from: Side, now: Time) {
        let heartbeat = self.heartbeat_mut(from);
        if core::mem::take(&mut heartbeat.is_asked) {
            let took = now.wrapping_sub(heartbeat.asked);
            self.rtt = u32::try_from(took).unwrap_or(u32::MAX);
            self.pongs = self.pongs.wrapping_add(1);
            // The next one may be due before a look at whether this one was answered.
            if let Some(ping) = limits.ping(from) {
                self.wake_by(after(now, ping.interval));
            }
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
    /// Since when an answer could have come, if one is waited for.
    fn asked(&self) -> Option<Time> {
        self.is_asked.then(|| later(self.asked, self.excused))
    }

    fn begin(&mut self, answers: &Direction, now: Time) {
        self.is_asked = true;
        self.asked = now;
        self.bytes = answers.bytes() as u32;
    }
}

/// When a byte last went in or out, on either side.
fn moved(by: &Pair) -> Time {
    later(by.client.moved(), by.upstream.moved())
}

/// When nothing has moved for too long.
fn idle_at(limits: &Limits, by: &Pair) -> Option<Time> {
    limits.idle.map(|idle| after(moved(by), idle))
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

mod saved;
