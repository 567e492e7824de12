//! Words of the shared memory.

use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// Where in the memory something begins, in cache lines. The first is the memory's own: 0 is nothing's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line(NonZeroU32);

impl Line {
    /// Words of one.
    pub const WORDS: usize = 8;

    /// More words than these have no lines.
    pub const MOST_WORDS: u64 = u32::MAX as u64 * Self::WORDS as u64;

    pub fn of(word: usize) -> Option<Self> {
        let line = u32::try_from(word / Self::WORDS).ok()?;
        NonZeroU32::new(line).map(Self)
    }

    #[inline]
    pub fn word(self) -> usize {
        self.0.get() as usize * Self::WORDS
    }
}

/// A part of the memory. A place outside of it reads as 0 and keeps nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'m>(&'m [AtomicU64]);

impl<'m> Words<'m> {
    /// No words.
    pub const NONE: Self = Self(&[]);

    pub fn new(words: &'m [AtomicU64]) -> Self {
        Self(words)
    }

    pub fn part(self, start: usize, length: usize) -> Self {
        let end = start.saturating_add(length);
        Self(self.0.get(start..end).unwrap_or_default())
    }

    /// As many words of a line, and of those behind it.
    #[inline]
    pub fn at<const N: usize>(self, line: Line) -> Option<&'m [AtomicU64; N]> {
        self.0.get(line.word()..)?.first_chunk()
    }

    /// The same as a part, whose length is known when this is compiled: places in it need no look.
    #[inline]
    pub fn part_at<const N: usize>(self, line: Line) -> Option<Self> {
        self.at::<N>(line).map(|words| Self(words))
    }

    /// The part of this index among parts of this length.
    pub fn nth(self, index: usize, length: usize) -> Self {
        self.part(index.saturating_mul(length), length)
    }

    pub fn iter(self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// Writes the first words.
    pub fn store_first<const N: usize>(self, words: &[u64; N]) {
        if let Some(place) = self.0.first_chunk::<N>() {
            for (to, word) in place.iter().zip(words) {
                to.store(*word, Ordering::Relaxed);
            }
        }
    }

    /// Copies another part, as far as there is room, and shows each word.
    #[inline]
    pub fn copy_from(self, from: Words<'_>, mut look: impl FnMut(u64)) {
        for (to, word) in self.0.iter().zip(from.iter()) {
            to.store(word, Ordering::Relaxed);
            look(word);
        }
    }

    #[inline]
    pub fn get(self, at: usize) -> u64 {
        self.0
            .get(at)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    #[inline]
    pub fn set(self, at: usize, value: u64) {
        if let Some(word) = self.0.get(at) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// For a word that no one else writes.
    #[inline]
    pub fn add(self, at: usize, count: u64) {
        if let Some(word) = self.0.get(at) {
            let sum = word.load(Ordering::Relaxed).wrapping_add(count);
            word.store(sum, Ordering::Relaxed);
        }
    }

    /// For a word that others write, too. What it was before.
    pub fn add_shared(self, at: usize, count: u64) -> u64 {
        self.0
            .get(at)
            .map_or(0, |word| word.fetch_add(count, Ordering::Relaxed))
    }

    /// Likewise: it is this, or what is larger.
    pub fn raise(self, at: usize, value: u64) {
        if let Some(word) = self.0.get(at) {
            // A look first: mostly there is nothing to be written.
            if word.load(Ordering::Relaxed) < value {
                word.fetch_max(value, Ordering::Relaxed);
            }
        }
    }

    /// Sets a bit of a word that others write, too. Whether it was not set before.
    pub fn mark(self, at: usize, bit: u64) -> bool {
        self.0.get(at).is_some_and(|word| {
            word.load(Ordering::Relaxed) & bit == 0
                && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
        })
    }

    /// Makes a word that is 0 this value. Whether it was.
    pub fn claim(self, at: usize, value: u64) -> bool {
        self.0.get(at).is_some_and(|word| {
            word.load(Ordering::Relaxed) == 0
                && word
                    .compare_exchange(0, value, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Makes a word that has one value another. Whether it had it.
    pub fn exchange(self, at: usize, from: u64, to: u64) -> bool {
        self.0.get(at).is_some_and(|word| {
            word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Whoever [sees](Self::seen) this value sees what was written before.
    pub fn publish(self, at: usize, value: u64) {
        if let Some(word) = self.0.get(at) {
            word.store(value, Ordering::Release);
        }
    }

    pub fn seen(self, at: usize) -> u64 {
        self.0
            .get(at)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Takes back what was published, before anything else is written.
    pub fn retract(self, at: usize) {
        self.set(at, 0);
        fence(Ordering::Release);
    }

    /// Copies as much as there is room for, and says whether `at` still has this value then.
    pub fn copy_if(self, at: usize, value: u64, into: &mut [u64]) -> bool {
        for (to, word) in into.iter_mut().zip(self.iter()) {
            *to = word;
        }
        fence(Ordering::Acquire);
        self.get(at) == value
    }
}

/// For a word that no one else writes.
#[inline]
pub(crate) fn bump(word: &AtomicU64, count: u64) {
    word.store(
        word.load(Ordering::Relaxed).wrapping_add(count),
        Ordering::Relaxed,
    );
}
