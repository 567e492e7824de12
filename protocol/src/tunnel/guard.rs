//! Holds the messages of a tunnel to their bounds.

use core::num::NonZeroU32;

use super::bounds::{Bounds, Excess, MessageRate};
use super::credit::{Credit, Rate};
use super::limits::Side;
use super::summary::{Delays, Reason};
use super::time::{Time, after};
use crate::Scanner;

/// What a tunnel needs to hold its messages to their bounds. Most tunnels have none, so it lies with the
/// caller.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    bytes: Option<Bytes>,
    /// Payload bytes of one message.
    pub(super) message: Option<u64>,
    messages: Option<Messages>,
    silence: Option<Silence>,
    /// Why the message that must not pass is too much.
    pub(super) excess: Reason,
}

/// Bytes per second from the client.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    rate: Rate,
    credit: Credit,
    /// How many have been paid for.
    paid: u64,
    /// None is read for now.
    is_paused: bool,
}

/// Messages from the client.
#[derive(Clone, Copy, Debug)]
struct Messages {
    rate: Rate,
    excess: Excess,
    credit: Credit,
    /// How many have been paid for.
    paid: u64,
    /// Since when one has been waiting for its time.
    waits: Option<Time>,
    /// Which was the last that had to, and until when.
    late: u64,
    until: Time,
    delays: Delays,
}

/// Silence between messages, in either direction.
#[derive(Clone, Copy, Debug)]
struct Silence {
    timeout: NonZeroU32,
    /// When a byte of a message last went by.
    since: Time,
    /// Whether the frame that is under way belongs to one.
    client: bool,
    upstream: bool,
}

impl Guard {
    /// Where anything is asked for.
    pub fn new(bounds: &Bounds, now: Time) -> Option<Self> {
        let Bounds {
            message,
            rate,
            message_rate,
            message_timeout,
        } = *bounds;
        let is_wanted = message.is_some()
            || rate.is_some()
            || message_rate.is_some()
            || message_timeout.is_some();
        is_wanted.then(|| Self {
            bytes: rate.map(Rate::per_second).map(|rate| Bytes {
                rate,
                credit: Credit::new(rate, now),
                paid: 0,
                is_paused: false,
            }),
            message: message.map(u64::from),
            messages: message_rate.map(|rate| Messages::new(rate, now)),
            silence: message_timeout.map(|timeout| Silence {
                timeout,
                since: now,
                client: false,
                upstream: false,
            }),
            excess: Reason::MessageTooBig,
        })
    }

    /// How many bytes may be read, where so many have come before, or else for how long none may.
    pub(super) fn may_read(&mut self, came: u64, now: Time) -> Result<usize, Time> {
        let Some(bytes) = &mut self.bytes else {
            return Ok(usize::MAX);
        };
        let Bytes { rate, credit, .. } = bytes;
        credit.spend(*rate, came.wrapping_sub(bytes.paid));
        credit.earn(*rate, false, now);
        bytes.paid = came;
        let whole = credit.whole(*rate);
        bytes.is_paused = whole == 0;
        if bytes.is_paused {
            return Err(credit.pause(*rate));
        }
        Ok(usize::try_from(whole).unwrap_or(usize::MAX))
    }

    /// The client's bytes are looked at anew, `is_stuck` where they could not be passed on before. Whether
    /// a message has been waiting for its time: it does no more.
    pub(super) fn look(&mut self, scanner: &Scanner, is_stuck: bool, now: Time) -> bool {
        let is_paused = self.bytes.is_some_and(|bytes| bytes.is_paused);
        let Some(messages) = &mut self.messages else {
            return false;
        };
        let waited = messages.waits.take();
        let kept_waiting = match messages.excess {
            Excess::Delay => waited.is_some(),
            // What has come together meanwhile was sent in time.
            Excess::Close => is_stuck || is_paused,
        };
        messages.pay(scanner.begun(), kept_waiting, now);
        if let Some(since) = waited {
            let waited = now.wrapping_sub(since) as u64;
            messages.delays.milliseconds = messages.delays.milliseconds.saturating_add(waited);
        }
        waited.is_some()
    }

    /// How many of the client's unsent bytes its rate of messages lets by; whether a message behind them
    /// ends the tunnel. To be asked after a [`look`](Self::look).
    pub(super) fn may_pass(
        &mut self,
        scanner: &Scanner,
        unsent: &[u8],
        now: Time,
    ) -> (usize, bool) {
        let Some(messages) = &mut self.messages else {
            return (unsent.len(), false);
        };
        let allowed = messages.credit.whole(messages.rate);
        let Ok(Some(before)) = scanner.before_message(unsent, allowed) else {
            return (unsent.len(), false);
        };
        let ends = messages.excess == Excess::Close;
        if ends {
            self.excess = Reason::MessageRate;
        } else if before == 0 {
            messages.wait(now);
        }
        (before, ends)
    }

    /// Until when a message has to wait, if one has to.
    pub(super) fn holds_until(&self) -> Option<Time> {
        let messages = self.messages.as_ref()?;
        messages.waits.map(|_| messages.until)
    }

    pub(super) fn delays(&self) -> Delays {
        self.messages
            .map_or(Delays::NONE, |messages| messages.delays)
    }

    /// These bytes go by, in front of which the scanner is, where they are frames.
    pub(super) fn watch(&mut self, from: Side, scanner: Option<&Scanner>, bytes: &[u8], now: Time) {
        let Some(silence) = &mut self.silence else {
            return;
        };
        let is_data = match from {
            Side::Client => &mut silence.client,
            Side::Upstream => &mut silence.upstream,
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
            silence.since = now;
        }
    }

    /// When no message has gone by for too long. One that has to wait counts as if it did.
    pub(super) fn silent_at(&self) -> Option<Time> {
        let silence = self.silence?;
        self.holds_until()
            .is_none()
            .then(|| after(silence.since, silence.timeout))
    }
}

impl Messages {
    fn new(rate: MessageRate, now: Time) -> Self {
        let MessageRate {
            per_minute,
            burst,
            excess,
        } = rate;
        let rate = Rate::per_minute(per_minute, burst);
        Self {
            rate,
            excess,
            credit: Credit::new(rate, now),
            paid: 0,
            waits: None,
            late: 0,
            until: now,
            delays: Delays::NONE,
        }
    }

    /// So many have begun.
    fn pay(&mut self, begun: u64, kept_waiting: bool, now: Time) {
        self.credit.spend(self.rate, begun.wrapping_sub(self.paid));
        self.credit.earn(self.rate, kept_waiting, now);
        self.paid = begun;
    }

    /// The next one has to wait for its time, or has to go on waiting.
    fn wait(&mut self, now: Time) {
        let next = self.paid.wrapping_add(1);
        if core::mem::replace(&mut self.late, next) != next {
            self.delays.count = self.delays.count.saturating_add(1);
            self.until = now.wrapping_add(self.credit.pause(self.rate));
        }
        self.waits = Some(now);
    }
}
