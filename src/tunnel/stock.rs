//! Where buffers come from and go to: a worker keeps some of those that are free.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use nginx_sys::{NGX_LOG_EMERG, ngx_alloc, ngx_log_t};

use crate::nginx::log;

/// The least that memory is taken for.
pub const LEAST: usize = size_of::<Free>();

/// From so much on, memory is the system's own pages. Kept in malloc()'s heap, a free buffer would stand
/// in the way of everything else that is freed there and could go back to the system.
const MAPPED: usize = 32 << 10;

/// Takes a free one of this capacity, or makes one. `None` when there is no memory.
pub fn take(capacity: usize, log: *mut ngx_log_t) -> Option<NonNull<u8>> {
    list_of(capacity)
        .and_then(List::pop)
        .or_else(|| allocate(capacity, log))
}

/// Gives one back to the worker, which keeps at most `keep` of this capacity.
pub fn give_back(start: NonNull<u8>, capacity: usize, keep: usize) {
    let list = LISTS
        .iter()
        .find(|list| keep > 0 && list.claim(capacity))
        .filter(|list| list.push(start, keep));
    if list.is_none() {
        free_or_keep(start, capacity);
    }
}

/// Frees one, or keeps it for the next that needs one if that fails.
#[cold]
fn free_or_keep(start: NonNull<u8>, capacity: usize) {
    if !free(start, capacity) {
        if let Some(list) = LISTS.iter().find(|list| list.claim(capacity)) {
            list.push(start, usize::MAX);
        }
    }
}

/// The process ends: frees what no tunnel has. The end of the process would do, but whoever looks for
/// leaks is to find none.
pub fn exit_process() {
    for list in &LISTS {
        while let Some(start) = list.pop() {
            free(start, list.capacity.load(Ordering::Relaxed));
        }
    }
}

fn allocate(capacity: usize, log: *mut ngx_log_t) -> Option<NonNull<u8>> {
    if capacity < MAPPED {
        // SAFETY: a request always has a log.
        return NonNull::new(unsafe { ngx_alloc(capacity, log) }.cast());
    }
    // SAFETY: pages that nobody has.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            capacity,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        log::cycle(
            log,
            NGX_LOG_EMERG,
            format_args!("mmap({capacity}) failed: there is no memory for a buffer"),
        );
        return None;
    }
    NonNull::new(start.cast())
}

/// Frees one that nothing points to any more. `false`: its memory is free, but not its place. The kernel
/// counts what lies between holes as mappings of their own, and allows only so many (`vm.max_map_count`).
fn free(start: NonNull<u8>, capacity: usize) -> bool {
    let start = start.as_ptr().cast();
    // SAFETY: what allocate() made for this capacity; ngx_alloc() is malloc().
    unsafe {
        if capacity < MAPPED {
            libc::free(start);
            return true;
        }
        let is_free = libc::munmap(start, capacity) == 0;
        if !is_free {
            libc::madvise(start, capacity, libc::MADV_DONTNEED);
        }
        is_free
    }
}

/// The worker's free buffers. Capacities are a matter of configuration, so a few lists are enough; a
/// buffer without a list is freed.
static LISTS: [List; 8] = [const { List::new() }; 8];

fn list_of(capacity: usize) -> Option<&'static List> {
    LISTS.iter().find(|list| list.holds(capacity))
}

/// Free buffers of one capacity. A worker is one thread: the atomics only make the statics safe, and cost
/// nothing when relaxed.
struct List {
    capacity: AtomicUsize,
    count: AtomicUsize,
    first: AtomicPtr<Free>,
}

/// A free buffer, which needs nothing but the way to the next.
struct Free {
    next: *mut Free,
}

impl List {
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
        // SAFETY: malloc() aligns for any type, as a page is, and the buffer is large enough for this one.
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
