//! Holds the messages of a tunnel to their bounds.

use super::bounds::{Bounds, Excess};
use super::credit::{Credit, Rate};
use super::delivery::Patience;
use super::limits::Side;
use super::summary::{Delays, Reason};
use super::time::{Time, is_after};
use crate::Scanner;

/// What a tunnel needs to hold its messages to their bounds. Most tunnels have none, so it lies with the
/// caller.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    pub(super) bounds: Bounds,
    bytes: Bytes,
    messages: Messages,
    silence: Silence,
    /// Why the message that must not pass is too much.
    pub(super) excess: Reason,
}

/// Bytes from the client.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    credit: Credit,
    /// How many have been paid for.
    paid: u64,
    /// None is read for now.
    is_paused: bool,
}

/// Messages from the client.
#[derive(Clone, Copy, Debug)]
struct Messages {
    credit: Credit,
    /// How many have been paid for.
    paid: u64,
    /// One is waiting for its time.
    is_waiting: bool,
    /// Since when, and until when.
    since: Time,
    until: Time,
    /// Which was the last that had to wait.
    late: u64,
    delays: Delays,
}

/// Silence between messages, in either direction.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// When a byte of a message last went by.
    since: Time,
    /// Whether the frame that is under way belongs to one.
    client: bool,
    upstream: bool,
}

impl Guard {
    /// Where anything is asked for.
    pub fn new(bounds: Bounds, now: Time) -> Option<Self> {
        let full = |rate: Option<Rate>| Credit::new(rate, now);
        bounds.is_any().then(|| Self {
            bounds,
            bytes: Bytes {
                credit: full(bounds.rate.map(Rate::per_second)),
                paid: 0,
                is_paused: false,
            },
            messages: Messages {
                credit: full(bounds.message_rate.map(Rate::from)),
                paid: 0,
                is_waiting: false,
                since: now,
                until: now,
                late: 0,
                delays: Delays::NONE,
            },
            silence: Silence {
                since: now,
                client: false,
                upstream: false,
            },
            excess: Reason::MessageTooBig,
        })
    }

    /// How many bytes may be read, where so many have come before, or else for how long none may.
    pub(super) fn may_read(&mut self, came: u64, now: Time) -> Result<usize, Time> {
        let Some(rate) = self.bounds.rate.map(Rate::per_second) else {
            return Ok(usize::MAX);
        };
        let Bytes {
            credit,
            paid,
            is_paused,
        } = &mut self.bytes;
        credit.spend(rate, came.wrapping_sub(*paid));
        credit.earn(rate, false, now);
        *paid = came;
        let whole = credit.whole(rate);
        *is_paused = whole == 0;
        if *is_paused {
            return Err(credit.pause(rate));
        }
        Ok(usize::try_from(whole).unwrap_or(usize::MAX))
    }

    /// The client's bytes are looked at anew, `is_stuck` where they could not be passed on before. Whether
    /// a message has been waiting for its time: it does no more.
    pub(super) fn look(&mut self, scanner: &Scanner, is_stuck: bool, now: Time) -> bool {
        let Some(message_rate) = self.bounds.message_rate else {
            return false;
        };
        let messages = &mut self.messages;
        let has_waited = core::mem::take(&mut messages.is_waiting);
        let kept_waiting = match message_rate.excess {
            Excess::Delay => has_waited,
            // What has come together meanwhile was sent in time.
            Excess::Close => is_stuck || self.bytes.is_paused,
        };
        messages.pay(message_rate.into(), scanner.begun(), kept_waiting, now);
        if has_waited {
            let waited = now.wrapping_sub(messages.since) as u64;
            messages.delays.milliseconds = messages.delays.milliseconds.saturating_add(waited);
        }
        has_waited
    }

    /// How many of the client's unsent bytes its rate of messages lets by; whether a message behind them
    /// ends the tunnel. To be asked after a [`look`](Self::look).
    pub(super) fn may_pass(
        &mut self,
        scanner: &Scanner,
        unsent: &[u8],
        now: Time,
    ) -> (usize, bool) {
        let Some(message_rate) = self.bounds.message_rate else {
            return (unsent.len(), false);
        };
        let rate = Rate::from(message_rate);
        let allowed = self.messages.credit.whole(rate);
        let Ok(Some(before)) = scanner.before_message(unsent, allowed) else {
            return (unsent.len(), false);
        };
        let ends = message_rate.excess == Excess::Close;
        if ends {
            self.excess = Reason::MessageRate;
        } else if before == 0 {
            self.messages.wait(rate, now);
        }
        (before, ends)
    }

    /// Until when a message has to wait, if one has to.
    pub(super) fn holds_until(&self) -> Option<Time> {
        let messages = &self.messages;
        messages.is_waiting.then_some(messages.until)
    }

    /// What holds the client's bytes back, if anything does.
    pub(super) fn holds_back(&self) -> Option<Reason> {
        if self.messages.is_waiting {
            return Some(Reason::MessageRate);
        }
        self.bytes.is_paused.then_some(Reason::Rate)
    }

    pub(super) fn delays(&self) -> Delays {
        self.messages.delays
    }

    /// These bytes go by, in front of which the scanner is, where they are frames.
    pub(super) fn watch(&mut self, from: Side, scanner: Option<&Scanner>, bytes: &[u8], now: Time) {
        if self.bounds.message_timeout.is_none() {
            return;
        }
        let is_data = match from {
            Side::Client => &mut self.silence.client,
            Side::Upstream => &mut self.silence.upstream,
        };
        let is_message = scanner.is_none_or(|scanner| {
            let mut any = scanner.is_in_payload() && *is_data;
            let followed = { *scanner }.scan(bytes, |frame| {
                *is_data = !frame.opcode.is_control();
                any |= *is_data;
            });
            any || followed.is_err()
        });
        if is_message {
            self.silence.since = now;
        }
    }

    /// The time in which a message has to go by. One that has to wait counts as if it did.
    pub(super) fn patience(&self) -> Option<Patience> {
        let limit = self.bounds.message_timeout?;
        let since = self.silence.since;
        (!self.messages.is_waiting).then_some(Patience { since, limit })
    }

    /// That time runs since then.
    pub(super) fn renew(&mut self, since: Time) {
        self.silence.since = since;
    }
}

impl Messages {
    /// So many have begun.
    fn pay(&mut self, rate: Rate, begun: u64, kept_waiting: bool, now: Time) {
        self.credit.spend(rate, begun.wrapping_sub(self.paid));
        self.credit.earn(rate, kept_waiting, now);
        self.paid = begun;
    }

    /// The next one has to wait for its time, or has to go on waiting.
    fn wait(&mut self, rate: Rate, now: Time) {
        let next = self.paid.wrapping_add(1);
        let is_new = core::mem::replace(&mut self.late, next) != next;
        if is_new {
            self.delays.count = self.delays.count.saturating_add(1);
        }
        // One that has waited under another rate may have to wait for longer.
        if is_new || !is_after(self.until, now) {
            self.until = now.wrapping_add(self.credit.pause(rate));
        }
        self.since = now;
        self.is_waiting = true;
    }
}

mod saved;
