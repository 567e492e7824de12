//! Whatever comes in whatever order, what a peer receives is what the other sent, with whole frames of
//! the tunnel's between its frames.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use websocket_protocol::tunnel::{Bounds, Excess, Limits, MessageRate, Ping, PingTo, Reason, Side};

use crate::case::{PING, cases, messages_of};
use crate::passage::{comes_to_an_end, is_passed_on, keeps_to};
use crate::steps::{Step, take, unblock};
use crate::wire::{THEIR_MASK, frame, frames, without_ours};
use crate::world::{Terms, World};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    #[test]
    fn nothing_is_lost_doubled_or_held_for_ever(
        client in stream(true),
        upstream in stream(false),
        terms in terms(),
        steps in vec(step(), 0..80),
        start in select(vec![0, usize::MAX - 1500]),
    ) {
        let mut world = World::new(terms, start);
        world.client.stream = client.concat();
        world.upstream.stream = upstream.concat();
        for step in &steps {
            take(&mut world, step);
            fails(is_passed_on(&world))?;
        }
        unblock(&mut world);
        fails(comes_to_an_end(&mut world))?;
    }

    #[test]
    fn what_is_no_frames_goes_by_as_it_is(
        client in vec(any::<u8>(), 1..400),
        upstream in vec(any::<u8>(), 1..400),
        steps in vec(step(), 0..60),
        message in 0..2000u64,
    ) {
        let mut world = World::new(messages_of(message, Limits::default()), 0);
        // No valid frame, and no Close.
        world.client.stream = [&[3][..], &client].concat();
        world.upstream.stream = [&[0x83][..], &upstream].concat();
        for step in steps.iter().filter(|step| !matches!(step, Step::Drain(_))) {
            take(&mut world, step);
            let (client, upstream) = (&world.client, &world.upstream);
            prop_assert!(client.stream.starts_with(&upstream.got));
            prop_assert!(upstream.stream.starts_with(&client.got));
        }
        unblock(&mut world);
        if !world.is_over {
            let (client, upstream) = (&world.client, &world.upstream);
            prop_assert_eq!(&client.stream[..client.arrived], &upstream.got);
            prop_assert_eq!(&upstream.stream[..upstream.arrived], &client.got);
            prop_assert_eq!(world.not_frames.len(), 2);
        }
    }

    #[test]
    fn a_message_that_is_too_big_never_arrives(
        client in stream(true),
        message in 1..200u64,
        steps in vec(step(), 0..60),
    ) {
        let mut world = World::new(messages_of(message, Limits::default()), 0);
        world.client.stream = client.concat();
        for step in &steps {
            take(&mut world, step);
        }
        unblock(&mut world);
        let (theirs, _) = without_ours(&world.upstream.got, true);
        let mut sum = 0;
        for frame in frames(&theirs) {
            if frame.opcode < 8 {
                sum = if frame.opcode == 0 { sum } else { 0 } + frame.payload.len() as u64;
                prop_assert!(sum <= message, "{sum} bytes of a message");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    #[test]
    fn messages_come_no_faster_than_they_may(
        client in stream(true),
        message_rate in message_rate(),
        steps in vec(step(), 0..60),
    ) {
        let bounds = Bounds { message_rate: Some(message_rate), ..Bounds::default() };
        let mut world = World::new(Terms { bounds, ..Terms::default() }, 0);
        world.client.stream = client.concat();
        for step in &steps {
            take(&mut world, step);
            fails(keeps_to(message_rate, &world, 0))?;
        }
        unblock(&mut world);
        let reason = world.tunnel.summary(b"").end.reason;
        prop_assert!(reason != Reason::MessageRate || message_rate.excess == Excess::Close);
    }
}

fn fails(result: Result<(), String>) -> Result<(), TestCaseError> {
    result.map_err(TestCaseError::fail)
}

/// Frames that a peer sends: messages in fragments, control frames between them, at the end a Close
/// perhaps.
pub fn stream(masked: bool) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let mask = masked.then_some(THEIR_MASK);
    let length = prop_oneof![6 => 0..20usize, 2 => 90..140usize, 1 => 250..600usize];
    let fragment = (length, option(control()));
    let message = vec(fragment, 1..4).prop_map(move |fragments| {
        let last = fragments.len() - 1;
        let mut bytes = vec![];
        for (index, (length, control)) in fragments.into_iter().enumerate() {
            let opcode = if index == 0 { 2 } else { 0 };
            bytes.extend(frame(opcode, index == last, &vec![0x42; length], mask));
            match control {
                Some(Control::Own(opcode, length)) => {
                    bytes.extend(frame(opcode, true, &vec![0x43; length], mask));
                }
                Some(Control::Answer(masked)) => {
                    let mask = masked.then_some(THEIR_MASK);
                    bytes.extend(frame(10, true, &PING[2..], mask));
                }
                None => {}
            }
        }
        bytes
    });
    (vec(message, 0..8), any::<bool>()).prop_map(move |(mut messages, closes)| {
        if closes {
            messages.push(frame(8, true, &1000u16.to_be_bytes(), mask));
        }
        messages
    })
}

#[derive(Clone, Copy, Debug)]
enum Control {
    /// A Ping or Pong that has nothing to do with the tunnel.
    Own(u8, usize),
    /// What the tunnel may be waiting for, masked or not.
    Answer(bool),
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        (1..126usize).prop_map(|length| Control::Own(9, length)),
        (0..126usize).prop_map(|length| Control::Own(10, length)),
        any::<bool>().prop_map(Control::Answer),
    ]
}

fn option<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    proptest::option::of(strategy)
}

fn ping_to() -> impl Strategy<Value = PingTo> {
    prop_oneof![
        Just(PingTo::Client),
        Just(PingTo::Upstream),
        Just(PingTo::Both)
    ]
}

pub fn terms() -> impl Strategy<Value = Terms> {
    let time = || option((5..3000u32).prop_map(|time| NonZeroU32::new(time).unwrap()));
    let ping = option(
        (5..500u32, 5..500u32, ping_to()).prop_map(|(interval, timeout, to)| Ping {
            interval: NonZeroU32::new(interval).unwrap(),
            timeout: NonZeroU32::new(timeout).unwrap(),
            to,
        }),
    );
    let number = || option((100..2000u64).prop_map(|number| NonZeroU64::new(number).unwrap()));
    let limits = (time(), time(), time(), ping).prop_map(|(idle, client, upstream, ping)| Limits {
        idle,
        send_to_client: client,
        send_to_upstream: upstream,
        ping,
        drain_code: 1012,
    });
    let bounds = (number(), number(), option(message_rate()), time()).prop_map(
        |(message, rate, message_rate, message_timeout)| Bounds {
            message,
            rate,
            message_rate,
            message_timeout,
        },
    );
    (limits, option(5..3000usize), bounds).prop_map(|(limits, lifetime, bounds)| Terms {
        limits,
        lifetime,
        bounds,
    })
}

fn message_rate() -> impl Strategy<Value = MessageRate> {
    let per_minute = prop_oneof![30..600u32, 600..20_000u32];
    let excess = select(vec![Excess::Delay, Excess::Close]);
    (per_minute, 0..5u32, excess).prop_map(|(per_minute, burst, excess)| MessageRate {
        per_minute: NonZeroU32::new(per_minute).unwrap(),
        burst,
        excess,
    })
}

pub fn step() -> impl Strategy<Value = Step> {
    let side = || select(Side::BOTH.to_vec());
    let count = || prop_oneof![1..4usize, 1..40usize, 100..2000usize];
    prop_oneof![
        4 => (side(), count()).prop_map(|(side, count)| Step::Arrives(side, count)),
        3 => (side(), count()).prop_map(|(side, count)| Step::Takes(side, count)),
        2 => (side(), any::<bool>()).prop_map(|(side, admits)| Step::Blocks(side, admits)),
        1 => (side(), count()).prop_map(|(side, piece)| Step::Piece(side, piece)),
        1 => (side(), any::<bool>()).prop_map(|(side, reads)| Step::Reads(side, reads)),
        1 => (side(), count()).prop_map(|(side, count)| Step::Acknowledges(side, count)),
        2 => side().prop_map(Step::Turn),
        3 => (1..600usize).prop_map(Step::Wait),
        1 => (1..500usize).prop_map(Step::Drain),
        1 => side().prop_map(Step::IsHalf),
        1 => side().prop_map(Step::Finishes),
    ]
}
