//! Slots: each is one worker's, and what a worker leaves in it that is gone.

use crate::blocks::Blocks;
use crate::counters::{ENDED, LOST, had, over};
use crate::layout::ACTIONS;
use crate::words::Words;
use crate::zone::Zone;

/// Who is alive. A slot that was taken is the process's until it gives it back or is no more, by
/// whatever it ended; nobody else can take it as long as that.
pub trait Owners {
    /// Takes a slot, if no process has it. Never waits.
    fn take(&self, slot: usize) -> bool;

    /// Gives it back.
    fn give_back(&self, slot: usize);
}

/// For a process that is alone with the memory.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Owners for Alone {
    fn take(&self, _slot: usize) -> bool {
        true
    }

    fn give_back(&self, _slot: usize) {}
}

/// Words of a slot.
const IS_USED: usize = 0;
pub(crate) const LENT: usize = 1;
/// For each action its id, how many tunnels it matched, and how many of those are closed.
const PROGRESS: usize = 8;
const PROGRESS_SIZE: usize = 3;
const _: () = assert!(PROGRESS + ACTIONS * PROGRESS_SIZE <= crate::layout::SLOT);

impl<'m> Zone<'m> {
    /// A slot of the caller's own. `None`: all are in use.
    pub(crate) fn claim_slot(&self, owners: &impl Owners) -> Option<usize> {
        let slot = (0..self.layout.slots.count).find(|slot| owners.take(*slot))?;
        // Of a worker that nobody has cleaned up behind.
        self.clean(slot);
        self.slot(slot).set(IS_USED, 1);
        Some(slot)
    }

    /// Cleans up behind workers that are gone. `own` is the caller's slot, which it can always take.
    pub fn sweep(&self, owners: &impl Owners, own: Option<usize>) {
        for slot in 0..self.layout.slots.count {
            if self.is_used(slot) && Some(slot) != own && owners.take(slot) {
                self.clean(slot);
                owners.give_back(slot);
            }
        }
    }

    /// What a worker left that is gone: its tunnels are lost. The caller has the slot. Each step can be
    /// done again, so that it does not matter where this ends if the caller dies, too.
    pub(crate) fn clean(&self, slot: usize) {
        if !self.is_used(slot) {
            return;
        }
        self.free_chunks(slot);
        for (_, _, block) in Blocks::of_labels(self)
            .iter()
            .filter(|(of, ..)| *of == slot)
        {
            block.set(ENDED, over(block).max(block.get(ENDED)));
        }
        for blocks in [Blocks::of_labels(self), Blocks::of_upstreams(self)] {
            for (_, _, block) in blocks.iter().filter(|(of, ..)| *of == slot) {
                block.set(LOST, had(block).saturating_sub(block.get(ENDED)));
            }
        }
        for names in [
            self.causes(),
            self.reasons(),
            self.label_names(),
            self.upstream_names(),
        ] {
            names.clean(slot);
        }
        let words = self.slot(slot);
        words.set(LENT, 0);
        for place in 0..ACTIONS {
            let progress = Progress::of(place);
            words.set(progress.closed, words.get(progress.matched));
        }
        words.publish(IS_USED, 0);
    }

    pub(crate) fn slot(&self, slot: usize) -> Words<'m> {
        self.nth(self.layout.slots, slot)
    }

    pub(crate) fn is_used(&self, slot: usize) -> bool {
        self.slot(slot).seen(IS_USED) != 0
    }
}

/// Where a slot notes how far its worker is with an action.
pub(crate) struct Progress {
    pub action: usize,
    pub matched: usize,
    pub closed: usize,
}

impl Progress {
    /// Of the action in this place.
    pub const fn of(place: usize) -> Self {
        let action = PROGRESS + place * PROGRESS_SIZE;
        Self {
            action,
            matched: action + 1,
            closed: action + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use websocket_protocol::tunnel::Count;

    use super::*;
    use crate::counters::CLOSED;
    use crate::layout::CLOSES;
    use crate::{Alone, Memory, Over, Place, Writer};

    #[test]
    fn an_end_that_a_killed_worker_had_begun_to_count_is_one() {
        let memory: Vec<AtomicU64> = (0..96 << 10).map(|_| AtomicU64::new(0)).collect();
        let memory_for = Memory {
            name: b"one",
            history: 4,
            started: 0,
        };
        let zone = Zone::create(&memory, memory_for).expect("room");
        let writer = Writer::claim(zone, &Alone).expect("a slot");
        let label = writer.label(b"/");
        let [first, ..] = [(); 3].map(|()| writer.established(label, &Place::default(), 1, 0, 0));
        let over = Over {
            by: None,
            reason: None,
            code: None,
            duration_ms: 1,
            from_client: Count::NONE,
            from_upstream: Count::NONE,
            ping_rtt: None,
            time: 0,
        };
        writer.ended(&first, Place::default, &over);
        // It is killed within the second's.
        let labels = Blocks::of_labels(&zone);
        let mut blocks = labels.iter().map(|(_, _, block)| block);
        let block = blocks.find(|block| had(*block) == 3).expect("the label's");
        let closes = CLOSED..CLOSED + CLOSES;
        let close = closes.into_iter().find(|close| block.get(*close) == 1);
        block.add(close.expect("it was counted"), 1);
        zone.clean(writer.slot());
        let totals = zone.totals();
        let closes: u64 = totals.closes().map(|close| close.count).sum();
        assert_eq!((totals.established(), totals.active()), (3, 0));
        assert_eq!((closes, totals.lost()), (3, 1));
    }
}
