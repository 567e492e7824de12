//! Both directions of a tunnel.

use super::direction::Direction;
use super::limits::Side;

/// Both directions, by their senders.
#[derive(Debug)]
pub(super) struct Pair {
    pub client: Direction,
    pub upstream: Direction,
}

impl Pair {
    #[inline]
    pub fn of(&self, side: Side) -> &Direction {
        match side {
            Side::Client => &self.client,
            Side::Upstream => &self.upstream,
        }
    }

    #[inline]
    pub fn of_mut(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    pub fn towards(&self, side: Side) -> &Direction {
        self.of(side.other())
    }

    pub fn towards_mut(&mut self, side: Side) -> &mut Direction {
        self.of_mut(side.other())
    }
}
