//! How old a tunnel may become.

use super::clock::Ending;
use super::farewell::Parting;
use super::limits::Sides;
use super::state::Tunnel;
use super::summary::Reason;
use super::time::Time;

/// The age at which a tunnel is to end, however busy it is.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Milliseconds; none is at once, before anything has gone by.
    pub age: Time,
    /// The status code of the Close.
    pub code: u16,
    /// Whether up to a tenth is taken off at random, so that tunnels that began together don't end
    /// together.
    pub is_spread: bool,
}

/// Times that are further apart can't be compared for long.
const LONGEST: Time = Time::MAX / 4;

impl Tunnel<'_> {
    /// The tunnel, which has just begun, is to become no older. `random` is any number that other tunnels
    /// don't have.
    pub fn live(&mut self, lifetime: Lifetime, now: Time, random: usize) {
        let Lifetime {
            age,
            code,
            is_spread,
        } = lifetime;
        let tenth = if is_spread { age / 10 } else { 0 };
        let early = random.checked_rem(tenth).unwrap_or(0);
        let left = age.wrapping_sub(early).min(LONGEST);
        self.end_by(Ending {
            at: now.wrapping_add(left),
            reason: Reason::Lifetime,
            parting: Parting::of_code(code),
        });
        if left == 0 {
            self.close(None, Reason::Lifetime, Sides::NONE, now);
        }
    }
}
