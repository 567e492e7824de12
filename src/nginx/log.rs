//! The module's lines in nginx's error log.

use core::fmt;
use core::ptr;

use nginx_sys::{ngx_conf_t, ngx_log_t, ngx_uint_t};
use ngx::{ngx_conf_log_error, ngx_log_error};

use super::Request;
use super::conf::Place;
use super::string::Text;

/// A line about a request, followed by nginx's own context: client, server, request, upstream,
/// host.
pub fn request(r: Request<'_>, level: ngx_uint_t, text: fmt::Arguments<'_>) {
    let log = r.log();
    // What nginx happens to be doing ("while logging request") is no part of the cause.
    // SAFETY: a request has a log, for as long as it lives.
    let action = unsafe { ptr::replace(&raw mut (*log).action, ptr::null_mut()) };
    ngx_log_error!(level, log, "{text}");
    // SAFETY: as above; the line is written.
    unsafe { (*log).action = action };
}

/// Whether lines of this level are written. Mostly those of a tunnel are not, and need not be made.
pub fn takes(r: Request<'_>, level: ngx_uint_t) -> bool {
    // SAFETY: a request has a log, for as long as it lives.
    unsafe { (*r.log()).log_level >= level }
}

/// A line about the directive that is being read; nginx adds the file and the line.
pub fn directive(cf: *mut ngx_conf_t, level: u32, text: fmt::Arguments<'_>) {
    ngx_conf_log_error!(level, cf, "{text}");
}

/// A line about a place in the configuration that was read before.
pub fn place(log: *mut ngx_log_t, level: u32, place: Place, text: fmt::Arguments<'_>) {
    let file = place.file();
    ngx_log_error!(level, log, "{text} in {}:{}", Text(file), place.line());
}
