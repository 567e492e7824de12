//! Bytes that wait, in memory that is there only as long as there are some.

use core::ptr::{self, NonNull};
use core::slice;

use nginx_sys::{ngx_alloc, ngx_log_t};
use websocket_protocol::Scanner;

use crate::tunnel::stock;

/// Must be [cleared](Self::clear) before it goes.
pub struct Bytes {
    memory: *mut u8,
    capacity: usize,
    start: usize,
    end: usize,
}

/// There is no memory.
pub struct NoMemory;

impl Bytes {
    pub const fn new() -> Self {
        Self {
            memory: ptr::null_mut(),
            capacity: 0,
            start: 0,
            end: 0,
        }
    }

    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn as_slice(&self) -> &[u8] {
        if self.memory.is_null() {
            return &[];
        }
        // SAFETY: what lies there was written, and stays until it is taken.
        unsafe { slice::from_raw_parts(self.memory.add(self.start), self.len()) }
    }

    /// Puts more behind them.
    pub fn append(&mut self, bytes: &[u8], log: *mut ngx_log_t) -> Result<(), NoMemory> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.reserve(bytes.len(), log)?;
        // SAFETY: there is room for so many bytes behind `end`, in memory that is nobody else's.
        unsafe {
            let place = self.memory.add(self.end);
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
        self.end += bytes.len();
        Ok(())
    }

    /// Puts in their place so many zeros, to be written to.
    pub fn zeros(&mut self, length: usize, log: *mut ngx_log_t) -> Result<&mut [u8], NoMemory> {
        self.clear();
        if length == 0 {
            return Ok(&mut []);
        }
        self.reserve(length, log)?;
        self.end = length;
        // SAFETY: there is room for so many bytes, which nobody reads before they are written.
        unsafe {
            ptr::write_bytes(self.memory, 0, length);
            Ok(slice::from_raw_parts_mut(self.memory, length))
        }
    }

    /// Leaves only so many.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.start.saturating_add(length));
    }

    /// The first so many are done with.
    pub fn take(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
        if self.is_empty() {
            self.clear();
        }
    }

    /// Gives back the memory, and what is in it.
    pub fn clear(&mut self) {
        if let Some(memory) = NonNull::new(self.memory) {
            if self.capacity <= SMALL {
                // SAFETY: ngx_alloc() gave it.
                unsafe { libc::free(memory.as_ptr().cast()) };
            } else {
                let keep = if self.capacity <= WHOLE { KEPT } else { 0 };
                stock::give_back(memory, self.capacity, keep);
            }
        }
        *self = Self::new();
    }

    /// Room for so many more behind them.
    fn reserve(&mut self, count: usize, log: *mut ngx_log_t) -> Result<(), NoMemory> {
        if self.capacity - self.end >= count {
            return Ok(());
        }
        let length = self.len();
        let needed = length.checked_add(count).ok_or(NoMemory)?;
        // Mostly more comes.
        let twice = needed.max(self.capacity.saturating_mul(2));
        let capacity = if needed <= SMALL {
            twice.min(SMALL)
        } else if needed <= WHOLE {
            WHOLE
        } else {
            twice
        };
        let memory = if capacity <= SMALL {
            // SAFETY: it gives memory of this size, or NULL.
            NonNull::new(unsafe { ngx_alloc(capacity, log) }.cast())
        } else {
            stock::take(capacity, log)
        };
        let memory = memory.ok_or(NoMemory)?.as_ptr();
        if length > 0 {
            // SAFETY: both have so many bytes, and are not the same.
            unsafe { ptr::copy_nonoverlapping(self.memory.add(self.start), memory, length) };
        }
        self.clear();
        *self = Self {
            memory,
            capacity,
            start: 0,
            end: length,
        };
        Ok(())
    }
}

/// What is no more than this comes from malloc().
const SMALL: usize = 4 << 10;

/// What is more gets a buffer as a tunnel's are by default, so that both are kept in one list: more comes mostly, and
/// to grow by steps would be to copy again and again.
pub const WHOLE: usize = (64 << 10) + Scanner::MAX_HEADER + 1;

/// How many of those a worker keeps.
const KEPT: usize = 64;
