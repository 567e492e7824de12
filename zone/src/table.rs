//! The table of live tunnels: chunks of records, each chunk one slot's, so that no two workers write
//! to one cache line.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use websocket_protocol::tunnel::{Count, Traffic};

use crate::layout::{CHUNK, CHUNK_TUNNELS, RECORD};
use crate::record::{
    self, LABEL, LENGTHS, NUMBERS, OWN_LOOP, Place, TUNNEL_TEXTS, Who, count_at, from_optional,
    optional,
};
use crate::text::Text;
use crate::words::{Line, Words};
use crate::zone::Zone;

/// Words of a record. The id is 0 while the record is free or being written.
const ID: usize = 0;
const BEGUN: usize = 2;
const BEGUN_AT: usize = 3;
const MOVED_AT: usize = 4;
const FROM_CLIENT: usize = 5;
const FROM_UPSTREAM: usize = 8;
const RTT: usize = 11;
const FOR_UPSTREAM: usize = 12;
const FOR_CLIENT: usize = 13;
const ACTION: usize = 14;

/// Where a chunk says which of its records are in use, and where they begin.
const USED: usize = 0;
const RECORDS: usize = 8;
const _: () = assert!(RECORDS < RECORD);
const ALL_USED: u64 = (1 << CHUNK_TUNNELS) - 1;

/// A tunnel that there is, or was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    /// What changes.
    pub numbers: Numbers,
    /// Whose connection it is.
    pub who: Who,
    /// The address of the upstream server.
    pub upstream: Text,
    /// What the upstream selected.
    pub subprotocol: Text,
}

/// The numbers of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// No other tunnel ever has the same.
    pub id: u64,
    /// For [`Zone::label_name`].
    pub label: u32,
    /// When it began: milliseconds since 1970.
    pub begun: u64,
    /// Likewise, on the clock that never goes back.
    pub begun_at: u64,
    /// When a byte last went in or out, on the same clock.
    pub moved_at: u64,
    /// What came from the client.
    pub from_client: Count,
    /// What came from the upstream.
    pub from_upstream: Count,
    /// How long the last answered Ping took until its Pong, milliseconds.
    pub rtt: Option<u32>,
    /// Bytes that wait for a slow upstream.
    pub waiting_for_upstream: u64,
    /// Bytes that wait for a slow client.
    pub waiting_for_client: u64,
    /// The action that closes it; 0 where none does.
    pub action: u64,
    /// Whether nginx's own loop carries it, so that nothing is known of what goes by.
    pub is_own_loop: bool,
}

impl Numbers {
    fn read(words: &[u64; NUMBERS]) -> Self {
        let &[id, label, begun, begun_at, moved_at, ..] = words;
        let get = |at: usize| words.get(at).copied().unwrap_or_default();
        Self {
            id,
            label: record::label_of(label),
            begun,
            begun_at,
            moved_at,
            from_client: count_at(words, FROM_CLIENT),
            from_upstream: count_at(words, FROM_UPSTREAM),
            rtt: from_optional(get(RTT)),
            waiting_for_upstream: get(FOR_UPSTREAM),
            waiting_for_client: get(FOR_CLIENT),
            action: get(ACTION),
            is_own_loop: label & OWN_LOOP != 0,
        }
    }
}

/// What is read.
impl<'m> Zone<'m> {
    /// How many tunnels the table has room for: they have the indices below this.
    pub fn tunnels(&self) -> usize {
        self.layout.chunks.count * CHUNK_TUNNELS
    }

    /// The tunnel at an index, if there is one.
    pub fn tunnel(&self, index: usize) -> Option<Tunnel> {
        let words = self.copy::<RECORD>(index)?;
        let [client, server, uri, upstream, subprotocol] = record::read_texts(&words, TUNNEL_TEXTS);
        let (numbers, _) = words.split_first_chunk()?;
        let word = words.get(LABEL).copied().unwrap_or_default();
        Some(Tunnel {
            numbers: Numbers::read(numbers),
            who: Who::read(word, [client, server, uri]),
            upstream,
            subprotocol,
        })
    }

    /// Only its numbers, which are two cache lines.
    pub fn tunnel_numbers(&self, index: usize) -> Option<Numbers> {
        Some(Numbers::read(&self.copy::<NUMBERS>(index)?))
    }

    /// As many words of a record as are wanted, all of one tunnel.
    fn copy<const N: usize>(&self, index: usize) -> Option<[u64; N]> {
        let owners = self.section(self.layout.owners);
        if owners.get(index / CHUNK_TUNNELS) == 0 {
            return None;
        }
        let record = self.record(index);
        let id = record.seen(ID);
        let mut words = [0; N];
        (id != 0 && record.copy_if(ID, id, &mut words)).then_some(words)
    }

    fn chunk(&self, chunk: usize) -> Words<'m> {
        let start = self.layout.chunks.start + chunk * CHUNK;
        self.words.part(start, CHUNK)
    }

    fn record(&self, index: usize) -> Words<'m> {
        self.words.part(self.record_start(index), RECORD)
    }

    fn record_start(&self, index: usize) -> usize {
        let (chunk, place) = (index / CHUNK_TUNNELS, index % CHUNK_TUNNELS);
        self.layout.chunks.start + chunk * CHUNK + RECORDS + place * RECORD
    }

    /// The slot's worker is gone.
    pub(crate) fn free_chunks(&self, slot: usize) {
        let owners = self.section(self.layout.owners);
        for chunk in 0..self.layout.owners.count {
            if owners.get(chunk) != owned(slot) {
                continue;
            }
            for place in 0..CHUNK_TUNNELS {
                self.record(chunk * CHUNK_TUNNELS + place).retract(ID);
            }
            self.chunk(chunk).set(USED, 0);
            owners.publish(chunk, 0);
        }
    }
}

const fn owned(slot: usize) -> u64 {
    slot as u64 + 1
}

/// A worker's part of the table.
pub(crate) struct Table<'m> {
    zone: Zone<'m>,
    owners: Words<'m>,
    slot: usize,
    /// A chunk of this worker's in which there may be a free record, once it has one.
    hint: Cell<Option<usize>>,
    /// There was no free record when one was last looked for.
    is_full: Cell<bool>,
}

impl<'m> Table<'m> {
    pub fn new(zone: Zone<'m>, slot: usize) -> Self {
        Self {
            zone,
            owners: zone.section(zone.layout.owners),
            slot,
            hint: Cell::new(None),
            is_full: Cell::new(false),
        }
    }

    /// Lists a tunnel. Where its record begins; `None`: there is no room.
    pub fn enter(&self, id: u64, label: u32, place: &Place<'_>, times: [u64; 2]) -> Option<Line> {
        let line = self.find()?;
        let record = self.record(line);
        let mut numbers = [0; NUMBERS];
        let put = |at, word| record.set(at, word);
        numbers[LENGTHS] = record::put_texts(&TUNNEL_TEXTS, &place.texts(), put);
        numbers[LABEL] = place.word(label);
        [numbers[BEGUN], numbers[BEGUN_AT]] = times;
        numbers[MOVED_AT] = numbers[BEGUN_AT];
        record.store_first(&numbers);
        record.publish(ID, id);
        Some(line)
    }

    /// The record that begins there.
    pub fn record(&self, line: Line) -> Words<'m> {
        let record = self.zone.words.part_at::<RECORD>(line);
        record.unwrap_or(Words::NONE)
    }

    /// What changes of it, to be noted.
    #[inline]
    pub fn numbers(&self, line: Line) -> Option<Moving<'m>> {
        self.zone.words.at(line).map(Moving)
    }

    pub fn set_own_loop(&self, line: Line) {
        let record = self.record(line);
        record.set(LABEL, record.get(LABEL) | OWN_LOOP);
    }

    pub fn set_action(&self, line: Line, action: u64) {
        self.record(line).set(ACTION, action);
    }

    /// The tunnel is over.
    pub fn leave(&self, line: Line) {
        self.record(line).retract(ID);
        let start = line.word().saturating_sub(self.zone.layout.chunks.start);
        // What comes before the first record is less than one.
        let (chunk, place) = (start / CHUNK, start % CHUNK / RECORD);
        let words = self.zone.chunk(chunk);
        let used = words.get(USED) & !(1 << place);
        words.set(USED, used);
        self.is_full.set(false);
        if self.hint.get() == Some(chunk) {
            return;
        }
        if self.hint.get().is_none_or(|hint| !self.has_room(hint)) {
            self.hint.set(Some(chunk));
        } else if used == 0 {
            // One empty chunk is enough to keep.
            self.owners.publish(chunk, 0);
        }
    }

    /// Others may have made room meanwhile.
    pub fn look_again(&self) {
        self.is_full.set(false);
    }

    /// A free record, which is in use from now on.
    fn find(&self) -> Option<Line> {
        let hint = self.hint.get().filter(|hint| self.has_room(*hint));
        let chunk = hint.or_else(|| self.other_chunk())?;
        let words = self.zone.chunk(chunk);
        let used = words.get(USED) & ALL_USED;
        let place = used.trailing_ones() as usize;
        words.set(USED, used | 1 << place);
        Line::of(self.zone.record_start(chunk * CHUNK_TUNNELS + place))
    }

    /// A chunk with a free record: one of this worker's, or one that nobody has.
    #[cold]
    fn other_chunk(&self) -> Option<usize> {
        if self.is_full.get() {
            return None;
        }
        let own = owned(self.slot);
        let mut all = 0..self.zone.layout.owners.count;
        let found = all
            .clone()
            .find(|chunk| self.owners.get(*chunk) == own && self.has_room(*chunk))
            .or_else(|| all.find(|chunk| self.owners.claim(*chunk, own)));
        self.is_full.set(found.is_none());
        self.hint.set(found.or(self.hint.get()));
        found
    }

    /// Whether a chunk of this worker's is not full.
    fn has_room(&self, chunk: usize) -> bool {
        self.zone.chunk(chunk).get(USED) & ALL_USED != ALL_USED
    }
}

/// A tunnel's numbers, as its worker writes them.
#[derive(Clone, Copy)]
pub(crate) struct Moving<'m>(&'m [AtomicU64; NUMBERS]);

impl Moving<'_> {
    #[inline]
    pub fn set_from_client(self, count: &Count) {
        self.set_count(FROM_CLIENT, count);
    }

    #[inline]
    pub fn set_from_upstream(self, count: &Count) {
        self.set_count(FROM_UPSTREAM, count);
    }

    #[inline]
    pub fn set_rtt(self, rtt: Option<u32>) {
        self.set(RTT, optional(rtt));
    }

    /// What waits, and when something last moved.
    #[inline]
    pub fn set_state(self, traffic: &Traffic) {
        self.set(MOVED_AT, traffic.moved_at as u64);
        self.set(FOR_UPSTREAM, traffic.waiting_for_upstream as u64);
        self.set(FOR_CLIENT, traffic.waiting_for_client as u64);
    }

    #[inline]
    fn set_count(self, at: usize, count: &Count) {
        self.set(at, count.bytes);
        self.set(at + 1, count.frames);
        self.set(at + 2, count.messages);
    }

    #[inline]
    fn set(self, at: usize, word: u64) {
        if let Some(place) = self.0.get(at) {
            place.store(word, Ordering::Relaxed);
        }
    }
}
