//! Short texts, as they came, in words.

use core::fmt;
use core::ops::Deref;

use crate::words::Words;

/// A text of the memory: bytes from outside, not escaped. A long one is cut.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; Self::MAX],
    length: u8,
    is_cut: bool,
}

impl Text {
    /// Bytes of the longest.
    pub const MAX: usize = 144;

    /// No text.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::MAX],
        length: 0,
        is_cut: false,
    };

    /// This text, cut where it is too long.
    pub fn new(text: &[u8]) -> Self {
        let mut made = Self::EMPTY;
        for (to, byte) in made.bytes.iter_mut().zip(text) {
            *to = *byte;
        }
        made.length = text.len().min(Self::MAX) as u8;
        made.is_cut = text.len() > Self::MAX;
        made
    }

    /// Whether it was longer.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What `words` hold, of which a [length](write) is known.
    pub(crate) fn read(words: &[u64], length: u64) -> Self {
        let mut text = Self::EMPTY;
        for (to, word) in text.bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let most = (words.len() * 8).min(Self::MAX) as u64;
        text.length = (length & LENGTH).min(most) as u8;
        text.is_cut = length & CUT != 0;
        text
    }
}

/// A length takes this many bits, with whether the text was cut.
pub(crate) const LENGTH_BITS: u32 = 9;
const LENGTH: u64 = 0xFF;

/// How many words a text of this [length](write) takes.
pub(crate) const fn words_of(length: u64) -> usize {
    (length & LENGTH).div_ceil(8) as usize
}

const CUT: u64 = 0x100;

/// Writes as much of the text as the words can hold. How long it is, to be kept.
pub(crate) fn write(words: Words<'_>, room: usize, text: &[u8]) -> u64 {
    let mut packed = [0; Text::MAX / 8];
    let length = match packed.get_mut(..room) {
        Some(packed) => pack(packed, text),
        None => pack(&mut packed, text),
    };
    words.store(packed.get(..room).unwrap_or(&packed));
    length
}

/// Likewise into plain words that are zeros.
pub(crate) fn pack(words: &mut [u64], text: &[u8]) -> u64 {
    let kept = text.get(..words.len() * 8).unwrap_or(text);
    let mut chunks = kept.chunks_exact(8);
    let mut words = words.iter_mut();
    // In this order no word is skipped when the chunks are through.
    for (chunk, word) in (&mut chunks).zip(&mut words) {
        *word = chunk.try_into().map_or(0, u64::from_le_bytes);
    }
    if let (Some(word), rest @ [_, ..]) = (words.next(), chunks.remainder()) {
        *word = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    kept.len() as u64 | if kept.len() < text.len() { CUT } else { 0 }
}

/// FNV-1a. Not for what an adversary may choose: only names are found by it, and there are few.
pub(crate) fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}
