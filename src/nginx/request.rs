//! A request and its upstream.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::{ptr, slice};

use nginx_sys::{
    ngx_current_msec, ngx_http_complex_value, ngx_http_complex_value_t, ngx_http_request_t,
    ngx_http_upstream_state_t, ngx_http_upstream_t, ngx_list_part_t, ngx_list_push, ngx_list_t,
    ngx_msec_t, ngx_str_t, ngx_table_elt_t, ngx_timeofday,
};

use super::{pool, string};

/// The headers of a list, in the order they came.
///
/// # Safety
/// `list` must be a list of `ngx_table_elt_t`, valid for `'a`; an empty one may be uninitialized
/// but for zeros.
pub unsafe fn headers<'a>(list: &'a ngx_list_t) -> Headers<'a> {
    Headers {
        part: &raw const list.part,
        next: 0,
        list: PhantomData,
    }
}

/// See [`headers`].
#[derive(Clone)]
pub struct Headers<'a> {
    part: *const ngx_list_part_t,
    next: usize,
    list: PhantomData<&'a ngx_list_t>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = &'a ngx_table_elt_t;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // SAFETY: NULL or a part of the list.
            let here = unsafe { self.part.as_ref() }?;
            if self.next < here.nelts {
                // SAFETY: within the part's elements.
                let header = unsafe { &*here.elts.cast::<ngx_table_elt_t>().add(self.next) };
                self.next += 1;
                return Some(header);
            }
            self.part = here.next;
            self.next = 0;
        }
    }
}

/// A header's value.
///
/// # Safety
/// The header must belong to a request that lives as long as `'a`.
pub unsafe fn value<'a>(header: &ngx_table_elt_t) -> &'a [u8] {
    // SAFETY: the caller vouches for the header.
    unsafe { string::bytes(&header.value) }
}

/// A header that is looked for. nginx keeps a hash of each name, so that names are compared only
/// where they are nearly sure to be equal.
#[derive(Clone, Copy)]
pub struct Name<H> {
    hash: usize,
    lower_case: &'static [u8],
    pub header: H,
}

impl<H: Copy> Name<H> {
    pub const fn new(lower_case: &'static str, header: H) -> Self {
        let lower_case = lower_case.as_bytes();
        Self {
            hash: string::hash(lower_case),
            lower_case,
            header,
        }
    }

    /// Whether a header has this name.
    ///
    /// # Safety
    /// The header must be one that nginx has parsed, with its hash and its lower-case name.
    pub unsafe fn is_of(&self, header: &ngx_table_elt_t) -> bool {
        header.hash == self.hash
            && header.key.len == self.lower_case.len()
            // SAFETY: the lower-case name is as long as the name.
            && unsafe { slice::from_raw_parts(header.lowcase_key, header.key.len) }
                == self.lower_case
    }
}

/// The headers of a list that are looked for, with their values.
///
/// # Safety
/// As [`headers`], and nginx must have parsed them.
pub unsafe fn named<'a, H: Copy>(
    list: &'a ngx_list_t,
    names: &'static [Name<H>],
) -> impl Iterator<Item = (H, &'a [u8])> + Clone {
    // SAFETY: the caller vouches for the list.
    unsafe { headers(list) }.filter_map(move |header| {
        // SAFETY: as above.
        let name = names.iter().find(|name| unsafe { name.is_of(header) })?;
        // SAFETY: as above.
        Some((name.header, unsafe { value(header) }))
    })
}

/// Adds a header to the response. `None` when there is no memory.
///
/// # Safety
/// `r` must be valid, and its response header not yet sent.
pub unsafe fn add_header(
    r: *mut ngx_http_request_t,
    name: &'static CStr,
    value: ngx_str_t,
) -> Option<()> {
    // SAFETY: the caller vouches for the request.
    unsafe {
        let header = ngx_list_push(&raw mut (*r).headers_out.headers).cast::<ngx_table_elt_t>();
        if header.is_null() {
            return None;
        }
        ptr::write_bytes(header, 0, 1);
        (*header).hash = 1;
        (*header).key = string::constant(name);
        (*header).value = value;
    }
    Some(())
}

/// The value of a configured text with variables, for this request.
///
/// # Safety
/// `r` and `value` must be valid; the result lives as long as the request.
pub unsafe fn evaluate<'a>(
    r: *mut ngx_http_request_t,
    value: &ngx_http_complex_value_t,
) -> Option<&'a [u8]> {
    let mut text = string::EMPTY;
    // SAFETY: the caller vouches for both; nginx only reads the compiled value.
    let rc = unsafe { ngx_http_complex_value(r, ptr::from_ref(value).cast_mut(), &raw mut text) };
    // SAFETY: nginx made the text in the request's pool.
    (rc == 0).then(|| unsafe { string::bytes(&text) })
}

/// The request's upstream.
pub fn upstream<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut ngx_http_upstream_t> {
    // SAFETY: NULL, or an upstream that lives as long as the request.
    unsafe { (*r).upstream.as_mut() }
}

/// What nginx noted of each upstream server it tried for this request.
pub fn upstream_states<'a>(r: *mut ngx_http_request_t) -> &'a [ngx_http_upstream_state_t] {
    // SAFETY: NULL, or an array of states that lives as long as the request.
    unsafe { pool::elements((*r).upstream_states) }
}

/// Notes bytes that came from the upstream server in use, for `$upstream_bytes_received`.
pub fn count_received(r: *mut ngx_http_request_t, bytes: u64) {
    // SAFETY: NULL, or the last of the request's states.
    if let Some(state) = upstream(r).and_then(|u| unsafe { u.state.as_mut() }) {
        state.bytes_received += bytes as i64;
    }
}

/// nginx's clock, milliseconds.
pub fn now() -> ngx_msec_t {
    // SAFETY: a word that only this thread writes.
    unsafe { ngx_current_msec }
}

/// How long ago the request's first byte came, milliseconds, as `$request_time` has it.
pub fn elapsed(r: *mut ngx_http_request_t) -> ngx_msec_t {
    // SAFETY: nginx's cached time is always there.
    let (seconds, milliseconds) = unsafe {
        let now = ngx_timeofday();
        (
            now.sec.wrapping_sub((*r).start_sec),
            (now.msec as isize).wrapping_sub((*r).start_msec as isize),
        )
    };
    let total = (seconds as isize)
        .wrapping_mul(1000)
        .wrapping_add(milliseconds);
    ngx_msec_t::try_from(total).unwrap_or(0)
}
