//! The memory that workers share, with words in it that nobody has written: whoever reads it, or goes on
//! counting in it, stays within it and comes to an end, and what is answered is JSON.
//!
//! A zone takes some 200 KB: an input is a list of what is changed in one in which something has happened,
//! in five bytes each.

#![no_main]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use websocket_fuzz::input::Input;
use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason, Side, Traffic};
use websocket_status::{About, Answer, Ask, Close, Count as Counting, Entry, Metrics, Report};
use websocket_zone::{
    Action, Alone, Failed, Memory, Noted, Over, Owners, Place, Roster, Text, Writer, Zone,
};

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<_> = WHOLE.iter().map(|word| AtomicU64::new(*word)).collect();
    change(&words, bytes);
    is_a_roster_or_none(&words, bytes.len());
    let Some(zone) = Zone::open(&words) else {
        return;
    };
    is_read(zone);
    is_written(zone);
    is_read(zone);
});

const NOW: u64 = 100_000;
const HISTORY: usize = 4;

const MEMORY: Memory<'_> = Memory {
    name: b"one",
    history: HISTORY,
    started: 1_700_000_000_123,
};

const PLACE: Place<'_> = Place {
    client: b"192.0.2.1",
    server: b"example.com",
    uri: b"/chat",
    upstream: b"10.0.0.1:80",
    subprotocol: b"mqtt",
    is_tls: true,
    http: (1, 1),
};

/// One in which something has happened.
static WHOLE: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let words: Vec<_> = (0..Zone::least_words(HISTORY))
        .map(|_| AtomicU64::new(0))
        .collect();
    let zone = Zone::create(&words, MEMORY).expect("it is large enough");
    for _ in 0..3 {
        is_written(zone);
    }
    words.into_iter().map(AtomicU64::into_inner).collect()
});

/// Where, and how: mostly among the words in use, with values at which something may turn over.
fn change(words: &[AtomicU64], bytes: &[u8]) {
    let mut input = Input(bytes);
    let used: Vec<usize> = (0..words.len()).filter(|at| WHOLE[*at] != 0).collect();
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let (how, at, value) = (input.byte(), usize::from(input.short()), input.short());
        let at = match how & 3 {
            0 => at % words.len(),
            _ => used[at % used.len()] + usize::from(how & 3) - 1,
        };
        let Some(word) = words.get(at) else { continue };
        let before = word.load(Ordering::Relaxed);
        let value = u64::from(value);
        word.store(
            match how >> 2 & 7 {
                0 => value,
                1 => u64::MAX - value,
                2 => value << 48 | value,
                3 => 1 << (value & 63),
                4 => before ^ 1 << (value & 63),
                5 => before.wrapping_add(value),
                6 => u64::from_be_bytes([value as u8; 8]),
                _ => words[usize::from(value as u16) % words.len()].load(Ordering::Relaxed),
            },
            Ordering::Relaxed,
        );
    }
}

/// Words are a roster only if they were made one, and all of them are as they were.
fn is_a_roster_or_none(words: &[AtomicU64], other: usize) {
    let mut plain: Vec<u64> = words[..64]
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    let made = Roster::open(&plain).map(|roster| roster.has(b"chat", b"10.0.0.1:80"));
    assert_eq!(made, None);
    let number = plain[0];
    let word = Roster::word(b"chat", b"10.0.0.1:80");
    plain[Roster::HEAD] = word;
    Roster::make(&mut plain, number);
    let roster = Roster::open(&plain).expect("it was made");
    assert!(roster.number == number && roster.has(b"Chat", b"10.0.0.1:80"));
    // One word of it is another.
    let at = other % plain.len();
    plain[at] = plain[at].wrapping_add(1);
    assert!(Roster::open(&plain).is_none());
}

fn is_read(zone: Zone<'_>) {
    let whole = json(zone, 1 << 20);
    let value: Value = serde_json::from_str(&whole).expect("it is JSON");
    assert_eq!(value["tunnels"]["matched"].as_u64(), Some(listed(zone)));
    assert_eq!(json(zone, 997), whole);
    for is_open in [false, true] {
        let metrics = Metrics::new(zone, about(), is_open);
        let text = all(Answer::metrics(metrics), 4096);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let (_, value) = line.rsplit_once(' ').expect("a series and its value");
            value.parse::<f64>().expect("a number");
        }
    }
    for id in (0..20).chain([u64::MAX, zone.posted()]) {
        zone.action(id);
        zone.progress(id);
    }
    for number in zone.failures().chain(zone.ends()).chain([0, u64::MAX]) {
        zone.failure(number);
        zone.end(number);
    }
    let _ = (
        zone.is_for(&MEMORY),
        zone.peak(),
        zone.buffers_lent(),
        zone.workers(),
    );
    let close = Close::parse(&zone, b"client=192.0.2.0/24&label=a", NOW).expect("it is right");
    let mut count = Counting::new();
    while count.go_on(&zone, &close.action, NOW).is_none() {}
}

fn listed(zone: Zone<'_>) -> u64 {
    let listed = (0..zone.tunnels()).filter(|index| zone.tunnel_numbers(*index).is_some());
    listed.count() as u64
}

/// A worker comes, counts and goes.
fn is_written(zone: Zone<'_>) {
    // Every other one is killed.
    zone.sweep(&Alone, None);
    let Some(writer) = Writer::claim(zone, &Alone) else {
        return;
    };
    let label = writer.label(b"a");
    writer.attempt(label);
    let failed = Failed {
        cause: Cause::KeyMissing,
        is_rejected: true,
        advice: Cause::KeyMissing.advice(),
        seen: b"no Sec-WebSocket-Key header",
        time: 1,
    };
    writer.failed(label, &PLACE, &failed);
    writer.upstream_failed(PLACE.upstream, Cause::UpstreamRefused);
    let count = Count {
        bytes: 100,
        frames: 2,
        messages: 1,
    };
    let mut meters: Vec<_> = (0..20)
        .map(|now| writer.established(label, &PLACE, now, now, now))
        .collect();
    let traffic = Traffic {
        from_client: count,
        pings_sent: 1,
        pongs: 1,
        ping_rtt: Some(3),
        ..Traffic::NONE
    };
    for meter in &meters {
        writer.moved(meter, &Noted::default(), &traffic);
    }
    writer.own_loop(&meters[0]);
    acts(&writer, &mut meters[1..4]);
    for meter in &meters[..7] {
        let over = Over {
            by: Some(Side::Client),
            reason: Some(Reason::Normal),
            code: Some(1000),
            duration_ms: 5,
            from_client: count,
            from_upstream: Count::NONE,
            ping_rtt: None,
            time: 2,
        };
        writer.ended(meter, || PLACE, &over);
    }
    writer.tick(&Others);
    writer.lent(3);
    writer.news_of_full().for_each(drop);
    if zone.posted() % 2 == 0 {
        writer.leave(&Alone);
    }
}

/// Nobody else is known to be gone.
struct Others;

impl Owners for Others {
    fn take(&self, _slot: usize) -> bool {
        false
    }

    fn give_back(&self, _slot: usize) {}
}

fn acts(writer: &Writer<'_>, meters: &mut [websocket_zone::Meter]) {
    let zone = writer.zone();
    let close = Close::parse(&zone, b"client=192.0.2.0/24", NOW).expect("it is right");
    let action = Action {
        reason: Text::new(b"bye"),
        ..close.action
    };
    if let Some(id) = zone.post(&action) {
        meters.iter_mut().for_each(|meter| writer.act(meter, id));
    }
    for (id, action) in writer.news() {
        let meant = (0..zone.tunnels()).filter_map(|index| zone.tunnel(index));
        let meant = meant.filter(|tunnel| action.means(&zone, &tunnel.facts(), NOW));
        writer.matched(id, meant.count() as u64);
    }
}

// ---- answers --------------------------------------------------------------------------

fn about() -> About<'static> {
    About {
        nginx: "1.22.1",
        control: None,
        time: 0,
    }
}

fn json(zone: Zone<'_>, piece: usize) -> String {
    let ask = Ask::parse(&zone, b"sort=bytes").expect("it is right");
    let mut room = vec![Entry::EMPTY; ask.room(&zone)];
    all(
        Answer::report(Report::new(zone, ask, about(), &mut room)),
        piece,
    )
}

fn all(mut answer: Answer<'_>, piece: usize) -> String {
    let mut whole = vec![];
    loop {
        let mut room = vec![0; piece];
        let filled = answer.fill(&mut room, NOW);
        whole.extend(&room[..filled.length]);
        if filled.is_last {
            return String::from_utf8(whole).expect("it is text");
        }
    }
}
