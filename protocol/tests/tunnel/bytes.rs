//! Whose bytes go by, and how many; where frames of the tunnel's own fit.

use std::num::NonZeroU64;

use websocket_protocol::tunnel::{
    Bounds, CLOSE_TIMEOUT, Count, Guard, Limits, PingTo, Reason, Side, Time, Tunnel, Write,
};

use crate::case::*;
use crate::world::MASK;

#[test]
fn bytes_go_by_and_are_counted() {
    let mut world = world(Limits::default());
    world.sends(
        Side::Upstream,
        [HELLO, b"\x01\x00\x80\x00\x8a\x00"].concat(),
    );
    world.sends(Side::Client, MASKED);
    assert_eq!(world.client.got, world.upstream.stream);
    assert_eq!(world.upstream.got, MASKED);
    let summary = world.tunnel.summary(b"");
    let count = |bytes, frames, messages| Count {
        bytes,
        frames,
        messages,
    };
    assert_eq!(summary.from_client, count(11, 1, 1));
    assert_eq!(summary.from_upstream, count(13, 4, 2));
}

#[test]
fn a_refused_write_is_offered_the_same_bytes_again() {
    let terms = messages_of(1000, Limits::default());
    let mut guard = Guard::new(terms.bounds, 0).unwrap();
    let mut tunnel = Tunnel::new(terms.limits, 0, 0, MASK);
    tunnel.hold_to(&mut guard);
    let mut unsent = MASKED.to_vec();
    tunnel.received(Side::Client, 11, 0);
    assert_eq!(
        tunnel.next_write(Side::Client, &unsent, || 0),
        Write::Theirs(11)
    );
    tunnel.refused(Side::Client, Write::Theirs(11), 0);
    // Whatever else has come since, or is wanted since.
    unsent.extend(MASKED);
    tunnel.drain(1, None, 0, 0);
    tunnel.tick(0, MASK);
    assert_eq!(
        tunnel.next_write(Side::Client, &unsent, || 0),
        Write::Theirs(11)
    );
    tunnel.sent(Side::Client, &unsent[..11], 0);
    assert_eq!(
        tunnel.next_write(Side::Client, &unsent[11..], || 0),
        Write::Ours
    );
}

#[test]
fn nothing_is_read_that_the_receiver_does_not_take() {
    let mut world = world(Limits::default());
    world.upstream.room = 5;
    world.sends(Side::Client, [MASKED; 40].concat());
    assert!(world.tunnel.is_stuck(Side::Client));
    assert_eq!(world.tunnel.next_read(Side::Client, 0), 0);
    let came = world.tunnel.summary(b"").from_client.bytes;
    assert_eq!(came, 100);
    // The other direction is none of its business.
    world.sends(Side::Upstream, HELLO);
    assert_eq!(world.client.got, HELLO);
    world.takes(Side::Upstream, usize::MAX);
    assert_eq!(world.upstream.got, world.client.stream);
}

#[test]
fn what_is_no_frames_is_said_once_and_gets_no_frames() {
    let limits = Limits {
        idle: time(50),
        ..pings(PingTo::Both)
    };
    let mut world = world(limits);
    world.sends(Side::Upstream, HELLO);
    world.sends(Side::Upstream, "no frame");
    world.sends(Side::Upstream, "none either");
    assert_eq!(world.not_frames, [Side::Upstream]);
    let all = world.upstream.stream.clone();
    assert_eq!(world.client.got, all);
    world.wait(60);
    assert_eq!(world.upstream.got, masked_close(1001));
    // The client was not asked, and the upstream's answer could not be told: neither is waited for.
    assert_eq!(world.client.got, all);
    assert_ended(&world, None, Reason::IdleTimeout, Some(1001));
}

#[test]
fn where_nobody_takes_frames_the_end_is_at_once() {
    let mut world = world(lasting(50, Limits::default()));
    world.sends(Side::Upstream, "no frame");
    world.sends(Side::Client, "no frame");
    world.wait(50);
    assert_ended(&world, None, Reason::Lifetime, Some(1001));
}

#[test]
fn a_ping_waits_for_the_end_of_a_frame() {
    let mut world = world(pings(PingTo::Client));
    world.sends(Side::Upstream, &HELLO[..3]);
    world.wait(500);
    assert_eq!(world.client.got, &HELLO[..3]);
    world.sends(Side::Upstream, &HELLO[3..]);
    assert_eq!(world.client.got, [HELLO, PING].concat());
    // The time in which it could not be sent is not the client's.
    world.wait(39);
    assert_eq!(world.client.got, [HELLO, PING].concat());
    world.wait(1);
    assert_eq!(world.client.got, [HELLO, PING, GOING_AWAY].concat());
}

#[test]
fn a_ping_goes_between_fragments() {
    let mut world = world(pings(PingTo::Client));
    world.sends(Side::Upstream, b"\x01\x01a");
    world.wait(100);
    world.sends(Side::Upstream, b"\x80\x01b");
    assert_eq!(
        world.client.got,
        [b"\x01\x01a", PING, b"\x80\x01b"].concat()
    );
}

#[test]
fn nobody_is_asked_after_a_close() {
    let mut world = world(pings(PingTo::Client));
    // Not even by a Ping that was there before.
    world.client.room = 0;
    world.client.is_asked = false;
    world.wait(100);
    world.sends(Side::Upstream, GOING_AWAY);
    world.takes(Side::Client, 100);
    world.wait(1000);
    assert_eq!(world.client.got, [PING, GOING_AWAY].concat());
    world.finishes(Side::Upstream);
    assert_ended(&world, Some(Side::Upstream), Reason::Normal, Some(1001));
}

#[test]
fn a_close_takes_the_place_of_a_ping_that_has_not_begun() {
    for (is_asked, goes_out) in [
        (false, GOING_AWAY.to_vec()),
        (true, [PING, GOING_AWAY].concat()),
    ] {
        let mut world = world(lasting(120, pings(PingTo::Client)));
        world.client.room = 0;
        world.client.is_asked = is_asked;
        world.wait(500);
        world.takes(Side::Client, 100);
        assert_eq!(world.client.got, goes_out, "{is_asked}");
    }
}

#[test]
fn nothing_follows_a_close_of_ours() {
    let mut world = world(lasting(50, Limits::default()));
    world.sends(Side::Upstream, &HELLO[..3]);
    world.wait(50);
    world.sends(Side::Upstream, &HELLO[3..]);
    world.sends(Side::Upstream, [HELLO, HELLO].concat());
    assert_eq!(world.client.got, [HELLO, GOING_AWAY].concat());
    // Dropped, and followed all the same.
    assert_eq!(world.tunnel.summary(b"").from_upstream.frames, 3);
    world.sends(Side::Upstream, GOING_AWAY);
    world.sends(Side::Client, masked_close(1001));
    assert_ended(&world, None, Reason::Lifetime, Some(1001));
}

#[test]
fn a_message_up_to_the_limit_passes() {
    let limits = messages_of(5, Limits::default());
    let mut passes = world(limits);
    passes.sends(Side::Client, MASKED);
    passes.sends(Side::Upstream, [b"\x82\x06", HELLO].concat());
    assert_eq!(passes.upstream.got, MASKED);
    assert_eq!(passes.client.got, passes.upstream.stream);

    let mut stays = world(limits);
    stays.sends(Side::Client, MASKED);
    stays.sends(Side::Client, b"\x82\x86\0\0\0\0");
    stays.sends(Side::Client, b"123456");
    assert_eq!(stays.upstream.got, [MASKED, &masked_close(1009)].concat());
    assert_eq!(stays.client.got, b"\x88\x02\x03\xf1");
    stays.wait(CLOSE_TIMEOUT.get() as Time);
    assert_ended(&stays, None, Reason::MessageTooBig, Some(1009));
}

#[test]
fn a_rate_lets_bytes_by_in_time() {
    let mut world = bound(Bounds {
        rate: NonZeroU64::new(1000),
        ..Bounds::default()
    });
    world.sends(Side::Client, vec![0x42; 1500]);
    assert_eq!(world.upstream.got.len(), 1000);
    world.wait(100);
    assert!((80..=100).contains(&(world.upstream.got.len() - 1000)));
    world.sends(Side::Upstream, vec![0x42; 5000]);
    assert_eq!(world.client.got.len(), 5000);
    world.wait(420);
    assert_eq!(world.upstream.got.len(), 1500);
}
