//! What is counted of a tunnel.

use websocket_protocol::tunnel::{Count, Limits, PingTo, Side, Traffic};

use crate::case::*;

fn count(bytes: u64, frames: u64, messages: u64) -> Count {
    Count {
        bytes,
        frames,
        messages,
    }
}

#[test]
fn nothing_has_gone_by_at_first() {
    let traffic = world(Limits::default()).tunnel.traffic();
    assert_eq!(traffic.from_client, Traffic::NONE.from_client);
    assert_eq!(traffic.from_upstream, Count::NONE);
    assert_eq!((traffic.pings_sent, traffic.pongs), (0, 0));
}

#[test]
fn what_goes_by_and_what_waits() {
    let mut world = world(Limits::default());
    world.wait(7);
    world.sends(Side::Client, MASKED);
    world.wait(2);
    world.client.room = 3;
    world.sends(Side::Upstream, [HELLO, HELLO].concat());
    let traffic = world.tunnel.traffic();
    assert_eq!(traffic.from_client, count(11, 1, 1));
    // Bytes are counted as they come, frames as they go.
    assert_eq!(traffic.from_upstream, count(14, 1, 1));
    assert_eq!(traffic.waiting_for_client, 11);
    assert_eq!(traffic.waiting_for_upstream, 0);
    assert_eq!(traffic.moved_at, 9);
    world.wait(5);
    world.takes(Side::Client, 11);
    let traffic = world.tunnel.traffic();
    assert_eq!(traffic.from_upstream, count(14, 2, 2));
    assert_eq!(traffic.waiting_for_client, 0);
    assert_eq!(traffic.moved_at, 14);
}

#[test]
fn pings_count_when_they_are_gone_and_pongs_when_they_answer() {
    let mut world = world(pings(PingTo::Both));
    // Unasked, it is a sign of life and no more.
    world.sends(Side::Client, PONG);
    assert_eq!(world.tunnel.traffic().pongs, 0);
    world.client.room = 1;
    world.wait(100);
    assert_eq!(
        world.tunnel.traffic().pings_sent,
        1,
        "half of the client's is gone"
    );
    world.takes(Side::Client, 9);
    assert_eq!(world.tunnel.traffic().pings_sent, 2);
    world.wait(3);
    world.sends(Side::Client, PONG);
    let traffic = world.tunnel.traffic();
    assert_eq!((traffic.pings_sent, traffic.pongs), (2, 1));
    assert_eq!(traffic.ping_rtt, Some(3));
}

#[test]
fn a_ping_whose_place_a_close_has_taken_was_not_sent() {
    let mut world = world(lasting(150, pings(PingTo::Client)));
    // In the middle of a frame there is no place for it.
    world.sends(Side::Upstream, &HELLO[..3]);
    world.wait(120);
    world.sends(Side::Upstream, &HELLO[3..4]);
    world.wait(40);
    world.sends(Side::Upstream, &HELLO[4..]);
    assert!(world.client.got.ends_with(GOING_AWAY));
    assert_eq!(world.tunnel.traffic().pings_sent, 0);
}
