//! How each attempt to reach an upstream failed, for one handshake.

use core::cell::Cell;

use websocket_protocol::Cause;

/// More than these are counted, not named; the last is always named.
const MAX_TRIES: usize = 8;

pub struct Tries {
    causes: [Cell<Option<Cause>>; MAX_TRIES],
    /// How many attempts nginx had begun when something was last noted.
    begun: Cell<usize>,
}

impl Tries {
    pub const fn new() -> Self {
        Self {
            causes: [const { Cell::new(None) }; MAX_TRIES],
            begun: Cell::new(0),
        }
    }

    /// nginx has begun `begun` attempts. Whether the last of them is a new one.
    pub fn begin(&self, begun: usize) -> bool {
        let is_new = self.begun.replace(begun) != begun;
        if is_new {
            self.slot(begun).set(None);
        }
        is_new
    }

    /// How many attempts had been begun when something was last noted.
    pub fn begun(&self) -> usize {
        self.begun.get()
    }

    /// The cause noted for the last attempt of which something was noted.
    pub fn latest(&self) -> Option<Cause> {
        self.slot(self.begun.get()).get()
    }

    /// The cause noted for the last of `begun` attempts.
    pub fn last(&self, begun: usize) -> Option<Cause> {
        // What was noted of an earlier one is none of it.
        self.latest().filter(|_| self.begun.get() == begun)
    }

    /// Notes the cause of the last attempt that was begun, unless there is one.
    pub fn note(&self, cause: Cause) {
        let slot = self.slot(self.begun.get());
        slot.set(slot.get().or(Some(cause)));
    }

    /// The cause noted for an attempt of `count`, by its index; `None` for one that is not named.
    pub fn get(&self, index: usize, count: usize) -> Option<Cause> {
        let slot = if index + 1 == count {
            index.min(MAX_TRIES - 1)
        } else {
            index
        };
        self.causes.get(slot).and_then(Cell::get)
    }

    /// Whether an attempt of `count` has no place of its own, because there were too many.
    pub fn is_unnamed(index: usize, count: usize) -> bool {
        index >= MAX_TRIES - 1 && index + 1 < count
    }

    /// The place of the last of `begun` attempts.
    fn slot(&self, begun: usize) -> &Cell<Option<Cause>> {
        let [first, ..] = &self.causes;
        let index = begun.saturating_sub(1).min(MAX_TRIES - 1);
        self.causes.get(index).unwrap_or(first)
    }
}
