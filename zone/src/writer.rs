//! A worker's pen.

use core::cell::Cell;

use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Reason, Side};

use crate::blocks::Blocks;
use crate::counters::{CLOSED, Code, ENDED, LOST, had, side_number};
use crate::header::{NEXT_ID, TOLD};
use crate::known::Known;
use crate::layout::{CAUSES, REASONS};
use crate::names::OTHER;
use crate::record::optional;
use crate::slots::{LENT, Owners};
use crate::table::Table;
use crate::words::Line;
use crate::zone::Zone;

/// Counts what a worker does, in the worker's own slot. All of it is relaxed stores to words that no
/// other worker writes, but for what happens once in a while: a name, a block or a chunk that is new,
/// a handshake that fails and a tunnel that ends.
pub struct Writer<'m> {
    pub(crate) zone: Zone<'m>,
    pub(crate) slot: usize,
    pub(crate) table: Table<'m>,
    pub(crate) labels: Blocks<'m>,
    pub(crate) upstreams: Blocks<'m>,
    /// Which block each label and upstream has, where it was looked for.
    label_blocks: [Cell<Option<Line>>; MOST],
    upstream_blocks: [Cell<Option<Line>>; MOST],
    last_upstreams: Known,
    /// The ids of the causes that this program knows.
    causes: [u8; CAUSES],
    /// Those of reasons, 0 where none was looked for.
    reasons: [Cell<u8>; REASONS],
    /// The last way to end, the id of its reason, and its own.
    last_close: Cell<(u64, usize, usize)>,
    /// Ids that are this worker's to give.
    ids: Cell<u64>,
    last_id: Cell<u64>,
    /// How many actions were posted when this worker last looked.
    pub(crate) posted: Cell<u64>,
    /// What there was no room for, as bits of [`Full`].
    full: Cell<u64>,
}

/// Labels and upstreams that a table has at most.
const MOST: usize = 1024;

/// Ids are taken from all workers' store so many at a time.
const IDS: u64 = 1024;

const _: () = assert!(Cause::ALL.len() < CAUSES);

/// A label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelId(pub(crate) u32);

impl LabelId {
    /// That of whatever has none.
    pub const OTHER: Self = Self(OTHER as u32);
}

/// What there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Full {
    /// Further labels are counted as `other`.
    Labels = 1,
    /// Further upstreams are counted as `other`.
    Upstreams = 2,
    /// Further tunnels are not in the table.
    Tunnels = 4,
}

impl Full {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Labels, Self::Upstreams, Self::Tunnels];
}

/// What a worker begins and ends with.
impl<'m> Writer<'m> {
    /// Takes a slot. `None`: there is none left, or no room to count in.
    pub fn claim(zone: Zone<'m>, owners: &impl Owners) -> Option<Self> {
        let slot = zone.claim_slot(owners)?;
        let mut causes = [OTHER as u8; CAUSES];
        for (id, cause) in causes.iter_mut().zip(Cause::ALL) {
            let found = zone.causes().find_or_add(slot, cause.name().as_bytes());
            *id = found.unwrap_or(OTHER) as u8;
        }
        let writer = Self {
            zone,
            slot,
            table: Table::new(zone, slot),
            labels: Blocks::of_labels(&zone),
            upstreams: Blocks::of_upstreams(&zone),
            label_blocks: [const { Cell::new(None) }; MOST],
            upstream_blocks: [const { Cell::new(None) }; MOST],
            last_upstreams: Known::new(),
            causes,
            reasons: [const { Cell::new(0) }; REASONS],
            last_close: Cell::new((0, OTHER, OTHER)),
            ids: Cell::new(0),
            last_id: Cell::new(0),
            posted: Cell::new(0),
            full: Cell::new(0),
        };
        // What finds no room of its own is counted there.
        let others = [writer.labels, writer.upstreams];
        if others
            .iter()
            .any(|blocks| blocks.find_or_add(slot, OTHER).is_none())
        {
            zone.clean(slot);
            owners.give_back(slot);
            return None;
        }
        // It has no tunnel yet. For one that comes to it later, what was posted before is looked at by itself.
        writer.news().for_each(|(id, _)| writer.matched(id, 0));
        Some(writer)
    }

    /// The slot that it has.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// What all workers have counted.
    pub fn zone(&self) -> Zone<'m> {
        self.zone
    }

    /// Cleans up behind workers that are gone, and looks for the most tunnels there ever were. To be
    /// called a few times a second.
    pub fn tick(&self, owners: &impl Owners) {
        self.zone.sweep(owners, Some(self.slot));
        self.zone.look_at_peak();
        self.table.look_again();
    }

    /// The worker exits. Tunnels that there still are end with it.
    pub fn leave(&self, owners: &impl Owners) {
        let (_, close) = self.close_ids(None, Some(Reason::WorkerShutdown), None);
        let close = CLOSED + close;
        for blocks in [self.labels, self.upstreams] {
            for (_, _, block) in blocks.iter().filter(|(slot, ..)| *slot == self.slot) {
                let over = block.get(ENDED).wrapping_add(block.get(LOST));
                let active = had(block).saturating_sub(over);
                // An upstream's block is shorter, and has none of this.
                block.add(close, active);
                block.add(ENDED, active);
            }
        }
        self.zone.clean(self.slot);
        owners.give_back(self.slot);
    }

    /// Buffers in which bytes of this worker's tunnels wait.
    pub fn lent(&self, buffers: usize) {
        self.zone.slot(self.slot).set(LENT, buffers as u64);
    }

    /// What there was no room for, if nobody has told of it yet.
    pub fn news_of_full(&self) -> impl Iterator<Item = Full> {
        let full = self.full.replace(0);
        let header = self.zone.header().0;
        Full::ALL
            .into_iter()
            .filter(move |what| full & *what as u64 != 0 && header.mark(TOLD, *what as u64))
    }
}

/// What a worker finds its counters by.
impl<'m> Writer<'m> {
    /// The label of this text.
    pub fn label(&self, text: &[u8]) -> LabelId {
        match self.zone.label_names().find_or_add(self.slot, text) {
            Some(id) => LabelId(id as u32),
            None => {
                self.note(Full::Labels);
                LabelId::OTHER
            }
        }
    }

    /// The block of a label, or that of all others.
    pub(crate) fn label_block(&self, label: LabelId) -> Option<Line> {
        let LabelId(id) = label;
        let block = block_of(self.labels, self.slot, &self.label_blocks, id as usize);
        block.or_else(|| self.other_label_block())
    }

    #[cold]
    fn other_label_block(&self) -> Option<Line> {
        self.note(Full::Labels);
        self.labels.find_or_add(self.slot, OTHER)
    }

    /// The block of an upstream, or that of all others. `None`: there is no room for either.
    #[inline]
    pub(crate) fn upstream_block(&self, address: &[u8]) -> Option<Line> {
        let known = self.last_upstreams.find(address);
        known.or_else(|| self.find_upstream(address))
    }

    #[cold]
    fn find_upstream(&self, address: &[u8]) -> Option<Line> {
        let of = |id| block_of(self.upstreams, self.slot, &self.upstream_blocks, id);
        let id = self.zone.upstream_names().find_or_add(self.slot, address);
        match id.and_then(of) {
            Some(block) => {
                self.last_upstreams.note(address, block);
                Some(block)
            }
            None => {
                self.note(Full::Upstreams);
                of(OTHER)
            }
        }
    }

    fn reason_id(&self, reason: Option<Reason>) -> usize {
        let Some(reason) = reason else {
            return OTHER;
        };
        let Some(place) = self.reasons.get(reason as usize) else {
            return OTHER;
        };
        if place.get() == 0 {
            let name = reason.name().as_bytes();
            let found = self.zone.reasons().find_or_add(self.slot, name);
            place.set(found.unwrap_or(OTHER) as u8);
        }
        place.get().into()
    }

    /// The ids of the reason and of a way to end. Mostly tunnels end as the one before.
    pub(crate) fn close_ids(
        &self,
        by: Option<Side>,
        reason: Option<Reason>,
        code: Option<u16>,
    ) -> (usize, usize) {
        let reason_number = optional(reason.map(|reason| reason as u32));
        // Never 0.
        let way =
            1 << 63 | side_number(by) << 56 | reason_number << 24 | optional(code.map(u32::from));
        let (last, reason_id, close_id) = self.last_close.get();
        if last == way {
            return (reason_id, close_id);
        }
        self.find_close(way, by, reason, code)
    }

    #[cold]
    fn find_close(
        &self,
        way: u64,
        by: Option<Side>,
        reason: Option<Reason>,
        code: Option<u16>,
    ) -> (usize, usize) {
        let reason = self.reason_id(reason);
        let id = self
            .zone
            .close_id(Zone::close_key(by, reason, Code::of(code)));
        self.last_close.set((way, reason, id));
        (reason, id)
    }

    pub(crate) fn cause_id(&self, cause: Cause) -> usize {
        self.causes
            .get(cause as usize)
            .copied()
            .unwrap_or_default()
            .into()
    }

    pub(crate) fn next_id(&self) -> u64 {
        if self.ids.get() == self.last_id.get() {
            self.take_ids();
        }
        let id = self.ids.get();
        self.ids.set(id.wrapping_add(1));
        id
    }

    #[cold]
    fn take_ids(&self) {
        let first = self.zone.header().0.add_shared(NEXT_ID, IDS);
        self.ids.set(first);
        self.last_id.set(first.wrapping_add(IDS));
    }

    #[cold]
    pub(crate) fn note(&self, what: Full) {
        self.full.set(self.full.get() | what as u64);
    }
}

/// Looks for a block where it was found before, else among all.
fn block_of(
    blocks: Blocks<'_>,
    slot: usize,
    found: &[Cell<Option<Line>>; MOST],
    id: usize,
) -> Option<Line> {
    let place = found.get(id)?;
    place.get().or_else(|| {
        place.set(blocks.find_or_add(slot, id));
        place.get()
    })
}
