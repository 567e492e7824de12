//! A side that is found dead is not waited for.

use websocket_protocol::tunnel::{CLOSE_TIMEOUT, PingTo, Reason, Side, Time};

use crate::case::*;

/// The beginning of a frame whose end never comes.
fn begun(from: Side) -> &'static [u8] {
    match from {
        Side::Client => &MASKED[..9],
        Side::Upstream => &HELLO[..4],
    }
}

#[test]
fn neither_for_its_answer_nor_for_the_end_of_its_frame() {
    for dead in Side::BOTH {
        let mut world = world(pings_to(dead));
        world.sends(dead, begun(dead));
        world.wait(139);
        assert!(!world.is_over);
        world.wait(1);
        // The other could not be sent a Close in the middle of a frame.
        assert_ended(&world, None, Reason::PingTimeout, Some(1001));
        assert_eq!(world.peer(dead.other()).got, begun(dead));
        assert!(world.tunnel.has_given_up(dead));
        assert!(!world.tunnel.has_given_up(dead.other()));
    }
}

#[test]
fn the_other_side_is_waited_for() {
    let mut world = world(pings(PingTo::Client));
    world.wait(140);
    assert_eq!(world.upstream.got, masked_close(1001));
    world.wait(CLOSE_TIMEOUT.get() as Time - 1);
    assert!(!world.is_over);
    world.sends(Side::Upstream, [HELLO, GOING_AWAY].concat());
    assert_ended(&world, None, Reason::PingTimeout, Some(1001));
    assert_eq!(world.client.got, [PING, GOING_AWAY].concat());
}

#[test]
fn what_it_had_sent_is_passed_on() {
    let mut world = world(pings(PingTo::Client));
    world.upstream.room = 3;
    world.sends(Side::Client, MASKED);
    world.upstream.room = 5;
    world.client.room = 0;
    world.turn(Side::Client);
    // Nothing is read from the client meanwhile, so it is blamed only when it could speak again.
    world.takes(Side::Upstream, 1);
    world.wait(1000);
    assert!(!world.tunnel.has_given_up(Side::Client));
    world.takes(Side::Upstream, 100);
    world.wait(140);
    assert!(world.tunnel.has_given_up(Side::Client));
    let close = masked_close(1001);
    assert_eq!(world.upstream.got, [MASKED, &close].concat());
    world.finishes(Side::Upstream);
    assert_ended(&world, None, Reason::PingTimeout, Some(1001));
}

#[test]
fn nor_for_both_when_both_are() {
    // Asked at the same time, both are silent.
    let mut silent = world(pings(PingTo::Both));
    silent.wait(140);
    assert_ended(&silent, None, Reason::PingTimeout, Some(1001));
    // Either has something to take.
    let mut stuck = world(sending(100, 100));
    (stuck.client.room, stuck.upstream.room) = (0, 0);
    stuck.sends(Side::Upstream, HELLO);
    stuck.sends(Side::Client, MASKED);
    stuck.wait(99);
    assert!(!stuck.is_over);
    stuck.wait(1);
    assert_ended(&stuck, Some(Side::Client), Reason::SendTimeout, Some(1001));
    assert_eq!((stuck.client.got, stuck.upstream.got), (vec![], vec![]));
}
