//! What goes by, as far as it is counted.

use super::summary::Count;
use super::time::Time;

/// What has gone by since a tunnel began, and what waits. To be looked at before a turn and after it: the
/// difference is what the turn has brought.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// What came from the client.
    pub from_client: Count,
    /// What came from the upstream.
    pub from_upstream: Count,
    /// Pings that went out, to either side. It wraps, as the Pongs do: only differences count.
    pub pings_sent: u16,
    /// Pongs that answered one.
    pub pongs: u32,
    /// How long the last answered Ping took until its Pong, milliseconds.
    pub ping_rtt: Option<u32>,
    /// Bytes that the upstream has not taken yet.
    pub waiting_for_upstream: usize,
    /// Bytes that the client has not taken yet.
    pub waiting_for_client: usize,
    /// When a byte last went in or out.
    pub moved_at: Time,
}

impl Traffic {
    /// What has gone by before a tunnel begins.
    pub const NONE: Self = Self {
        from_client: Count::NONE,
        from_upstream: Count::NONE,
        pings_sent: 0,
        pongs: 0,
        ping_rtt: None,
        waiting_for_upstream: 0,
        waiting_for_client: 0,
        moved_at: 0,
    };
}
