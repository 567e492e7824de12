//! Memory of its own, as long as it is kept.

use core::ptr::NonNull;
use core::slice;

use nginx_sys::{ngx_calloc, ngx_log_t};

pub struct Memory {
    start: NonNull<u8>,
    len: usize,
}

impl Memory {
    /// So many bytes, all zero. `None`: there are none.
    ///
    /// `log` must be a cycle's, or a connection's.
    pub fn new(len: usize, log: *mut ngx_log_t) -> Option<Self> {
        // SAFETY: the log is valid.
        let start = unsafe { ngx_calloc(len.max(1), log) };
        Some(Self {
            start: NonNull::new(start.cast())?,
            len,
        })
    }

    /// A copy of these.
    pub fn of(bytes: &[u8], log: *mut ngx_log_t) -> Option<Self> {
        let mut memory = Self::new(bytes.len(), log)?;
        memory.bytes_mut().copy_from_slice(bytes);
        Some(memory)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: new() made room for so many, all zero.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Only so many of them from here on.
    pub fn shorten(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: ngx_calloc() is malloc(), and nothing of it is in use.
        unsafe { libc::free(self.start.as_ptr().cast()) };
    }
}
