//! The memory that bytes pass through: borrowed while there are some, so that an idle tunnel owns
//! none.

use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};

use nginx_sys::ngx_log_t;

use super::stock;

/// Bytes on their way from one side to the other.
pub struct Buffer {
    start: NonNull<u8>,
    capacity: usize,
    /// What is in it: `start + taken .. start + filled`.
    taken: usize,
    filled: usize,
}

impl Buffer {
    /// Borrows one of this capacity. `None` when there is no memory.
    pub fn borrow(capacity: usize, log: *mut ngx_log_t) -> Option<Self> {
        let capacity = capacity.max(stock::LEAST);
        let start = stock::take(capacity, log)?;
        lend(1);
        Some(Self {
            start,
            capacity,
            taken: 0,
            filled: 0,
        })
    }

    /// Borrows a large one, if fewer than `most` are lent.
    pub fn borrow_large(capacity: usize, most: usize, log: *mut ngx_log_t) -> Option<Self> {
        let lent = LARGE.load(Ordering::Relaxed);
        if lent >= most {
            return None;
        }
        let buffer = Self::borrow(capacity, log)?;
        LARGE.store(lent + 1, Ordering::Relaxed);
        Some(buffer)
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Gives it back to the worker, which keeps at most `keep` of this capacity.
    pub fn give_back(self, keep: usize) {
        lend(-1);
        stock::give_back(self.start, self.capacity, keep);
    }

    /// Gives a large one back.
    pub fn give_back_large(self, keep: usize) {
        let lent = LARGE.load(Ordering::Relaxed).saturating_sub(1);
        LARGE.store(lent, Ordering::Relaxed);
        self.give_back(keep);
    }

    pub fn bytes(&self) -> &[u8] {
        let length = self.filled.saturating_sub(self.taken);
        // SAFETY: these bytes have been written, see fill().
        unsafe { slice::from_raw_parts(self.start.as_ptr().add(self.taken), length) }
    }

    pub fn is_empty(&self) -> bool {
        self.taken == self.filled
    }

    /// Where the next bytes go, and how many fit.
    pub fn room(&mut self) -> (*mut u8, usize) {
        // SAFETY: `filled` is at most `capacity`.
        let end = unsafe { self.start.as_ptr().add(self.filled) };
        (end, self.capacity.saturating_sub(self.filled))
    }

    /// `count` bytes have been written into the room.
    pub fn fill(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.capacity);
    }

    /// `count` bytes have left. An empty buffer begins at its start again.
    pub fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count).min(self.filled);
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
    }

    /// Moves what is in it to the start, to make room behind. Only between writes: TLS wants the
    /// bytes of an unfinished write where they were.
    pub fn compact(&mut self) {
        let length = self.filled.saturating_sub(self.taken);
        // SAFETY: both lie within the buffer; they may overlap.
        unsafe {
            ptr::copy(
                self.start.as_ptr().add(self.taken),
                self.start.as_ptr(),
                length,
            )
        };
        (self.taken, self.filled) = (0, length);
    }

    /// Copies bytes in, as many as fit.
    pub fn append(&mut self, bytes: &[u8]) {
        let (end, room) = self.room();
        let count = bytes.len().min(room);
        // SAFETY: there is room for `count` bytes, which are not in this buffer.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), end, count) };
        self.fill(count);
    }
}

/// How many buffers of the worker's are borrowed now.
pub fn lent() -> usize {
    LENT.load(Ordering::Relaxed)
}

static LENT: AtomicUsize = AtomicUsize::new(0);
/// Those of them that are large.
static LARGE: AtomicUsize = AtomicUsize::new(0);

/// One more is borrowed, or one less.
fn lend(more: isize) {
    let lent = LENT.load(Ordering::Relaxed).wrapping_add_signed(more);
    LENT.store(lent, Ordering::Relaxed);
}
