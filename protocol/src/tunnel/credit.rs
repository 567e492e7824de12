//! A rate: so many bytes per second may be read.

use core::num::NonZeroU64;

use super::time::Time;

/// What may be read. A second's worth at most is saved up, and is there at the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    /// Thousandths of a byte, so that a millisecond earns a whole number of them at any rate.
    saved: u64,
    at: Time,
}

const A_SECOND: Time = 1000;

/// Small rates would otherwise wake the process for every byte.
const SHORTEST_PAUSE: Time = 20;

impl Credit {
    pub fn new(now: Time) -> Self {
        Self {
            saved: 0,
            at: now.wrapping_sub(A_SECOND),
        }
    }

    /// How many bytes may be read now, or else for how long none may.
    pub fn available(&mut self, rate: NonZeroU64, now: Time) -> Result<usize, Time> {
        let elapsed = now.wrapping_sub(self.at).min(A_SECOND) as u64;
        let earned = rate.get().saturating_mul(elapsed);
        let most = rate.get().saturating_mul(A_SECOND as u64);
        self.saved = self.saved.saturating_add(earned).min(most);
        self.at = now;
        match usize::try_from(self.saved / 1000) {
            Ok(0) => {
                let missing = 1000u64.saturating_sub(self.saved).div_ceil(rate.get());
                Err((missing as Time).max(SHORTEST_PAUSE))
            }
            Ok(bytes) => Ok(bytes),
            Err(_) => Ok(usize::MAX),
        }
    }

    pub fn spend(&mut self, count: usize) {
        let spent = (count as u64).saturating_mul(1000);
        self.saved = self.saved.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes).unwrap()
    }

    #[test]
    fn a_second_s_worth_is_there_at_the_start_and_no_more() {
        for start in [0, 5, Time::MAX - 3] {
            let mut credit = Credit::new(start);
            assert_eq!(credit.available(rate(700), start), Ok(700));
            let later = start.wrapping_add(60_000);
            assert_eq!(credit.available(rate(700), later), Ok(700));
        }
    }

    #[test]
    fn no_fraction_of_a_byte_is_lost() {
        for bytes in [1, 7, 999, 1000, 1001, 1900, 123_457] {
            let mut credit = Credit::new(0);
            let first = credit.available(rate(bytes), 0).unwrap();
            credit.spend(first);
            let mut read = 0;
            for now in 1..=10_000 {
                if let Ok(count) = credit.available(rate(bytes), now) {
                    credit.spend(count);
                    read += count as u64;
                }
            }
            assert_eq!(read, bytes * 10, "{bytes} bytes per second");
        }
    }

    #[test]
    fn a_pause_lasts_until_there_is_a_byte() {
        let mut credit = Credit::new(0);
        assert_eq!(credit.available(rate(2), 0), Ok(2));
        credit.spend(2);
        assert_eq!(credit.available(rate(2), 100), Err(400));
        assert_eq!(credit.available(rate(2), 500), Ok(1));
        credit.spend(1);
        assert_eq!(credit.available(rate(2), 500), Err(500));
        // Shorter ones are not worth the trouble.
        let mut credit = Credit::new(0);
        let all = credit.available(rate(1000), 0).unwrap();
        credit.spend(all);
        assert_eq!(credit.available(rate(1000), 0), Err(20));
    }

    #[test]
    fn no_rate_is_too_large() {
        let mut credit = Credit::new(0);
        assert!(credit.available(NonZeroU64::MAX, 0).unwrap() > usize::MAX / 2000);
        credit.spend(usize::MAX);
        assert!(credit.available(NonZeroU64::MAX, 0).is_err());
    }
}
