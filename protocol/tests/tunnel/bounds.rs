//! How often the client may begin a message.

use std::num::{NonZeroU32, NonZeroU64};

use websocket_protocol::tunnel::{
    Bounds, CLOSE_TIMEOUT, Delays, Excess, Limits, MessageRate, PingTo, Reason, Side, Time,
};

use crate::case::*;
use crate::world::{Terms, World};

const BINARY: &[u8] = b"\x82\x81\0\0\0\0m";
const THEIR_PING: &[u8] = b"\x89\x80\0\0\0\0";
const POLICY: &[u8] = b"\x88\x02\x03\xf0";

/// Ten messages per second.
fn ten(burst: u32, excess: Excess) -> Bounds {
    Bounds {
        message_rate: Some(MessageRate {
            per_minute: NonZeroU32::new(600).unwrap(),
            burst,
            excess,
        }),
        ..Bounds::default()
    }
}

fn delayed(world: &World) -> Delays {
    world.tunnel.summary(b"").delays
}

#[test]
fn messages_of_one_read_wait_for_their_time() {
    let mut world = bound(ten(0, Excess::Delay));
    world.sends(Side::Client, MASKED.repeat(5));
    for came in 1..=5 {
        assert_eq!(world.upstream.got, MASKED.repeat(came));
        world.wait(99);
        assert_eq!(world.upstream.got, MASKED.repeat(came));
        world.wait(1);
    }
    assert_eq!(world.upstream.got, MASKED.repeat(5));
    let delays = Delays {
        count: 4,
        milliseconds: 400,
    };
    assert_eq!(delayed(&world), delays);
    // What comes in time does not wait.
    world.sends(Side::Client, MASKED);
    assert_eq!(world.upstream.got, MASKED.repeat(6));
    assert_eq!(delayed(&world), delays);
}

#[test]
fn a_message_that_waits_is_counted_once() {
    let mut world = bound(ten(0, Excess::Delay));
    world.sends(Side::Client, MASKED.repeat(2));
    for _ in 0..9 {
        world.wait(10);
        world.turn(Side::Client);
    }
    world.wait(10);
    assert_eq!(world.upstream.got, MASKED.repeat(2));
    let delays = Delays {
        count: 1,
        milliseconds: 100,
    };
    assert_eq!(delayed(&world), delays);
}

#[test]
fn nothing_more_is_read_while_a_message_waits() {
    let mut world = bound(ten(0, Excess::Delay));
    world.sends(Side::Client, MASKED.repeat(2));
    world.sends(Side::Client, MASKED.repeat(2));
    assert_eq!(world.tunnel.summary(b"").from_client.bytes, 22);
    assert_eq!(world.tunnel.next_read(Side::Client, 0), 0);
    world.wait(100);
    assert_eq!(world.tunnel.summary(b"").from_client.bytes, 44);
}

#[test]
fn a_burst_comes_at_once_and_is_there_again_in_time() {
    let mut world = bound(ten(3, Excess::Delay));
    world.sends(Side::Client, BINARY.repeat(5));
    assert_eq!(world.upstream.got, BINARY.repeat(4));
    world.wait(100);
    assert_eq!(world.upstream.got, BINARY.repeat(5));
    world.wait(10_000);
    world.sends(Side::Client, BINARY.repeat(5));
    assert_eq!(world.upstream.got, BINARY.repeat(9));
}

#[test]
fn what_begins_no_message_needs_no_leave() {
    let mut world = bound(ten(0, Excess::Delay));
    let message = [
        b"\x01\x81\0\0\0\0a",
        THEIR_PING,
        b"\0\x80\0\0\0\0",
        b"\x80\x81\0\0\0\0b",
        THEIR_PING,
    ]
    .concat();
    world.sends(Side::Client, &message);
    world.sends(Side::Client, THEIR_PING.repeat(4));
    let before = [&message[..], &THEIR_PING.repeat(4)].concat();
    assert_eq!(world.upstream.got, before);
    // But it does not overtake what has to wait.
    world.sends(Side::Client, [BINARY, THEIR_PING].concat());
    assert_eq!(world.upstream.got, before);
    world.wait(100);
    assert_eq!(world.upstream.got, world.client.stream);
}

#[test]
fn a_message_begins_with_its_first_byte() {
    let mut world = bound(ten(0, Excess::Delay));
    // Its header comes in pieces, and is passed on in pieces.
    for byte in BINARY {
        world.sends(Side::Client, [*byte]);
    }
    world.sends(Side::Client, &BINARY[..1]);
    assert_eq!(world.upstream.got, BINARY);
    world.wait(100);
    assert_eq!(world.upstream.got, [BINARY, &BINARY[..1]].concat());
    // It has had its leave, and needs none for the rest; the next does.
    world.sends(Side::Client, [&BINARY[1..], BINARY].concat());
    assert_eq!(world.upstream.got, BINARY.repeat(2));
    world.wait(99);
    assert_eq!(world.upstream.got, BINARY.repeat(2));
    world.wait(1);
    assert_eq!(world.upstream.got, BINARY.repeat(3));
}

#[test]
fn who_sends_too_many_is_closed_behind_the_last_that_may_pass() {
    let mut world = bound(ten(2, Excess::Close));
    world.sends(Side::Client, MASKED.repeat(2));
    world.wait(100);
    world.sends(Side::Client, MASKED.repeat(3));
    assert!(!world.is_over);
    assert_eq!(
        world.upstream.got,
        [&MASKED.repeat(4)[..], &masked_close(1008)].concat()
    );
    assert_eq!(world.client.got, POLICY);
    world.sends(Side::Client, masked_close(1008));
    world.sends(Side::Upstream, POLICY);
    assert_ended(&world, None, Reason::MessageRate, Some(1008));
    assert_eq!(delayed(&world), Delays::NONE);
}

#[test]
fn what_may_pass_passes_though_it_has_to_wait_for_room() {
    let messages = Bounds {
        message: NonZeroU64::new(5),
        ..Bounds::default()
    };
    let too_big = b"\x82\x86\0\0\0\x00123456";
    let cases = [
        (ten(4, Excess::Close), BINARY, 1008),
        (messages, too_big, 1009),
    ];
    for (bounds, excess, code) in cases {
        let mut world = bound(bounds);
        world.upstream.room = 3;
        world.sends(Side::Client, [&BINARY.repeat(5)[..], excess].concat());
        assert_eq!(world.upstream.got, &BINARY[..3]);
        assert!(!world.is_over && world.client.got.is_empty());
        world.takes(Side::Upstream, 10);
        world.takes(Side::Upstream, 1000);
        let closed = masked_close(code);
        assert_eq!(
            world.upstream.got,
            [&BINARY.repeat(5)[..], &closed].concat()
        );
    }
}

#[test]
fn who_keeps_to_the_rate_is_not_closed() {
    let mut world = bound(ten(0, Excess::Close));
    for _ in 0..1000 {
        world.sends(Side::Client, BINARY);
        world.wait(100);
    }
    assert_eq!(world.upstream.got, BINARY.repeat(1000));
    world.sends(Side::Client, BINARY.repeat(2));
    assert_eq!(world.client.got, POLICY);
}

#[test]
fn what_a_slow_upstream_has_made_wait_came_in_time() {
    let mut world = bound(ten(0, Excess::Close));
    world.upstream.room = 0;
    for _ in 0..30 {
        world.sends(Side::Client, BINARY);
        world.wait(100);
    }
    world.takes(Side::Upstream, usize::MAX);
    assert_eq!(world.upstream.got, BINARY.repeat(30));
    assert_eq!(world.client.got, b"");
}

#[test]
fn what_the_rate_of_bytes_has_made_wait_came_in_time() {
    let mut world = bound(Bounds {
        rate: NonZeroU64::new(100),
        ..ten(0, Excess::Close)
    });
    // The first takes two seconds, in which the others have come.
    let first = [b"\x82\xfe\x01\x1c\0\0\0\0", &[b'm'; 284][..]].concat();
    world.sends(Side::Client, &first);
    for _ in 0..5 {
        world.wait(100);
        world.sends(Side::Client, BINARY);
    }
    world.wait(5000);
    assert_eq!(world.upstream.got, world.client.stream);
    assert_eq!(world.client.got, b"");
}

#[test]
fn both_rates_hold_together() {
    let mut world = bound(Bounds {
        rate: NonZeroU64::new(70),
        ..ten(0, Excess::Delay)
    });
    // Ten messages of seven bytes are a second's worth of either.
    world.sends(Side::Client, BINARY.repeat(30));
    world.wait(950);
    assert_eq!(world.upstream.got, BINARY.repeat(10));
    world.wait(1000);
    assert_eq!(world.upstream.got, BINARY.repeat(20));
    world.wait(1100);
    assert_eq!(world.upstream.got, BINARY.repeat(30));
}

#[test]
fn a_close_does_not_wait_for_messages_that_wait() {
    let mut world = bound(ten(0, Excess::Delay));
    world.sends(Side::Client, MASKED.repeat(3));
    world.tunnel.drain(1, None, 0, 0);
    world.turn(Side::Upstream);
    world.wait(1);
    let closed = [MASKED, &masked_close(0)].concat();
    assert_eq!(world.upstream.got, closed);
    // Those were dropped, and the answer to the Close is found behind them.
    world.sends(Side::Client, masked_close(1000));
    world.sends(Side::Upstream, GOING_AWAY);
    assert_ended(&world, None, Reason::Drain, Some(0));
}

#[test]
fn a_ping_to_the_upstream_does_not_wait_either() {
    let mut world = world(Terms {
        bounds: ten(0, Excess::Delay),
        ..pings(PingTo::Upstream).into()
    });
    world.sends(Side::Client, MASKED);
    world.wait(99);
    world.sends(Side::Client, MASKED.repeat(3));
    world.wait(1);
    let ping = world.upstream.got[MASKED.len()..].to_vec();
    assert_eq!(ping[..2], [0x89, 0x84]);
    world.sends(Side::Upstream, UNMASKED_PONG);
    world.wait(50);
    assert!(world.upstream.got.ends_with(MASKED));
    assert!(!world.is_over);
}

#[test]
fn what_has_come_before_the_client_left_is_passed_on_in_its_time() {
    let mut world = bound(ten(0, Excess::Delay));
    world.sends(Side::Client, MASKED.repeat(4));
    world.finishes(Side::Client);
    world.wait(299);
    assert!(!world.is_over);
    world.wait(1);
    assert_eq!(world.upstream.got, MASKED.repeat(4));
    assert_ended(&world, Some(Side::Client), Reason::NoCloseFrame, None);
}

#[test]
fn who_has_left_is_waited_for_no_longer_than_the_silent() {
    let mut world = world(Terms {
        limits: Limits {
            idle: time(1050),
            ..Limits::default()
        },
        bounds: ten(0, Excess::Delay),
        ..Terms::default()
    });
    world.sends(Side::Client, MASKED.repeat(100));
    world.wait(500);
    world.finishes(Side::Client);
    world.wait(1049);
    assert_eq!(world.upstream.got, MASKED.repeat(16));
    assert!(world.client.got.is_empty());
    world.wait(1);
    assert_eq!(world.client.got, POLICY);
    world.sends(Side::Upstream, POLICY);
    assert_ended(&world, None, Reason::MessageRate, Some(1008));
}

#[test]
fn nor_does_a_rate_of_bytes_keep_who_has_left_for_ever() {
    let mut world = world(Terms {
        limits: Limits {
            idle: time(3000),
            ..Limits::default()
        },
        bounds: Bounds {
            rate: NonZeroU64::new(70),
            ..Bounds::default()
        },
        ..Terms::default()
    });
    world.sends(Side::Client, BINARY.repeat(100));
    world.wait(1000);
    world.finishes(Side::Client);
    world.wait(2999);
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, POLICY);
    // A second's worth was there at the start.
    let came = world.upstream.got.len() - masked_close(0).len();
    assert!((49 * 7..=50 * 7).contains(&came), "{came}");
    world.sends(Side::Upstream, POLICY);
    world.wait(CLOSE_TIMEOUT.get() as Time);
    assert_ended(&world, None, Reason::Rate, Some(1008));
}

#[test]
fn what_a_client_has_left_at_its_rate_is_passed_on() {
    let mut world = world(Terms {
        limits: Limits {
            idle: time(3000),
            ..Limits::default()
        },
        bounds: Bounds {
            rate: NonZeroU64::new(70),
            ..Bounds::default()
        },
        ..Terms::default()
    });
    world.sends(Side::Client, BINARY.repeat(20));
    world.finishes(Side::Client);
    world.wait(1500);
    assert_eq!(world.upstream.got, BINARY.repeat(20));
    assert_ended(&world, Some(Side::Client), Reason::NoCloseFrame, None);
}

#[test]
fn who_has_to_wait_is_neither_silent_nor_dead() {
    let mut world = world(Terms {
        limits: Limits {
            idle: time(150),
            send_to_upstream: time(150),
            ..pings(PingTo::Client)
        },
        bounds: Bounds {
            message_timeout: NonZeroU32::new(150),
            message_rate: Some(MessageRate {
                per_minute: NonZeroU32::new(60).unwrap(),
                burst: 0,
                excess: Excess::Delay,
            }),
            ..Bounds::default()
        },
        ..Terms::default()
    });
    // The answer to a Ping stands behind a message that waits.
    world.wait(100);
    assert_eq!(world.client.got, PING);
    world.sends(Side::Client, [MASKED, MASKED, PONG, MASKED].concat());
    world.wait(2050);
    assert!(!world.is_over);
    assert_eq!(world.upstream.got, MASKED.repeat(3));
    world.wait(100 + CLOSE_TIMEOUT.get() as Time);
    assert!(world.is_over, "it is silent now");
}

#[test]
fn a_message_that_is_too_big_is_met_when_its_time_has_come() {
    let mut world = bound(Bounds {
        message: NonZeroU64::new(5),
        ..ten(0, Excess::Delay)
    });
    let too_big = b"\x82\x86\0\0\0\x00123456";
    world.sends(Side::Client, [MASKED, MASKED, too_big].concat());
    assert_eq!(world.upstream.got, MASKED);
    world.wait(199);
    assert_eq!(world.upstream.got, MASKED.repeat(2));
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, b"\x88\x02\x03\xf1");
    world.wait(CLOSE_TIMEOUT.get() as Time);
    assert_ended(&world, None, Reason::MessageTooBig, Some(1009));
}

#[test]
fn of_two_faults_the_first_is_named() {
    let too_big = b"\x82\x86\0\0\0\x00123456";
    for (stream, reason) in [
        ([too_big, BINARY].concat(), Reason::MessageTooBig),
        ([BINARY, too_big].concat(), Reason::MessageRate),
    ] {
        let mut world = bound(Bounds {
            message: NonZeroU64::new(5),
            ..ten(0, Excess::Close)
        });
        world.sends(Side::Client, stream);
        assert_eq!(world.tunnel.summary(b"").end.reason, reason);
    }
}

#[test]
fn it_ends_where_frames_end_and_holds_for_the_client_alone() {
    let mut world = bound(ten(0, Excess::Close));
    world.sends(Side::Upstream, HELLO.repeat(50));
    assert_eq!(world.client.got, HELLO.repeat(50));
    world.sends(Side::Client, b"no frame");
    world.sends(Side::Client, BINARY.repeat(50));
    assert_eq!(world.upstream.got, world.client.stream);
}
