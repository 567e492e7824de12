//! A connection's header table, by nginx's own functions.

use core::mem::replace;
use core::slice;

use nginx_sys::{
    NGX_OK, ngx_create_pool, ngx_destroy_pool, ngx_http_v2_connection_t, ngx_http_v2_header_t,
    ngx_int_t, ngx_palloc, ngx_pool_t, ngx_str_t,
};
use websocket_protocol::http2::Table;

use super::functions::Functions;
use crate::nginx::string;

const OK: ngx_int_t = NGX_OK as ngx_int_t;

/// The table, between two blocks that nginx reads. What it gives lives as long as it does.
pub struct Hpack {
    h2c: *mut ngx_http_v2_connection_t,
    functions: Functions,
    pool: *mut ngx_pool_t,
    /// What nginx has where its functions put what they find.
    before: (*mut ngx_pool_t, ngx_http_v2_header_t),
}

impl Hpack {
    /// `None`: there is no memory.
    ///
    /// # Safety
    /// The connection must be open, and stay so as long as this is there; nginx may not read a block meanwhile.
    pub unsafe fn new(h2c: *mut ngx_http_v2_connection_t, functions: Functions) -> Option<Self> {
        // SAFETY: the caller vouches for the connection.
        unsafe {
            let pool = ngx_create_pool(POOL, (*(*h2c).connection).log);
            if pool.is_null() {
                return None;
            }
            let state = &mut (*h2c).state;
            Some(Self {
                h2c,
                functions,
                pool,
                before: (replace(&mut state.pool, pool), state.header),
            })
        }
    }

    /// Memory of this size, as long as the table is there.
    pub fn memory<'t>(&self, size: usize) -> Option<&'t mut [u8]> {
        // SAFETY: the pool is there; it gives memory of this size, or NULL.
        unsafe {
            let place = ngx_palloc(self.pool, size.max(1)).cast::<u8>();
            if place.is_null() {
                return None;
            }
            place.write_bytes(0, size);
            Some(slice::from_raw_parts_mut(place, size))
        }
    }

    fn get<'t>(&mut self, index: u32, is_name_only: bool) -> Option<(&'t [u8], &'t [u8])> {
        // SAFETY: the connection is open; nginx copies an entry into the pool, or has it in its own table.
        unsafe {
            let get = self.functions.get_indexed_header;
            if get(self.h2c, index as usize, usize::from(is_name_only)) != OK {
                return None;
            }
            let header = &(*self.h2c).state.header;
            let value: &[u8] = if is_name_only {
                &[]
            } else {
                string::bytes(&header.value)
            };
            Some((string::bytes(&header.name), value))
        }
    }
}

impl Drop for Hpack {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and nothing looks at what is in the pool any more.
        unsafe {
            let state = &mut (*self.h2c).state;
            (state.pool, state.header) = self.before;
            ngx_destroy_pool(self.pool);
        }
    }
}

impl<'t> Table<'t> for Hpack {
    fn field(&mut self, index: u32) -> Option<(&'t [u8], &'t [u8])> {
        self.get(index, false)
    }

    fn name(&mut self, index: u32) -> Option<&'t [u8]> {
        self.get(index, true).map(|(name, _)| name)
    }

    fn decode(&mut self, text: &[u8]) -> Option<&'t [u8]> {
        let mut state = 0;
        // The shortest code has five bits.
        let place = self.memory(text.len().checked_mul(8)? / 5 + 1)?;
        let start = place.as_mut_ptr();
        let mut end = start;
        // SAFETY: nginx only reads the text, and writes no more than there is room for.
        unsafe {
            let log = (*(*self.h2c).connection).log;
            let decode = self.functions.huff_decode;
            let src = text.as_ptr().cast_mut();
            if decode(&raw mut state, src, text.len(), &raw mut end, 1, log) != OK {
                return None;
            }
            Some(slice::from_raw_parts(
                start,
                (end as usize).saturating_sub(start as usize),
            ))
        }
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let text = |bytes: &[u8]| ngx_str_t {
            len: bytes.len(),
            data: bytes.as_ptr().cast_mut(),
        };
        let mut header = ngx_http_v2_header_t {
            name: text(name),
            value: text(value),
        };
        // SAFETY: nginx copies both.
        let rc = unsafe { (self.functions.add_header)(self.h2c, &raw mut header) };
        (rc == OK).then_some(())
    }

    fn resize(&mut self, size: u32) -> Option<()> {
        // SAFETY: the connection is open.
        let rc = unsafe { (self.functions.table_size)(self.h2c, size as usize) };
        (rc == OK).then_some(())
    }
}

/// Bytes of a block of the pool.
const POOL: usize = 4096;
