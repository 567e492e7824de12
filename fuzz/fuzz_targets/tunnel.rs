//! A whole tunnel: two peers, limits, bounds, clock and closing handshake, whatever happens in whatever
//! order. What the tests of protocol/ hold it to has to be true.

#![no_main]

#[path = "../../protocol/tests/tunnel/case.rs"]
#[allow(dead_code)]
mod case;
#[path = "../../protocol/tests/tunnel/passage.rs"]
mod passage;
#[path = "../../protocol/tests/tunnel/steps.rs"]
mod steps;
#[path = "../../protocol/tests/tunnel/wire.rs"]
#[allow(dead_code)]
mod wire;
#[path = "../../protocol/tests/tunnel/world.rs"]
#[allow(dead_code)]
mod world;

use std::num::{NonZeroU32, NonZeroU64};

use case::PING;
use libfuzzer_sys::fuzz_target;
use passage::{comes_to_an_end, is_passed_on, keeps_to};
use steps::{Step, take, unblock};
use websocket_fuzz::input::Input;
use websocket_protocol::tunnel::{
    Bounds, CLOSE_TIMEOUT, Excess, Guard, Limits, MessageRate, Ping, PingTo, Side,
};
use wire::{THEIR_MASK, frame};
use world::{Terms, World};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let start = if input.byte() & 1 == 0 {
        0
    } else {
        usize::MAX - 1500
    };
    let terms = terms(&mut input);
    let mut guard = Guard::new(terms.bounds, start);
    let mut world = World::with(terms, guard.as_mut(), start);
    let are_frames = input.byte() & 3 != 0;
    for side in Side::BOTH {
        world.peer(side).stream = match are_frames {
            true => frames(&mut input, side),
            false => {
                let count = input.byte().into();
                input.take(count).to_vec()
            }
        };
    }
    let check = |world: &World| {
        if are_frames {
            is_passed_on(world).expect("what was sent comes");
        }
        if let (true, Some(rate)) = (are_frames, terms.bounds.message_rate) {
            keeps_to(rate, world, start).expect("a rate is kept");
        }
    };
    for _ in 0..MOST_STEPS {
        if input.is_empty() || world.is_over {
            break;
        }
        take(&mut world, &step(&mut input));
        check(&world);
    }
    unblock(&mut world);
    if are_frames {
        comes_to_an_end(&mut world).expect("an end");
    } else {
        Side::BOTH.into_iter().for_each(|side| world.finishes(side));
        world.wait(CLOSE_TIMEOUT.get() as usize);
        assert!(world.is_over, "it goes on without its peers");
    }
    check(&world);
});

/// Each may take some hundred looks at a clock.
const MOST_STEPS: usize = 100;

fn terms(input: &mut Input<'_>) -> Terms {
    let flags = input.short();
    let has = |bit: u32| flags >> bit & 1 == 1;
    let mut time = |bit| {
        let time = has(bit).then(|| input.within(5..=3000))?;
        NonZeroU32::new(time)
    };
    let (idle, client, upstream) = (time(0), time(1), time(2));
    let (interval, timeout, message_timeout) = (time(3), time(3), time(4));
    let lifetime = time(5).map(|age| age.get() as usize);
    let ping = interval.zip(timeout).map(|(interval, timeout)| Ping {
        interval,
        timeout,
        to: match (has(6), has(7)) {
            (true, true) => PingTo::Both,
            (true, false) => PingTo::Client,
            (false, _) => PingTo::Upstream,
        },
    });
    let mut number = |bit| {
        let number = has(bit).then(|| input.within(100..=2000))?;
        NonZeroU64::new(number.into())
    };
    let (message, rate) = (number(8), number(9));
    let per_minute = has(10).then(|| input.within(30..=20_000));
    let message_rate = per_minute
        .and_then(NonZeroU32::new)
        .map(|per_minute| MessageRate {
            per_minute,
            burst: input.byte() as u32 % 5,
            excess: if has(11) {
                Excess::Close
            } else {
                Excess::Delay
            },
        });
    Terms {
        limits: Limits {
            idle,
            send_to_client: client,
            send_to_upstream: upstream,
            ping,
            drain_code: 1012,
        },
        lifetime,
        bounds: Bounds {
            message,
            rate,
            message_rate,
            message_timeout,
        },
    }
}

/// Messages in fragments, control frames between them, perhaps a Close at the end.
fn frames(input: &mut Input<'_>, from: Side) -> Vec<u8> {
    let mask = (from == Side::Client).then_some(THEIR_MASK);
    let mut stream = vec![];
    let mut is_within = false;
    for _ in 0..input.byte() % 12 {
        let kind = input.byte();
        let length = usize::from(input.byte());
        match kind & 7 {
            // What a tunnel with Pings may be waiting for, masked or not.
            0 => {
                let mask = (kind & 8 != 0).then_some(THEIR_MASK);
                stream.extend(frame(10, true, &PING[2..], mask));
            }
            1 => stream.extend(frame(
                9 + (kind >> 3 & 1),
                true,
                &vec![0x43; length % 126],
                mask,
            )),
            _ => {
                let opcode = if is_within { 0 } else { 1 + (kind >> 4 & 1) };
                let length = length << (kind >> 5 & 1);
                is_within = kind & 8 != 0;
                stream.extend(frame(opcode, !is_within, &vec![0x42; length], mask));
            }
        }
    }
    if input.byte() & 1 == 1 {
        stream.extend(frame(8, true, &1000u16.to_be_bytes(), mask));
    }
    stream
}

fn step(input: &mut Input<'_>) -> Step {
    let kind = input.byte();
    let side = Side::BOTH[usize::from(kind >> 4 & 1)];
    let is_so = kind & 0x20 != 0;
    let mut count = || match usize::from(input.byte()) {
        count @ 0..128 => 1 + count,
        large => (large - 127) * 16,
    };
    match kind & 15 {
        0..3 => Step::Arrives(side, count()),
        3..5 => Step::Takes(side, count()),
        5 => Step::Blocks(side, is_so),
        6 => Step::Piece(side, count()),
        7 => Step::Reads(side, is_so),
        8 => Step::Acknowledges(side, count()),
        9 => Step::Turn(side),
        10 => Step::IsHalf(side),
        11..14 => Step::Wait(count()),
        14 => Step::Drain(count()),
        _ => Step::Finishes(side),
    }
}
