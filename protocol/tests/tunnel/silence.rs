//! Tunnels that carry no messages.

use std::num::NonZeroU32;

use websocket_protocol::tunnel::{Bounds, CLOSE_TIMEOUT, PingTo, Reason, Side, Time};

use crate::case::*;
use crate::world::{Terms, World};

const THEIR_PING: &[u8] = b"\x89\x81\0\0\0\0p";
const THEIR_PONG: &[u8] = b"\x8a\x01p";

fn silent_for(timeout: u32) -> World<'static> {
    bound(Bounds {
        message_timeout: NonZeroU32::new(timeout),
        ..Bounds::default()
    })
}

fn reason(world: &World) -> Reason {
    world.tunnel.summary(b"").end.reason
}

#[track_caller]
fn assert_silent(mut world: World) {
    assert_eq!(world.client.got[world.client.got.len() - 4..], *GOING_AWAY);
    world.wait(CLOSE_TIMEOUT.get() as Time);
    assert_ended(&world, None, Reason::MessageTimeout, Some(1001));
}

#[test]
fn control_frames_are_no_life() {
    let mut world = silent_for(100);
    for _ in 0..9 {
        world.wait(10);
        world.sends(Side::Client, THEIR_PING);
        world.sends(Side::Upstream, THEIR_PONG);
    }
    world.wait(9);
    // Nor is the payload of one that comes late.
    world.sends(Side::Client, &THEIR_PING[..6]);
    world.sends(Side::Client, &THEIR_PING[6..]);
    assert_eq!(world.client.got, THEIR_PONG.repeat(9));
    world.wait(1);
    assert_silent(world);
}

#[test]
fn neither_are_pings_of_the_tunnel_s_own() {
    let mut world = world(Terms {
        bounds: Bounds {
            message_timeout: NonZeroU32::new(250),
            ..Bounds::default()
        },
        ..pings(PingTo::Client).into()
    });
    world.wait(100);
    world.sends(Side::Client, PONG);
    world.wait(100);
    world.sends(Side::Client, PONG);
    world.wait(49);
    assert_eq!(world.client.got, PING.repeat(2));
    world.wait(1);
    assert_silent(world);
}

#[test]
fn a_message_is_life_whoever_sends_it() {
    let mut world = silent_for(100);
    let fragments: [(Side, &[u8]); 6] = [
        (Side::Client, MASKED),
        (Side::Upstream, HELLO),
        (Side::Client, b"\x02\x80\0\0\0\0"),
        (Side::Upstream, b"\x01\x00"),
        (Side::Upstream, b"\x00\x00"),
        (Side::Client, b"\x80\x80\0\0\0\0"),
    ];
    for (side, bytes) in fragments {
        world.wait(99);
        world.sends(side, bytes);
    }
    world.wait(99);
    assert_eq!(world.client.got.len(), HELLO.len() + 4);
    world.wait(1);
    assert_silent(world);
}

#[test]
fn a_piece_of_a_message_is_life_too() {
    let mut world = silent_for(100);
    world.sends(Side::Upstream, b"\x82\x7e\x01\x00");
    for _ in 0..256 {
        world.wait(99);
        world.sends(Side::Upstream, "x");
    }
    // The next frame is none of it.
    world.sends(Side::Upstream, &THEIR_PONG[..2]);
    world.wait(99);
    world.sends(Side::Upstream, &THEIR_PONG[2..]);
    world.wait(1);
    assert_silent(world);
}

#[test]
fn what_a_slow_peer_takes_of_a_message_is_life() {
    let mut world = silent_for(100);
    world.client.room = 0;
    world.sends(Side::Upstream, HELLO);
    for _ in 0..HELLO.len() {
        world.wait(99);
        world.takes(Side::Client, 1);
    }
    world.wait(99);
    assert_eq!(world.client.got, HELLO);
    world.takes(Side::Client, 99);
    world.wait(1);
    assert_silent(world);
}

#[test]
fn what_a_slow_peer_takes_of_what_its_socket_holds_is_life() {
    for side in Side::BOTH {
        let mut world = silent_for(200);
        world.peer(side).reads = false;
        let message = if side == Side::Client { HELLO } else { MASKED };
        world.sends(side.other(), message.repeat(100));
        for _ in 0..20 {
            world.wait(49);
            world.acknowledges(side, 1);
            world.wait(1);
        }
        assert_eq!(reason(&world), Reason::Error);
        // The last look saw the last byte; from then on nothing is taken.
        world.wait(199);
        assert_eq!(reason(&world), Reason::Error);
        world.wait(1);
        assert_eq!(reason(&world), Reason::MessageTimeout);
    }
}

/// They are taken as soon as they arrive, and a look may find them on their way.
#[test]
fn what_a_peer_takes_of_control_frames_is_none() {
    let mut world = silent_for(200);
    world.client.reads = false;
    world.client.is_far = true;
    for _ in 0..19 {
        world.wait(10);
        world.sends(Side::Upstream, THEIR_PONG);
        world.acknowledges(Side::Client, 2);
    }
    world.wait(9);
    assert_eq!(reason(&world), Reason::Error);
    world.wait(1);
    assert_eq!(reason(&world), Reason::MessageTimeout);
}

#[test]
fn what_is_no_frames_is_life() {
    let mut world = silent_for(100);
    for _ in 0..5 {
        world.wait(99);
        world.sends(Side::Upstream, "no frame");
    }
    world.wait(99);
    assert_eq!(world.upstream.got, b"");
    world.wait(1);
    assert_eq!(world.upstream.got, masked_close(1001));
    assert_ended(&world, None, Reason::MessageTimeout, Some(1001));
}

#[test]
fn the_timer_is_not_moved_by_messages() {
    let mut world = silent_for(100);
    assert_eq!(world.timer, Some(100));
    for _ in 0..5 {
        world.wait(10);
        world.sends(Side::Upstream, HELLO);
        assert_eq!(world.timer, Some(100));
    }
    world.wait(50);
    // The client's socket is looked at on the way to 150.
    assert_eq!(world.timer, Some(124));
}
