//! nginx's functions for HTTP/2, which not every nginx that loads the module has.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_void};
use core::mem;

use nginx_sys::{
    ngx_connection_t, ngx_event_t, ngx_http_v2_connection_t, ngx_http_v2_header_t, ngx_int_t,
    ngx_log_t, ngx_uint_t, u_char,
};

#[derive(Clone, Copy)]
pub struct Functions {
    pub init: unsafe extern "C" fn(*mut ngx_event_t),
    pub send_output_queue: unsafe extern "C" fn(*mut ngx_http_v2_connection_t) -> ngx_int_t,
    pub get_indexed_header: unsafe extern "C" fn(
        *mut ngx_http_v2_connection_t,
        index: ngx_uint_t,
        name_only: ngx_uint_t,
    ) -> ngx_int_t,
    pub add_header:
        unsafe extern "C" fn(*mut ngx_http_v2_connection_t, *mut ngx_http_v2_header_t) -> ngx_int_t,
    pub table_size: unsafe extern "C" fn(*mut ngx_http_v2_connection_t, size: usize) -> ngx_int_t,
    pub huff_decode: unsafe extern "C" fn(
        state: *mut u_char,
        src: *mut u_char,
        len: usize,
        dst: *mut *mut u_char,
        last: ngx_uint_t,
        log: *mut ngx_log_t,
    ) -> ngx_int_t,
    /// `None` in an nginx without TLS.
    pub ssl_recv: Option<Recv>,
}

/// How a connection is read.
pub type Recv = unsafe extern "C" fn(*mut ngx_connection_t, *mut u_char, usize) -> isize;

static FOUND: Place = Place(UnsafeCell::new(None));

struct Place(UnsafeCell<Option<Functions>>);

// SAFETY: it is written before there is a connection; a worker is one thread.
unsafe impl Sync for Place {}

/// Those that [`find`] has found.
pub fn get() -> Option<Functions> {
    // SAFETY: see above.
    unsafe { *FOUND.0.get() }
}

/// Looks whether this nginx has them.
///
/// # Safety
/// Only before there is a connection.
pub unsafe fn find() -> Option<Functions> {
    // SAFETY: the caller vouches for the moment; nginx's functions have the types that its headers say.
    unsafe {
        *FOUND.0.get() = all();
        *FOUND.0.get()
    }
}

/// # Safety
/// Only where they have the types that nginx's headers say.
unsafe fn all() -> Option<Functions> {
    // SAFETY: the caller vouches for the types.
    unsafe {
        Some(Functions {
            init: symbol(c"ngx_http_v2_init")?,
            send_output_queue: symbol(c"ngx_http_v2_send_output_queue")?,
            get_indexed_header: symbol(c"ngx_http_v2_get_indexed_header")?,
            add_header: symbol(c"ngx_http_v2_add_header")?,
            table_size: symbol(c"ngx_http_v2_table_size")?,
            // Its name before 1.22.
            huff_decode: symbol(c"ngx_http_huff_decode")
                .or_else(|| symbol(c"ngx_http_v2_huff_decode"))?,
            ssl_recv: symbol(c"ngx_ssl_recv"),
        })
    }
}

/// A function of the program, or of what it has loaded.
///
/// # Safety
/// `F` must be the type of a pointer to it.
unsafe fn symbol<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name ends with a zero, and no library is loaded; the caller vouches for the type.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
        (!found.is_null()).then(|| mem::transmute_copy(&found))
    }
}
