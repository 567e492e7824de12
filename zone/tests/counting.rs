//! What one worker counts, a reader sees.

use std::sync::atomic::AtomicU64;

use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason, Side, Traffic};
use websocket_zone::{Alone, Code, Failed, Full, Kind, Memory, Noted, Over, Place, Writer, Zone};

const MEMORY: Memory<'_> = Memory {
    name: b"websocket",
    history: 8,
    started: 1234,
};

fn memory(words: usize) -> &'static [AtomicU64] {
    (0..words)
        .map(|_| AtomicU64::new(0))
        .collect::<Vec<_>>()
        .leak()
}

fn zone() -> Zone<'static> {
    Zone::create(memory(128 * 1024), MEMORY).unwrap()
}

const PLACE: Place<'_> = Place {
    client: b"192.0.2.7",
    server: b"example.com",
    uri: b"/chat?token=secret",
    upstream: b"10.0.0.5:9000",
    subprotocol: b"graphql-ws",
    is_tls: true,
    http: (1, 1),
};

fn count(bytes: u64, frames: u64, messages: u64) -> Count {
    Count {
        bytes,
        frames,
        messages,
    }
}

fn over(by: Option<Side>, reason: Reason, code: Option<u16>) -> Over {
    Over {
        by,
        reason: Some(reason),
        code,
        duration_ms: 61_000,
        from_client: count(10, 2, 1),
        from_upstream: count(20, 4, 2),
        ping_rtt: Some(7),
        time: 99,
    }
}

#[test]
fn a_handshake_and_its_tunnel() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"example.com /chat");
    writer.attempt(label);
    let meter = writer.established(label, &PLACE, 12, 5000, 700);
    let after = Traffic {
        from_client: count(10, 2, 1),
        from_upstream: count(20, 4, 2),
        pings_sent: 2,
        pongs: 1,
        ping_rtt: Some(7),
        waiting_for_upstream: 3,
        waiting_for_client: 4,
        moved_at: 730,
    };
    let noted = Noted::default();
    writer.moved(&meter, &noted, &Traffic::NONE);
    writer.moved(&meter, &noted, &after);
    writer.moved(&meter, &noted, &after);

    let tunnels: Vec<_> = (0..zone.tunnels())
        .filter_map(|index| zone.tunnel(index))
        .collect();
    let [tunnel] = &tunnels[..] else {
        panic!("{tunnels:?}")
    };
    assert_eq!(&*tunnel.who.uri, b"/chat");
    assert_eq!(&*tunnel.who.client, PLACE.client);
    assert_eq!(&*tunnel.who.server, PLACE.server);
    assert_eq!(&*tunnel.upstream, PLACE.upstream);
    assert_eq!(&*tunnel.subprotocol, PLACE.subprotocol);
    assert!(tunnel.who.is_tls);
    assert_eq!(tunnel.who.http, (1, 1));
    let numbers = tunnel.numbers;
    assert_eq!(numbers.id, meter.id);
    assert_eq!(&*zone.label_name(numbers.label), b"example.com /chat");
    assert_eq!(
        (numbers.begun, numbers.begun_at, numbers.moved_at),
        (5000, 700, 730)
    );
    assert_eq!(numbers.from_client, after.from_client);
    assert_eq!(numbers.from_upstream, after.from_upstream);
    assert_eq!(numbers.rtt, Some(7));
    assert_eq!(
        (numbers.waiting_for_upstream, numbers.waiting_for_client),
        (3, 4)
    );
    assert!(!numbers.is_own_loop);

    let totals = zone.totals();
    assert_eq!(
        (totals.attempts(), totals.established(), totals.active()),
        (1, 1, 1)
    );
    assert_eq!(zone.peak(), 1);
    assert_eq!(
        (totals.from_client(), totals.from_upstream()),
        (count(10, 2, 1), count(20, 4, 2))
    );
    assert_eq!((totals.pings_sent(), totals.pings_lost()), (2, 0));
    let handshake = totals.histogram(Kind::Handshake);
    assert_eq!(
        (handshake.count(), handshake.sum_ms, handshake.buckets[2]),
        (1, 12, 1)
    );
    let rtt = totals.histogram(Kind::PingRtt);
    assert_eq!((rtt.count(), rtt.sum_ms), (1, 7));

    writer.ended(
        &meter,
        || PLACE,
        &over(Some(Side::Client), Reason::Normal, Some(4321)),
    );
    assert_eq!(
        (0..zone.tunnels())
            .filter_map(|index| zone.tunnel(index))
            .count(),
        0
    );
    let totals = zone.totals();
    assert_eq!(
        (totals.established(), totals.active(), zone.peak()),
        (1, 0, 1)
    );
    let closes: Vec<_> = totals.closes().collect();
    let [close] = &closes[..] else {
        panic!("{closes:?}")
    };
    assert_eq!(
        (close.by, &*close.reason, close.code),
        (Some(Side::Client), &b"normal"[..], Code::Private)
    );
    assert_eq!(close.count, 1);
    assert_eq!(totals.histogram(Kind::Duration).sum_ms, 61_000);

    let ends = zone.ends();
    assert_eq!(ends, 0..1);
    let end = zone.end(0).unwrap();
    assert_eq!(
        (end.id, end.code, &*end.reason),
        (meter.id, Some(4321), &b"normal"[..])
    );
    assert_eq!(
        (end.by, end.time, end.duration_ms),
        (Some(Side::Client), 99, 61_000)
    );
    assert_eq!(
        (end.from_client, end.from_upstream),
        (count(10, 2, 1), count(20, 4, 2))
    );
    assert_eq!(
        (&*end.who.uri, &*end.upstream, end.ping_rtt),
        (&b"/chat"[..], PLACE.upstream, Some(7))
    );
}

#[test]
fn every_cause_is_counted_by_its_name() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"a");
    for (count, cause) in (1..).zip(Cause::ALL) {
        for _ in 0..count {
            let failed = Failed {
                cause: *cause,
                advice: cause.advice(),
                is_rejected: count % 2 == 0,
                seen: b"no Upgrade header",
                time: count,
            };
            writer.failed(label, &PLACE, &failed);
        }
    }
    let totals = zone.totals();
    for (count, cause) in (1..).zip(Cause::ALL) {
        let is_it = |(name, _): &(websocket_zone::CauseName, u64)| name.cause() == Some(*cause);
        let of = |found: Option<(_, u64)>| found.map_or(0, |(_, count)| count);
        let found = (
            of(totals.rejected().find(is_it)),
            of(totals.failed().find(is_it)),
        );
        assert_eq!(
            found,
            if count % 2 == 0 {
                (count, 0)
            } else {
                (0, count)
            },
            "{cause}"
        );
    }
    let all = Cause::ALL.len() as u64;
    assert_eq!(
        totals.rejected_total() + totals.failed_total(),
        all * (all + 1) / 2
    );

    let last = zone.failures().last().unwrap();
    let failure = zone.failure(last).unwrap();
    assert_eq!(failure.cause.cause(), Cause::ALL.last().copied());
    assert_eq!(failure.advice, Some(Cause::ClientGone.advice()));
    assert_eq!(
        (&*failure.seen, &*failure.who.uri),
        (&b"no Upgrade header"[..], &b"/chat"[..])
    );
    assert_eq!(zone.failures().count(), MEMORY.history);
    assert_eq!(
        zone.failures()
            .filter_map(|number| zone.failure(number))
            .count(),
        MEMORY.history
    );
    assert!(zone.failure(zone.failures().start - 1).is_none());
    assert!(zone.failure(zone.failures().end).is_none());
}

#[test]
fn every_reason_and_code_is_told_apart() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"a");
    let codes = [
        None,
        Some(1000),
        Some(1015),
        Some(3000),
        Some(3999),
        Some(4000),
        Some(999),
        Some(2999),
    ];
    let mut expected = 0;
    for reason in [
        Reason::Normal,
        Reason::Reset,
        Reason::Drain,
        Reason::UpstreamDrain,
        Reason::PingTimeout,
    ] {
        for by in [None, Some(Side::Client), Some(Side::Upstream)] {
            for code in codes {
                let meter = writer.established(label, &PLACE, 1, 0, 0);
                writer.ended(&meter, || PLACE, &over(by, reason, code));
                expected += 1;
            }
        }
    }
    let totals = zone.totals();
    assert_eq!(
        totals.closes().map(|close| close.count).sum::<u64>(),
        expected
    );
    // 3000 and 3999 are one, and so are 999 and 2999.
    assert_eq!(totals.closes().count(), 5 * 3 * (codes.len() - 2));
    assert_eq!((totals.drained(), totals.pings_lost()), (48, 24));
    assert_eq!(totals.active(), 0);
}

#[test]
fn upstreams_are_told_apart() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"a");
    writer.upstream_failed(b"10.0.0.6:9000", Cause::UpstreamRefused);
    let meter = writer.established(label, &PLACE, 1, 0, 0);
    let find = |address: &[u8]| {
        (0..zone.upstreams())
            .filter_map(|index| zone.upstream(index))
            .find(|found| *found.address == *address)
    };
    let sick = find(b"10.0.0.6:9000").unwrap().counters;
    assert_eq!(
        (sick.failed_total(), sick.established(), sick.active()),
        (1, 0, 0)
    );
    let (cause, count) = sick.failed().next().unwrap();
    assert_eq!((cause.cause(), count), (Some(Cause::UpstreamRefused), 1));
    let well = find(PLACE.upstream).unwrap().counters;
    assert_eq!(
        (well.failed_total(), well.established(), well.active()),
        (0, 1, 1)
    );
    writer.ended(&meter, || PLACE, &over(None, Reason::Drain, Some(1012)));
    assert_eq!(find(PLACE.upstream).unwrap().counters.active(), 0);
    assert!(find(b"10.0.0.7:9000").is_none());
}

#[test]
fn what_there_is_no_room_for_is_counted_as_other_and_told_once() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    for n in 0..10_000 {
        let label = writer.label(format!("label {n}").as_bytes());
        writer.attempt(label);
        writer.upstream_failed(
            format!("10.0.{}.{}:80", n / 256, n % 256).as_bytes(),
            Cause::UpstreamRefused,
        );
    }
    assert_eq!(zone.totals().attempts(), 10_000);
    let labels: Vec<_> = (0..zone.labels())
        .filter_map(|index| zone.label(index))
        .collect();
    assert_eq!(
        labels
            .iter()
            .map(|label| label.counters.attempts())
            .sum::<u64>(),
        10_000
    );
    assert_eq!(&*labels[0].name, b"other");
    assert!(labels[0].counters.attempts() > 9_000);
    let upstreams = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
    assert_eq!(
        upstreams
            .map(|upstream| upstream.counters.failed_total())
            .sum::<u64>(),
        10_000
    );
    assert_eq!(
        writer.news_of_full().collect::<Vec<_>>(),
        [Full::Labels, Full::Upstreams]
    );
    writer.label(b"one more");
    assert_eq!(writer.news_of_full().count(), 0);

    let other = Writer::claim(zone, &Alone).unwrap();
    other.label(b"one more");
    assert_eq!(other.news_of_full().count(), 0, "another worker has told");
}

#[test]
fn a_full_table_carries_on() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"a");
    let room = zone.tunnels();
    let meters: Vec<_> = (0..room + 5)
        .map(|n| writer.established(label, &PLACE, 1, 0, n as u64))
        .collect();
    let listed = || {
        (0..zone.tunnels())
            .filter(|index| zone.tunnel_numbers(*index).is_some())
            .count()
    };
    assert_eq!(
        (listed(), zone.totals().active(), zone.totals().unlisted()),
        (room, room as u64 + 5, 5)
    );
    assert_eq!(writer.news_of_full().collect::<Vec<_>>(), [Full::Tunnels]);
    for meter in &meters {
        writer.ended(meter, || PLACE, &over(None, Reason::Drain, None));
    }
    assert_eq!((listed(), zone.totals().active()), (0, 0));
    assert_eq!(zone.peak(), 0, "nobody looked");
    let ids: std::collections::HashSet<_> = meters.iter().map(|meter| meter.id).collect();
    assert_eq!(ids.len(), meters.len());
    assert_eq!(
        zone.ends()
            .last()
            .and_then(|last| zone.end(last))
            .unwrap()
            .id,
        meters[room + 4].id
    );
    // Some of them were listed, some were not.
    assert_eq!(zone.ends().count(), 8);
    for end in zone.ends().map(|number| zone.end(number).unwrap()) {
        assert_eq!(&*zone.label_name(end.label), b"a");
        assert_eq!(
            (&*end.who.client, &*end.who.server),
            (PLACE.client, PLACE.server)
        );
        assert_eq!(
            (&*end.who.uri, &*end.upstream),
            (b"/chat".as_slice(), PLACE.upstream)
        );
        assert_eq!(&*end.subprotocol, PLACE.subprotocol);
        assert_eq!((end.who.is_tls, end.who.http), (PLACE.is_tls, PLACE.http));
    }
    let again = writer.established(label, &PLACE, 1, 0, 0);
    assert_eq!(listed(), 1);
    assert!(!ids.contains(&again.id));
}

#[test]
fn room_that_one_worker_gives_up_another_finds() {
    struct Slots;
    impl websocket_zone::Owners for Slots {
        fn take(&self, slot: usize) -> bool {
            slot >= NEXT.fetch_add(0, std::sync::atomic::Ordering::Relaxed)
        }
        fn give_back(&self, _: usize) {}
    }
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let zone = zone();
    let first = Writer::claim(zone, &Slots).unwrap();
    NEXT.store(1, std::sync::atomic::Ordering::Relaxed);
    let second = Writer::claim(zone, &Slots).unwrap();
    NEXT.store(2, std::sync::atomic::Ordering::Relaxed);
    assert_ne!(first.slot(), second.slot());
    let label = first.label(b"a");
    let meters: Vec<_> = (0..zone.tunnels())
        .map(|_| first.established(label, &PLACE, 1, 0, 0))
        .collect();
    second.established(label, &PLACE, 1, 0, 0);
    assert_eq!(zone.totals().unlisted(), 1);
    for meter in meters {
        first.ended(&meter, || PLACE, &over(None, Reason::Drain, None));
    }
    second.tick(&Slots);
    second.established(label, &PLACE, 1, 0, 0);
    assert_eq!(zone.totals().unlisted(), 1);
    assert_eq!(zone.totals().active(), 2);
}

#[test]
fn another_program_goes_on_with_the_same_memory() {
    let words = memory(128 * 1024);
    assert!(Zone::open(words).is_none());
    let zone = Zone::create(words, MEMORY).unwrap();
    let writer = Writer::claim(zone, &Alone).unwrap();
    writer.attempt(writer.label(b"a"));
    let again = Zone::open(words).unwrap();
    assert!(again.is_for(&MEMORY));
    assert!(!again.is_for(&Memory {
        name: b"websockets",
        ..MEMORY
    }));
    assert!(!again.is_for(&Memory {
        history: 9,
        ..MEMORY
    }));
    assert_eq!(
        (again.totals().attempts(), again.started(), &*again.name()),
        (1, 1234, MEMORY.name)
    );
    assert!(Zone::open(&words[..words.len() - 1]).is_none());
}

#[test]
fn a_worker_that_exits_ends_its_tunnels() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"a");
    for _ in 0..3 {
        writer.established(label, &PLACE, 1, 0, 0);
    }
    writer.lent(2);
    assert_eq!((zone.workers(), zone.buffers_lent()), (1, 2));
    writer.leave(&Alone);
    let totals = zone.totals();
    assert_eq!(
        (
            totals.active(),
            totals.lost(),
            zone.workers(),
            zone.buffers_lent()
        ),
        (0, 0, 0, 0)
    );
    let close = totals.closes().next().unwrap();
    assert_eq!(
        (close.by, &*close.reason, close.count),
        (None, &b"worker-shutdown"[..], 3)
    );
    assert!((0..zone.tunnels()).all(|index| zone.tunnel(index).is_none()));
}

/// Two workers, and a tunnel that goes from one to the other and back.
#[test]
fn a_tunnel_that_goes_from_one_worker_to_another_is_counted_once() {
    let zone = zone();
    let [one, other] = [(), ()].map(|()| Writer::claim(zone, &Alone).unwrap());
    let label = one.label(b"chat");
    one.attempt(label);
    let mut meter = one.established(label, &PLACE, 12, 5000, 700);
    let (id, mut carried) = (meter.id, Traffic::NONE);
    let mut noted = Noted::default();
    for (from, to) in [(&one, &other), (&other, &one), (&one, &other)] {
        carried.from_client = count(
            carried.from_client.bytes + 10,
            carried.from_client.frames + 1,
            1,
        );
        from.moved(&meter, &noted, &carried);
        from.departed(&meter);
        assert_eq!(
            (zone.totals().active(), zone.totals().established()),
            (0, 1)
        );
        let label = to.label(b"chat");
        meter = to.adopted(label, &PLACE, id, [5000, 700]);
        noted = Noted::default();
        to.resumed(&meter, &noted, &carried);
        let totals = zone.totals();
        assert_eq!(
            (totals.attempts(), totals.established(), totals.active()),
            (1, 1, 1)
        );
        assert_eq!(totals.from_client().bytes, carried.from_client.bytes);
        let upstreams = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
        let active: Vec<_> = upstreams
            .map(|upstream| (upstream.address.to_vec(), upstream.counters.active()))
            .filter(|(_, active)| *active > 0)
            .collect();
        assert_eq!(active, [(PLACE.upstream.to_vec(), 1)]);
        let tunnels: Vec<_> = (0..zone.tunnels())
            .filter_map(|index| zone.tunnel_numbers(index))
            .collect();
        assert_eq!(tunnels.len(), 1);
        assert_eq!(zone.peak(), 1);
        assert_eq!((tunnels[0].id, tunnels[0].begun), (id, 5000));
        assert_eq!(tunnels[0].from_client, carried.from_client);
    }
    other.ended(&meter, || PLACE, &over(None, Reason::Normal, Some(1000)));
    let totals = zone.totals();
    assert_eq!((totals.established(), totals.active()), (1, 0));
    assert_eq!(totals.closes().map(|close| close.count).sum::<u64>(), 1);
}

/// One that was on its way to a worker and never came to it has ended all the same.
#[test]
fn a_tunnel_that_is_turned_away_has_ended() {
    let zone = zone();
    let writer = Writer::claim(zone, &Alone).unwrap();
    let label = writer.label(b"chat");
    let meter = writer.established(label, &PLACE, 12, 5000, 700);
    writer.departed(&meter);
    writer.turned_away(Reason::HandoverRefused, 1012);
    let totals = zone.totals();
    assert_eq!((totals.established(), totals.active()), (1, 0));
    let closes: Vec<_> = totals
        .closes()
        .map(|close| (close.code, close.count))
        .collect();
    assert_eq!(closes, [(Code::Defined(1012), 1)]);
}
