//! `ngx_str_t` and byte slices.

use core::ffi::CStr;
use core::{ptr, slice};

use nginx_sys::ngx_str_t;

/// The bytes of an nginx string.
///
/// # Safety
/// `s` must be a valid string whose bytes live as long as `'a`.
pub unsafe fn bytes<'a>(s: &ngx_str_t) -> &'a [u8] {
    if s.data.is_null() || s.len == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for the string; it is neither NULL nor empty.
    unsafe { slice::from_raw_parts(s.data, s.len) }
}

/// The nginx string that stands for constant text. nginx compares the words of a configuration as
/// C strings, so there is a NUL after it.
pub const fn constant(text: &'static CStr) -> ngx_str_t {
    ngx_str_t {
        len: text.count_bytes(),
        data: text.as_ptr().cast_mut().cast(),
    }
}

/// The nginx string that stands for these bytes, which must live as long as it is used.
pub const fn borrowed(text: &[u8]) -> ngx_str_t {
    ngx_str_t {
        len: text.len(),
        data: text.as_ptr().cast_mut(),
    }
}

pub const EMPTY: ngx_str_t = ngx_str_t {
    len: 0,
    data: ptr::null_mut(),
};

/// nginx's `ngx_hash_key()`, as it is kept beside each header name.
pub const fn hash(name: &[u8]) -> usize {
    let mut key: usize = 0;
    let mut i = 0;
    while i < name.len() {
        key = key.wrapping_mul(31).wrapping_add(name[i] as usize);
        i += 1;
    }
    key
}
