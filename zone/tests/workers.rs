//! Workers that come, count and die at any moment, as threads.

use std::collections::HashSet;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use proptest::prelude::*;
use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason, Traffic};
use websocket_zone::{
    Action, Failed, LabelId, Memory, Meter, Noted, Over, Owners, Place, Text, Which, Writer, Zone,
};

/// Who is alive, as a lock of the system would tell.
#[derive(Default)]
struct Living(Mutex<HashSet<usize>>);

impl Owners for &Living {
    fn take(&self, slot: usize) -> bool {
        self.0.lock().unwrap().insert(slot)
    }

    fn give_back(&self, slot: usize) {
        self.0.lock().unwrap().remove(&slot);
    }
}

fn memory(words: usize) -> &'static [AtomicU64] {
    (0..words)
        .map(|_| AtomicU64::new(0))
        .collect::<Vec<_>>()
        .leak()
}

fn zone() -> Zone<'static> {
    let memory_for = Memory {
        name: b"one",
        history: 4,
        started: 0,
    };
    Zone::create(memory(96 * 1024), memory_for).unwrap()
}

const PLACE: Place<'_> = Place {
    client: b"192.0.2.7",
    server: b"example.com",
    uri: b"/chat",
    upstream: b"10.0.0.5:9000",
    subprotocol: b"",
    is_tls: false,
    http: (1, 1),
};

fn over(reason: Reason) -> Over {
    Over {
        by: None,
        reason: Some(reason),
        code: None,
        duration_ms: 5,
        from_client: Count::NONE,
        from_upstream: Count::NONE,
        ping_rtt: None,
        time: 1,
    }
}

fn listed(zone: Zone<'_>) -> usize {
    (0..zone.tunnels())
        .filter(|index| zone.tunnel(*index).is_some())
        .count()
}

/// What workers do.
#[derive(Clone, Debug)]
enum Step {
    Comes,
    Establishes(usize),
    Fails(usize),
    Ends(usize, usize),
    /// By itself, or killed.
    Goes(usize, bool),
    Sweeps(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let worker = 0..6usize;
    let step = prop_oneof![
        2 => Just(Step::Comes),
        6 => worker.clone().prop_map(Step::Establishes),
        2 => worker.clone().prop_map(Step::Fails),
        4 => (worker.clone(), 0..20usize).prop_map(|(worker, tunnel)| Step::Ends(worker, tunnel)),
        1 => (worker.clone(), any::<bool>()).prop_map(|(worker, kill)| Step::Goes(worker, kill)),
        1 => worker.prop_map(Step::Sweeps),
    ];
    proptest::collection::vec(step, 0..200)
}

struct Worker {
    writer: Writer<'static>,
    label: LabelId,
    tunnels: Vec<Meter>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Against numbers that are kept beside.
    #[test]
    #[cfg_attr(miri, ignore = "one thread, and thousands of looks at the whole zone")]
    fn whatever_happens_it_adds_up(steps in steps()) {
        let (zone, living) = (zone(), Living::default());
        let mut workers: Vec<Worker> = vec![];
        let (mut established, mut ended, mut lost, mut failed) = (0, 0, 0, 0);
        for step in steps {
            match step {
                Step::Comes if workers.len() < 6 => {
                    let writer = Writer::claim(zone, &&living).unwrap();
                    let label = writer.label(b"label");
                    workers.push(Worker { writer, label, tunnels: vec![] });
                }
                Step::Establishes(index) if index < workers.len() => {
                    let worker = &mut workers[index];
                    let meter = worker.writer.established(worker.label, &PLACE, 1, 0, 0);
                    worker.tunnels.push(meter);
                    established += 1;
                }
                Step::Fails(index) if index < workers.len() => {
                    let worker = &workers[index];
                    let what = Failed {
                        cause: Cause::ClientGone,
                        advice: "",
                        is_rejected: false,
                        seen: b"",
                        time: 0,
                    };
                    worker.writer.failed(worker.label, &PLACE, &what);
                    failed += 1;
                }
                Step::Ends(index, tunnel) if index < workers.len() => {
                    let worker = &mut workers[index];
                    if tunnel < worker.tunnels.len() {
                        let meter = worker.tunnels.swap_remove(tunnel);
                        worker.writer.ended(&meter, || PLACE, &over(Reason::Normal));
                        ended += 1;
                    }
                }
                Step::Goes(index, is_killed) if index < workers.len() => {
                    let worker = workers.remove(index);
                    let count = worker.tunnels.len() as u64;
                    if is_killed {
                        (&living).give_back(worker.writer.slot());
                        lost += count;
                    } else {
                        worker.writer.leave(&&living);
                        ended += count;
                    }
                }
                Step::Sweeps(index) if index < workers.len() => workers[index].writer.tick(&&living),
                _ => {}
            }
            zone.sweep(&&living, None);
            let totals = zone.totals();
            let active: usize = workers.iter().map(|worker| worker.tunnels.len()).sum();
            prop_assert_eq!(totals.established(), established);
            prop_assert_eq!(totals.active(), active as u64);
            prop_assert_eq!(totals.lost(), lost);
            prop_assert_eq!(totals.failed_total(), failed);
            let closes: u64 = totals.closes().map(|close| close.count).sum();
            prop_assert_eq!(closes, ended + lost);
            prop_assert_eq!((listed(zone), totals.unlisted()), (active, 0));
            prop_assert_eq!(zone.workers(), workers.len());
            let upstream = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
            let to_upstreams: u64 = upstream.map(|upstream| upstream.counters.active()).sum();
            prop_assert_eq!(to_upstreams, active as u64);
        }
    }
}

/// Under Miri threads meet in more ways, and a thousand times more slowly.
const fn fewer(usual: usize) -> usize {
    if cfg!(miri) { usual / 200 } else { usual }
}

#[test]
fn a_thousand_workers_that_stop_in_the_middle_of_everything() {
    let (zone, living) = (zone(), Living::default());
    let is_over = AtomicBool::new(false);
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::Relaxed) < fewer(1000) {
                    let Some(writer) = Writer::claim(zone, &&living) else {
                        continue;
                    };
                    let label = writer.label(b"label");
                    let meters: Vec<Meter> = (0..20)
                        .map(|_| writer.established(label, &PLACE, 1, 0, 0))
                        .collect();
                    for meter in meters.iter().take(7) {
                        writer.ended(meter, || PLACE, &over(Reason::Normal));
                    }
                    (&living).give_back(writer.slot());
                }
                is_over.store(true, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            let mut before = (0, 0, 0);
            while !is_over.load(Ordering::Relaxed) {
                zone.sweep(&&living, None);
                let totals = zone.totals();
                let closes: u64 = totals.closes().map(|close| close.count).sum();
                let now = (totals.established(), totals.lost(), closes);
                assert!(now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2);
                before = now;
                for index in 0..zone.tunnels() {
                    if let Some(tunnel) = zone.tunnel(index) {
                        assert_eq!(*tunnel.who.uri, *PLACE.uri);
                        assert_eq!(*tunnel.upstream, *PLACE.upstream);
                    }
                }
                for end in zone.ends().filter_map(|number| zone.end(number)) {
                    assert_eq!((&*end.who.uri, &*end.who.client), (PLACE.uri, PLACE.client));
                }
            }
        });
    });
    zone.sweep(&&living, None);
    let totals = zone.totals();
    let closes: u64 = totals.closes().map(|close| close.count).sum();
    assert_eq!((totals.active(), closes), (0, totals.established()));
    assert_eq!((zone.workers(), listed(zone)), (0, 0));
    assert_eq!(totals.lost(), totals.established() / 20 * 13);
}

#[test]
fn bytes_of_many_tunnels_at_once_are_all_counted() {
    let (zone, living) = (zone(), Living::default());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let writer = Writer::claim(zone, &&living).unwrap();
                let label = writer.label(b"label");
                let meter = writer.established(label, &PLACE, 1, 0, 0);
                let (noted, mut before) = (Noted::default(), Traffic::NONE);
                for _ in 0..fewer(10_000) {
                    let mut after = before;
                    after.from_client.bytes += 3;
                    after.from_upstream.frames += 1;
                    after.from_upstream.messages += 1;
                    writer.moved(&meter, &noted, &after);
                    before = after;
                }
            });
        }
    });
    let totals = zone.totals();
    assert_eq!(totals.from_client().bytes, 4 * 3 * fewer(10_000) as u64);
    assert_eq!(totals.from_upstream().messages, 4 * fewer(10_000) as u64);
}

#[test]
fn an_action_is_seen_once_by_every_worker_and_its_progress_by_all() {
    let (zone, living) = (zone(), Living::default());
    let writers: Vec<_> = (0..3)
        .map(|_| Writer::claim(zone, &&living).unwrap())
        .collect();
    let action = Action {
        which: Which {
            upstream: Some(Text::new(PLACE.upstream)),
            subprotocol: Some(Text::EMPTY),
            idle_ms: Some(0),
            ..Which::default()
        },
        over_ms: 60_000,
        code: 4321,
        reason: Text::new(b"deploying"),
        posted_at: 5000,
    };
    let id = zone.post(&action).unwrap();
    assert_eq!(zone.action(id), Some(action));
    assert_eq!(zone.progress(id).waiting, 3);
    let label = writers[0].label(b"label");
    let mut meters: Vec<_> = writers
        .iter()
        .map(|writer| writer.established(label, &PLACE, 1, 0, 0))
        .collect();
    for (writer, meter) in writers.iter().zip(&mut meters) {
        assert_eq!(writer.news().collect::<Vec<_>>(), [(id, action)]);
        writer.act(meter, id);
        writer.matched(id, 1);
        assert_eq!(writer.news().count(), 0);
    }
    let progress = zone.progress(id);
    assert_eq!(
        (progress.matched, progress.open, progress.waiting),
        (3, 3, 0)
    );
    writers[0].ended(&meters[0], || PLACE, &over(Reason::Control));
    assert_eq!(zone.progress(id).open, 2);
    // The second is killed.
    (&living).give_back(writers[1].slot());
    zone.sweep(&&living, None);
    let progress = zone.progress(id);
    assert_eq!(
        (progress.matched, progress.open, progress.waiting),
        (3, 1, 0)
    );

    // One after the other is forgotten, but not so fast that a worker could miss one.
    for _ in 1..16 {
        assert!(zone.post(&action).is_some());
    }
    assert_eq!(zone.post(&action), None);
    let later = Action {
        posted_at: 6000,
        ..action
    };
    let last = zone.post(&later).unwrap();
    assert_eq!((zone.action(id), zone.action(last)), (None, Some(later)));
    assert_eq!(writers[0].news().count(), 16);
}

#[test]
fn workers_that_post_at_once_overwrite_nothing() {
    for _ in 0..50 {
        let zone = zone();
        let action = Action {
            which: Which::default(),
            over_ms: 0,
            code: 1012,
            reason: Text::EMPTY,
            posted_at: 5000,
        };
        let start = Barrier::new(4);
        let ids: Vec<u64> = thread::scope(|scope| {
            let post = || {
                start.wait();
                (0..16).filter_map(|_| zone.post(&action)).collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(post)).collect();
            let posted = threads.into_iter().map(|thread| thread.join().unwrap());
            posted.collect::<Vec<Vec<u64>>>().concat()
        });
        // As many as are remembered, within one second, and each of them is.
        assert_eq!(ids.len(), 16, "{ids:?}");
        assert!(ids.iter().all(|id| zone.action(*id) == Some(action)));
    }
}

#[test]
fn who_is_meant() {
    let zone = zone();
    let writer = Writer::claim(zone, &websocket_zone::Alone).unwrap();
    let label = writer.label(b"label");
    let meter = writer.established(label, &PLACE, 1, 0, 1000);
    let tunnel = (0..zone.tunnels())
        .find_map(|index| zone.tunnel(index))
        .unwrap();
    let facts = tunnel.facts();
    let is_meant = |which: Which| which.means(&zone, &facts, 3000);
    assert!(is_meant(Which::default()));
    let text = |text: &[u8]| Some(Text::new(text));
    for (which, expected) in [
        (
            Which {
                id: Some(meter.id),
                ..Which::default()
            },
            true,
        ),
        (
            Which {
                id: Some(meter.id + 1),
                ..Which::default()
            },
            false,
        ),
        (
            Which {
                label: zone.find_label(b"label"),
                ..Which::default()
            },
            true,
        ),
        (
            Which {
                label: zone.find_label(b"other"),
                ..Which::default()
            },
            false,
        ),
        (
            Which {
                upstream: text(b"10.0.0.5:9000"),
                ..Which::default()
            },
            true,
        ),
        (
            Which {
                upstream: text(b"10.0.0.5:900"),
                ..Which::default()
            },
            false,
        ),
        (
            Which {
                subprotocol: text(b""),
                ..Which::default()
            },
            true,
        ),
        (
            Which {
                subprotocol: text(b"x"),
                ..Which::default()
            },
            false,
        ),
        (
            Which {
                older_ms: Some(2000),
                ..Which::default()
            },
            true,
        ),
        (
            Which {
                older_ms: Some(2001),
                ..Which::default()
            },
            false,
        ),
        (
            Which {
                idle_ms: Some(2000),
                id: Some(7),
                ..Which::default()
            },
            false,
        ),
    ] {
        assert_eq!(is_meant(which), expected, "{which:?}");
    }
    let action = Action {
        which: Which::default(),
        over_ms: 0,
        code: 1012,
        reason: Text::EMPTY,
        posted_at: 999,
    };
    assert!(!action.means(&zone, &facts, 3000), "it began later");
}

/// A tunnel that comes when its new worker has looked already is meant all the same; what is still to be looked at is
/// not told twice.
#[test]
fn an_action_means_a_tunnel_that_is_on_its_way() {
    let (zone, living) = (zone(), Living::default());
    let [from, to] = [(); 2].map(|()| Writer::claim(zone, &&living).unwrap());
    let action = Action {
        which: Which::default(),
        over_ms: 0,
        code: 1012,
        reason: Text::EMPTY,
        posted_at: 5000,
    };
    let label = from.label(b"label");
    let meter = from.established(label, &PLACE, 1, 0, 0);
    from.departed(&meter);
    let id = zone.post(&action).unwrap();
    assert_eq!(to.looked_at_since(4999).count(), 0);
    for writer in [&from, &to] {
        assert_eq!(writer.news().count(), 1);
        writer.matched(id, 0);
    }
    assert_eq!(to.looked_at_since(5001).count(), 0);
    let mut meter = to.adopted(label, &PLACE, meter.id, [0, 0]);
    assert_eq!(to.looked_at_since(5000).collect::<Vec<_>>(), [(id, action)]);
    to.act(&mut meter, id);
    to.matched_late(id);
    let progress = zone.progress(id);
    assert_eq!(
        (progress.matched, progress.open, progress.waiting),
        (1, 1, 0)
    );
    to.ended(&meter, || PLACE, &over(Reason::Control));
    assert_eq!(zone.progress(id).open, 0);
}
