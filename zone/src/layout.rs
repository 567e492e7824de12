//! Where everything lies in the memory.

use crate::words::Line;

/// Words of a slot, a name, a record of a tunnel, an action.
pub(crate) const SLOT: usize = 64;
pub(crate) const NAME: usize = 16;
pub(crate) const RECORD: usize = 64;
pub(crate) const ACTION: usize = 64;
/// Words of the counters of a label, and of an upstream, in one slot.
pub(crate) const LABEL_BLOCK: usize = 384;
pub(crate) const UPSTREAM_BLOCK: usize = 104;
/// Tunnels of a chunk, and its words: a cache line that says which are in use, then they.
pub(crate) const CHUNK_TUNNELS: usize = 16;
pub(crate) const CHUNK: usize = 8 + CHUNK_TUNNELS * RECORD;

pub(crate) const HEADER: usize = 64;
/// How many causes and reasons have counters; more than there are, as there will be more.
pub(crate) const CAUSES: usize = 96;
pub(crate) const REASONS: usize = 48;
/// How many different combinations of side, reason and code are counted.
pub(crate) const CLOSES: usize = 96;
/// How many actions are known at a time.
pub(crate) const ACTIONS: usize = 16;

/// Blocks of a kind, at most: readers go through all of them.
const MOST_BLOCKS: usize = 8192;

/// A number of things of one size, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub start: usize,
    pub count: usize,
    pub size: usize,
}

impl Section {
    const fn end(self) -> usize {
        self.start + self.count * self.size
    }

    const fn then(self, count: usize, size: usize) -> Self {
        Self {
            start: self.end(),
            count,
            size,
        }
    }
}

/// Follows from the number of words and the length of the rings, so that every process finds the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub causes: Section,
    pub reasons: Section,
    pub closes: Section,
    pub actions: Section,
    pub failures: Section,
    pub ends: Section,
    pub labels: Section,
    pub upstreams: Section,
    pub slots: Section,
    /// For each block whose it is; then the blocks.
    pub label_keys: Section,
    pub label_blocks: Section,
    pub upstream_keys: Section,
    pub upstream_blocks: Section,
    /// For each chunk which slot has it; then the chunks.
    pub owners: Section,
    pub chunks: Section,
}

impl Layout {
    /// `None` where so few words are not enough, whatever the length of the rings is said to be.
    pub fn new(words: usize, history: usize) -> Option<Self> {
        if history > words / RECORD {
            return None;
        }
        let header = Section {
            start: 0,
            count: 1,
            size: HEADER,
        };
        let causes = header.then(CAUSES, NAME);
        let reasons = causes.then(REASONS, NAME);
        let closes = reasons.then(CLOSES, 1);
        // What follows begins a cache line.
        let actions = closes.then(ACTIONS, ACTION);
        let failures = actions.then(history, RECORD);
        let ends = failures.then(history, RECORD);

        let rest = words.checked_sub(ends.end())?;
        let names = (rest / 1024).clamp(16, 1024);
        let labels = ends.then(names, NAME);
        let upstreams = labels.then(names, NAME);
        let slots = upstreams.then((rest / 1024).clamp(8, 512), SLOT);
        let count = line(rest / 4 / LABEL_BLOCK + 32).min(MOST_BLOCKS);
        let label_keys = slots.then(count, 1);
        let label_blocks = label_keys.then(count, LABEL_BLOCK);
        let count = line(rest / 16 / UPSTREAM_BLOCK + 16).min(MOST_BLOCKS);
        let upstream_keys = label_blocks.then(count, 1);
        let upstream_blocks = upstream_keys.then(count, UPSTREAM_BLOCK);

        let rest = words.checked_sub(upstream_blocks.end())?;
        let most = Line::MOST_WORDS / (CHUNK as u64 + 1) / 2;
        let count = (rest / (CHUNK + 1)).min(most as usize) / LINE * LINE;
        let owners = upstream_blocks.then(count, 1);
        let chunks = owners.then(count, CHUNK);
        (count > 0).then_some(Self {
            causes,
            reasons,
            closes,
            actions,
            failures,
            ends,
            labels,
            upstreams,
            slots,
            label_keys,
            label_blocks,
            upstream_keys,
            upstream_blocks,
            owners,
            chunks,
        })
    }

    /// The least number of words from which on all are enough. With a little more there may be room for
    /// one more of something else, and less for the tunnels: so some that are less would do, too.
    pub fn least_words(history: usize) -> usize {
        let is_enough = |words: &usize| Self::new(*words, history).is_some();
        let lines = |from: usize| (line(from)..).step_by(LINE);
        let first = lines(2 * RECORD * history).find(is_enough).unwrap_or(0);
        let last = lines(first)
            .take(MOST_MORE / LINE)
            .filter(|words| !is_enough(words))
            .last();
        last.map_or(first, |words| words + LINE)
    }
}

/// More words than it takes for what there is only more of sometimes.
const MOST_MORE: usize = 32 * 1024;

const LINE: usize = Line::WORDS;

/// So many words, up to the end of a cache line.
const fn line(words: usize) -> usize {
    words.next_multiple_of(LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "thousands of sizes, and no memory")]
    fn everything_lies_within_the_memory_and_begins_a_cache_line() {
        for words in (0..2_000_000).step_by(997) {
            for history in [0, 1, 16, 256] {
                let Some(layout) = Layout::new(words, history) else {
                    continue;
                };
                assert!(layout.chunks.end() <= words);
                for section in [
                    layout.slots,
                    layout.label_blocks,
                    layout.upstream_blocks,
                    layout.chunks,
                ] {
                    assert_eq!(section.start % 8, 0);
                    assert_eq!(section.size % 8, 0);
                }
            }
        }
    }

    #[test]
    fn a_megabyte_is_enough_for_a_small_site() {
        let layout = Layout::new((1 << 20) / 8, 256).unwrap();
        assert!(layout.chunks.count * CHUNK_TUNNELS >= 500, "{layout:?}");
        assert!(layout.label_blocks.count >= 90);
        assert!(layout.slots.count >= 64);
    }

    #[test]
    #[cfg_attr(miri, ignore = "hundreds of thousands of sizes, and no memory")]
    fn whatever_is_more_than_the_least_is_enough() {
        for history in [0, 3, 256, 1000, 65_536] {
            let least = Layout::least_words(history);
            assert_eq!(Layout::new(least - LINE, history), None);
            let more = (least..least + 500_000).step_by(LINE - 1);
            assert!(
                more.clone()
                    .all(|words| Layout::new(words, history).is_some())
            );
        }
    }

    #[test]
    fn too_little_is_none() {
        assert_eq!(Layout::new(0, 0), None);
        assert_eq!(Layout::new(32 * 1024, 256), None);
        // As many as would turn over.
        for history in [1 << 51, 1 << 57, 1 << 58, 1 << 63, usize::MAX] {
            assert_eq!(Layout::new(1 << 20, history), None, "{history}");
        }
    }
}
