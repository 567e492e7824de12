//! What a tunnel is held to.

use core::num::NonZeroU32;

/// What a tunnel is held to; `None` is no limit. Times are milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// How long nothing may move.
    pub idle: Option<NonZeroU32>,
    /// How long a write to the client may be blocked.
    pub send_to_client: Option<NonZeroU32>,
    /// How long a write to the upstream may be blocked.
    pub send_to_upstream: Option<NonZeroU32>,
    /// Which silence is asked about.
    pub ping: Option<Ping>,
    /// The status code of the Close when the tunnel's process is to end.
    pub drain_code: u16,
}

/// Pings to a side that has been silent.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// After so much silence.
    pub interval: NonZeroU32,
    /// How long the answer may take.
    pub timeout: NonZeroU32,
    /// Who is asked.
    pub to: PingTo,
}

/// Whom Pings go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingTo {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
    /// Both ends.
    Both,
}

impl PingTo {
    fn has(self, side: Side) -> bool {
        match side {
            Side::Client => self != Self::Upstream,
            Side::Upstream => self != Self::Client,
        }
    }
}

/// One end of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Opened the connection; its frames are masked.
    Client,
    /// Accepted it; its frames are not.
    Upstream,
}

impl Side {
    /// Both, the client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Upstream];

    /// As it stands in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }

    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }
}

/// None of the ends of a tunnel, one, or both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides {
    client: bool,
    upstream: bool,
}

impl Sides {
    pub const NONE: Self = Self {
        client: false,
        upstream: false,
    };

    pub fn has(self, side: Side) -> bool {
        match side {
            Side::Client => self.client,
            Side::Upstream => self.upstream,
        }
    }

    /// The first of them.
    pub fn first(self) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.has(*side))
    }

    pub fn add(&mut self, side: Side) {
        *self.place(side) = true;
    }

    /// Takes a side out. Whether it was there.
    pub fn take(&mut self, side: Side) -> bool {
        core::mem::take(self.place(side))
    }

    fn place(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }
}

impl Limits {
    /// How long a write to that side may be blocked.
    pub(super) fn send(&self, to: Side) -> Option<NonZeroU32> {
        match to {
            Side::Client => self.send_to_client,
            Side::Upstream => self.send_to_upstream,
        }
    }

    /// The pings that a side gets.
    pub(super) fn ping(&self, to: Side) -> Option<Ping> {
        self.ping.filter(|ping| ping.to.has(to))
    }
}
