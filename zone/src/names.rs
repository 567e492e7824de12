//! Tables of names. An id is a place in one, and stays what it is as long as the memory does.

use core::hint;

use crate::layout::NAME;
use crate::text::{self, Text};
use crate::words::Words;

/// Whatever the table has no room for.
pub(crate) const OTHER: usize = 0;

#[derive(Clone, Copy)]
pub(crate) struct Names<'m> {
    words: Words<'m>,
    count: usize,
}

/// Words of a name: its state, the hash of the whole, the length, the text.
const STATE: usize = 0;
const HASH: usize = 1;
const LENGTH: usize = 2;
const TEXT: usize = 3;
const ROOM: usize = NAME - TEXT;

/// A state: free; a slot's, which is about to write the name; or there.
const FREE: u64 = 0;
const READY: u64 = 1 << 63;

/// The slot, and enough of the hash for others to see what name is about to be there.
const fn claimed(slot: usize, hash: u64) -> u64 {
    ((slot as u64 + 1) << 48) | (hash & 0xFFFF_FFFF_FFFF)
}

const fn is_claim_of(state: u64, slot: usize) -> bool {
    state & READY == 0 && state >> 48 == slot as u64 + 1
}

impl<'m> Names<'m> {
    pub fn new(words: Words<'m>, count: usize) -> Self {
        Self { words, count }
    }

    /// Its first entry is for all that has none.
    pub fn create(self, first: &str) {
        self.write(OTHER, first.as_bytes());
    }

    pub const fn count(self) -> usize {
        self.count
    }

    fn entry(self, id: usize) -> Words<'m> {
        self.words.nth(id, NAME)
    }

    /// The name of an id, where there is one.
    pub fn get(self, id: usize) -> Option<Text> {
        let entry = self.entry(id);
        if entry.seen(STATE) != READY {
            return None;
        }
        let mut words = [0; ROOM];
        for (to, word) in words.iter_mut().zip(entry.part(TEXT, ROOM).iter()) {
            *to = word;
        }
        Some(Text::read(&words, entry.get(LENGTH)))
    }

    /// The id of a name, which a slot's worker writes down if it is new. `None`: there is no room.
    pub fn find_or_add(self, slot: usize, name: &[u8]) -> Option<usize> {
        let hash = text::hash(name);
        for id in self.way(hash) {
            loop {
                let entry = self.entry(id);
                match entry.seen(STATE) {
                    FREE => {
                        if entry.claim(STATE, claimed(slot, hash)) {
                            self.write(id, name);
                            return Some(id);
                        }
                        // Somebody else was faster, perhaps with the same name.
                    }
                    READY if entry.get(HASH) == hash => return Some(id),
                    READY => break,
                    state if state & 0xFFFF_FFFF_FFFF == hash & 0xFFFF_FFFF_FFFF => {
                        if !Self::wait(entry, state) {
                            // Its writer is held up: the name is there twice, which readers see through.
                            break;
                        }
                    }
                    _ => break,
                }
            }
        }
        None
    }

    /// The id of a name, if it is there.
    pub fn find(self, name: &[u8]) -> Option<usize> {
        let found = self.first_of(text::hash(name));
        found.or_else(|| (self.get(OTHER)? == Text::new(name)).then_some(OTHER))
    }

    /// The first id of the name that this one stands for.
    pub fn first(self, id: usize) -> usize {
        if id == OTHER {
            return id;
        }
        self.first_of(self.entry(id).get(HASH)).unwrap_or(id)
    }

    fn first_of(self, hash: u64) -> Option<usize> {
        self.way(hash).find(|&id| {
            let entry = self.entry(id);
            entry.seen(STATE) == READY && entry.get(HASH) == hash
        })
    }

    /// Tells the ids that stand for the same name as this one. Mostly there is no other, and then no name
    /// has to be looked at.
    pub fn same_as(self, id: usize) -> impl Fn(usize) -> bool {
        let hash = self.entry(id).get(HASH);
        let is_same = |entry: Words<'_>| entry.seen(STATE) == READY && entry.get(HASH) == hash;
        let mut all = (id != OTHER).then(|| self.way(hash)).into_iter().flatten();
        let others = all.any(|other| other != id && is_same(self.entry(other)));
        move |other| other == id || (others && self.is_same(id, other))
    }

    /// Whether two ids stand for one name.
    pub fn is_same(self, a: usize, b: usize) -> bool {
        let hash = |id: usize| self.entry(id).get(HASH);
        a == b || (a != OTHER && b != OTHER && hash(a) == hash(b))
    }

    /// The slot's worker is gone: what it was about to write is not there.
    pub fn clean(self, slot: usize) {
        for id in 0..self.count {
            let entry = self.entry(id);
            if is_claim_of(entry.seen(STATE), slot) {
                entry.publish(STATE, FREE);
            }
        }
    }

    fn write(self, id: usize, name: &[u8]) {
        let entry = self.entry(id);
        entry.set(HASH, text::hash(name));
        entry.set(LENGTH, text::write(entry.part(TEXT, ROOM), ROOM, name));
        entry.publish(STATE, READY);
    }

    /// Where a name may be, most likely first.
    fn way(self, hash: u64) -> impl Iterator<Item = usize> {
        let places = self.count.saturating_sub(1);
        let start = hash.checked_rem(places as u64).unwrap_or(0) as usize;
        (0..places).map(move |step| 1 + (start + step) % places)
    }

    /// Waits for a name that is being written: some instructions. Whether it has come to an end.
    fn wait(entry: Words<'_>, state: u64) -> bool {
        (0..10_000).any(|_| {
            hint::spin_loop();
            entry.seen(STATE) != state
        })
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;

    fn memory(count: usize) -> Vec<AtomicU64> {
        (0..count * NAME).map(|_| AtomicU64::new(0)).collect()
    }

    fn names(words: &[AtomicU64]) -> Names<'_> {
        let names = Names::new(Words::new(words), words.len() / NAME);
        names.create("other");
        names
    }

    #[test]
    fn a_name_keeps_its_id() {
        let words = memory(8);
        let names = names(&words);
        let ids: Vec<_> = (0..7)
            .map(|n| {
                names
                    .find_or_add(0, format!("name {n}").as_bytes())
                    .unwrap()
            })
            .collect();
        for (n, id) in ids.iter().enumerate() {
            let name = format!("name {n}");
            assert_eq!(names.find_or_add(3, name.as_bytes()), Some(*id));
            assert_eq!(&*names.get(*id).unwrap(), name.as_bytes());
            assert_eq!(names.first(*id), *id);
        }
        assert_eq!(names.find_or_add(0, b"one more"), None);
        assert_eq!(&*names.get(OTHER).unwrap(), b"other");
    }

    #[test]
    fn a_long_name_is_cut_but_not_taken_for_another() {
        let words = memory(8);
        let names = names(&words);
        let (a, b) = ([b'x'; 300], [b'x'; 301]);
        let id = names.find_or_add(0, &a).unwrap();
        assert_ne!(names.find_or_add(0, &b), Some(id));
        assert!(names.get(id).unwrap().is_cut());
        assert_eq!(names.get(id).unwrap().len(), ROOM * 8);
    }

    #[test]
    fn what_a_dead_worker_was_about_to_write_is_free_again() {
        let words = memory(2);
        let names = names(&words);
        assert!(names.entry(1).claim(STATE, claimed(5, text::hash(b"lost"))));
        assert_eq!(names.find_or_add(0, b"kept"), None);
        assert_eq!(names.find_or_add(0, b"lost"), None);
        names.clean(4);
        assert_eq!(names.find_or_add(0, b"kept"), None);
        names.clean(5);
        assert_eq!(names.find_or_add(0, b"kept"), Some(1));
        names.clean(0);
        assert_eq!(&*names.get(1).unwrap(), b"kept");
    }

    #[test]
    fn all_who_write_a_name_at_once_agree() {
        // Under Miri threads meet in more ways, and slowly.
        let rounds = if cfg!(miri) { 5 } else { 200 };
        for round in 0..rounds {
            let words = memory(16);
            let names = names(&words);
            let name = format!("round {round}");
            let ids: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|slot| {
                        scope.spawn({
                            let name = &name;
                            move || names.find_or_add(slot, name.as_bytes())
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap().unwrap())
                    .collect()
            });
            let first = names.first(ids[0]);
            assert!(ids.iter().all(|id| names.first(*id) == first), "{ids:?}");
        }
    }
}
