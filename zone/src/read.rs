//! What a reader sees. Everything is found by index, and copied: an answer can be made in pieces.

use core::sync::atomic::{Ordering, fence};

use crate::blocks::Blocks;
use crate::counters::{Counters, ENDED, LOST, UpstreamCounters, had};
use crate::header::PEAK;
use crate::names::{Names, OTHER};
use crate::slots::LENT;
use crate::text::Text;
use crate::words::Words;
use crate::zone::Zone;

/// What was counted for a label.
pub struct Label<'m> {
    /// Its text.
    pub name: Text,
    /// All of it.
    pub counters: Counters<'m>,
}

/// What was counted for an upstream.
pub struct Upstream<'m> {
    /// Its address.
    pub address: Text,
    /// All of it.
    pub counters: UpstreamCounters<'m>,
}

impl<'m> Zone<'m> {
    /// The name that the configuration gives it.
    pub fn name(&self) -> Text {
        self.header().name()
    }

    /// Since when it counts: milliseconds since 1970.
    pub fn started(&self) -> u64 {
        self.header().started()
    }

    /// Workers that count.
    pub fn workers(&self) -> usize {
        self.used().count()
    }

    /// Buffers in which bytes wait, as of a quarter of a second ago at most.
    pub fn buffers_lent(&self) -> u64 {
        self.used()
            .map(|slot| self.slot(slot).get(LENT))
            .fold(0, u64::wrapping_add)
    }

    fn used(&self) -> impl Iterator<Item = usize> {
        (0..self.layout.slots.count).filter(|slot| self.is_used(*slot))
    }

    /// The most tunnels that there ever were at once, as far as anybody looked: each worker does, twice a
    /// second.
    pub fn peak(&self) -> u64 {
        self.look_at_peak();
        self.header().0.get(PEAK)
    }

    /// The same, for who knows how many there are now.
    pub fn peak_with(&self, active: u64) -> u64 {
        self.header().0.raise(PEAK, active);
        self.header().0.get(PEAK)
    }

    /// Looks how many there are, for the peak.
    pub fn look_at_peak(&self) {
        let sum = |of: fn(Words<'_>) -> u64| {
            let blocks = Blocks::of_labels(self);
            blocks
                .iter()
                .map(|(_, _, block)| of(block))
                .fold(0, u64::wrapping_add)
        };
        // In this order one that ends meanwhile, or goes to another worker, is not taken for one more.
        let begun = sum(had);
        fence(Ordering::Acquire);
        let over = sum(|block| block.get(ENDED).wrapping_add(block.get(LOST)));
        self.header().0.raise(PEAK, begun.saturating_sub(over));
    }

    /// All of it together.
    pub fn totals(&self) -> Counters<'m> {
        self.sum(|_| true)
    }

    /// The same a little at a time: it is the sum of so many blocks.
    pub fn blocks(&self) -> usize {
        self.layout.label_blocks.count
    }

    /// Nothing, to which blocks can be added.
    pub fn no_counters(&self) -> Counters<'m> {
        Counters::new(*self)
    }

    /// Adds one of the [blocks](Self::blocks), if it is in use.
    pub fn add_block(&self, index: usize, counters: &mut Counters<'m>) -> bool {
        let block = Blocks::of_labels(self).get(index);
        if let Some(block) = block {
            counters.add(block.iter());
        }
        block.is_some()
    }

    /// What labels have indices: those below this.
    pub fn labels(&self) -> usize {
        self.label_names().count()
    }

    /// What was counted for the label of an index. `None`: there is none, or it is that of another
    /// index. The first is `other`, for what there is no room for.
    pub fn label(&self, index: usize) -> Option<Label<'m>> {
        let names = self.label_names();
        Some(Label {
            name: first(names, index)?,
            counters: self.sum(names.same_as(index)),
        })
    }

    /// A label's text.
    pub fn label_name(&self, label: u32) -> Text {
        self.label_names().get(label as usize).unwrap_or_default()
    }

    /// The label of this text.
    pub fn find_label(&self, name: &[u8]) -> Option<u32> {
        self.label_names().find(name).map(|id| id as u32)
    }

    pub(crate) fn is_label(&self, label: u32, wanted: u32) -> bool {
        self.label_names().is_same(label as usize, wanted as usize)
    }

    /// What upstreams have indices: those below this.
    pub fn upstreams(&self) -> usize {
        self.upstream_names().count()
    }

    /// What was counted for the upstream of an index; as [`label`](Self::label) is.
    pub fn upstream(&self, index: usize) -> Option<Upstream<'m>> {
        let names = self.upstream_names();
        let address = first(names, index)?;
        let mut counters = UpstreamCounters::new(*self);
        let is_wanted = names.same_as(index);
        for (_, id, block) in Blocks::of_upstreams(self).iter() {
            if is_wanted(id) {
                counters.add(block.iter());
            }
        }
        Some(Upstream { address, counters })
    }

    fn sum(&self, is_wanted: impl Fn(usize) -> bool) -> Counters<'m> {
        let mut counters = Counters::new(*self);
        for (_, id, block) in Blocks::of_labels(self).iter() {
            if is_wanted(id) {
                counters.add(block.iter());
            }
        }
        counters
    }
}

/// The name of an id, if no other stands for the same one.
fn first(names: Names<'_>, id: usize) -> Option<Text> {
    let name = names.get(id)?;
    (id == OTHER || names.first(id) == id).then_some(name)
}
