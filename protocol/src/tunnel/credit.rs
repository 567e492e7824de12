//! A rate: so many bytes, or messages, in so much time.

use core::num::NonZeroU64;

use super::bounds::MessageRate;
use super::time::{Time, put_time, take_time};
use crate::wire::{In, Out};

/// What a rate earns, in fractions so small that each millisecond earns a whole number of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_ms: NonZeroU64,
    /// How many fractions make one.
    one: u64,
    /// How many are saved up at most.
    most: u64,
}

/// What may go by. As much as can be saved up is there at the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    /// Fractions.
    saved: u64,
    at: Time,
}

/// High rates would otherwise wake the process for each byte or message.
const SHORTEST_PAUSE: Time = 20;

impl Rate {
    /// So many per second, of which a second's worth is saved up.
    pub fn per_second(count: NonZeroU64) -> Self {
        Self {
            per_ms: count,
            one: 1000,
            most: count.get().saturating_mul(1000),
        }
    }
}

impl From<MessageRate> for Rate {
    /// What comes within the shortest pause comes at once.
    fn from(rate: MessageRate) -> Self {
        const ONE: u64 = 60_000;
        let per_ms = NonZeroU64::from(rate.per_minute);
        let at_once = u64::from(rate.burst).saturating_add(1).saturating_mul(ONE);
        let within_a_pause = per_ms.get().saturating_mul(SHORTEST_PAUSE as u64);
        Self {
            per_ms,
            one: ONE,
            // A clock of milliseconds tells of the last one too late by a part of what that earns.
            most: at_once
                .saturating_add(per_ms.get().saturating_sub(1))
                .max(within_a_pause),
        }
    }
}

impl Credit {
    /// All that can be saved up at this rate, if there is one.
    pub fn new(rate: Option<Rate>, now: Time) -> Self {
        Self {
            saved: rate.map_or(0, |rate| rate.most),
            at: now,
        }
    }

    /// Time has gone by. `kept_waiting` where it was not the sender's doing that nothing came of it: then
    /// it is all saved up.
    pub fn earn(&mut self, rate: Rate, kept_waiting: bool, now: Time) {
        let elapsed = now.wrapping_sub(self.at) as u64;
        let earned = rate.per_ms.get().saturating_mul(elapsed);
        let most = if kept_waiting { u64::MAX } else { rate.most };
        let sum = self.saved.saturating_add(earned);
        self.saved = sum.min(most.max(self.saved));
        self.at = now;
    }

    pub fn put(&self, out: &mut Out<'_>, now: Time) {
        out.u64(self.saved);
        put_time(out, self.at, now);
    }

    pub fn take(read: &mut In<'_>, now: Time) -> Option<Self> {
        Some(Self {
            saved: read.u64()?,
            at: take_time(read, now)?,
        })
    }

    pub fn spend(&mut self, rate: Rate, count: u64) {
        self.saved = self.saved.saturating_sub(count.saturating_mul(rate.one));
    }

    /// How many may go by now.
    pub fn whole(&self, rate: Rate) -> u64 {
        self.saved.checked_div(rate.one).unwrap_or(u64::MAX)
    }

    /// How long until the next may, where none may.
    pub fn pause(&self, rate: Rate) -> Time {
        let missing = rate
            .one
            .saturating_sub(self.saved)
            .div_ceil(rate.per_ms.get());
        (missing as Time).max(SHORTEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroU32;

    use super::super::bounds::Excess;
    use super::*;

    fn bytes(count: u64) -> Rate {
        Rate::per_second(NonZeroU64::new(count).unwrap())
    }

    fn messages(count: u32, burst: u32) -> Rate {
        Rate::from(MessageRate {
            per_minute: NonZeroU32::new(count).unwrap(),
            burst,
            excess: Excess::Delay,
        })
    }

    /// What may go by at a time, if nothing keeps the sender waiting.
    fn available(credit: &mut Credit, rate: Rate, now: Time) -> u64 {
        credit.earn(rate, false, now);
        credit.whole(rate)
    }

    #[test]
    fn a_second_s_worth_is_there_at_the_start_and_no_more() {
        for start in [0, 5, Time::MAX - 3] {
            let mut credit = Credit::new(Some(bytes(700)), start);
            assert_eq!(available(&mut credit, bytes(700), start), 700);
            let later = start.wrapping_add(60_000);
            assert_eq!(available(&mut credit, bytes(700), later), 700);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "a hundred thousand milliseconds")]
    fn no_fraction_is_lost() {
        let rates = [1, 7, 999, 1000, 1001, 1900, 123_457];
        let seconds = rates.map(|count| (bytes(count), count * 10));
        let minutes = [6, 42, 600, 60_006].map(|count| (messages(count, 0), u64::from(count) / 6));
        for (rate, in_ten_seconds) in seconds.into_iter().chain(minutes) {
            let mut credit = Credit::new(Some(rate), 0);
            credit.spend(rate, credit.whole(rate));
            let mut came = 0;
            for now in 1..=10_000 {
                let count = available(&mut credit, rate, now);
                credit.spend(rate, count);
                came += count;
            }
            assert_eq!(came, in_ten_seconds, "{rate:?}");
        }
    }

    #[test]
    fn a_pause_lasts_until_there_is_one() {
        let rate = bytes(2);
        let mut credit = Credit::new(Some(rate), 0);
        assert_eq!(credit.whole(rate), 2);
        credit.spend(rate, 2);
        assert_eq!(available(&mut credit, rate, 100), 0);
        assert_eq!(credit.pause(rate), 400);
        assert_eq!(available(&mut credit, rate, 500), 1);
        credit.spend(rate, 1);
        assert_eq!(credit.pause(rate), 500);
        // Shorter ones are not worth the trouble.
        let mut credit = Credit::new(Some(bytes(1000)), 0);
        credit.spend(bytes(1000), 1000);
        assert_eq!(credit.pause(bytes(1000)), 20);
    }

    #[test]
    fn a_burst_is_what_may_come_beside_the_first() {
        for (rate, at_once, pause) in [
            (messages(60, 0), 1, 1000),
            (messages(60, 4), 5, 1000),
            (messages(1, 0), 1, 60_000),
            // What comes within the shortest pause.
            (messages(60_000, 0), 20, 20),
            (messages(60_000, 99), 100, 20),
        ] {
            let mut credit = Credit::new(Some(rate), 7);
            assert_eq!(available(&mut credit, rate, 100_007), at_once, "{rate:?}");
            credit.spend(rate, at_once);
            assert_eq!(credit.pause(rate), pause, "{rate:?}");
        }
    }

    #[test]
    fn who_is_kept_waiting_saves_it_all_up() {
        let rate = messages(60, 1);
        let mut credit = Credit::new(Some(rate), 0);
        credit.earn(rate, true, 10_000);
        assert_eq!(credit.whole(rate), 12);
        // It is not taken away again, but no more is added.
        assert_eq!(available(&mut credit, rate, 20_000), 12);
        credit.spend(rate, 12);
        assert_eq!(available(&mut credit, rate, 60_000), 2);
    }

    #[test]
    fn no_rate_is_too_large() {
        for rate in [bytes(u64::MAX), messages(u32::MAX, u32::MAX)] {
            let mut credit = Credit::new(Some(rate), 0);
            assert!(available(&mut credit, rate, Time::MAX / 2) > u64::from(u32::MAX));
            credit.spend(rate, u64::MAX);
            assert_eq!(credit.whole(rate), 0);
            assert_eq!(credit.pause(rate), 20);
        }
    }
}
