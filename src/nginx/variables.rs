//! The values of variables that nginx keeps for a request.

use core::ffi::c_int;
use core::{mem, ptr};

use nginx_sys::{
    ngx_alloc, ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_variable_t,
    ngx_http_variable_value_t,
};

use super::{Request, pool, string};

/// The values as they were, until they are put back: what is evaluated meanwhile is evaluated anew by
/// who comes next, and `$1` is what it was.
pub struct Kept<'r> {
    r: Request<'r>,
    names: &'r [ngx_http_variable_t],
    /// A value for each name, and the captures behind them; from `ngx_alloc()`.
    values: *mut ngx_http_variable_value_t,
    captures: Captures,
}

/// Random, and the same for all of a request's life, although nothing but the value remembers it.
const ONE_FOR_ALL: &[u8] = b"request_id";

impl<'r> Kept<'r> {
    /// `None` when there is no memory.
    pub fn of(r: Request<'r>) -> Option<Self> {
        // SAFETY: a request has the core module's main conf, which outlives it, and a value for each
        // variable that is named there.
        unsafe {
            let request = r.as_ptr();
            let core = *(*request).main_conf.add(ngx_http_core_module.ctx_index);
            let core = core.cast::<ngx_http_core_main_conf_t>();
            let names = pool::elements::<ngx_http_variable_t>(&raw const (*core).variables);
            let captures = Captures::of(r);
            let size = mem::size_of::<ngx_http_variable_value_t>() * names.len()
                + mem::size_of::<c_int>() * captures.count;
            let values = ngx_alloc(size, r.log()).cast::<ngx_http_variable_value_t>();
            if values.is_null() {
                return None;
            }
            ptr::copy_nonoverlapping((*request).variables, values, names.len());
            captures.copy_to(values.add(names.len()).cast());
            Some(Self {
                r,
                names,
                values,
                captures,
            })
        }
    }

    pub fn put_back(self) {
        // SAFETY: as in of(); this is the only copy.
        unsafe {
            let current = (*self.r.as_ptr()).variables;
            for (at, variable) in self.names.iter().enumerate() {
                if string::bytes(&variable.name) != ONE_FOR_ALL {
                    *current.add(at) = *self.values.add(at);
                }
            }
            let captures = self.values.add(self.names.len()).cast();
            self.captures.put_back(self.r, captures);
            libc::free(self.values.cast());
        }
    }
}

/// What `$1` and the like are: places in a text.
#[cfg(ngx_feature = "pcre")]
struct Captures {
    noted: nginx_sys::ngx_uint_t,
    /// NULL before there were any.
    places: *const c_int,
    /// How many of those there are to keep.
    count: usize,
    text: *mut nginx_sys::u_char,
}

#[cfg(ngx_feature = "pcre")]
impl Captures {
    fn of(r: Request<'_>) -> Self {
        // SAFETY: the request is alive, and its places are as many as it says, where there are any.
        unsafe {
            let request = r.as_ptr();
            let (noted, places) = ((*request).ncaptures, (*request).captures);
            Self {
                noted,
                places,
                count: if places.is_null() { 0 } else { noted },
                text: (*request).captures_data,
            }
        }
    }

    /// # Safety
    /// There must be room for as many as are to be kept.
    unsafe fn copy_to(&self, kept: *mut c_int) {
        if self.count > 0 {
            // SAFETY: the caller vouches for the room.
            unsafe { ptr::copy_nonoverlapping(self.places, kept, self.count) };
        }
    }

    /// nginx may have made new places meanwhile, as the old ones are a subrequest's, too.
    ///
    /// # Safety
    /// The request must be the same, and `kept` what was copied.
    unsafe fn put_back(&self, r: Request<'_>, kept: *const c_int) {
        // SAFETY: there are as many places for each text of a request.
        unsafe {
            let request = r.as_ptr();
            if self.count > 0 {
                ptr::copy_nonoverlapping(kept, (*request).captures, self.count);
            }
            (*request).ncaptures = self.noted;
            (*request).captures_data = self.text;
        }
    }
}

/// Without regular expressions there are none.
#[cfg(not(ngx_feature = "pcre"))]
struct Captures {
    count: usize,
}

#[cfg(not(ngx_feature = "pcre"))]
impl Captures {
    fn of(_: Request<'_>) -> Self {
        Self { count: 0 }
    }

    unsafe fn copy_to(&self, _: *mut c_int) {}

    unsafe fn put_back(&self, _: Request<'_>, _: *const c_int) {}
}
