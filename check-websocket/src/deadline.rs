//! The end of the whole run, whatever it is doing then.

use std::time::{Duration, Instant};

/// `--deadline`. Limits of single steps add up: only this one bounds them all.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    until: Instant,
    length: Duration,
}

impl Deadline {
    pub fn after(length: Duration) -> Self {
        Self {
            until: Instant::now() + length,
            length,
        }
    }

    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// A step's own limit, or what is left if that is less.
    pub fn at_most(&self, limit: Duration) -> Duration {
        limit.min(self.left())
    }

    pub fn seconds(&self) -> f32 {
        self.length.as_secs_f32()
    }
}
