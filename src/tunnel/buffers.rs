//! The memory that bytes pass through: borrowed while there are some, so that an idle tunnel owns
//! none.

use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use nginx_sys::{ngx_alloc, ngx_log_t};

/// Bytes on their way from one side to the other.
pub struct Buffer {
    start: NonNull<u8>,
    capacity: usize,
    /// What is in it: `start + taken .. start + filled`.
    taken: usize,
    filled: usize,
}

impl Buffer {
    /// Takes one of this capacity from the worker's free ones, or makes one. `None` when there is
    /// no memory.
    pub fn borrow(capacity: usize, log: *mut ngx_log_t) -> Option<Self> {
        let capacity = capacity.max(size_of::<Free>());
        let start = match FREE
            .iter()
            .find(|list| list.holds(capacity))
            .and_then(FreeList::pop)
        {
            Some(start) => start,
            // SAFETY: a request always has a log.
            None => NonNull::new(unsafe { ngx_alloc(capacity, log) }.cast())?,
        };
        lend(1);
        Some(Self {
            start,
            capacity,
            taken: 0,
            filled: 0,
        })
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Gives it back to the worker, which keeps at most `keep` of this capacity.
    pub fn give_back(self, keep: usize) {
        lend(-1);
        let list = FREE
            .iter()
            .find(|list| keep > 0 && list.claim(self.capacity));
        if !list.is_some_and(|list| list.push(self.start, keep)) {
            free(self.start);
        }
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

/// The process ends: frees what no tunnel has. The end of the process would do, but whoever looks for
/// leaks is to find none.
pub fn exit_process() {
    for list in &FREE {
        while let Some(start) = list.pop() {
            free(start);
        }
    }
}

/// How many buffers of the worker's are borrowed now.
pub fn lent() -> usize {
    LENT.load(Ordering::Relaxed)
}

static LENT: AtomicUsize = AtomicUsize::new(0);

/// One more is borrowed, or one less.
fn lend(more: isize) {
    let lent = LENT.load(Ordering::Relaxed).wrapping_add_signed(more);
    LENT.store(lent, Ordering::Relaxed);
}

/// Frees a buffer that nothing points to any more.
fn free(start: NonNull<u8>) {
    // SAFETY: ngx_alloc() is malloc().
    unsafe { libc::free(start.as_ptr().cast()) };
}

/// The worker's free buffers of one capacity. Capacities are a matter of configuration, so a few
/// lists are enough; a buffer without a list is freed.
static FREE: [FreeList; 4] = [const { FreeList::new() }; 4];

/// A worker is one thread: the atomics only make the statics safe, and cost nothing when relaxed.
struct FreeList {
    capacity: AtomicUsize,
    count: AtomicUsize,
    first: AtomicPtr<Free>,
}

/// A free buffer, which needs nothing but the way to the next.
struct Free {
    next: *mut Free,
}

impl FreeList {
    const fn new() -> Self {
        Self {
            capacity: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            first: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn holds(&self, capacity: usize) -> bool {
        self.capacity.load(Ordering::Relaxed) == capacity
    }

    /// Whether this list is for that capacity; an unused list is from now on.
    fn claim(&self, capacity: usize) -> bool {
        if self.holds(0) {
            self.capacity.store(capacity, Ordering::Relaxed);
        }
        self.holds(capacity)
    }

    fn pop(&self) -> Option<NonNull<u8>> {
        let first = NonNull::new(self.first.load(Ordering::Relaxed))?;
        // SAFETY: a buffer in the list is free, and holds a Free.
        self.first
            .store(unsafe { first.as_ref() }.next, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(first.cast())
    }

    fn push(&self, start: NonNull<u8>, keep: usize) -> bool {
        if self.count.load(Ordering::Relaxed) >= keep {
            return false;
        }
        let free = start.cast::<Free>();
        // SAFETY: malloc() aligns for any type, and the buffer is large enough for this one.
        unsafe {
            free.write(Free {
                next: self.first.load(Ordering::Relaxed),
            })
        };
        self.first.store(free.as_ptr(), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        true
    }
}
