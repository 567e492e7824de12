//! Thousands of clients on one thread, a tenth of which talk at a time.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// Each of those that talk says something so often, and after so long others talk.
const PACE: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_secs(1);
/// One in so many talks.
pub const ONE_IN: usize = 10;

pub trait Crowd {
    /// A message and its echo of each of those whose number leaves this rest. How many there were.
    fn round(&mut self, who: usize) -> usize;

    /// All go, each in one of three ways.
    fn leave(self);
}

/// What came of a time of talk.
pub struct Talk {
    messages: usize,
    slowest: Duration,
}

impl fmt::Display for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages, the slowest round {:?}",
            self.messages, self.slowest
        )
    }
}

/// Messages and their echoes, of one in ten at a time.
pub fn talk(crowd: &mut impl Crowd, time: Duration) -> Talk {
    let start = Instant::now();
    let mut talk = Talk {
        messages: 0,
        slowest: Duration::ZERO,
    };
    let mut due = Duration::ZERO;
    while start.elapsed() < time {
        thread::sleep(due.saturating_sub(start.elapsed()));
        due = start.elapsed() + PACE;
        let turn = start.elapsed().as_millis() / TURN.as_millis();
        let begun = Instant::now();
        talk.messages += crowd.round(turn as usize % ONE_IN);
        talk.slowest = talk.slowest.max(begun.elapsed());
    }
    talk
}
