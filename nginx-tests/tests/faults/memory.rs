//! Memory that can't be had: each call that asks for some fails once, and from each one on all do, in every
//! part of a connection's life.

use std::env;

use nginx_tests::environment::openssl_version;
use nginx_tests::faults::{Kind, Spell};

use crate::http2;
use crate::stage::{Holdings, Stage};
use crate::visits::{self, Outcome, Visit, outcome};

const SPELLS: [Spell; 2] = [Spell::Once, Spell::Lasting];

/// More calls than there are in any visit.
const MANY: i64 = 20_000;

#[test]
fn of_a_tunnel() {
    let tunnels = [
        visits::plain,
        visits::all,
        visits::small,
        visits::own_loop,
        visits::second,
        visits::logged,
    ];
    at_every_call(&tunnels, all);
}

#[test]
fn of_a_tunnel_over_tls() {
    if openssl_version() >= Some((3, 1, 0)) {
        nginx_tests::skipped("without memory OpenSSL itself ends a worker in SSL_set_options()");
        return;
    }
    let step = env::var("NGINX_TESTS_FAULTS_STEP").map_or(7, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{text:?} is not a number"))
    });
    at_calls(
        step,
        &[
            visits::tls,
            visits::tls_on_both_sides,
            http2::tunnels_over_tls,
        ],
        without_pieces,
    );
}

#[test]
fn of_tunnels_over_http2() {
    at_every_call(&[http2::tunnels, http2::late, http2::refused], all);
}

#[test]
fn of_a_handshake_that_fails() {
    let failures = [
        visits::down,
        visits::bad_origin,
        visits::bad_version,
        visits::refused,
        visits::refused_with_a_page,
        visits::wrong_accept,
    ];
    at_every_call(&failures, all);
}

#[test]
fn of_what_there_is_to_see_and_of_closing() {
    at_every_call(&[visits::status, visits::closing], all);
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
                    assert!(number > 1, "{spell:?}: no call fails");
                    break;
                }
            }
        }
    }
    stage.assert_nothing_is_counted_as_open();
}

#[track_caller]
fn at_every_call(visits: &[Visit], counted: fn(Holdings) -> Holdings) {
    at_calls(1, visits, counted);
}

/// At one in so many.
#[track_caller]
fn at_calls(step: i64, visits: &[Visit], counted: fn(Holdings) -> Holdings) {
    let Some(stage) = Stage::start(|setup| setup) else {
        return;
    };
    for &visit in visits {
        let mut calm = counted(calm(&stage, visit));
        for spell in SPELLS {
            let (mut number, mut is_repeated) = (1, false);
            while number < MANY && survives(&stage, visit, spell, number) {
                assert_eq!(outcome(visit, &stage), Outcome::Done);
                if stage.comes_to_hold(|now| counted(now) == calm) {
                    (number, is_repeated) = (number + step, false);
                    continue;
                }
                // What is made the first time that something fails is not made again.
                let now = counted(stage.holdings());
                assert!(
                    !is_repeated,
                    "call {number}, {spell:?}: {now:?}, and before {calm:?}"
                );
                (calm, is_repeated) = (now, true);
            }
            assert!(number > 1, "{spell:?}: no call fails");
            eprintln!("{spell:?}: {number} calls");
        }
    }
    stage.assert_nothing_is_counted_as_open();
}

/// All that a worker has.
const fn all(holdings: Holdings) -> Holdings {
    holdings
}

/// OpenSSL loses some pieces where it has no memory for others.
pub const fn without_pieces(holdings: Holdings) -> Holdings {
    Holdings {
        pieces: 0,
        ..holdings
    }
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
    let (failed, outcome) =
        stage.during(Kind::Memory, number, spell, |stage| outcome(visit, stage));
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
    // nginx says at "info" what OpenSSL says of a handshake that fails.
    let words = [
        "[emerg]",
        "[alert]",
        "[crit]",
        "[error]",
        "malloc failure",
        "SSL_do_handshake() failed",
    ];
    let is_told = words.iter().any(|text| news.contains(text));
    assert!(
        is_told || matches!(outcome, Outcome::Done | Outcome::Bare),
        "call {number}, {spell:?}: {outcome:?}\n{news}"
    );
    true
}
