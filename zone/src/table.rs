//! The table of live tunnels: chunks of records, each chunk one slot's, so that no two workers write
//! to one cache line.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use websocket_protocol::tunnel::{Count, Traffic};

use crate::layout::{CHUNK_TUNNELS, RECORD};
use crate::record::{
    self, LABEL, OWN_LOOP, Place, TUNNEL_TEXTS, count_at, from_optional, optional,
};
use crate::text::Text;
use crate::words::Words;
use crate::zone::Zone;

/// Words of a record. The id is 0 while the record is free or being written.
const ID: usize = 0;
/// When it began, twice, and when something last moved: these stand behind the label.
const MOVED_AT: usize = 4;
const FROM_CLIENT: usize = 5;
const FROM_UPSTREAM: usize = 8;
const RTT: usize = 11;
const FOR_UPSTREAM: usize = 12;
const FOR_CLIENT: usize = 13;
const ACTION: usize = 14;
const NUMBERS: usize = 16;

/// Where a chunk says which of its records are in use, and where they begin.
const USED: usize = 0;
const RECORDS: usize = 8;
const ALL_USED: u64 = (1 << CHUNK_TUNNELS) - 1;

/// A tunnel that there is, or was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    /// What changes.
    pub numbers: Numbers,
    /// The client's address.
    pub client: Text,
    /// The first name of its server.
    pub server: Text,
    /// The address that was asked for, without its query.
    pub uri: Text,
    /// The address of the upstream server.
    pub upstream: Text,
    /// What the upstream selected.
    pub subprotocol: Text,
    /// Whether the client's connection is TLS.
    pub is_tls: bool,
    /// The client's HTTP version.
    pub http: (u8, u8),
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
            client,
            server,
            uri,
            upstream,
            subprotocol,
            is_tls: record::is_tls(word),
            http: record::http_of(word),
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
        self.nth(self.layout.chunks, chunk)
    }

    fn record(&self, index: usize) -> Words<'m> {
        let start = RECORDS + index % CHUNK_TUNNELS * RECORD;
        self.chunk(index / CHUNK_TUNNELS).part(start, RECORD)
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
    slot: usize,
    /// A chunk in which there may be a free record.
    hint: Cell<usize>,
    /// There was no free record when one was last looked for.
    is_full: Cell<bool>,
}

impl<'m> Table<'m> {
    pub fn new(zone: Zone<'m>, slot: usize) -> Self {
        Self {
            zone,
            slot,
            hint: Cell::new(0),
            is_full: Cell::new(false),
        }
    }

    /// Lists a tunnel. Its index; `None`: there is no room.
    pub fn enter(&self, id: u64, label: u32, place: &Place<'_>, times: [u64; 2]) -> Option<usize> {
        let index = self.find()?;
        let [begun, begun_at] = times;
        let mut words = [0; RECORD];
        for (at, word) in (LABEL..).zip([place.word(label), begun, begun_at, begun_at]) {
            record::set(&mut words, at, word);
        }
        let used = record::write_texts(&mut words, TUNNEL_TEXTS, place.texts());
        let record = self.zone.record(index);
        record.store(words.get(..used).unwrap_or(&words));
        record.publish(ID, id);
        Some(index)
    }

    /// Notes how it is.
    #[inline]
    pub fn update(&self, index: usize, traffic: &Traffic) {
        let Some(record) = self.zone.record(index).first::<NUMBERS>() else {
            return;
        };
        let set = |at: usize, word: u64| record[at].store(word, Ordering::Relaxed);
        let set_count = |at: usize, count: &Count| {
            set(at, count.bytes);
            set(at + 1, count.frames);
            set(at + 2, count.messages);
        };
        set(MOVED_AT, traffic.moved_at as u64);
        set_count(FROM_CLIENT, &traffic.from_client);
        set_count(FROM_UPSTREAM, &traffic.from_upstream);
        set(RTT, optional(traffic.ping_rtt));
        set(FOR_UPSTREAM, traffic.waiting_for_upstream as u64);
        set(FOR_CLIENT, traffic.waiting_for_client as u64);
    }

    pub fn set_own_loop(&self, index: usize) {
        let record = self.zone.record(index);
        record.set(LABEL, record.get(LABEL) | OWN_LOOP);
    }

    pub fn set_action(&self, index: usize, action: u64) {
        self.zone.record(index).set(ACTION, action);
    }

    /// The tunnel is over.
    pub fn leave(&self, index: usize) {
        let (chunk, place) = (index / CHUNK_TUNNELS, index % CHUNK_TUNNELS);
        self.zone.record(index).retract(ID);
        let words = self.zone.chunk(chunk);
        let used = words.get(USED) & !(1 << place);
        words.set(USED, used);
        self.is_full.set(false);
        if !self.has_room(self.hint.get()) {
            self.hint.set(chunk);
        } else if used == 0 && chunk != self.hint.get() {
            // One empty chunk is enough to keep.
            self.owners().publish(chunk, 0);
        }
    }

    /// Others may have made room meanwhile.
    pub fn look_again(&self) {
        self.is_full.set(false);
    }

    fn find(&self) -> Option<usize> {
        if self.is_full.get() {
            return None;
        }
        let owners = self.owners();
        let own = owned(self.slot);
        let all = 0..self.zone.layout.owners.count;
        let chunk = Some(self.hint.get())
            .filter(|hint| self.has_room(*hint))
            .or_else(|| all.clone().find(|chunk| self.has_room(*chunk)))
            .or_else(|| all.clone().find(|chunk| owners.claim(*chunk, own)));
        let Some(chunk) = chunk else {
            self.is_full.set(true);
            return None;
        };
        self.hint.set(chunk);
        let words = self.zone.chunk(chunk);
        let used = words.get(USED);
        let place = used.trailing_ones() as usize;
        words.set(USED, used | 1 << place);
        Some(chunk * CHUNK_TUNNELS + place)
    }

    /// Whether a chunk is this worker's and not full.
    fn has_room(&self, chunk: usize) -> bool {
        self.owners().get(chunk) == owned(self.slot) && self.zone.chunk(chunk).get(USED) != ALL_USED
    }

    fn owners(&self) -> Words<'m> {
        self.zone.section(self.zone.layout.owners)
    }
}
