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

/// Writes as much of the text as the words can hold; behind its end stays what was there. How long it is,
/// to be kept.
pub(crate) fn write(words: Words<'_>, room: usize, text: &[u8]) -> u64 {
    let mut at = 0;
    pack(room.min(Text::MAX / 8), text, |word| {
        words.set(at, word);
        at += 1;
    })
}

/// Likewise word by word, so many at most.
#[inline]
pub(crate) fn pack(room: usize, text: &[u8], mut put: impl FnMut(u64)) -> u64 {
    let kept = text.get(..room * 8).unwrap_or(text);
    let chunks = kept.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        put(chunk.try_into().map_or(0, u64::from_le_bytes));
    }
    if !rest.is_empty() {
        put(match kept.last_chunk() {
            // Some of the last eight bytes are in the word before.
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => short_word(rest),
        });
    }
    kept.len() as u64 | if kept.len() < text.len() { CUT } else { 0 }
}

/// Of less than eight bytes: such as overlap are the same in both places.
fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        return first | last << (8 * (bytes.len() - 4));
    }
    let at = |place: usize| u64::from(bytes.get(place).copied().unwrap_or_default());
    at(0) | at(1) << 8 | at(2) << 16
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

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_text_is_what_was_written() {
        for length in 0..=40 {
            let text: Vec<u8> = (0..length).map(|at| b'a' + at).collect();
            let words = [const { AtomicU64::new(u64::MAX) }; 4];
            let words = Words::new(&words);
            let written = write(words, 4, &text);

            let plain: Vec<u64> = words.iter().collect();
            let read = Text::read(&plain, written);
            assert_eq!(*read, text[..text.len().min(32)]);
            assert_eq!(read.is_cut(), length > 32);
            assert_eq!(words_of(written), text.len().min(32).div_ceil(8));
        }
    }
}
