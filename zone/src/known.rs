//! The upstreams that a worker has looked for last.

use core::cell::Cell;

use crate::text;
use crate::words::Line;

/// Their blocks, by a part of their addresses.
pub(crate) struct Known {
    places: [Cell<Option<Upstream>>; COUNT],
}

#[derive(Clone, Copy)]
struct Upstream {
    address: Address,
    block: Line,
}

/// An address as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Address {
    length: u64,
    words: [u64; WORDS],
}

const COUNT: usize = 16;
/// Enough for every address of a network.
const WORDS: usize = 6;

impl Known {
    pub const fn new() -> Self {
        Self {
            places: [const { Cell::new(None) }; COUNT],
        }
    }

    #[inline]
    pub fn find(&self, address: &[u8]) -> Option<Line> {
        let known = self.places.get(place_of(address))?.get()?;
        (Address::of(address)? == known.address).then_some(known.block)
    }

    /// It has this block, and will be looked for again.
    #[cold]
    pub fn note(&self, address: &[u8], block: Line) {
        if let (Some(place), Some(address)) =
            (self.places.get(place_of(address)), Address::of(address))
        {
            place.set(Some(Upstream { address, block }));
        }
    }
}

impl Address {
    /// `None` where it is too long.
    #[inline]
    fn of(address: &[u8]) -> Option<Self> {
        if address.len() > WORDS * 8 {
            return None;
        }
        let mut words = [0; WORDS];
        let mut places = words.iter_mut();
        let length = text::pack(WORDS, address, |word| {
            if let Some(place) = places.next() {
                *place = word;
            }
        });
        Some(Self { length, words })
    }
}

/// Servers' addresses differ at their ends.
fn place_of(address: &[u8]) -> usize {
    let end = address.last_chunk().copied().unwrap_or_default();
    let mixed = u64::from_le_bytes(end).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - COUNT.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Line {
        Line::of(number * Line::WORDS).unwrap()
    }

    #[test]
    fn only_the_whole_address_is_known() {
        let known = Known::new();
        let address = "[2001:db8:1111:2222:3333:4444:5555:6666]:9000".as_bytes();
        assert_eq!(known.find(address), None);
        known.note(address, line(7));
        assert_eq!(known.find(address), Some(line(7)));
        for at in 0..address.len() {
            let mut other = address.to_vec();
            other[at] ^= 1;
            assert_eq!(known.find(&other), None, "{at}");
            assert_eq!(known.find(&address[..at]), None);
            assert_eq!(known.find(&address[at + 1..]), None);
        }
    }

    #[test]
    fn a_long_one_is_not_taken_for_another() {
        let known = Known::new();
        let path = [b'x'; 60];
        known.note(&path, line(1));
        assert_eq!(known.find(&path), None);
        assert_eq!(known.find(&path[..48]), None);
        known.note(&path[..48], line(2));
        assert_eq!(known.find(&path[..48]), Some(line(2)));
        assert_eq!(known.find(&path[..49]), None);
    }

    #[test]
    fn the_last_of_a_place_is_known() {
        let known = Known::new();
        for port in 1..200 {
            let address = format!("10.0.0.1:{port}");
            known.note(address.as_bytes(), line(port));
            assert_eq!(known.find(address.as_bytes()), Some(line(port)));
        }
        let left = (1..200).filter(|port| {
            let found = known.find(format!("10.0.0.1:{port}").as_bytes());
            assert!(found.is_none_or(|found| found == line(*port)));
            found.is_some()
        });
        assert!((4..=COUNT).contains(&left.count()));
    }
}
