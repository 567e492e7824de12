//! What an answer tells beside numbers.

use websocket_protocol::Cause;
use websocket_zone::CauseName;

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

    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.iter().copied().filter(move |cause| {
            let bits = self.0.get(*cause as usize / 64).copied();
            bits.unwrap_or_default() >> (*cause as usize % 64) & 1 != 0
        })
    }
}
