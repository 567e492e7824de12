//! What time does.

use std::num::NonZeroU32;

use websocket_protocol::ControlFrame;
use websocket_protocol::tunnel::{Lifetime, Limits, PingTo, Reason, Side, Time, Tunnel};

use crate::case::*;
use crate::world::{MASK, World};

#[test]
fn idle_is_where_nothing_moves() {
    let mut world = world(Limits {
        idle: time(100),
        ..Limits::default()
    });
    for _ in 0..3 {
        world.wait(90);
        world.sends(Side::Client, b"\x82\xfe\x00");
        world.wait(90);
        world.sends(Side::Upstream, b"\x8a\x00");
    }
    // Nor is it idle while a slow peer takes some.
    world.client.room = 0;
    world.sends(Side::Upstream, [HELLO; 9].concat());
    for _ in 0..3 {
        world.wait(90);
        world.takes(Side::Client, 2);
    }
    world.wait(99);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::Error);
    world.wait(1);
    let summary = world.tunnel.summary(b"");
    assert_eq!(summary.end.reason, Reason::IdleTimeout);
    assert_eq!(summary.silent, (460, 370));
}

#[test]
fn the_timer_is_not_moved_by_bytes() {
    let mut world = world(Limits {
        idle: time(100),
        ..Limits::default()
    });
    for _ in 0..5 {
        world.wait(10);
        world.sends(Side::Upstream, HELLO);
        assert_eq!(world.timer, Some(100));
    }
    world.wait(50);
    // Its peers are looked at four times in the time that they have.
    assert_eq!(world.timer, Some(124));
}

#[test]
fn a_timer_that_is_set_already_will_do_if_it_is_not_late() {
    let limits = Limits {
        idle: time(100),
        ..Limits::default()
    };
    let mut tunnel = Tunnel::new(limits, 0, 0, MASK);
    assert!(!tunnel.has_timer(101, 0));
    assert!(tunnel.has_timer(60, 0));
    assert_eq!(tunnel.timeout(0), None);
    tunnel.tick(60, MASK);
    assert_eq!(tunnel.timeout(60), Some(40));
}

#[test]
fn a_lifetime_is_shortened_by_a_tenth_at_most() {
    for (random, lasts) in [(0, 1000), (99, 901), (100, 1000), (usize::MAX, 985)] {
        for is_spread in [false, true] {
            let mut tunnel = Tunnel::new(Limits::default(), 0, 0, MASK);
            tunnel.live(lifetime(1000, is_spread), 0, random);
            let lasts = if is_spread { lasts } else { 1000 };
            assert_eq!(tunnel.timeout(0), Some(lasts), "{random}");
        }
    }
}

#[test]
fn a_lifetime_may_be_longer_than_any_timer() {
    const DAYS: Time = 24 * 60 * 60 * 1000;
    for start in [0, Time::MAX - 10 * DAYS] {
        let mut world = World::new(Limits::default(), start);
        let tunnel = &mut world.tunnel;
        tunnel.live(lifetime(60 * DAYS, false), start, 7);
        assert_eq!(
            tunnel.timeout(start),
            None,
            "a timer is set that fires before"
        );
        world.wait(60 * DAYS - 1);
        assert_eq!(world.client.got, b"");
        world.wait(1);
        assert_eq!(world.client.got, b"\x88\x02\x03\xf0");
    }
    let mut world = world(Limits::default());
    world.tunnel.live(lifetime(Time::MAX, false), 0, 7);
    world.wait(1000 * 365 * DAYS);
    assert_eq!(world.client.got, b"");
}

#[test]
fn a_tunnel_without_a_life_lets_nothing_by() {
    let mut world = World::of(Tunnel::new(Limits::default(), 0, 0, MASK), 0);
    world.tunnel.live(lifetime(0, false), 0, 7);
    world.sends(Side::Client, MASKED);
    world.sends(Side::Upstream, HELLO);
    assert_eq!(world.upstream.got, masked_close(1008));
    assert_eq!(world.client.got, b"\x88\x02\x03\xf0");
    world.finishes(Side::Client);
    world.finishes(Side::Upstream);
    assert_ended(&world, None, Reason::Lifetime, Some(1008));
}

fn lifetime(age: Time, is_spread: bool) -> Lifetime {
    Lifetime {
        age,
        code: 1008,
        is_spread,
    }
}

#[test]
fn the_moment_of_a_drain() {
    let moment = |within, left, random| {
        let limits = Limits {
            drain_code: 1012,
            ..Limits::default()
        };
        let mut tunnel = Tunnel::new(limits, 7, 0, MASK);
        tunnel.live(lifetime(50_000, true), 7, 0);
        tunnel.timeout(7);
        tunnel.drain(within, left, 7, random);
        tunnel.timeout(7)
    };
    assert_eq!(moment(1000, None, 2345), Some(345));
    // With room for the closing handshake, where there is some.
    assert_eq!(moment(10_000, Some(12_000), 13_999), Some(6999));
    assert_eq!(moment(10_000, Some(2000), 1999), Some(999));
}

#[test]
fn a_drain_makes_no_life_longer() {
    let mut world = world(lasting(100, Limits::default()));
    world.tunnel.drain(1000, None, 0, 500);
    world.wait(100);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::Lifetime);
}

#[test]
fn a_drained_tunnel_is_closed_with_its_code() {
    let mut world = world(Limits {
        drain_code: 1012,
        ..Limits::default()
    });
    world.tunnel.drain(100, None, 0, 70);
    world.turn(Side::Client);
    world.wait(69);
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, b"\x88\x02\x03\xf4");
    assert_eq!(world.upstream.got, masked_close(1012));
    // A Close in answer may have any code; it may come last.
    world.sends(Side::Client, masked_close(1000));
    assert!(!world.is_over);
    world.sends(Side::Upstream, GOING_AWAY);
    assert_ended(&world, None, Reason::Drain, Some(1012));
}

#[test]
fn a_tunnel_whose_server_is_left_is_closed_with_its_code() {
    let mut world = world(Limits {
        drain_code: 1001,
        ..Limits::default()
    });
    world.tunnel.drain_upstream(1012, 100, None, 0, 70);
    world.turn(Side::Client);
    world.wait(69);
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, b"\x88\x02\x03\xf4");
    assert_eq!(world.upstream.got, masked_close(1012));
    world.sends(Side::Client, masked_close(1000));
    world.sends(Side::Upstream, GOING_AWAY);
    assert_ended(&world, None, Reason::UpstreamDrain, Some(1012));
}

#[test]
fn of_several_reasons_to_leave_the_first_in_time_counts() {
    let why = |tell: &dyn Fn(&mut Tunnel)| {
        let mut world = world(Limits {
            drain_code: 1001,
            ..Limits::default()
        });
        tell(&mut world.tunnel);
        world.turn(Side::Client);
        world.wait(100);
        let end = world.tunnel.summary(b"").end;
        (end.reason, end.code)
    };
    let drain = |tunnel: &mut Tunnel, at| tunnel.drain(100, None, 0, at);
    let upstream = |tunnel: &mut Tunnel, at| tunnel.drain_upstream(1012, 100, None, 0, at);
    let (as_all, as_few) = (
        (Reason::Drain, Some(1001)),
        (Reason::UpstreamDrain, Some(1012)),
    );
    for (first, second, expected) in [(30, 60, as_few), (60, 30, as_all)] {
        let told = why(&|tunnel| {
            upstream(tunnel, first);
            drain(tunnel, second);
        });
        assert_eq!(told, expected);
        let told = why(&|tunnel| {
            drain(tunnel, second);
            upstream(tunnel, first);
        });
        assert_eq!(told, expected);
    }
    // Whoever is told again goes no earlier.
    let mut world = world(Limits::default());
    upstream(&mut world.tunnel, 90);
    upstream(&mut world.tunnel, 10);
    world.turn(Side::Client);
    world.wait(89);
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, b"\x88\x02\x03\xf4");
}

#[test]
fn an_answer_is_timed() {
    let mut world = world(pings(PingTo::Both));
    world.wait(100);
    assert_eq!(world.client.got, PING);
    let ping = ControlFrame::ping(&PING[2..]).masked(MASK);
    assert_eq!(world.upstream.got, ping.bytes());
    world.wait(30);
    world.sends(Side::Client, PONG);
    world.wait(5);
    assert_eq!(world.tunnel.summary(b"").ping_rtt, Some(30));
    world.sends(Side::Upstream, UNMASKED_PONG);
    assert_eq!(world.tunnel.summary(b"").ping_rtt, Some(35));
    // The next Ping comes when there has been silence again.
    world.wait(94);
    assert_eq!(world.client.got, PING);
    world.wait(1);
    assert_eq!(world.client.got, [PING, PING].concat());
}

#[test]
fn pings_keep_their_pace_however_long_an_answer_may_take() {
    let mut limits = pings(PingTo::Client);
    if let Some(ping) = &mut limits.ping {
        ping.timeout = NonZeroU32::new(10_000).expect("a time");
    }
    let mut world = world(limits);
    for sent in 1..=5 {
        world.wait(100);
        assert_eq!(world.client.got, PING.repeat(sent));
        world.sends(Side::Client, PONG);
    }
}

#[test]
fn no_answer_ends_the_tunnel_and_any_byte_is_one() {
    let mut world = world(pings(PingTo::Client));
    world.wait(100);
    world.sends(Side::Client, [0x82]);
    world.wait(100);
    assert_eq!(world.client.got, [PING, PING].concat());
    world.wait(39);
    assert_eq!(world.client.got, [PING, PING].concat());
    world.wait(1);
    assert_eq!(world.client.got, [PING, PING, GOING_AWAY].concat());
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::PingTimeout);
}

#[test]
fn a_side_that_is_not_listened_to_is_not_blamed() {
    let mut world = world(pings(PingTo::Client));
    world.upstream.room = 0;
    world.sends(Side::Client, MASKED);
    world.wait(10_000);
    assert_eq!(world.client.got, b"");
    world.takes(Side::Upstream, 100);
    world.wait(99);
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, PING);
}

#[test]
fn a_side_that_takes_no_ping_is_blamed() {
    let mut world = world(pings(PingTo::Client));
    world.client.room = 0;
    world.wait(140);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::PingTimeout);
}

#[test]
fn a_side_that_takes_nothing_is_given_up() {
    let mut world = world(sending(200, 0));
    world.client.room = 20;
    world.sends(Side::Upstream, [HELLO; 40].concat());
    // It may be slow.
    for _ in 0..3 {
        world.wait(199);
        world.takes(Side::Client, 1);
    }
    world.wait(199);
    assert_eq!(world.upstream.got, b"");
    world.wait(1);
    assert_eq!(world.upstream.got, masked_close(1001));
    // It is not waited for, and its Close not either; nothing more is given to it.
    world.takes(Side::Client, 100);
    assert_eq!(world.client.got.len(), 23);
    assert!(!world.is_over);
    // The other side's answer comes behind all that the buffer did not hold.
    world.sends(Side::Upstream, GOING_AWAY);
    assert_ended(&world, Some(Side::Client), Reason::SendTimeout, Some(1001));
}

#[test]
fn each_side_has_its_own_time() {
    let mut world = world(sending(100, 5000));
    world.upstream.room = 0;
    world.sends(Side::Client, MASKED);
    world.wait(4999);
    assert_eq!(world.client.got, b"");
    world.wait(1);
    assert_eq!(world.client.got, GOING_AWAY);
    world.sends(Side::Client, masked_close(1001));
    assert_ended(
        &world,
        Some(Side::Upstream),
        Reason::SendTimeout,
        Some(1001),
    );
}

#[test]
fn a_ping_that_is_not_taken_counts() {
    let mut world = world(Limits {
        send_to_client: time(30),
        ..pings(PingTo::Client)
    });
    world.client.room = 0;
    world.wait(130);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::SendTimeout);
}

#[test]
fn a_side_that_has_taken_all_is_not_timed() {
    let mut world = world(sending(100, 100));
    world.client.room = 3;
    world.sends(Side::Upstream, HELLO);
    world.wait(99);
    world.takes(Side::Client, 100);
    world.wait(10_000);
    world.sends(Side::Upstream, HELLO);
    assert_eq!(world.client.got, [HELLO, HELLO].concat());
}
