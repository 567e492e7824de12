//! What the tests of single rules share.

use std::num::{NonZeroU32, NonZeroU64};

use websocket_protocol::ControlFrame;
use websocket_protocol::tunnel::{Bounds, End, Limits, Ping, PingTo, Reason, Side};

use crate::world::{MASK, Terms, World};

pub const HELLO: &[u8] = b"\x81\x05Hello";
pub const MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// A Ping of the tunnel's to the client, and its answer.
pub const PING: &[u8] = b"\x89\x04\x00\x26\x73\xc0";
pub const PONG: &[u8] = b"\x8a\x84\x01\x02\x03\x04\x01\x24\x70\xc4";
/// The upstream's answer, or that of a client which doesn't mask its answers.
pub const UNMASKED_PONG: &[u8] = b"\x8a\x04\x00\x26\x73\xc0";
pub const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// How many are made up, where that many are usual: under Miri each takes a thousand times longer.
pub const fn cases(usual: u32) -> u32 {
    if cfg!(miri) { usual / 100 } else { usual }
}

pub fn world(terms: impl Into<Terms>) -> World<'static> {
    World::new(terms, 0)
}

/// A tunnel whose messages have these bounds.
pub fn bound(bounds: Bounds) -> World<'static> {
    world(Terms {
        bounds,
        ..Terms::default()
    })
}

/// A tunnel that is closed with 1001 at this age.
pub fn lasting(age: usize, limits: Limits) -> Terms {
    Terms {
        lifetime: Some(age),
        ..limits.into()
    }
}

/// A tunnel whose client's messages have no more payload than this.
pub fn messages_of(size: u64, limits: Limits) -> Terms {
    Terms {
        bounds: Bounds {
            message: NonZeroU64::new(size),
            ..Bounds::default()
        },
        ..limits.into()
    }
}

pub fn time(milliseconds: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(milliseconds)
}

pub fn pings(to: PingTo) -> Limits {
    Limits {
        ping: Some(Ping {
            interval: NonZeroU32::new(100).unwrap(),
            timeout: NonZeroU32::new(40).unwrap(),
            to,
        }),
        ..Limits::default()
    }
}

/// Pings to that side alone.
pub fn pings_to(side: Side) -> Limits {
    pings(match side {
        Side::Client => PingTo::Client,
        Side::Upstream => PingTo::Upstream,
    })
}

pub fn sending(client: u32, upstream: u32) -> Limits {
    Limits {
        send_to_client: time(client),
        send_to_upstream: time(upstream),
        ..Limits::default()
    }
}

pub fn masked_close(code: u16) -> Vec<u8> {
    ControlFrame::close(code, "").masked(MASK).bytes().to_vec()
}

#[track_caller]
pub fn assert_ended(world: &World, by: Option<Side>, reason: Reason, code: Option<u16>) {
    assert!(world.is_over);
    let end = world.tunnel.summary(b"").end;
    assert_eq!(end, End { by, reason, code });
}
