//! What an answer is made of, one piece after the other.

use core::fmt;

use websocket_zone::Zone;

use crate::out::Out;

/// Something that is made of items, each a copy of what was seen at a moment.
pub(crate) trait Source {
    type Item;

    /// Whether there is nothing more to come.
    fn is_over(&self) -> bool;

    /// Does a step. What is to be written then, if anything is.
    fn next(&mut self, budget: &mut Budget, now: u64) -> Option<Self::Item>;

    /// Writes an item; the same each time.
    fn write(item: &Self::Item, out: &mut Out<'_>) -> fmt::Result;
}

/// A source, and the item of it of which a part is out.
pub(crate) struct Pieces<S: Source> {
    source: S,
    item: Option<S::Item>,
    written: usize,
}

impl<S: Source> Pieces<S> {
    pub fn new(source: S) -> Self {
        Self {
            source,
            item: None,
            written: 0,
        }
    }

    /// Whether all is out.
    pub fn go_on(&mut self, out: &mut Out<'_>, now: u64) -> bool {
        let mut budget = Budget::full();
        loop {
            if let Some(item) = &self.item {
                let is_out = out.go_on(&mut self.written, |out| S::write(item, out));
                // What was out before was gone through again.
                budget.text(self.written);
                if !is_out {
                    return false;
                }
                self.item = None;
                self.written = 0;
            }
            if self.source.is_over() {
                return true;
            }
            if budget.is_spent() {
                return false;
            }
            self.item = self.source.next(&mut budget, now);
        }
    }
}

/// How much may be done in one go, in units of very roughly five nanoseconds: no more than what nginx does
/// for an event of any other connection. One item is written as a whole.
pub(crate) struct Budget(usize);

impl Budget {
    pub const fn full() -> Self {
        Self(2000)
    }

    pub const fn is_spent(&self) -> bool {
        self.0 == 0
    }

    /// A place in a table was looked at that is free.
    pub fn place(&mut self) {
        self.spend(1);
    }

    /// A record was.
    pub fn record(&mut self) {
        self.spend(40);
    }

    /// All that workers counted for one name was summed, if there is one.
    pub fn sum(&mut self, zone: &Zone<'_>, is_there: bool) {
        self.spend(if is_there {
            100 + 2 * zone.labels()
        } else {
            10
        });
    }

    /// A block of counters was added to others.
    pub fn block(&mut self) {
        self.spend(100);
    }

    /// So many bytes were written.
    pub fn text(&mut self, length: usize) {
        self.spend(length);
    }

    fn spend(&mut self, units: usize) {
        self.0 = self.0.saturating_sub(units);
    }
}
