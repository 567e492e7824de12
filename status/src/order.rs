//! The first so many of a great many tunnels, in order, in memory that is given and in steps that can be
//! made one at a time.

/// A tunnel, and what it is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub(crate) key: u64,
    pub(crate) id: u64,
    pub(crate) index: usize,
}

impl Entry {
    /// For memory that is to hold some: all zeros.
    pub const EMPTY: Self = Self {
        key: 0,
        id: 0,
        index: 0,
    };
}

/// The smallest of all that are offered: a heap with the largest of them on top, then sorted.
pub(crate) struct Order<'m> {
    room: &'m mut [Entry],
    length: usize,
    /// Those in front of this are a heap still.
    heap: usize,
}

impl<'m> Order<'m> {
    pub fn new(room: &'m mut [Entry]) -> Self {
        Self {
            room,
            length: 0,
            heap: 0,
        }
    }

    /// Looks at one more.
    pub fn offer(&mut self, entry: Entry) {
        if let Some(place) = self.room.get_mut(self.length) {
            *place = entry;
            self.length += 1;
            self.heap = self.length;
            self.rise();
        } else if let Some(top) = self.room.first_mut().filter(|top| entry < **top) {
            *top = entry;
            self.sink();
        }
    }

    /// Sorts one more of them. Whether all are.
    pub fn sort(&mut self) -> bool {
        let Some(last) = self.heap.checked_sub(1) else {
            return true;
        };
        self.heap = last;
        self.swap(0, last);
        self.sink();
        last == 0
    }

    /// The one of a rank, when all are sorted.
    pub fn get(&self, rank: usize) -> Option<Entry> {
        self.room.get(..self.length)?.get(rank).copied()
    }

    fn rise(&mut self) {
        let mut at = self.heap - 1;
        while at > 0 && self.is_less((at - 1) / 2, at) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let mut largest = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap && self.is_less(largest, child) {
                    largest = child;
                }
            }
            if largest == at {
                return;
            }
            self.swap(at, largest);
            at = largest;
        }
    }

    fn is_less(&self, a: usize, b: usize) -> bool {
        self.room.get(a) < self.room.get(b)
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a < self.room.len() && b < self.room.len() {
            self.room.swap(a, b);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_smallest_in_order(keys: Vec<u8>, room in 0..100usize) {
            let entries: Vec<_> = keys
                .iter()
                .enumerate()
                .map(|(index, key)| Entry { key: u64::from(*key), id: index as u64, index })
                .collect();
            let mut memory = vec![Entry::EMPTY; room];
            let mut order = Order::new(&mut memory);
            for entry in &entries {
                order.offer(*entry);
            }
            while !order.sort() {}
            let sorted: Vec<_> = (0..).map_while(|rank| order.get(rank)).collect();
            let mut expected = entries;
            expected.sort();
            expected.truncate(room);
            prop_assert_eq!(sorted, expected);
        }
    }
}
