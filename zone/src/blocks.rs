//! Blocks of counters: each is one slot's, for one label or one upstream.

use crate::layout::Section;
use crate::words::{Line, Words};
use crate::zone::Zone;

#[derive(Clone, Copy)]
pub(crate) struct Blocks<'m> {
    memory: Words<'m>,
    keys: Words<'m>,
    blocks: Section,
}

const fn key(slot: usize, id: usize) -> u64 {
    ((slot as u64 + 1) << 32) | (id as u64 + 1)
}

impl<'m> Blocks<'m> {
    fn new(zone: &Zone<'m>, keys: Section, blocks: Section) -> Self {
        Self {
            memory: zone.words,
            keys: zone.section(keys),
            blocks,
        }
    }

    pub fn of_labels(zone: &Zone<'m>) -> Self {
        Self::new(zone, zone.layout.label_keys, zone.layout.label_blocks)
    }

    pub fn of_upstreams(zone: &Zone<'m>) -> Self {
        Self::new(zone, zone.layout.upstream_keys, zone.layout.upstream_blocks)
    }

    /// The one that begins there, of these blocks' size.
    #[inline]
    pub fn at<const SIZE: usize>(self, line: Line) -> Option<Words<'m>> {
        self.memory.part_at::<SIZE>(line)
    }

    /// The block for a label or upstream in a slot: one that there is, from a worker before perhaps, or
    /// a new one. `None`: there is no room.
    #[cold]
    pub fn find_or_add(self, slot: usize, id: usize) -> Option<Line> {
        let key = key(slot, id);
        let found = self.keys.iter().position(|found| found == key);
        let free = || (0..self.blocks.count).find(|&index| self.keys.claim(index, key));
        Line::of(self.start(found.or_else(free)?))
    }

    fn start(self, index: usize) -> usize {
        self.blocks.start + index * self.blocks.size
    }

    /// The one of this index, if it is in use.
    pub fn get(self, index: usize) -> Option<Words<'m>> {
        let is_used = self.keys.get(index) != 0;
        is_used.then(|| self.memory.part(self.start(index), self.blocks.size))
    }

    /// All of them, with the slot and the id.
    pub fn iter(self) -> impl Iterator<Item = (usize, usize, Words<'m>)> {
        let owned = self.keys.iter().enumerate().filter(|(_, key)| *key != 0);
        owned.map(move |(index, key)| {
            // A key that nobody has written is no slot's.
            let slot = ((key >> 32) as usize).wrapping_sub(1);
            let id = ((key & 0xFFFF_FFFF) as usize).wrapping_sub(1);
            let block = self.memory.part(self.start(index), self.blocks.size);
            (slot, id, block)
        })
    }
}
