//! Histograms of times, with fixed buckets.

use crate::words::Words;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the first byte of the request to the 101.
    Handshake,
    /// From there to the end of the tunnel.
    Duration,
    /// From a Ping to its Pong.
    PingRtt,
}

/// Bounds; above the last is one bucket more.
pub const BOUNDS: usize = 13;

/// Words of one: the buckets, then the sum of what was measured.
pub(crate) const WORDS: usize = 16;
const SUM: usize = BOUNDS + 1;

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Handshake, Self::Duration, Self::PingRtt];

    /// What each bucket holds at most, milliseconds.
    pub const fn bounds_ms(self) -> &'static [u64; BOUNDS] {
        match self {
            Self::Handshake => &[
                5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
            ],
            Self::Duration => &[
                1000, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000,
                7_200_000, 14_400_000, 43_200_000, 86_400_000,
            ],
            Self::PingRtt => &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000],
        }
    }
}

/// How often what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many in each bucket alone, not in those below; the last has no bound.
    pub buckets: [u64; BOUNDS + 1],
    /// All of it together, milliseconds.
    pub sum_ms: u64,
}

impl Histogram {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }

    pub(crate) fn read(words: &[u64]) -> Self {
        let mut histogram = Self::default();
        for (to, word) in histogram.buckets.iter_mut().zip(words) {
            *to = *word;
        }
        histogram.sum_ms = words.get(SUM).copied().unwrap_or_default();
        histogram
    }
}

/// Counts a time in words that no one else writes.
pub(crate) fn observe(words: Words<'_>, kind: Kind, ms: u64) {
    let bounds = kind.bounds_ms();
    words.add(bounds.partition_point(|bound| *bound < ms), 1);
    words.add(SUM, ms);
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_time_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        for kind in Kind::ALL {
            assert!(kind.bounds_ms().is_sorted_by(|a, b| a < b));
            let words = [const { AtomicU64::new(0) }; WORDS];
            let bounds = kind.bounds_ms();
            let mut sum = 0;
            for bound in bounds {
                for ms in [*bound, bound + 1] {
                    observe(Words::new(&words), kind, ms);
                    sum += ms;
                }
            }
            let plain: Vec<u64> = Words::new(&words).iter().collect();
            let read = Histogram::read(&plain);
            assert_eq!(read.sum_ms, sum);
            assert_eq!(read.count(), 2 * BOUNDS as u64);
            let mut expected = [0; BOUNDS + 1];
            for bound in bounds {
                for ms in [*bound, bound + 1] {
                    expected[bounds.iter().filter(|b| **b < ms).count()] += 1;
                }
            }
            assert_eq!(read.buckets, expected);
        }
    }
}
