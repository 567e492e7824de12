//! Memory that can't be had: each call that asks for some fails once, and from each one on all do, in every
//! part of a connection's life.

use nginx_tests::faults::{Kind, Spell};

use crate::stage::{Holdings, Stage};
use crate::visits::{self, Outcome, Visit, outcome};

const SPELLS: [Spell; 2] = [Spell::Once, Spell::Lasting];

/// More calls than there are in any visit.
const MANY: i64 = 20_000;

#[test]
fn of_a_tunnel() {
    at_every_call(&[
        visits::plain,
        visits::all,
        visits::small,
        visits::own_loop,
        visits::second,
        visits::logged,
    ]);
}

#[test]
fn of_a_tunnel_over_tls() {
    at_every_call(&[visits::tls, visits::tls_on_both_sides]);
}

#[test]
fn of_a_handshake_that_fails() {
    at_every_call(&[
        visits::down,
        visits::bad_origin,
        visits::bad_version,
        visits::refused,
        visits::refused_with_a_page,
        visits::wrong_accept,
    ]);
}

#[test]
fn of_what_there_is_to_see_and_of_closing() {
    at_every_call(&[visits::status, visits::closing]);
}

/// What a worker keeps it asks for once, so that each call takes a worker of its own.
#[test]
fn of_a_worker_s_first_tunnel() {
    let Some(stage) = Stage::start(|setup| setup) else {
        return;
    };
    for visit in [visits::plain as Visit, visits::large] {
        for spell in SPELLS {
            for number in 1..MANY {
                stage.renew();
                if !survives(&stage, visit, spell, number) {
                    break;
                }
            }
        }
    }
    stage.assert_nothing_is_counted_as_open();
}

#[track_caller]
fn at_every_call(all: &[Visit]) {
    let Some(stage) = Stage::start(|setup| setup) else {
        return;
    };
    for &visit in all {
        let (mut calm, mut last) = (calm(&stage, visit), None);
        for spell in SPELLS {
            let mut numbers = (1..MANY).peekable();
            while let Some(&number) = numbers.peek() {
                if !survives(&stage, visit, spell, number) {
                    break;
                }
                assert_eq!(outcome(visit, &stage), Outcome::Done);
                if stage.comes_to_hold(calm) {
                    numbers.next();
                    continue;
                }
                // OpenSSL keeps something of its first mistake: of the same one again it keeps no more.
                let now = stage.holdings();
                let once_more = (number, spell);
                assert!(last != Some(once_more), "call {number}, {spell:?}: {now:?}, and before {calm:?}");
                (calm, last) = (now, Some(once_more));
            }
        }
    }
    stage.assert_nothing_is_counted_as_open();
}

/// What a worker has that has served such clients.
#[track_caller]
fn calm(stage: &Stage, visit: Visit) -> Holdings {
    for _ in 0..2 {
        assert_eq!(outcome(visit, stage), Outcome::Done);
    }
    stage.holdings()
}

/// Has a call fail during a visit. `false`: there are not so many.
#[track_caller]
fn survives(stage: &Stage, visit: Visit, spell: Spell, number: i64) -> bool {
    stage.news();
    let (failed, outcome) = stage.during(Kind::Memory, number, spell, |stage| outcome(visit, stage));
    if failed == 0 {
        assert_eq!(outcome, Outcome::Done, "and no call failed");
        return false;
    }
    let news = stage.news();
    let lines = |text| news.matches(text).count();
    assert_eq!(
        lines("websocket established in"),
        lines("websocket closed after"),
        "call {number}, {spell:?}:\n{news}"
    );
    let is_told = ["[emerg]", "[alert]", "[crit]", "[error]"]
        .iter()
        .any(|level| news.contains(level));
    assert!(is_told || outcome == Outcome::Done, "call {number}, {spell:?}: {outcome:?}\n{news}");
    true
}
