//! What peers answer to the tunnel's own frames: it is kept from the other side, and nothing else is.

use websocket_protocol::tunnel::{CLOSE_TIMEOUT, Limits, PingTo, Reason, Side, Time};

use crate::case::*;
use crate::world::World;

/// Both sides have just been asked.
fn asked() -> World<'static> {
    let mut world = world(pings(PingTo::Both));
    world.wait(100);
    assert_eq!(world.client.got, PING);
    world.upstream.got.clear();
    world.client.got.clear();
    world
}

#[test]
fn an_answer_to_a_ping_is_kept_back_masked_or_not() {
    for (side, pong) in [
        (Side::Client, PONG),
        (Side::Client, UNMASKED_PONG),
        (Side::Client, b"\x8a\x00"),
        (Side::Upstream, UNMASKED_PONG),
        (Side::Upstream, PONG),
        (Side::Upstream, b"\x8a\x80\x01\x02\x03\x04"),
    ] {
        let mut world = asked();
        let hello = if side == Side::Client { MASKED } else { HELLO };
        world.sends(side, [hello, pong, hello].concat());
        assert_eq!(world.peer(side.other()).got, [hello, hello].concat());
        let summary = world.tunnel.summary(b"");
        let count = match side {
            Side::Client => summary.from_client,
            Side::Upstream => summary.from_upstream,
        };
        assert_eq!((count.frames, count.messages), (3, 2));
        assert_eq!(count.bytes as usize, 2 * hello.len() + pong.len());
        assert_eq!(summary.ping_rtt, Some(0));
        assert_eq!(world.not_frames, []);
    }
}

#[test]
fn an_answer_may_come_in_pieces_and_within_a_message() {
    let parts = [b"\x01\x81\0\0\0\0a", UNMASKED_PONG, b"\x80\x81\0\0\0\0b"];
    for size in 1..7 {
        let mut world = asked();
        for piece in parts.concat().chunks(size) {
            world.sends(Side::Client, piece);
        }
        assert_eq!(world.upstream.got, [parts[0], parts[2]].concat());
        assert_eq!(world.not_frames, []);
    }
    // The same bytes within a frame are none.
    let mut world = asked();
    let binary = [b"\x82\x06", UNMASKED_PONG].concat();
    world.sends(Side::Upstream, &binary[..2]);
    world.sends(Side::Upstream, &binary[2..]);
    assert_eq!(world.client.got, binary);
}

#[test]
fn other_pongs_go_by_as_they_are() {
    // A heartbeat, the answer to a Ping of the other side, and that by a client that masks no answers.
    for pong in [
        &b"\x8a\x80\x01\x02\x03\x04"[..],
        b"\x8a\x84\x01\x02\x03\x04\x01\x24\x70\xc5",
        b"\x8a\x83\0\0\0\0abc",
        b"\x8a\x04else",
        b"\x8a\x03\x00\x26\x73",
    ] {
        for size in [1, pong.len()] {
            let mut world = asked();
            for piece in pong.chunks(size) {
                world.sends(Side::Client, piece);
            }
            world.sends(Side::Client, PONG);
            world.sends(Side::Client, MASKED);
            assert_eq!(world.upstream.got, [pong, MASKED].concat());
            assert_eq!(world.not_frames, []);
        }
    }
}

#[test]
fn only_who_was_asked_answers() {
    let mut world = world(pings(PingTo::Both));
    world.sends(Side::Client, PONG);
    assert_eq!(world.upstream.got, PONG);
    world.wait(100);
    world.upstream.got.clear();
    // Once asked, answered once.
    world.sends(Side::Client, PONG);
    assert_eq!(world.upstream.got, b"");
    world.sends(Side::Client, PONG);
    assert_eq!(world.upstream.got, PONG);
}

#[test]
fn late_answers_to_several_pings() {
    let mut world = world(pings(PingTo::Client));
    for round in 1..4 {
        world.wait(100);
        assert_eq!(world.client.got, PING.repeat(round));
        // Any byte is a sign of life, so there is another Ping before the first is answered.
        world.sends(Side::Client, MASKED);
    }
    world.sends(
        Side::Client,
        [PONG, UNMASKED_PONG, MASKED, PONG, PONG].concat(),
    );
    // The last answers nothing.
    assert_eq!(world.upstream.got, [&MASKED.repeat(4), PONG].concat());
}

#[test]
fn a_ping_that_is_still_to_go_has_not_been_answered() {
    let mut world = world(pings(PingTo::Client));
    world.wait(100);
    world.sends(Side::Client, MASKED);
    // The second waits for the end of a frame.
    world.sends(Side::Upstream, &HELLO[..3]);
    world.wait(120);
    world.sends(Side::Client, PONG);
    assert_eq!(world.client.got, [PING, &HELLO[..3]].concat());
    assert_eq!(world.tunnel.summary(b"").ping_rtt, None);
}

#[test]
fn what_might_have_become_an_answer_goes_by_when_the_side_ends() {
    let limits = messages_of(100, pings(PingTo::Both));
    for known in 1..PONG.len() {
        let mut world = world(limits);
        world.wait(100);
        world.upstream.got.clear();
        world.sends(Side::Client, &PONG[..known]);
        assert_eq!(world.upstream.got, b"");
        world.finishes(Side::Client);
        assert_eq!(world.upstream.got, &PONG[..known]);
        assert_ended(&world, Some(Side::Client), Reason::NoCloseFrame, None);
    }
}

#[test]
fn a_limit_holds_where_an_answer_is_waited_for() {
    let mut world = world(messages_of(5, pings(PingTo::Client)));
    world.wait(100);
    let too_big = b"\x82\x86\x00\x00\x00\x00123456";
    world.sends(
        Side::Client,
        [MASKED, UNMASKED_PONG, MASKED, too_big].concat(),
    );
    assert_eq!(
        world.upstream.got,
        [MASKED, MASKED, &masked_close(1009)].concat()
    );
}

#[test]
fn an_answer_does_not_hold_up_a_ping() {
    // Both directions at once, and a receiver that takes little at a time.
    let mut world = asked();
    world.upstream.room = 3;
    world.sends(Side::Client, [MASKED, PONG, MASKED].concat());
    world.takes(Side::Upstream, 10);
    world.takes(Side::Upstream, 100);
    assert_eq!(world.upstream.got, [MASKED, MASKED].concat());
}

#[test]
fn any_close_answers_a_close_of_ours() {
    let masked = masked_close(1001);
    for (from_client, from_upstream) in [
        (&masked[..], GOING_AWAY),
        (GOING_AWAY, &masked),
        (b"\x88\x00", b"\x88\x80\x01\x02\x03\x04"),
        (b"\x88\x05\x03\xe8bye", GOING_AWAY),
    ] {
        let mut world = closing();
        // What was under way before it is dropped, the answer to a Ping as well.
        world.sends(Side::Client, [MASKED, UNMASKED_PONG, from_client].concat());
        assert!(!world.is_over);
        world.sends(Side::Upstream, [HELLO, from_upstream].concat());
        assert_closed(&world);
    }
}

#[test]
fn the_end_of_valid_frames_answers_a_close_of_ours() {
    for nonsense in [&b"\x81\x05Hello"[..], b"\xff\xff", b"GET / HTTP/1.1\r\n"] {
        let mut world = closing();
        world.sends(Side::Client, nonsense);
        // It is not passed on either, nor is what follows.
        world.sends(Side::Client, [nonsense, MASKED].concat());
        assert!(!world.is_over, "the upstream has been asked as well");
        world.sends(Side::Upstream, GOING_AWAY);
        assert_closed(&world);
    }
}

#[test]
fn a_side_that_ends_within_a_frame_leaves_nobody_to_be_waited_for() {
    // The upstream gets no Close: there is no place for one.
    let mut world = world(lasting(50, Limits::default()));
    world.sends(Side::Client, &MASKED[..8]);
    world.wait(50);
    assert_eq!(world.upstream.got, &MASKED[..8]);
    world.finishes(Side::Client);
    assert_ended(&world, None, Reason::Lifetime, Some(1001));
}

#[test]
fn where_no_place_for_a_close_comes_all_goes_by() {
    let mut world = world(lasting(50, Limits::default()));
    // Half a header, and then something that is no other half.
    world.sends(Side::Client, b"\x82");
    world.wait(50);
    assert!(!world.is_over);
    world.sends(Side::Client, b"\x05abc");
    assert_eq!(world.upstream.got, b"\x82\x05abc");
    assert_ended(&world, None, Reason::Lifetime, Some(1001));
}

#[test]
fn a_close_that_was_passed_on_is_to_be_answered() {
    let mut world = world(lasting(50, Limits::default()));
    world.sends(Side::Client, masked_close(1000));
    world.wait(50);
    assert_eq!(world.client.got, GOING_AWAY);
    assert_eq!(world.upstream.got, masked_close(1000));
    assert!(!world.is_over, "the upstream may still answer");
    world.sends(Side::Upstream, GOING_AWAY);
    assert_ended(&world, None, Reason::Lifetime, Some(1001));
}

/// Both sides have been sent a Close.
fn closing() -> World<'static> {
    let mut world = world(lasting(150, pings(PingTo::Both)));
    world.wait(100);
    world.sends(Side::Upstream, UNMASKED_PONG);
    world.sends(Side::Client, MASKED);
    world.wait(50);
    assert!(world.client.got.ends_with(GOING_AWAY));
    assert!(world.upstream.got.ends_with(&masked_close(1001)));
    world.client.got.clear();
    world.upstream.got.clear();
    world
}

#[track_caller]
fn assert_closed(world: &World) {
    assert_ended(world, None, Reason::Lifetime, Some(1001));
    assert_eq!(
        (&world.client.got[..], &world.upstream.got[..]),
        (&[][..], &[][..])
    );
    assert_eq!(world.not_frames, []);
}

#[test]
fn who_is_dead_is_not_waited_for() {
    let mut world = world(pings(PingTo::Both));
    world.wait(100);
    world.sends(Side::Upstream, UNMASKED_PONG);
    world.wait(40);
    // It has its Close, in case that it is alive.
    assert!(world.client.got.ends_with(GOING_AWAY));
    assert!(!world.is_over, "the upstream is alive");
    world.sends(Side::Upstream, GOING_AWAY);
    assert_ended(&world, None, Reason::PingTimeout, Some(1001));
}

#[test]
fn a_dead_side_that_takes_no_close_is_not_waited_for() {
    for is_asked in [true, false] {
        let mut world = world(pings(PingTo::Client));
        world.client.room = PING.len();
        world.client.is_asked = is_asked;
        world.wait(140);
        assert_eq!(world.client.got, PING);
        assert!(!world.is_over);
        world.sends(Side::Upstream, [HELLO, GOING_AWAY].concat());
        assert_ended(&world, None, Reason::PingTimeout, Some(1001));
    }
}

#[test]
fn a_side_that_is_alive_has_its_time() {
    let mut world = world(pings(PingTo::Upstream));
    world.wait(140);
    assert!(world.client.got.ends_with(GOING_AWAY));
    world.wait(CLOSE_TIMEOUT.get() as Time - 1);
    assert!(!world.is_over);
    world.wait(1);
    assert_ended(&world, None, Reason::PingTimeout, Some(1001));
}
