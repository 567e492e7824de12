//! The module's lines in nginx's error log.

use core::fmt;
use core::ptr;

use nginx_sys::{ngx_conf_t, ngx_http_request_t, ngx_log_t, ngx_uint_t};
use ngx::{ngx_conf_log_error, ngx_log_error};

use crate::location::Place;

/// A line about a request, followed by nginx's own context: client, server, request, upstream,
/// host.
pub fn request(r: *mut ngx_http_request_t, level: ngx_uint_t, text: fmt::Arguments<'_>) {
    // SAFETY: a request has a connection and that a log, for as long as the request lives.
    let log: *mut ngx_log_t = unsafe { (*(*r).connection).log };
    // What nginx happens to be doing ("while logging request") is no part of the cause.
    // SAFETY: as above.
    let action = unsafe { ptr::replace(&raw mut (*log).action, ptr::null_mut()) };
    ngx_log_error!(level, log, "{text}");
    // SAFETY: as above; the line is written.
    unsafe { (*log).action = action };
}

/// Whether lines of this level are written. Mostly those of a tunnel are not, and need not be made.
pub fn takes(r: *mut ngx_http_request_t, level: ngx_uint_t) -> bool {
    // SAFETY: a request has a connection and that a log, for as long as the request lives.
    unsafe { (*(*(*r).connection).log).log_level >= level }
}

/// A line about the directive that is being read; nginx adds the file and the line.
pub fn directive(cf: *mut ngx_conf_t, level: u32, text: fmt::Arguments<'_>) {
    ngx_conf_log_error!(level, cf, "{text}");
}

/// A line about a place in the configuration that was read before.
pub fn configuration(cf: *mut ngx_conf_t, level: u32, place: Place, text: fmt::Arguments<'_>) {
    // SAFETY: cf is valid while the configuration is read.
    let log = unsafe { (*cf).log };
    at(log, level, place, text);
}

/// Likewise, when all of the configuration has been read.
pub fn at(log: *mut ngx_log_t, level: u32, place: Place, text: fmt::Arguments<'_>) {
    let file = place.file();
    ngx_log_error!(
        level,
        log,
        "{text} in {}:{}",
        file.escape_ascii(),
        place.line
    );
}
