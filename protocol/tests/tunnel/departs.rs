//! A tunnel that somebody wants to be closed, with a code and a reason of his choice.

use websocket_protocol::ControlFrame;
use websocket_protocol::tunnel::{CLOSE_TIMEOUT, Farewell, Limits, PingTo, Reason, Side, Time};

use crate::case::*;
use crate::world::{MASK, World};

const REASON: &str = "the backend is deployed: come back in a minute";

fn departs(world: &mut World, within: Time, random: usize) -> bool {
    let farewell = Farewell::new(4001, REASON, MASK);
    world.farewell = Some(farewell);
    let now = world.now;
    let departs = world.tunnel.depart(&farewell, within, now, random);
    if let Some(delay) = world.tunnel.timeout(now) {
        world.timer = Some(now.wrapping_add(delay));
    }
    departs
}

fn close() -> ControlFrame {
    ControlFrame::close(4001, REASON)
}

#[test]
fn both_sides_get_the_code_and_the_reason() {
    let mut world = world(Limits::default());
    assert!(departs(&mut world, 1000, 300));
    world.wait(299);
    assert!(world.client.got.is_empty() && world.upstream.got.is_empty());
    world.wait(1);
    assert_eq!(world.client.got, close().bytes());
    assert_eq!(world.upstream.got, close().masked(MASK).bytes());
    world.sends(Side::Client, masked_close(4001));
    assert!(!world.is_over);
    world.sends(Side::Upstream, ControlFrame::close(4001, "").bytes());
    assert_ended(&world, None, Reason::Control, Some(4001));
}

/// Those that are to go within a time don't go at once.
#[test]
fn each_moment_is_as_likely_as_any_other() {
    const TUNNELS: usize = 1000;
    let mut quarters = [0; 4];
    // Whatever numbers come one after the other.
    let mut random = 1_usize;
    for _ in 0..TUNNELS {
        random = random.wrapping_mul(48_271) % 0x7fff_ffff;
        let mut world = world(Limits::default());
        assert!(departs(&mut world, 5000, random));
        let due = world.timer.expect("it is to end").wrapping_sub(world.now);
        quarters[due.min(4999) / 1250] += 1;
    }
    for count in quarters {
        assert!((TUNNELS / 10..TUNNELS / 2).contains(&count), "{quarters:?}");
    }
}

#[test]
fn it_goes_between_frames_and_nothing_follows_it() {
    for piece in [1, 7, usize::MAX] {
        let mut world = world(Limits::default());
        world.client.piece = piece;
        world.sends(Side::Upstream, &HELLO[..4]);
        assert!(departs(&mut world, 0, 5));
        world.wait(1);
        world.sends(Side::Upstream, &HELLO[4..]);
        world.sends(Side::Upstream, HELLO);
        assert_eq!(
            world.client.got,
            [HELLO, close().bytes()].concat(),
            "{piece}"
        );
    }
}

#[test]
fn it_follows_a_ping_that_has_begun() {
    let mut world = world(pings(PingTo::Client));
    world.client.room = 1;
    world.wait(100);
    assert!(departs(&mut world, 1, 0));
    world.wait(2);
    world.takes(Side::Client, 500);
    let (ping, rest) = world.client.got.split_at(6);
    assert_eq!(ping[0], 0x89);
    assert_eq!(rest, close().bytes());
    assert_eq!(world.tunnel.traffic().pings_sent, 1);
}

#[test]
fn what_ends_it_before_ends_it() {
    let limits = lasting(100, Limits::default());
    let mut old = world(limits);
    assert!(!departs(&mut old, 1000, 200));
    old.wait(100);
    assert_eq!(old.client.got, GOING_AWAY);
    assert!(!departs(&mut old, 1000, 0), "it is closing already");
    old.wait(CLOSE_TIMEOUT.get() as Time);
    assert_ended(&old, None, Reason::Lifetime, Some(1001));

    // A drain that would be later leaves the code and the reason as they are.
    let mut drained = world(Limits::default());
    assert!(departs(&mut drained, 1000, 50));
    drained.tunnel.drain(1000, None, 0, 60);
    drained.wait(50);
    drained.tunnel.drain(1000, None, 50, 0);
    assert_eq!(drained.client.got, close().bytes());
    drained.wait(CLOSE_TIMEOUT.get() as Time);
    assert_ended(&drained, None, Reason::Control, Some(4001));
}
