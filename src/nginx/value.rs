//! Values that may have variables in them, nginx's "complex values".

use core::ffi::CStr;
use core::{mem, slice};

use nginx_sys::{
    NGX_OK, ngx_conf_t, ngx_http_compile_complex_value, ngx_http_compile_complex_value_t,
    ngx_http_complex_value, ngx_http_complex_value_t, ngx_http_get_variable, ngx_palloc, ngx_str_t,
};

use super::{Request, string};

/// A word of the configuration that each request has a value of its own for.
#[derive(Clone, Copy, PartialEq)]
pub struct Value(*mut ngx_http_complex_value_t);

impl Value {
    /// Reads a word of the configuration. `None`: nginx has logged why it can't be read.
    ///
    /// # Safety
    /// `cf` must be the one that nginx gave to a directive's setter, and the word one of the directive's.
    pub unsafe fn compile(cf: *mut ngx_conf_t, mut word: ngx_str_t) -> Option<Self> {
        // SAFETY: the caller vouches for cf; nginx reads the word and fills in the value, both of which are
        // there for the call. For the rest of the structure zeros are what nginx's own setter leaves there.
        unsafe {
            let size = mem::size_of::<ngx_http_complex_value_t>();
            let value = ngx_palloc((*cf).pool, size).cast::<ngx_http_complex_value_t>();
            if value.is_null() {
                return None;
            }
            let mut compile: ngx_http_compile_complex_value_t = mem::zeroed();
            compile.cf = cf;
            compile.value = &raw mut word;
            compile.complex_value = value;
            let rc = ngx_http_compile_complex_value(&raw mut compile);
            (rc == NGX_OK as isize).then_some(Self(value))
        }
    }

    /// What it is for a request, in that one's memory. `None`: there is none left.
    pub fn of<'r>(self, r: Request<'r>) -> Option<&'r [u8]> {
        let mut text = string::EMPTY;
        // SAFETY: the request is alive, and the value was compiled for its configuration.
        let rc = unsafe { ngx_http_complex_value(r.as_ptr(), self.0, &raw mut text) };
        // SAFETY: nginx has made the text in the request's memory.
        (rc == NGX_OK as isize).then(|| unsafe { string::bytes(&text) })
    }
}

/// The value that a variable of nginx's has for a request; empty where nginx has no such variable, or it no value.
pub fn named<'r>(r: Request<'r>, name: &'static CStr) -> &'r [u8] {
    let key = string::hash(name.to_bytes());
    let mut name = string::constant(name);
    // SAFETY: the request is alive; its variables' values live as long as it does.
    unsafe {
        match ngx_http_get_variable(r.as_ptr(), &raw mut name, key).as_ref() {
            Some(value) if value.not_found() == 0 && !value.data.is_null() => {
                slice::from_raw_parts(value.data, value.len() as usize)
            }
            _ => &[],
        }
    }
}
