//! What holds messages to their bounds, on its way to another process: what has been used up of them. The
//! bounds themselves are the configuration's.

use core::num::{NonZeroU32, NonZeroU64};

use super::{Bytes, Delays, Guard, Messages, Silence};
use crate::tunnel::bounds::{Bounds, Excess, MessageRate};
use crate::tunnel::credit::Credit;
use crate::tunnel::pair::Pair;
use crate::tunnel::summary::Reason;
use crate::tunnel::time::{Time, put_time, take_time};
use crate::wire::{In, Out};

impl Guard {
    pub(in crate::tunnel) fn put(&self, out: &mut Out<'_>, now: Time) {
        let Self {
            bounds,
            bytes,
            messages,
            silence,
            ..
        } = self;
        out.bool(bounds.rate.is_some());
        out.bool(bounds.message_rate.is_some());
        out.bool(bounds.message_timeout.is_some());
        bytes.credit.put(out, now);
        out.u64(bytes.paid);
        out.bool(bytes.is_paused);
        messages.credit.put(out, now);
        out.u64(messages.paid);
        out.bool(messages.is_waiting);
        put_time(out, messages.since, now);
        put_time(out, messages.until, now);
        out.u64(messages.late);
        out.u64(messages.delays.count);
        out.u64(messages.delays.milliseconds);
        put_time(out, silence.since, now);
        out.bool(silence.client);
        out.bool(silence.upstream);
    }

    /// Of its bounds it only knows which there were.
    pub(in crate::tunnel) fn take(read: &mut In<'_>, now: Time) -> Option<Self> {
        const SOME: MessageRate = MessageRate {
            per_minute: NonZeroU32::MIN,
            burst: 0,
            excess: Excess::Delay,
        };
        Some(Self {
            bounds: Bounds {
                message: None,
                rate: read.bool()?.then_some(NonZeroU64::MIN),
                message_rate: read.bool()?.then_some(SOME),
                message_timeout: read.bool()?.then_some(NonZeroU32::MIN),
            },
            bytes: Bytes {
                credit: Credit::take(read, now)?,
                paid: read.u64()?,
                is_paused: read.bool()?,
            },
            messages: Messages {
                credit: Credit::take(read, now)?,
                paid: read.u64()?,
                is_waiting: read.bool()?,
                since: take_time(read, now)?,
                until: take_time(read, now)?,
                late: read.u64()?,
                delays: Delays {
                    count: read.u64()?,
                    milliseconds: read.u64()?,
                },
            },
            silence: Silence {
                since: take_time(read, now)?,
                client: read.bool()?,
                upstream: read.bool()?,
            },
            excess: Reason::MessageTooBig,
        })
    }

    /// Goes on as the one before, with bounds that may be others. Where there was none before, all that has gone
    /// by is paid for; where there is none now, nothing waits for it any more.
    pub(in crate::tunnel) fn go_on(&mut self, before: Option<&Self>, by: &Pair, now: Time) {
        let fresh = *self;
        if let Some(before) = before {
            *self = Self {
                bounds: fresh.bounds,
                ..*before
            };
        }
        let had = before.map_or(Bounds::default(), |before| before.bounds);
        if had.rate.is_none() || self.bounds.rate.is_none() {
            self.bytes = Bytes {
                paid: by.client.bytes(),
                ..fresh.bytes
            };
        }
        if had.message_rate.is_none() || self.bounds.message_rate.is_none() {
            self.messages = Messages {
                paid: by.client.scanner.begun(),
                delays: self.messages.delays,
                ..fresh.messages
            };
        }
        if had.message_timeout.is_none() {
            // Nobody has looked what a frame is that is on its way: it counts as a message's.
            self.silence = Silence {
                since: now,
                client: by.client.scanner.is_in_payload(),
                upstream: by.upstream.scanner.is_in_payload(),
            };
        }
    }
}
