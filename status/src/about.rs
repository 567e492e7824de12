//! What an answer tells beside numbers.

use websocket_protocol::Cause;
use websocket_zone::{CauseName, Text, Zone};

/// The version of all this.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an answer tells of this server.
#[derive(Clone, Copy, Debug)]
pub struct About<'c> {
    /// nginx's version.
    pub nginx: &'static str,
    /// The path at which tunnels are closed.
    pub control: Option<&'c [u8]>,
    /// Milliseconds since 1970.
    pub time: u64,
}

/// What a zone is as a whole, at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    pub name: Text,
    /// Milliseconds since 1970.
    pub started: u64,
    pub workers: usize,
    pub peak: u64,
    pub buffers_lent: u64,
    /// Tunnels that the table has room for.
    pub room: usize,
}

impl Whole {
    /// Now; `peak` is known.
    pub fn of(zone: &Zone<'_>, peak: u64) -> Self {
        Self {
            name: zone.name(),
            started: zone.started(),
            workers: zone.workers(),
            peak,
            buffers_lent: zone.buffers_lent(),
            room: zone.tunnels(),
        }
    }
}

/// Causes that have counted something.
#[derive(Clone, Copy, Default)]
pub(crate) struct CauseSet([u64; Cause::ALL.len().div_ceil(64)]);

impl CauseSet {
    pub fn add(&mut self, counted: impl Iterator<Item = (CauseName, u64)>) {
        for cause in counted.filter_map(|(name, _)| name.cause()) {
            if let Some(bits) = self.0.get_mut(cause as usize / 64) {
                *bits |= 1 << (cause as usize % 64);
            }
        }
    }

    /// Takes one out.
    pub fn pop(&mut self) -> Option<Cause> {
        let of = |cause: Cause| (cause as usize / 64, 1 << (cause as usize % 64));
        let cause = Cause::ALL.iter().copied().find(|cause| {
            let (word, bit) = of(*cause);
            self.0.get(word).is_some_and(|bits| bits & bit != 0)
        })?;
        let (word, bit) = of(cause);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
        Some(cause)
    }
}
