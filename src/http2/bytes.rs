//! Bytes that wait, in memory that is there only as long as there are some.

use core::{ptr, slice};

use nginx_sys::{ngx_alloc, ngx_log_t};

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
        let place = self.reserve(bytes.len(), log)?;
        place.copy_from_slice(bytes);
        self.end += bytes.len();
        Ok(())
    }

    /// Puts in their place so many zeros, to be written to.
    pub fn zeros(&mut self, length: usize, log: *mut ngx_log_t) -> Result<&mut [u8], NoMemory> {
        self.clear();
        self.reserve(length, log)?.fill(0);
        self.end = length;
        // SAFETY: it was written just now.
        Ok(unsafe { slice::from_raw_parts_mut(self.memory, length) })
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
        // SAFETY: ngx_alloc() gave it, or it is NULL.
        unsafe { libc::free(self.memory.cast()) };
        *self = Self::new();
    }

    /// Room for so many more behind them.
    fn reserve(&mut self, count: usize, log: *mut ngx_log_t) -> Result<&mut [u8], NoMemory> {
        if self.capacity - self.end < count {
            self.grow(count, log)?;
        }
        if count == 0 {
            return Ok(&mut []);
        }
        // SAFETY: there is room, and nobody reads it before it is written.
        unsafe {
            let place = self.memory.add(self.end);
            ptr::write_bytes(place, 0, count);
            Ok(slice::from_raw_parts_mut(place, count))
        }
    }

    fn grow(&mut self, count: usize, log: *mut ngx_log_t) -> Result<(), NoMemory> {
        let length = self.len();
        let needed = length.checked_add(count).ok_or(NoMemory)?;
        // Mostly more comes.
        let capacity = needed.max(self.capacity.saturating_mul(2).min(LARGE.max(needed)));
        // SAFETY: it gives memory of this size, or NULL.
        let memory = unsafe { ngx_alloc(capacity, log) }.cast::<u8>();
        if memory.is_null() {
            return Err(NoMemory);
        }
        let mut grown = Self {
            memory,
            capacity,
            start: 0,
            end: length,
        };
        if length > 0 {
            // SAFETY: both have so many bytes, and are not the same.
            unsafe { ptr::copy_nonoverlapping(self.memory.add(self.start), memory, length) };
        }
        core::mem::swap(self, &mut grown);
        grown.clear();
        Ok(())
    }
}

/// It grows to no more than this by itself.
const LARGE: usize = 64 << 10;
