//! A tunnel that is handed over to another process goes on as if it had not been.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use websocket_protocol::tunnel::{
    Bounds, Count, End, Excess, Farewell, Limits, MessageRate, PingTo, Reason, Side,
};

use crate::case::{
    GOING_AWAY, HELLO, MASKED, PING, PONG, bound, cases, lasting, messages_of, pings, pings_to,
    time, world,
};
use crate::orders::{step, stream, terms};
use crate::steps::{Step, take, unblock};
use crate::world::{Terms, World};

proptest! {
    // The same cases each time: in one of some 20,000 a timer is a little late where the tunnel stays and not where it
    // moves, or the other way round, and either is right.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::with_cases(cases(600))
    })]

    /// The same happens to two tunnels, of which one is handed over after each step.
    #[test]
    fn it_makes_no_difference(
        client in stream(true),
        upstream in stream(false),
        terms in terms(),
        steps in vec(step(), 0..60),
        start in select(vec![0, usize::MAX - 1500]),
    ) {
        let mut worlds = [World::new(terms, start), World::new(terms, start)];
        for world in &mut worlds {
            world.client.stream = client.concat();
            world.upstream.stream = upstream.concat();
        }
        let [stays, moves] = &mut worlds;
        // A timer that is later than the first look at a peer which takes nothing gives that peer more time. One
        // that is set anew in another process is not late.
        let may_be_late = terms.limits.idle.is_some() || terms.bounds.message_timeout.is_some();
        let is_unlike = |step: &Step| {
            may_be_late && matches!(step, Step::Reads(_, false) | Step::Blocks(..))
        };
        for step in steps.iter().filter(|step| !is_unlike(step)) {
            take(stays, step);
            take(moves, step);
            moves.hand_over_to(terms);
            for world in [&mut *stays, &mut *moves] {
                if !world.is_over {
                    world.looks_at_all();
                }
            }
            prop_assert_eq!(&stays.client.got, &moves.client.got);
            prop_assert_eq!(&stays.upstream.got, &moves.upstream.got);
            prop_assert_eq!(stays.is_over, moves.is_over);
        }
        unblock(stays);
        unblock(moves);
        prop_assert_eq!(&stays.client.got, &moves.client.got);
        prop_assert_eq!(&stays.upstream.got, &moves.upstream.got);
        let (stays, moves) = (stays.tunnel.summary(b""), moves.tunnel.summary(b""));
        prop_assert_eq!(stays.end, moves.end);
        // How much was read that nobody got is a matter of the proxy's buffers.
        let gone = |count: Count| (count.frames, count.messages);
        prop_assert_eq!(gone(stays.from_client), gone(moves.from_client));
        prop_assert_eq!(gone(stays.from_upstream), gone(moves.from_upstream));
        prop_assert_eq!(stays.ping_rtt, moves.ping_rtt);
        prop_assert_eq!(stays.delays, moves.delays);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    /// Each time to another configuration, none of which is so strict that it ends what says something now and then:
    /// whatever state one has left behind, nothing stands still under the last.
    #[test]
    fn whatever_is_asked_next_it_goes_on(
        client in stream(true),
        upstream in stream(false),
        all in vec(terms().prop_map(patient), 2..5),
        steps in vec((step(), 0..8_usize), 0..60),
    ) {
        let mut world = World::new(all[0], 0);
        world.client.stream = client.concat();
        world.upstream.stream = upstream.concat();
        for (step, to) in &steps {
            take(&mut world, step);
            let next = all.get(*to);
            if next.is_some_and(|terms| world.hand_over_to(*terms)) {
                world.looks_at_all();
            }
        }
        if world.hand_over_to(all[1]) {
            world.looks_at_all();
        }
        unblock(&mut world);
        let got = world.upstream.got.len();
        let says_close = client.last().is_some_and(|frame| frame[0] & 0x0F == 8);
        if world.is_over || world.client.finished || says_close {
            return Ok(());
        }
        world.sends(Side::Client, MASKED);
        for _ in 0..200 {
            if world.is_over || world.upstream.got.len() > got {
                return Ok(());
            }
            world.wait(1000);
        }
        prop_assert!(false, "it stands still");
    }
}

/// The same with a hundred times as much time for all.
fn patient(mut terms: Terms) -> Terms {
    let longer = |time: Option<NonZeroU32>| time.map(|time| time.saturating_mul(HUNDRED));
    const HUNDRED: NonZeroU32 = NonZeroU32::new(100).unwrap();
    let limits = &mut terms.limits;
    limits.idle = longer(limits.idle);
    limits.send_to_client = longer(limits.send_to_client);
    limits.send_to_upstream = longer(limits.send_to_upstream);
    if let Some(ping) = &mut limits.ping {
        ping.interval = ping.interval.saturating_mul(HUNDRED);
        ping.timeout = ping.timeout.saturating_mul(HUNDRED);
    }
    terms.bounds.message_timeout = longer(terms.bounds.message_timeout);
    terms.lifetime = None;
    terms
}

#[test]
fn a_frame_that_has_begun_goes_on() {
    let mut world = world(Limits::default());
    for byte in HELLO.chunks(1) {
        world.sends(Side::Upstream, byte);
        assert!(world.hand_over_to(Limits::default()));
        world.looks_at_all();
    }
    assert_eq!(world.client.got, HELLO);
    assert_eq!(world.tunnel.summary(b"").from_upstream.messages, 1);
}

#[test]
fn what_waits_goes_along() {
    let mut world = world(Limits::default());
    world.client.room = 3;
    world.sends(Side::Upstream, HELLO);
    assert!(world.hand_over_to(Limits::default()));
    world.looks_at_all();
    assert_eq!(world.client.got, &HELLO[..3]);
    world.takes(Side::Client, 100);
    assert_eq!(world.client.got, HELLO);
}

#[test]
fn an_answer_to_a_ping_that_was_sent_before_is_kept_back() {
    let mut world = world(pings(PingTo::Client));
    world.wait(100);
    assert_eq!(world.client.got, PING);
    assert!(world.hand_over_to(pings(PingTo::Client)));
    world.looks_at_all();
    world.wait(20);
    world.sends(Side::Client, PONG);
    assert_eq!(world.upstream.got, b"");
    assert_eq!(world.tunnel.summary(b"").ping_rtt, Some(20));
    world.wait(10_000);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::PingTimeout);
}

#[test]
fn a_ping_by_half_goes_out_whole() {
    let mut world = world(pings(PingTo::Client));
    world.client.room = 2;
    world.wait(100);
    assert_eq!(world.client.got, &PING[..2]);
    assert!(world.hand_over_to(pings(PingTo::Client)));
    world.looks_at_all();
    world.takes(Side::Client, 100);
    world.sends(Side::Upstream, HELLO);
    assert_eq!(world.client.got, [PING, HELLO].concat());
}

#[test]
fn the_time_to_take_something_goes_on() {
    let limits = Limits {
        send_to_client: time(100),
        ..Limits::default()
    };
    let mut world = world(limits);
    world.client.room = 0;
    world.client.reads = false;
    world.sends(Side::Upstream, HELLO);
    for _ in 0..9 {
        world.wait(10);
        assert!(world.hand_over_to(limits));
        world.looks_at_all();
    }
    assert!(!world.is_over);
    world.wait(120);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::SendTimeout);
}

#[test]
fn a_message_that_is_too_big_in_all_stays_so() {
    let terms = Terms {
        bounds: Bounds {
            message: NonZeroU64::new(6),
            ..Bounds::default()
        },
        ..Terms::default()
    };
    let mut world = World::new(terms, 0);
    // Five bytes and more to come.
    world.sends(Side::Client, [&[0x01], &MASKED[1..]].concat());
    assert!(world.hand_over_to(terms));
    world.looks_at_all();
    world.sends(Side::Client, b"\x80\x82\x01\x02\x03\x04ab");
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::MessageTooBig);
}

fn rated(per_minute: u32, excess: Excess) -> Terms {
    let message_rate = MessageRate {
        per_minute: NonZeroU32::new(per_minute).unwrap(),
        burst: 0,
        excess,
    };
    Terms {
        bounds: Bounds {
            message_rate: Some(message_rate),
            ..Bounds::default()
        },
        ..Terms::default()
    }
}

#[test]
fn no_rate_begins_anew() {
    let mut world = World::new(rated(60, Excess::Close), 0);
    world.sends(Side::Client, MASKED);
    assert!(world.hand_over_to(rated(60, Excess::Close)));
    world.looks_at_all();
    world.wait(500);
    world.sends(Side::Client, MASKED);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::MessageRate);
}

/// What went by when there was no rate is no debt.
#[test]
fn a_rate_that_is_new_begins_with_nothing_owed() {
    let mut world = World::new(Terms::default(), 0);
    for _ in 0..100 {
        world.sends(Side::Client, MASKED);
    }
    assert!(world.hand_over_to(rated(60, Excess::Close)));
    world.looks_at_all();
    world.sends(Side::Client, MASKED);
    assert!(!world.is_over && world.client.got.is_empty());
    world.sends(Side::Client, MASKED);
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::MessageRate);
}

/// A message that waits for a rate that is no more goes on, and so does all that follows it.
#[test]
fn nothing_waits_for_a_rate_that_is_gone() {
    let message = |size| Bounds {
        message: NonZeroU64::new(size),
        ..Bounds::default()
    };
    let mut world = World::new(rated(60, Excess::Delay), 0);
    world.sends(Side::Client, MASKED.repeat(2));
    assert_eq!(world.upstream.got, MASKED);
    assert!(world.hand_over_to(messages_of(100, Limits::default())));
    world.looks_at_all();
    assert_eq!(world.upstream.got, MASKED.repeat(2));
    world.wait(2000);
    world.sends(Side::Client, MASKED);
    assert_eq!(world.upstream.got, MASKED.repeat(3));

    // What it had used up of its bytes holds up nothing, and excuses nothing.
    let bytes = Bounds {
        rate: NonZeroU64::new(1),
        ..message(100)
    };
    let mut world = bound(bytes);
    world.sends(Side::Client, MASKED);
    assert!(world.hand_over_to(rated(60, Excess::Close)));
    world.looks_at_all();
    world.sends(Side::Client, MASKED.repeat(2));
    assert_eq!(world.tunnel.summary(b"").end.reason, Reason::MessageRate);
}

/// Whoever was asked by one that asked him, and is not any more, need not answer, nor is he thought of each millisecond.
#[test]
fn a_side_that_is_asked_no_more_is_left_alone() {
    for side in Side::BOTH {
        let mut world = world(pings(PingTo::Both));
        world.wait(100);
        assert!(world.hand_over_to(pings_to(side.other())));
        world.looks_at_all();
        for _ in 0..40 {
            world.wait(10);
            // The other one is alive.
            match side {
                Side::Client => world.sends(Side::Upstream, HELLO),
                Side::Upstream => world.sends(Side::Client, MASKED),
            }
        }
        assert!(!world.is_over);
        let due = world.timer.map(|timer| timer.wrapping_sub(world.now));
        assert!(due.is_none_or(|due| due > 10), "{due:?}");
    }
}

/// A message that was on its way when the configuration began to ask for some is one.
#[test]
fn a_message_that_has_begun_goes_by() {
    let within = |time| Bounds {
        message_timeout: NonZeroU32::new(time),
        ..Bounds::default()
    };
    for (side, frame) in [(Side::Client, MASKED), (Side::Upstream, HELLO)] {
        let mut world = world(Limits::default());
        let (head, payload) = frame.split_at(frame.len() - 4);
        world.sends(side, head);
        assert!(world.hand_over_to(Terms {
            bounds: within(100),
            ..Terms::default()
        }));
        world.looks_at_all();
        for byte in payload.chunks(1) {
            world.wait(60);
            world.sends(side, byte);
        }
        let got = match side {
            Side::Client => &world.upstream.got,
            Side::Upstream => &world.client.got,
        };
        assert_eq!(got, frame, "and no Close");
        world.wait(100);
        assert_eq!(world.tunnel.summary(b"").end.reason, Reason::MessageTimeout);
    }
}

#[test]
fn it_becomes_no_older_than_before() {
    for longer in [None, Some(500), Some(5000)] {
        let mut world = World::new(lasting(1000, Limits::default()), 0);
        world.wait(900);
        let terms = Terms {
            lifetime: longer,
            ..Terms::default()
        };
        assert!(world.hand_over_to(terms));
        world.looks_at_all();
        world.wait(99);
        assert_eq!(world.client.got, b"");
        world.wait(1);
        assert_eq!(world.client.got, GOING_AWAY, "{longer:?}");
    }
    let mut world = World::new(lasting(1000, Limits::default()), 0);
    assert!(world.hand_over_to(lasting(400, Limits::default())));
    world.looks_at_all();
    world.wait(400);
    assert_eq!(world.client.got, GOING_AWAY, "the new one is shorter");
}

#[test]
fn one_that_ends_stays() {
    let ends: [&dyn Fn(&mut World); 6] = [
        &|world| world.sends(Side::Client, b"\x88\x82\x00\x00\x00\x00\x03\xe8"),
        &|world| world.sends(Side::Upstream, b"\x88\x00"),
        &|world| world.finishes(Side::Client),
        &|world| world.finishes(Side::Upstream),
        &|world| {
            let (now, within) = (world.now, 10);
            world.tunnel.drain(within, None, now, 0);
        },
        &|world| {
            let now = world.now;
            let farewell = Farewell::new(4000, "gone", [0; 4]);
            assert!(world.tunnel.depart(&farewell, 1000, now, 5));
        },
    ];
    for end in ends {
        let mut world = world(Limits::default());
        end(&mut world);
        let now = world.now;
        assert_eq!(world.tunnel.save(&mut [0; 512], now), None);
    }
}

#[test]
fn one_that_may_not_go_on_says_so_to_both_sides() {
    let mut world = world(Limits::default());
    world.client.room = 3;
    world.sends(Side::Upstream, HELLO);
    assert!(world.hand_over_to(Limits::default()));
    let now = world.now;
    world.tunnel.refuse(now);
    world.client.room = 100;
    world.looks_at_all();
    assert_eq!(world.client.got, [HELLO, b"\x88\x02\x03\xf4"].concat());
    assert_eq!(&world.upstream.got[..2], b"\x88\x82");
    world.tunnel.finish(false);
    let end = world.tunnel.summary(b"").end;
    let expected = End {
        by: None,
        reason: Reason::HandoverRefused,
        code: Some(1012),
    };
    assert_eq!(end, expected);
}

/// Whoever waits when the configuration changes waits for what that says, without a tick for each millisecond.
#[test]
fn a_message_that_waits_may_have_to_wait_for_longer() {
    let rate = |per_minute| Terms {
        bounds: Bounds {
            message_rate: Some(MessageRate {
                per_minute: NonZeroU32::new(per_minute).unwrap(),
                burst: 0,
                excess: Excess::Delay,
            }),
            ..Bounds::default()
        },
        ..Terms::default()
    };
    let mut world = world(rate(600));
    world.sends(Side::Client, MASKED.repeat(2));
    assert_eq!(world.upstream.got, MASKED);
    assert!(world.hand_over_to(rate(2)));
    world.looks_at_all();
    world.wait(200);
    let due = world.timer.map(|timer| timer.wrapping_sub(world.now));
    assert!(due.is_some_and(|due| due > 20_000), "{due:?}");
    assert_eq!(world.tunnel.summary(b"").delays.count, 1);
    world.wait(30_000);
    assert_eq!(world.upstream.got, MASKED.repeat(2));
}
