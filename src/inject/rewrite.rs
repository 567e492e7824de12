//! The arrays that a location is given in place of its own.

use core::ffi::CStr;

use nginx_sys::{
    ngx_array_t, ngx_conf_t, ngx_http_complex_value_t, ngx_http_upstream_param_t, ngx_keyval_t,
};

use crate::nginx::{conf, pool, string};

/// What the user's own lines send on requests that are not handshakes.
#[derive(Clone, Copy)]
pub struct PlainHeaders {
    /// Array of `ngx_http_complex_value_t`; `None` where the user wrote no such line.
    pub upgrade: Option<*mut ngx_array_t>,
    pub connection: Option<*mut ngx_array_t>,
}

/// `proxy_set_header` lines in which Upgrade and Connection are ours.
///
/// Each stands where the user's line stood, or else where nginx's default would: plain requests
/// keep the very bytes they had.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_keyval_t`.
pub unsafe fn headers(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
) -> Option<(*mut ngx_array_t, &'static PlainHeaders)> {
    // SAFETY: the caller vouches for both.
    let (memory, lines) = unsafe { ((*cf).pool, pool::elements::<ngx_keyval_t>(source)) };
    // SAFETY: the pool is valid.
    let result = unsafe { pool::array::<ngx_keyval_t>(memory, lines.len() + 3) }?;
    let mut plain = PlainHeaders {
        upgrade: None,
        connection: None,
    };
    let mut has_host = false;

    for line in lines {
        // SAFETY: a line's words live as long as the configuration.
        let name = unsafe { string::bytes(&line.key) };
        has_host |= name.eq_ignore_ascii_case(HOST.0.to_bytes());
        let (ours, values) = if name.eq_ignore_ascii_case(UPGRADE.0.to_bytes()) {
            (UPGRADE, &mut plain.upgrade)
        } else if name.eq_ignore_ascii_case(CONNECTION.0.to_bytes()) {
            (CONNECTION, &mut plain.connection)
        } else {
            // SAFETY: an array of lines.
            unsafe { pool::push(result, *line) }?;
            continue;
        };
        if values.is_none() {
            // SAFETY: the pool is valid; an array of lines.
            unsafe {
                *values = Some(pool::array::<ngx_http_complex_value_t>(memory, 1)?);
                push_line(result, ours)?;
            }
        }
        if let Some(values) = *values {
            // SAFETY: cf is valid; an array of values.
            unsafe { pool::push(values, conf::compile(cf, line.value)?) }?;
        }
    }
    // SAFETY: an array of lines, and the pool is valid.
    unsafe {
        if plain.connection.is_none() {
            if !has_host {
                push_line(result, HOST)?;
            }
            push_line(result, CONNECTION)?;
        }
        if plain.upgrade.is_none() {
            push_line(result, UPGRADE)?;
        }
        Some((result, pool::place(memory, plain)?.as_ref()))
    }
}

type Line = (&'static CStr, &'static CStr);

const HOST: Line = (c"Host", c"$proxy_host");
const UPGRADE: Line = (c"Upgrade", c"$websocket_injected_upgrade");
const CONNECTION: Line = (c"Connection", c"$websocket_injected_connection");

/// # Safety
/// `lines` must be an array of `ngx_keyval_t`.
unsafe fn push_line(lines: *mut ngx_array_t, (name, value): Line) -> Option<()> {
    let line = ngx_keyval_t {
        key: string::constant(name),
        value: string::constant(value),
    };
    // SAFETY: the caller vouches for the array.
    unsafe { pool::push(lines, line) }.map(|_| ())
}

/// Parameters with one more, which is never sent: its variable is evaluated while the request to
/// the upstream is made, which is the module's moment to join it.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_http_upstream_param_t`.
pub unsafe fn params(cf: *mut ngx_conf_t, source: *const ngx_array_t) -> Option<*mut ngx_array_t> {
    let seam = ngx_http_upstream_param_t {
        key: string::constant(c"WEBSOCKET"),
        value: string::constant(c"$websocket_injected_seam"),
        skip_empty: 1,
    };
    // SAFETY: the caller vouches for both.
    unsafe { copy_and_push(cf, source, seam) }
}

/// Reasons not to use the cache, with one more: the request is a WebSocket attempt.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_http_complex_value_t`.
pub unsafe fn predicates(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
) -> Option<*mut ngx_array_t> {
    // SAFETY: cf is valid.
    let websocket = unsafe { conf::compile(cf, string::constant(c"$websocket_injected_attempt")) }?;
    // SAFETY: the caller vouches for both.
    unsafe { copy_and_push(cf, source, websocket) }
}

/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `T`.
unsafe fn copy_and_push<T: Copy>(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
    last: T,
) -> Option<*mut ngx_array_t> {
    // SAFETY: the caller vouches for all.
    unsafe {
        let elements = pool::elements::<T>(source);
        let result = pool::array::<T>((*cf).pool, elements.len() + 1)?;
        for element in elements {
            pool::push(result, *element)?;
        }
        pool::push(result, last)?;
        Some(result)
    }
}
