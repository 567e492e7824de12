//! The last handshakes that failed, and the last tunnels that ended.
//!
//! A record has the checksum of what is in it. One whose writer was killed, or was overtaken by all the
//! others, doesn't fit it and isn't shown.

use core::ops::Range;

use websocket_protocol::tunnel::{Count, Reason, Side};
use websocket_protocol::{Cause, Finding};

use crate::counters::{CauseName, side_number, side_of};
use crate::header::{NEXT_END, NEXT_FAILURE};
use crate::layout::{RECORD, Section};
use crate::record::{
    self, FAILURE_TEXTS, LABEL, LENGTHS, NUMBERS, Place, TUNNEL_TEXTS, Who, count_at,
    from_optional, optional,
};
use crate::text::{self, Text};
use crate::words::Words;
use crate::zone::Zone;

/// Words of a record of either ring.
const NUMBER: usize = 0;
const TIME: usize = 2;
const CHECKSUM: usize = 14;
/// Of a failure.
const CAUSE: usize = 3;
const ADVICE: usize = 4;
/// Of a tunnel.
const ID: usize = 3;
const END: usize = 4;
const DURATION: usize = 5;
const FROM_CLIENT: usize = 6;
const FROM_UPSTREAM: usize = 9;
const RTT: usize = 12;

const REJECTED: u64 = 1 << 32;

/// A tunnel that is over.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    /// Who ended it; `None` is nginx.
    pub by: Option<Side>,
    /// Why, where that is known.
    pub reason: Option<Reason>,
    /// The code of the first Close.
    pub code: Option<u16>,
    /// How long it lasted, milliseconds.
    pub duration_ms: u64,
    /// All that went by.
    pub from_client: Count,
    /// Likewise.
    pub from_upstream: Count,
    /// How long the last answered Ping took.
    pub ping_rtt: Option<u32>,
    /// When: milliseconds since 1970.
    pub time: u64,
}

/// A handshake that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// When: milliseconds since 1970.
    pub time: u64,
    /// For [`Zone::label_name`].
    pub label: u32,
    /// Whose connection it was.
    pub who: Who,
    /// Why.
    pub cause: CauseName,
    /// What to do about it, as it stands in the log, where this program knows that.
    pub advice: Option<&'static str>,
    /// Whether nginx answered it without asking an upstream.
    pub is_rejected: bool,
    /// What was seen, as it stands in the log.
    pub seen: Text,
}

/// A tunnel that is over.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When: milliseconds since 1970.
    pub time: u64,
    /// What it was in the table of tunnels, also if that was full.
    pub id: u64,
    /// For [`Zone::label_name`].
    pub label: u32,
    /// Whose connection it was.
    pub who: Who,
    /// The address of the upstream server.
    pub upstream: Text,
    /// What the upstream selected.
    pub subprotocol: Text,
    /// Who ended it; `None` is nginx.
    pub by: Option<Side>,
    /// The name of the reason.
    pub reason: Text,
    /// The code of the first Close.
    pub code: Option<u16>,
    /// How long it lasted, milliseconds.
    pub duration_ms: u64,
    /// What came from the client.
    pub from_client: Count,
    /// What came from the upstream.
    pub from_upstream: Count,
    /// How long the last answered Ping took until its Pong, milliseconds.
    pub ping_rtt: Option<u32>,
}

/// What is read.
impl Zone<'_> {
    /// The numbers of the failed handshakes that are remembered; the newest is the last.
    pub fn failures(&self) -> Range<u64> {
        self.remembered(self.layout.failures, NEXT_FAILURE)
    }

    /// The failed handshake of a number. `None`: it is forgotten, or being written.
    pub fn failure(&self, number: u64) -> Option<Failure> {
        let words = self.entry(self.layout.failures, number)?;
        let get = |at: usize| words.get(at).copied().unwrap_or_default();
        let [client, server, uri, seen] = record::read_texts(&words, FAILURE_TEXTS);
        Some(Failure {
            time: get(TIME),
            label: record::label_of(get(LABEL)),
            who: Who::read(get(LABEL), [client, server, uri]),
            cause: self.cause_name(get(CAUSE) as u32 as usize),
            advice: advice_of(get(ADVICE)),
            is_rejected: get(CAUSE) & REJECTED != 0,
            seen,
        })
    }

    /// The numbers of the ended tunnels that are remembered; the newest is the last.
    pub fn ends(&self) -> Range<u64> {
        self.remembered(self.layout.ends, NEXT_END)
    }

    /// The ended tunnel of a number. `None`: it is forgotten, or being written.
    pub fn end(&self, number: u64) -> Option<Ended> {
        let words = self.entry(self.layout.ends, number)?;
        let get = |at: usize| words.get(at).copied().unwrap_or_default();
        let [client, server, uri, upstream, subprotocol] = record::read_texts(&words, TUNNEL_TEXTS);
        let end = get(END);
        Some(Ended {
            time: get(TIME),
            id: get(ID),
            label: record::label_of(get(LABEL)),
            who: Who::read(get(LABEL), [client, server, uri]),
            upstream,
            subprotocol,
            by: side_of(end >> 56),
            reason: self
                .reasons()
                .get((end >> 24 & 0xFF_FFFF) as usize)
                .unwrap_or_default(),
            code: from_optional(end & 0xFF_FFFF).and_then(|code| u16::try_from(code).ok()),
            duration_ms: get(DURATION),
            from_client: count_at(&words, FROM_CLIENT),
            from_upstream: count_at(&words, FROM_UPSTREAM),
            ping_rtt: from_optional(get(RTT)),
        })
    }

    fn remembered(&self, ring: Section, next: usize) -> Range<u64> {
        let end = self.header().0.get(next);
        end.saturating_sub(ring.count as u64)..end
    }

    fn entry(&self, ring: Section, number: u64) -> Option<[u64; RECORD]> {
        let mut words = [0; RECORD];
        let record = self.nth(ring, place(ring, number)?);
        for (to, word) in words.iter_mut().zip(record.iter()) {
            *to = word;
        }
        let lengths = words.get(LENGTHS).copied().unwrap_or_default();
        let used = words.get(..record::used(lengths)).unwrap_or(&words);
        let is_whole = words.get(CHECKSUM) == Some(&checksum(used));
        (is_whole && words.get(NUMBER) == Some(&number.wrapping_add(1))).then_some(words)
    }
}

/// What is written.
impl<'m> Zone<'m> {
    pub(crate) fn push_failure(&self, label: u32, what: &Failing<'_>) {
        let Some(mut entry) = self.next_entry(self.layout.failures, NEXT_FAILURE) else {
            return;
        };
        let [client, server, uri, ..] = what.place.texts();
        let texts = [client, server, uri, what.seen];
        let mut numbers = [0; NUMBERS];
        numbers[LENGTHS] =
            record::put_texts(&FAILURE_TEXTS, &texts, |at, word| entry.put(at, word));
        numbers[TIME] = what.time;
        numbers[LABEL] = what.place.word(label);
        numbers[ADVICE] = text::hash(what.advice.as_bytes());
        numbers[CAUSE] = what.cause as u64 | if what.is_rejected { REJECTED } else { 0 };
        entry.finish(numbers);
    }

    pub(crate) fn push_end(&self, what: &Ending<'_>) {
        let over = what.over;
        let Some(mut entry) = self.next_entry(self.layout.ends, NEXT_END) else {
            return;
        };
        let mut numbers = [0; NUMBERS];
        (numbers[LABEL], numbers[LENGTHS]) = match &what.of {
            Of::Listed(tunnel) => {
                let lengths = tunnel.get(LENGTHS);
                entry.copy_texts(*tunnel, record::used(lengths));
                (tunnel.get(LABEL), lengths)
            }
            Of::Unlisted(label, place) => {
                let texts = place.texts();
                let lengths =
                    record::put_texts(&TUNNEL_TEXTS, &texts, |at, word| entry.put(at, word));
                (place.word(*label), lengths)
            }
        };
        numbers[TIME] = over.time;
        numbers[ID] = what.id;
        let code = optional(over.code.map(u32::from));
        numbers[END] = side_number(over.by) << 56 | (what.reason as u64) << 24 | code;
        numbers[DURATION] = over.duration_ms;
        for (at, count) in [
            (FROM_CLIENT, over.from_client),
            (FROM_UPSTREAM, over.from_upstream),
        ] {
            numbers[at] = count.bytes;
            numbers[at + 1] = count.frames;
            numbers[at + 2] = count.messages;
        }
        numbers[RTT] = optional(over.ping_rtt);
        entry.finish(numbers);
    }

    /// `None`: nothing is remembered.
    fn next_entry(&self, ring: Section, next: usize) -> Option<Entry<'m>> {
        if ring.count == 0 {
            return None;
        }
        let number = self.header().0.add_shared(next, 1);
        Some(Entry {
            words: self.nth(ring, place(ring, number)?),
            number,
            sum: 0,
        })
    }
}

/// A record that is being written. Its checksum is that of what was to be written: others may be writing
/// in the same place.
struct Entry<'m> {
    words: Words<'m>,
    number: u64,
    sum: u64,
}

impl Entry<'_> {
    #[inline]
    fn put(&mut self, at: usize, word: u64) {
        let factor = FACTORS.get(at).copied().unwrap_or_default();
        self.sum = self.sum.wrapping_add(word.wrapping_mul(factor));
        self.words.set(at, word);
    }

    /// Copies the texts of a record with so many words in use.
    fn copy_texts(&mut self, record: Words<'_>, used: usize) {
        let count = used.saturating_sub(NUMBERS);
        let mut factors = FACTORS.iter().skip(NUMBERS);
        let (to, from) = (self.words.part(NUMBERS, count), record.part(NUMBERS, count));
        to.copy_from(from, |word| {
            let factor = factors.next().copied().unwrap_or_default();
            self.sum = self.sum.wrapping_add(word.wrapping_mul(factor));
        });
    }

    /// The texts are written: these are the numbers.
    fn finish(self, mut numbers: [u64; NUMBERS]) {
        numbers[NUMBER] = self.number.wrapping_add(1);
        numbers[CHECKSUM] = self.sum.wrapping_add(checksum(&numbers));
        self.words.store_first(&numbers);
    }
}

/// A handshake that has failed, to be remembered.
pub(crate) struct Failing<'a> {
    pub time: u64,
    pub place: &'a Place<'a>,
    pub cause: usize,
    pub advice: &'static str,
    pub is_rejected: bool,
    pub seen: &'a [u8],
}

/// A tunnel that has ended, to be remembered.
pub(crate) struct Ending<'a> {
    pub id: u64,
    pub of: Of<'a>,
    /// The reason's id.
    pub reason: usize,
    pub over: &'a Over,
}

/// Where it is written whose tunnel it was.
pub(crate) enum Of<'a> {
    /// In its record of the table.
    Listed(Words<'a>),
    /// Nowhere: its label and the rest.
    Unlisted(u32, Place<'a>),
}

/// An advice is longer than what it is remembered by, and there are only so many of them.
fn advice_of(hash: u64) -> Option<&'static str> {
    let of_causes = Cause::ALL.iter().map(|cause| cause.advice());
    let found = Finding::ALL.iter().map(|finding| finding.advice());
    of_causes
        .chain(found)
        .find(|advice| text::hash(advice.as_bytes()) == hash)
}

fn place(ring: Section, number: u64) -> Option<usize> {
    number
        .checked_rem(ring.count as u64)
        .map(|place| place as usize)
}

/// Of all words in use but its own, each times the factor of its place: parts of two records fit together as
/// rarely as any two numbers of 64 bits are the same.
fn checksum(words: &[u64]) -> u64 {
    let products = words.iter().zip(&FACTORS);
    products.fold(0, |sum: u64, (word, factor)| {
        sum.wrapping_add(word.wrapping_mul(*factor))
    })
}

/// Odd, and without a pattern; 0 for the checksum itself.
const FACTORS: [u64; RECORD] = {
    let mut factors = [0; RECORD];
    let mut at = 0;
    while at < RECORD {
        let mixed = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        factors[at] = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1;
        at += 1;
    }
    factors[CHECKSUM] = 0;
    factors
};
