//! Whatever comes in whatever order, what a peer receives is what the other sent, with whole frames of
//! the tunnel's between its frames.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use websocket_protocol::tunnel::{
    Bounds, CLOSE_TIMEOUT, Excess, Limits, MessageRate, Ping, Reason, Side,
};

use crate::case::{PING, messages_of};
use crate::world::{MASK, Terms, World};

const THEIR_MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

#[derive(Clone, Debug)]
pub enum Step {
    Arrives(Side, usize),
    Takes(Side, usize),
    /// Its socket takes nothing more, and admits that or not.
    Blocks(Side, bool),
    Piece(Side, usize),
    /// Its socket holds what it takes, or not.
    Reads(Side, bool),
    Acknowledges(Side, usize),
    Turn(Side),
    Wait(usize),
    Drain(usize),
    Finishes(Side),
    /// Another process goes on with it.
    Moves,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

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
            check(&world)?;
        }
        unblock(&mut world);
        check(&world)?;
        let reason = world.tunnel.summary(b"").end.reason;
        let goes_on = matches!(reason, Reason::Normal | Reason::NoCloseFrame | Reason::Error);
        if !goes_on {
            // It is closing, and the peers need not answer.
            world.wait(CLOSE_TIMEOUT.get() as usize);
            prop_assert!(world.is_over);
        }
        if !world.is_over {
            // Nothing has ended it: so all has arrived.
            prop_assert!(!is_closed(&world.client.got, false));
            prop_assert!(!is_closed(&world.upstream.got, true));
            for (sender, receiver, masked) in [
                (&world.client, &world.upstream, true),
                (&world.upstream, &world.client, false),
            ] {
                let (theirs, rest) = without_ours(&receiver.got, masked);
                let (sent, unfinished) = without_answers(&sender.stream[..sender.arrived]);
                // What may yet be an answer waits.
                let may_wait = answers().iter().any(|answer| answer.starts_with(&unfinished));
                let has_all = rest == unfinished || (rest.is_empty() && may_wait);
                prop_assert!(theirs == sent && has_all, "{:?}", receiver.got);
            }
            world.finishes(Side::Client);
        }
        prop_assert!(world.is_over, "it goes on without its client");
        let reason = world.tunnel.summary(b"").end.reason;
        prop_assert!(reason != Reason::Error);
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
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn messages_come_no_faster_than_they_may(
        client in stream(true),
        message_rate in message_rate(),
        steps in vec(step(), 0..60),
    ) {
        let bounds = Bounds { message_rate: Some(message_rate), ..Bounds::default() };
        let mut world = World::new(Terms { bounds, ..Terms::default() }, 0);
        world.client.stream = client.concat();
        let MessageRate { per_minute, burst, excess } = message_rate;
        let per_minute = per_minute.get() as usize;
        // What comes within 20 ms comes at once.
        let at_once = (burst as usize + 1).max(per_minute * 20 / 60_000);
        for step in &steps {
            take(&mut world, step);
            let begun = frames(&world.upstream.got).iter().filter(|frame| frame.opcode == 2).count();
            let most = at_once + per_minute * world.now / 60_000;
            prop_assert!(begun <= most, "{begun} messages, where {most} may be");
        }
        unblock(&mut world);
        let reason = world.tunnel.summary(b"").end.reason;
        prop_assert!(reason != Reason::MessageRate || excess == Excess::Close);
    }
}

pub fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Arrives(side, count) => world.arrives(side, count),
        Step::Takes(side, count) => world.takes(side, count),
        Step::Blocks(side, admits) => {
            world.peer(side).room = 0;
            world.peer(side).is_asked = !admits;
        }
        Step::Piece(side, piece) => world.peer(side).piece = piece,
        Step::Reads(side, reads) => world.peer(side).reads = reads,
        Step::Acknowledges(side, count) => world.acknowledges(side, count),
        Step::Turn(side) => world.turn(side),
        Step::Wait(time) => world.wait(time),
        Step::Drain(within) => {
            let now = world.now;
            world.tunnel.drain(within, None, now, within / 2);
            world.turn(Side::Client);
        }
        Step::Finishes(side) => world.finishes(side),
        Step::Moves => {
            if world.hand_over() {
                world.looks_at_all();
            }
        }
    }
}

/// All arrives, all is taken, and a rate has the time it needs.
pub fn unblock(world: &mut World) {
    for side in Side::BOTH {
        let peer = world.peer(side);
        (peer.room, peer.piece) = (usize::MAX, usize::MAX);
    }
    for side in Side::BOTH {
        world.arrives(side, usize::MAX);
        world.turn(side.other());
    }
    for _ in 0..400 {
        let is_held = world.tunnel.is_stuck(Side::Client);
        let is_through = world.client.is_through() && world.upstream.is_through();
        if world.is_over || (is_through && !is_held) {
            return;
        }
        world.wait(1000);
    }
    panic!("something is held for ever");
}

/// What has come to each side so far is right.
fn check(world: &World) -> Result<(), TestCaseError> {
    for (sender, receiver, masked) in [
        (&world.client, &world.upstream, true),
        (&world.upstream, &world.client, false),
    ] {
        let (theirs, rest) = without_ours(&receiver.got, masked);
        let (sent, unfinished) = without_answers(&sender.stream);
        let sent = [sent, unfinished].concat();
        let is_prefix = sent.starts_with(&[&theirs[..], &rest].concat());
        // A frame of the tunnel's may be under way, or a Pong that answers nothing.
        let own = [ours(masked), answers()].concat();
        let is_begun = !rest.is_empty() && own.iter().any(|frame| frame.starts_with(&rest));
        let is_ours = is_begun && sent.starts_with(&theirs);
        prop_assert!(
            is_prefix || is_ours,
            "{:?} is not what was sent",
            receiver.got
        );
        if let Some(end) = close_of_ours(&receiver.got, masked) {
            prop_assert_eq!(end, receiver.got.len(), "something follows a Close");
        }
    }
    Ok(())
}

fn is_closed(got: &[u8], masked: bool) -> bool {
    close_of_ours(got, masked).is_some()
}

/// Where a Close of the tunnel's ends.
fn close_of_ours(got: &[u8], masked: bool) -> Option<usize> {
    let closes = &ours(masked)[1..];
    let mut offset = 0;
    frames(got).into_iter().find_map(|frame| {
        offset += frame.bytes.len();
        closes.contains(&frame.bytes).then_some(offset)
    })
}

/// The whole frames that the other peer sent, and what follows the last whole frame.
fn without_ours(got: &[u8], masked: bool) -> (Vec<u8>, Vec<u8>) {
    let ours = [ours(masked), answers()].concat();
    let frames = frames(got);
    let whole = frames.iter().map(|frame| frame.bytes.len()).sum();
    let theirs = frames
        .into_iter()
        .filter(|frame| !ours.contains(&frame.bytes));
    (
        theirs.flat_map(|frame| frame.bytes).collect(),
        got[whole..].to_vec(),
    )
}

/// Frames that a peer has sent, but for those that the tunnel may have kept from the other; and what
/// follows the last whole frame.
fn without_answers(sent: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let frames = frames(sent);
    let whole = frames.iter().map(|frame| frame.bytes.len()).sum();
    let answers = answers();
    let theirs = frames.into_iter().map(|frame| frame.bytes);
    let theirs: Vec<_> = theirs.filter(|frame| !answers.contains(frame)).collect();
    (theirs.concat(), sent[whole..].to_vec())
}

/// Answers to the tunnel's Pings. A peer may send some without having been asked: those pass.
fn answers() -> Vec<Vec<u8>> {
    [None, Some(THEIR_MASK)]
        .map(|mask| frame(10, true, &PING[2..], mask))
        .into()
}

/// What the tunnel may put in: its Ping, and Closes that no peer of these tests sends.
fn ours(masked: bool) -> Vec<Vec<u8>> {
    let mut frames = vec![frame(9, true, &PING[2..], masked.then_some(MASK))];
    for code in [1001u16, 1008, 1009, 1012] {
        frames.push(frame(8, true, &code.to_be_bytes(), masked.then_some(MASK)));
    }
    frames
}

struct Parsed {
    opcode: u8,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

/// Whole frames, read the obvious way.
fn frames(mut bytes: &[u8]) -> Vec<Parsed> {
    let mut all = vec![];
    loop {
        let [first, second, rest @ ..] = bytes else {
            return all;
        };
        let (length, skip) = match (second & 0x7F, rest) {
            (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            (126, _) => return all,
            (length, _) => (usize::from(length), 2),
        };
        let skip = skip + if second & 0x80 != 0 { 4 } else { 0 };
        let Some(payload) = bytes.get(skip..skip + length) else {
            return all;
        };
        let (opcode, payload) = (first & 15, payload.to_vec());
        let (frame, rest) = bytes.split_at(skip + length);
        all.push(Parsed {
            opcode,
            payload,
            bytes: frame.to_vec(),
        });
        bytes = rest;
    }
}

fn frame(opcode: u8, fin: bool, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![opcode | if fin { 0x80 } else { 0 }];
    let flag = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => bytes.push(flag | length as u8),
        length => {
            bytes.push(flag | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let key = mask.unwrap_or_default();
    bytes.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
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

pub fn terms() -> impl Strategy<Value = Terms> {
    let time = || option((5..3000u32).prop_map(|time| NonZeroU32::new(time).unwrap()));
    let ping = option(
        (5..500u32, 5..500u32, any::<bool>(), any::<bool>()).prop_map(
            |(interval, timeout, to_client, to_upstream)| Ping {
                interval: NonZeroU32::new(interval).unwrap(),
                timeout: NonZeroU32::new(timeout).unwrap(),
                to_client,
                to_upstream,
            },
        ),
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
        1 => side().prop_map(Step::Finishes),
        2 => Just(Step::Moves),
    ]
}
