//! The first words of the memory: what it is, and the few numbers that all workers share.

use crate::layout::HEADER;
use crate::text::{self, Text};
use crate::words::Words;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"wszone\0\0");
/// To be raised with every change of the layout, and of what its numbers mean.
pub(crate) const VERSION: u64 = 3;

const IS: usize = 0;
const IS_VERSION: usize = 1;
const LENGTH: usize = 2;
const HISTORY: usize = 3;
const STARTED: usize = 4;
const NAME_LENGTH: usize = 5;
/// 48 words for the name of the memory, as long as a text can be.
const NAME: usize = 16;
const NAME_ROOM: usize = HEADER - NAME;

/// Words that workers write, with what they share: each in a line of its own would not help, as none is
/// written for a handshake that succeeds, or for a message.
pub(crate) const PEAK: usize = 8;
pub(crate) const NEXT_ID: usize = 9;
pub(crate) const NEXT_FAILURE: usize = 10;
pub(crate) const NEXT_END: usize = 11;
pub(crate) const POSTED: usize = 12;
pub(crate) const NEXT_ACTION: usize = 13;
pub(crate) const TOLD: usize = 14;

/// What the memory is to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory<'a> {
    /// Its name; of a long one the beginning.
    pub name: &'a [u8],
    /// How many failed handshakes, and how many tunnels that have ended, are remembered.
    pub history: usize,
    /// When it begins: milliseconds since 1970.
    pub started: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Header<'m>(pub Words<'m>);

impl Header<'_> {
    pub fn write(self, words: usize, memory: &Memory<'_>) {
        let Self(header) = self;
        header.set(IS_VERSION, VERSION);
        header.set(LENGTH, words as u64);
        header.set(HISTORY, memory.history as u64);
        header.set(STARTED, memory.started);
        let name = text::write(header.part(NAME, NAME_ROOM), NAME_ROOM, memory.name);
        header.set(NAME_LENGTH, name);
        header.set(NEXT_ID, 1);
    }

    /// The memory is complete.
    pub fn publish(self) {
        self.0.publish(IS, MAGIC);
    }

    pub fn is_there(self) -> bool {
        self.0.seen(IS) == MAGIC
    }

    /// The length of the rings, if the memory is complete and as this version wants it.
    pub fn history(self, words: usize) -> Option<usize> {
        let Self(header) = self;
        let is_right = self.is_there()
            && header.get(IS_VERSION) == VERSION
            && header.get(LENGTH) == words as u64;
        usize::try_from(header.get(HISTORY))
            .ok()
            .filter(|_| is_right)
    }

    pub fn started(self) -> u64 {
        self.0.get(STARTED)
    }

    pub fn name(self) -> Text {
        let mut words = [0; NAME_ROOM];
        for (to, word) in words.iter_mut().zip(self.0.part(NAME, NAME_ROOM).iter()) {
            *to = word;
        }
        Text::read(&words, self.0.get(NAME_LENGTH))
    }
}
