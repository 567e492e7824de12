//! The memory as a whole.

use core::sync::atomic::AtomicU64;

use crate::header::{Header, Memory};
use crate::layout::{HEADER, Layout, Section};
use crate::names::Names;
use crate::words::Words;

/// What all workers have counted, and the tunnels that they carry.
#[derive(Clone, Copy)]
pub struct Zone<'m> {
    pub(crate) words: Words<'m>,
    pub(crate) layout: Layout,
}

impl<'m> Zone<'m> {
    /// Makes it of memory that is all zeros. `None`: there is too little.
    pub fn create(words: &'m [AtomicU64], memory: Memory<'_>) -> Option<Self> {
        let zone = Self {
            layout: Layout::new(words.len(), memory.history)?,
            words: Words::new(words),
        };
        zone.header().write(words.len(), &memory);
        zone.causes().create("unknown");
        zone.reasons().create("unknown");
        zone.label_names().create("other");
        zone.upstream_names().create("other");
        zone.create_closes();
        zone.header().publish();
        Some(zone)
    }

    /// The one that is in this memory. `None`: there is none, or one of another version.
    pub fn open(words: &'m [AtomicU64]) -> Option<Self> {
        let words_len = words.len();
        let words = Words::new(words);
        let history = Header(words.part(0, HEADER)).history(words_len)?;
        Some(Self {
            layout: Layout::new(words_len, history)?,
            words,
        })
    }

    /// Whether there is one in this memory, of whatever version.
    pub fn is_there(words: &[AtomicU64]) -> bool {
        Header(Words::new(words)).is_there()
    }

    /// How many words are enough for rings of this length, as are all greater numbers.
    pub fn least_words(history: usize) -> usize {
        Layout::least_words(history)
    }

    /// Whether it is what is wanted: its name and the length of its rings.
    pub fn is_for(&self, memory: &Memory<'_>) -> bool {
        *self.header().name() == *crate::Text::new(memory.name)
            && self.layout.failures.count == memory.history
    }

    pub(crate) fn header(&self) -> Header<'m> {
        Header(self.words.part(0, HEADER))
    }

    pub(crate) fn section(&self, section: Section) -> Words<'m> {
        self.words
            .part(section.start, section.count.saturating_mul(section.size))
    }

    pub(crate) fn nth(&self, section: Section, index: usize) -> Words<'m> {
        self.section(section).nth(index, section.size)
    }

    pub(crate) fn causes(&self) -> Names<'m> {
        self.names(self.layout.causes)
    }

    pub(crate) fn reasons(&self) -> Names<'m> {
        self.names(self.layout.reasons)
    }

    pub(crate) fn label_names(&self) -> Names<'m> {
        self.names(self.layout.labels)
    }

    pub(crate) fn upstream_names(&self) -> Names<'m> {
        self.names(self.layout.upstreams)
    }

    fn names(&self, section: Section) -> Names<'m> {
        Names::new(self.section(section), section.count)
    }
}
