//! A Close that somebody asked for, with a code and a reason of his choice.

use super::limits::Side;
use crate::ControlFrame;

/// A Close for either side of a tunnel. It is large, and few tunnels need one: so it is the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    code: u16,
    to_client: ControlFrame,
    to_upstream: ControlFrame,
}

impl Farewell {
    /// With this code and this reason, of which what is too long is cut. `mask` is for the upstream's.
    pub fn new(code: u16, reason: &str, mask: [u8; 4]) -> Self {
        let to_client = ControlFrame::close(code, reason);
        Self {
            code,
            to_client,
            to_upstream: to_client.masked(mask),
        }
    }

    pub(super) fn to(&self, side: Side) -> &[u8] {
        match side {
            Side::Client => self.to_client.bytes(),
            Side::Upstream => self.to_upstream.bytes(),
        }
    }

    pub(super) fn parting(&self) -> Parting {
        Parting {
            code: self.code.to_ne_bytes(),
            to_client: self.to_client.bytes().len() as u8,
        }
    }
}

/// What a tunnel keeps of it: bytes, that it takes no more room than it has to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parting {
    code: [u8; 2],
    /// How long the frame to the client is.
    to_client: u8,
}

impl Parting {
    /// Of a Close that has no reason, so that nothing else is to be kept of it.
    pub fn of_code(code: u16) -> Self {
        Self {
            code: code.to_ne_bytes(),
            to_client: 0,
        }
    }

    pub fn code(self) -> u16 {
        u16::from_ne_bytes(self.code)
    }

    /// How long the frame to a side is: no control frame is longer than 131 bytes.
    pub fn length(self, to: Side) -> u8 {
        const MASK: u8 = 4;
        match to {
            Side::Client => self.to_client,
            Side::Upstream => self.to_client.saturating_add(MASK),
        }
    }
}
