//! Words that nobody has written: whoever reads them, or goes on counting in them, comes to an end.

use std::sync::atomic::{AtomicU64, Ordering};

use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason};
use websocket_zone::{Action, Alone, Failed, Memory, Meter, Over, Place, Which, Writer, Zone};

const MEMORY: Memory<'_> = Memory {
    name: b"one",
    history: 2,
    started: 1,
};

const PLACE: Place<'_> = Place {
    client: b"192.0.2.1",
    server: b"example.com",
    uri: b"/chat",
    upstream: b"10.0.0.1:80",
    subprotocol: b"mqtt",
    is_tls: false,
    http: (1, 1),
};

/// A thousand times slower under Miri, which sees no more in the thousandth word than in the tenth.
const EACH: usize = if cfg!(miri) { 211 } else { 1 };

#[test]
fn a_word_that_is_another_is_no_way_out() {
    let whole = words(|zone| (0..2).for_each(|_| works(zone)));
    let used = (0..whole.len()).filter(|at| whole[*at] != 0);
    for at in used.step_by(EACH) {
        for value in [u64::MAX, 1 << 32, whole[at] ^ 1 << 63] {
            let words: Vec<_> = whole.iter().map(|word| AtomicU64::new(*word)).collect();
            words[at].store(value, Ordering::Relaxed);
            if let Some(zone) = Zone::open(&words) {
                is_read(zone);
                works(zone);
                is_read(zone);
            }
        }
    }
}

#[test]
fn rings_of_another_length_are_not_looked_for() {
    let whole = words(works);
    // Where the header says how long they are.
    let at = (0..64).find(|at| whole[*at] == 2).expect("it is there");
    for history in [1 << 51, 1 << 58, 1 << 63, u64::MAX] {
        let mut words = whole.clone();
        words[at] = history;
        let words: Vec<_> = words.into_iter().map(AtomicU64::new).collect();
        assert!(Zone::open(&words).is_none(), "{history}");
    }
}

fn words(happens: impl FnOnce(Zone<'_>)) -> Vec<u64> {
    let words: Vec<_> = (0..Zone::least_words(MEMORY.history))
        .map(|_| AtomicU64::new(0))
        .collect();
    happens(Zone::create(&words, MEMORY).expect("it is large enough"));
    words.into_iter().map(AtomicU64::into_inner).collect()
}

/// A worker comes, counts, and is killed.
fn works(zone: Zone<'_>) {
    let Some(writer) = Writer::claim(zone, &Alone) else {
        return;
    };
    let label = writer.label(b"a");
    let failed = Failed {
        cause: Cause::KeyMissing,
        is_rejected: true,
        advice: "",
        seen: b"no Sec-WebSocket-Key header",
        time: 1,
    };
    writer.failed(label, &PLACE, &failed);
    let mut meters: Vec<Meter> = (0..18)
        .map(|now| writer.established(label, &PLACE, now, now, now))
        .collect();
    let action = Action {
        which: Which {
            older_ms: Some(0),
            ..Which::default()
        },
        over_ms: 0,
        code: 1012,
        reason: Default::default(),
        posted_at: 5000,
    };
    if let Some(id) = zone.post(&action) {
        writer.act(&mut meters[0], id);
        writer.matched(id, 18);
    }
    writer.news().for_each(drop);
    let over = Over {
        by: None,
        reason: Some(Reason::Normal),
        code: Some(1000),
        duration_ms: 5,
        from_client: Count::NONE,
        from_upstream: Count::NONE,
        ping_rtt: None,
        time: 1,
    };
    for meter in &meters[..2] {
        writer.ended(meter, || PLACE, &over);
    }
    writer.tick(&Alone);
}

fn is_read(zone: Zone<'_>) {
    let totals = zone.totals();
    totals.closes().for_each(drop);
    totals.failed().chain(totals.rejected()).for_each(drop);
    let labels = (0..zone.labels()).filter_map(|index| zone.label(index));
    let upstreams = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
    assert!(labels.count() <= zone.labels() && upstreams.count() <= zone.upstreams());
    let tunnels = (0..zone.tunnels()).filter_map(|index| zone.tunnel(index));
    assert!(tunnels.count() <= zone.tunnels());
    for number in zone.failures().chain(zone.ends()).chain([u64::MAX]) {
        let _ = (zone.failure(number), zone.end(number));
    }
    for id in (0..4).chain([u64::MAX]) {
        let _ = (zone.action(id), zone.progress(id));
    }
    let _ = (zone.peak(), zone.buffers_lent(), zone.is_for(&MEMORY));
}
