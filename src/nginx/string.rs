//! `ngx_str_t` and byte slices.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::{ptr, slice};

use nginx_sys::{NGX_ESCAPE_URI, ngx_escape_uri, ngx_pnalloc, ngx_pool_t, ngx_str_t, ngx_uint_t};

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

/// A text of the configuration in a line of the log: as it is written, as in nginx's own lines, but
/// all in one line.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    c if c.is_ascii_control() => write!(f, "\\x{:02X}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// Text that is formatted into memory of a fixed size; what doesn't fit is left out.
pub struct Cut<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
}

impl<const SIZE: usize> Cut<SIZE> {
    pub const fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            len: 0,
        }
    }

    pub fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const SIZE: usize> Write for Cut<SIZE> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let taken = text.len().min(room.len());
        if let (Some(room), Some(text)) = (room.get_mut(..taken), text.as_bytes().get(..taken)) {
            room.copy_from_slice(text);
            self.len += taken;
        }
        if taken < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
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

/// A path as nginx writes it into a URI.
///
/// # Safety
/// The pool and the path must be valid; the text lives as long as both do.
pub unsafe fn escaped(pool: *mut ngx_pool_t, path: ngx_str_t) -> ngx_str_t {
    // SAFETY: the caller vouches for both. Asked without a place, nginx counts the bytes that it would write
    // as three; with one, it writes so many.
    unsafe {
        let kind = NGX_ESCAPE_URI as ngx_uint_t;
        let escapes = ngx_escape_uri(ptr::null_mut(), path.data, path.len, kind);
        if escapes == 0 {
            return path;
        }
        let len = path.len + 2 * escapes;
        let data = ngx_pnalloc(pool, len).cast::<u8>();
        if data.is_null() {
            return EMPTY;
        }
        ngx_escape_uri(data, path.data, path.len, kind);
        ngx_str_t { len, data }
    }
}
