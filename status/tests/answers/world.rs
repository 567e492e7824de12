//! A zone in which things happen that were made up.

use core::sync::atomic::AtomicU64;

use proptest::prelude::*;
use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason, Side, Traffic};
use websocket_status::{About, Answer, Ask, Entry, Metrics, Report};
use websocket_zone::{Alone, Failed, Memory, Meter, Noted, Over, Place, Writer, Zone};

pub const NOW: u64 = 100_000;

/// Texts that a client or an upstream may have sent.
#[derive(Clone, Debug)]
pub struct Happening {
    pub texts: [Vec<u8>; 5],
    pub label: Vec<u8>,
    pub cause: usize,
    pub number: u64,
    pub ends: bool,
}

pub fn happening() -> impl Strategy<Value = Happening> {
    let text = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[<>\"'&\\\\\n\r\t\u{0}\u{7f}\u{85}\u{2028}/a-z{}=,]{0,150}"
                .prop_map(String::into_bytes),
        ]
    };
    let texts = [text(), text(), text(), text(), text()];
    (
        texts,
        text(),
        0..Cause::ALL.len(),
        any::<u32>(),
        any::<bool>(),
    )
        .prop_map(|(texts, label, cause, number, ends)| Happening {
            texts,
            label,
            cause,
            number: number.into(),
            ends,
        })
}

pub fn memory() -> Vec<AtomicU64> {
    (0..64 * 1024).map(|_| AtomicU64::new(0)).collect()
}

pub fn zone(words: &[AtomicU64]) -> Zone<'_> {
    let memory = Memory {
        name: b"one",
        history: 16,
        started: 1_700_000_000_123,
    };
    Zone::create(words, memory).unwrap()
}

/// Lets a handshake fail, and another one succeed.
pub fn happen(writer: &Writer<'_>, what: &Happening) -> Meter {
    let [client, server, uri, upstream, subprotocol] = what.texts.each_ref().map(Vec::as_slice);
    let place = Place {
        client,
        server,
        uri,
        upstream,
        subprotocol,
        is_tls: what.number % 2 == 1,
        http: (1, 1),
    };
    let label = writer.label(&what.label);
    let cause = Cause::ALL[what.cause];
    writer.attempt(label);
    writer.upstream_failed(upstream, cause);
    let failed = Failed {
        cause,
        is_rejected: what.ends,
        seen: uri,
        advice: cause.advice(),
        time: what.number,
    };
    writer.failed(label, &place, &failed);
    writer.attempt(label);
    let meter = writer.established(
        label,
        &place,
        what.number % 70_000,
        what.number,
        what.number % NOW,
    );
    let count = Count {
        bytes: what.number,
        frames: 2,
        messages: 1,
    };
    let after = Traffic {
        from_client: count,
        from_upstream: count,
        pongs: 1,
        pings_sent: 1,
        ping_rtt: Some(what.number as u32 % 1000),
        moved_at: (what.number % NOW) as usize,
        ..Traffic::NONE
    };
    writer.moved(&meter, &Noted::default(), &after);
    if what.ends {
        let over = Over {
            by: [None, Some(Side::Client), Some(Side::Upstream)][what.cause % 3],
            reason: Some(Reason::Normal),
            code: Some(what.number as u16),
            duration_ms: what.number,
            from_client: count,
            from_upstream: count,
            ping_rtt: None,
            time: what.number,
        };
        writer.ended(&meter, || place, &over);
    }
    meter
}

pub fn writer(zone: Zone<'_>) -> Writer<'_> {
    Writer::claim(zone, &Alone).unwrap()
}

pub const ABOUT: About<'_> = About {
    nginx: "1.22.1",
    control: Some(b"/a\"b/close"),
    time: 1_764_127_360_123,
};

/// The JSON, made in pieces of this size.
pub fn json(zone: Zone<'_>, query: &str, piece: usize) -> String {
    let ask = Ask::parse(&zone, query.as_bytes()).unwrap();
    let mut room = vec![Entry::EMPTY; ask.room(&zone)];
    let report = Report::new(zone, ask, ABOUT, &mut room);
    all(Answer::report(report), piece)
}

/// The metrics, likewise.
pub fn metrics(zone: Zone<'_>, is_open: bool, piece: usize) -> String {
    all(Answer::metrics(Metrics::new(zone, ABOUT, is_open)), piece)
}

pub fn all(mut answer: Answer<'_>, piece: usize) -> String {
    let mut whole = Vec::new();
    let mut idle = 0;
    loop {
        let mut room = vec![0; piece];
        let filled = answer.fill(&mut room, NOW);
        whole.extend(&room[..filled.length]);
        if filled.is_last {
            return String::from_utf8(whole).unwrap();
        }
        idle = if filled.length == 0 { idle + 1 } else { 0 };
        assert!(idle < 1000, "it does not go on");
    }
}
