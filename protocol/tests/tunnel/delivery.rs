//! Peers that take what their sockets hold, slowly or not at all.

use proptest::collection::vec;
use proptest::prelude::*;
use websocket_protocol::tunnel::{
    Bounds, Limits, PingTo, Queue, Reason, Share, Side, Time, Tunnel,
};

use crate::case::*;
use crate::world::{MASK, World};

/// The three times that a side has, 200 each, and how the tunnel ends when one is over.
fn limits(of: Side) -> [(Limits, Reason); 3] {
    let sends = match of {
        Side::Client => sending(200, 0),
        Side::Upstream => sending(0, 200),
    };
    let mut asks = pings_to(of);
    if let Some(ping) = &mut asks.ping {
        (ping.interval, ping.timeout) = (time(10).unwrap(), time(200).unwrap());
    }
    let idles = Limits {
        idle: time(200),
        ..Limits::default()
    };
    [
        (sends, Reason::SendTimeout),
        (asks, Reason::PingTimeout),
        (idles, Reason::IdleTimeout),
    ]
}

/// A tunnel that has been used and has a thousand bytes now for a side whose socket holds some of them, and
/// takes no more for now where that is what there is a time for.
fn behind(of: Side, limits: Limits) -> World<'static> {
    let mut world = world(limits);
    let frame = match of {
        Side::Client => HELLO,
        Side::Upstream => MASKED,
    };
    if limits.idle.is_some() {
        for _ in 0..3 {
            world.sends(of.other(), frame);
            world.wait(90);
        }
    }
    world.looks = 0;
    world.peer(of).reads = false;
    if limits.send_to_client.or(limits.send_to_upstream).is_some() {
        world.peer(of).room = 500;
    }
    world.sends(of.other(), frame.repeat(100));
    if limits.ping.is_some() {
        world.wait(10);
    }
    world
}

/// Of a socket that has sent nothing of what it holds.
fn queue(accepted: usize, held: usize) -> Queue {
    Queue {
        accepted,
        held,
        waiting: held,
    }
}

fn reason(world: &World) -> Reason {
    world.tunnel.summary(b"").end.reason
}

#[test]
fn whoever_takes_some_is_alive() {
    for side in Side::BOTH {
        for (limits, expected) in limits(side) {
            let mut world = behind(side, limits);
            // Once between two looks is enough.
            for _ in 0..20 {
                world.wait(49);
                world.acknowledges(side, 1);
                world.wait(1);
            }
            assert_eq!(reason(&world), Reason::Error, "{expected:?}");
            // The last look saw the last byte; from then on nothing is taken.
            world.wait(199);
            assert_eq!(reason(&world), Reason::Error, "{expected:?}");
            world.wait(1);
            assert_eq!(reason(&world), expected);
        }
    }
}

#[test]
fn whoever_takes_nothing_has_as_long_as_ever() {
    for side in Side::BOTH {
        for (limits, expected) in limits(side) {
            let mut world = behind(side, limits);
            world.wait(199);
            assert_eq!(reason(&world), Reason::Error, "{expected:?}");
            world.wait(1);
            assert_eq!(reason(&world), expected);
            assert!((4..=5).contains(&world.looks), "{}", world.looks);
        }
    }
}

#[test]
fn a_late_look_is_followed_by_another() {
    // The timer was set before there was anything to take.
    let mut world = world(Limits {
        idle: time(200),
        ..Limits::default()
    });
    world.client.reads = false;
    world.sends(Side::Upstream, HELLO);
    world.wait(249);
    assert_eq!((world.looks, reason(&world)), (1, Reason::Error));
    world.acknowledges(Side::Client, 1);
    world.wait(1 + 199);
    assert_eq!(reason(&world), Reason::Error);
    world.wait(1);
    assert_eq!(reason(&world), Reason::IdleTimeout);
}

#[test]
fn one_that_has_to_be_waited_for_is_looked_at_in_time() {
    // The timer was set before there was anything to take.
    let idles = Limits {
        idle: time(200),
        ..Limits::default()
    };
    let silent = bound(Bounds {
        message_timeout: time(200),
        ..Bounds::default()
    });
    for mut world in [world(idles), silent] {
        world.upstream.reads = false;
        world.upstream.room = 500;
        world.sends(Side::Client, MASKED.repeat(100));
        // It takes little, and not between any two looks.
        for _ in 0..9 {
            world.wait(140);
            world.acknowledges(Side::Upstream, 1);
        }
        assert_eq!(reason(&world), Reason::Error);
    }
}

#[test]
fn one_that_had_taken_some_before_is_not_better_off() {
    for side in Side::BOTH {
        for (limits, expected) in limits(side) {
            // Looked at once, with something to take.
            let mut world = behind(side, limits);
            world.wait(60);
            world.acknowledges(side, 100);
            // All else goes on, until it takes nothing more.
            world.takes(side, 1);
            let answer = match side {
                Side::Client => MASKED,
                Side::Upstream => HELLO,
            };
            world.sends(side, answer);
            world.wait(10);
            let last = world.now;
            world.acknowledges(side, usize::MAX);
            while reason(&world) == Reason::Error {
                world.wait(1);
            }
            assert_eq!(reason(&world), expected);
            let lasted = world.now - last;
            assert!((190..=250).contains(&lasted), "{expected:?}: {lasted}");
        }
    }
}

/// The kernel of a peer that hangs goes on acknowledging small messages, as long as it has room.
#[test]
fn what_is_acknowledged_at_once_says_nothing() {
    let [_, (limits, expected), _] = limits(Side::Client);
    let mut world = world(limits);
    for _ in 0..20 {
        world.sends(Side::Upstream, HELLO);
        world.wait(10);
        assert_eq!(reason(&world), Reason::Error);
    }
    world.wait(10);
    assert_eq!(reason(&world), expected);
}

/// Likewise where that takes a while, so that its socket always holds some.
#[test]
fn what_is_only_on_its_way_says_nothing_of_an_answer() {
    for side in Side::BOTH {
        let [_, (limits, expected), _] = limits(side);
        let mut world = world(limits);
        let frame = match side {
            Side::Client => HELLO,
            Side::Upstream => MASKED,
        };
        (world.peer(side).reads, world.peer(side).is_far) = (false, true);
        for _ in 0..20 {
            world.sends(side.other(), frame);
            world.wait(10);
            assert_eq!(reason(&world), Reason::Error);
            let all = world.peer(side).holds();
            world.acknowledges(side, all - 1);
        }
        world.wait(10);
        assert_eq!(reason(&world), expected);
    }
}

#[test]
fn a_ping_has_its_time_from_when_it_has_left_the_socket() {
    let [_, (limits, _), _] = limits(Side::Client);
    let mut world = behind(Side::Client, limits);
    for _ in 0..30 {
        world.wait(50);
        world.acknowledges(Side::Client, 23);
    }
    world.acknowledges(Side::Client, usize::MAX);
    world.wait(50);
    world.wait(150);
    world.sends(Side::Client, PONG);
    assert_eq!(reason(&world), Reason::Error);
    // From when it was written, not from when it was last excused.
    assert_eq!(world.tunnel.summary(b"").ping_rtt, Some(1700));
}

#[test]
fn a_socket_that_cannot_tell_is_like_one_that_holds_nothing() {
    let limits = sending(200, 0);
    let mut tunnel = Tunnel::new(limits, 0, 0, MASK);
    tunnel.received(Side::Upstream, HELLO.len(), 0);
    tunnel.blocked(Side::Upstream, 0);
    let mut now = 0;
    while tunnel.summary(b"").end.reason == Reason::Error {
        now += tunnel.timeout(now).expect("a timer is to be set");
        assert!(now <= 200);
        for side in Side::BOTH {
            if tunnel.has_doubts(side, now) {
                tunnel.holds(side, None, now);
            }
        }
        tunnel.tick(now, MASK);
    }
    assert_eq!(now, 200);
}

#[test]
fn no_socket_is_looked_at_without_need() {
    // Nothing has a time.
    let mut idle = world(Limits::default());
    idle.sends(Side::Upstream, HELLO);
    idle.wait(100_000);
    assert_eq!(idle.looks, 0);
    // All move.
    for side in Side::BOTH {
        for (limits, _) in limits(side) {
            let mut world = world(Limits {
                ping: None,
                ..limits
            });
            for _ in 0..100 {
                world.sends(Side::Upstream, HELLO);
                world.wait(20);
                world.sends(Side::Client, MASKED);
                world.wait(20);
            }
            assert_eq!(world.looks, 0);
        }
    }
    // Nothing was ever sent that could be taken.
    let mut silent = world(Limits {
        idle: time(200),
        ..Limits::default()
    });
    silent.wait(200);
    assert_eq!((silent.looks, reason(&silent)), (0, Reason::IdleTimeout));
    // A Ping is answered in time.
    let mut asked = world(pings(PingTo::Client));
    for _ in 0..20 {
        asked.wait(100);
        asked.sends(Side::Client, PONG);
    }
    assert_eq!(asked.looks, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(400)))]

    /// A side is given up no sooner than it has taken nothing for three quarters of its time, and no later
    /// than it has for that time and another quarter.
    #[test]
    fn a_side_that_takes_nothing_is_given_up_in_time(
        kind in 0..3usize,
        pauses in vec((0..400 as Time, 1..60usize), 0..40),
    ) {
        let (limits, expected) = limits(Side::Client)[kind];
        let mut world = behind(Side::Client, limits);
        let begun = world.now;
        let mut last = begun;
        for (pause, count) in pauses {
            let end = world.now + pause;
            while world.now < end && reason(&world) == Reason::Error {
                world.wait(1);
            }
            if reason(&world) != Reason::Error {
                break;
            }
            if world.peer(Side::Client).holds() > 0 {
                last = world.now;
            }
            world.acknowledges(Side::Client, count);
        }
        while reason(&world) == Reason::Error {
            world.wait(1);
            prop_assert!(world.now <= last + 250, "it lives on");
        }
        prop_assert_eq!(reason(&world), expected);
        prop_assert!(world.now >= begun + 200 && world.now >= last + 150, "{} {last}", world.now);
    }

    /// Whatever a socket counts, memory or what TLS made of it, nothing but a peer that takes some makes it
    /// look alive.
    #[test]
    fn a_socket_may_count_more_than_was_written(
        start in any::<usize>(),
        writes in vec((0..100_000usize, 0..5000usize, 0..200_000usize), 1..20),
    ) {
        let mut tunnel = Tunnel::new(sending(2000, 0), 0, 0, MASK);
        tunnel.received(Side::Upstream, HELLO.len(), 0);
        tunnel.blocked(Side::Upstream, 0);
        let (mut accepted, mut held, mut now) = (start, 1, 0);
        let mut has_taken = false;
        for (count, overhead, taken) in writes {
            if now + 100 > 1900 {
                break;
            }
            now += 100;
            accepted = accepted.wrapping_add(count);
            held += count + overhead;
            // What it takes within the first quarter nobody sees.
            let taken = if now > 500 { taken.min(held - 1) } else { 0 };
            held -= taken;
            has_taken |= taken > 0;
            tunnel.holds(Side::Client, Some(queue(accepted, held)), now);
        }
        tunnel.holds(Side::Client, Some(queue(accepted, held)), 2000);
        tunnel.tick(2000, MASK);
        let is_alive = tunnel.summary(b"").end.reason == Reason::Error;
        prop_assert!(has_taken || !is_alive);
    }
}

#[test]
fn the_share_of_a_stream_ends_with_its_last_byte() {
    let mut share = Share::default();
    let mut of = |connection, own, waits| {
        let part = share.of(connection, own, waits);
        (part.accepted, part.held, part.waiting)
    };
    assert_eq!(of(queue(1_000, 1_000), 100, false), (1_000, 1_000, 1_000));
    // Others send, and the client takes some.
    assert_eq!(of(queue(1_500, 1_200), 100, false), (1_000, 700, 700));
    let sent = Queue {
        waiting: 10,
        ..queue(1_600, 1_200)
    };
    assert_eq!(of(sent, 100, false), (1_000, 600, 10));
    // What it takes of others is nothing of this one's.
    assert_eq!(of(queue(3_000, 1_500), 100, false), (1_000, 0, 0));
    assert_eq!(of(queue(9_000, 10), 100, false), (1_000, 0, 0));
    // There is more of it, for which the connection has no room, and then some.
    assert_eq!(of(queue(9_000, 500), 100, true), (9_000, 500, 500));
    assert_eq!(of(queue(9_200, 500), 300, false), (9_200, 500, 500));
    assert_eq!(of(queue(9_900, 800), 300, false), (9_200, 100, 100));
    // TLS makes more of it than was given to it.
    let mut share = Share::default();
    assert_eq!(share.of(queue(100, 130), 100, false).held, 130);
}
