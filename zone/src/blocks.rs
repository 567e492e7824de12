//! Blocks of counters: each is one slot's, for one label or one upstream.

use crate::layout::Section;
use crate::words::Words;
use crate::zone::Zone;

#[derive(Clone, Copy)]
pub(crate) struct Blocks<'m> {
    keys: Words<'m>,
    blocks: Words<'m>,
    count: usize,
    size: usize,
}

const fn key(slot: usize, id: usize) -> u64 {
    ((slot as u64 + 1) << 32) | (id as u64 + 1)
}

impl<'m> Blocks<'m> {
    fn new(zone: &Zone<'m>, keys: Section, blocks: Section) -> Self {
        Self {
            keys: zone.section(keys),
            blocks: zone.section(blocks),
            count: blocks.count,
            size: blocks.size,
        }
    }

    pub fn of_labels(zone: &Zone<'m>) -> Self {
        Self::new(zone, zone.layout.label_keys, zone.layout.label_blocks)
    }

    pub fn of_upstreams(zone: &Zone<'m>) -> Self {
        Self::new(zone, zone.layout.upstream_keys, zone.layout.upstream_blocks)
    }

    #[inline]
    pub fn get(self, index: usize) -> Words<'m> {
        self.blocks.nth(index, self.size)
    }

    /// The block for a label or upstream in a slot: one that there is, from a worker before perhaps, or
    /// a new one. `None`: there is no room.
    pub fn find_or_add(self, slot: usize, id: usize) -> Option<usize> {
        let key = key(slot, id);
        if let Some(index) = self.keys.iter().position(|found| found == key) {
            return Some(index);
        }
        (0..self.count).find(|&index| self.keys.claim(index, key))
    }

    /// All of them, with the slot and the id.
    pub fn iter(self) -> impl Iterator<Item = (usize, usize, Words<'m>)> {
        let owned = self.keys.iter().enumerate().filter(|(_, key)| *key != 0);
        owned.map(move |(index, key)| {
            let slot = (key >> 32) as usize - 1;
            let id = (key & 0xFFFF_FFFF) as usize - 1;
            (slot, id, self.get(index))
        })
    }
}
