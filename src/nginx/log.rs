//! The module's lines in nginx's error log.

use core::fmt::{self, Write};
use core::ptr;

use nginx_sys::{
    NGX_MAX_ERROR_STR, ngx_conf_log_error, ngx_conf_t, ngx_http_log_ctx_t, ngx_log_error_core,
    ngx_log_t, ngx_uint_t,
};

use super::Request;
use super::conf::Place;
use super::string::{Cut, Text};

/// A line about a request, followed by nginx's own context: client, server, request, upstream,
/// host.
pub fn request(r: Request<'_>, level: ngx_uint_t, text: fmt::Arguments<'_>) {
    let log = r.log();
    // What nginx happens to be doing ("while logging request") is no part of the cause, nor is a subrequest, such as a
    // mirror's, that has had its turn last.
    // SAFETY: a request has a log, for as long as it lives, and that the request's own context (`ngx_http_init_connection()`).
    unsafe {
        let context = (*log).data.cast::<ngx_http_log_ctx_t>();
        let action = ptr::replace(&raw mut (*log).action, ptr::null_mut());
        let current = ptr::replace(&raw mut (*context).current_request, r.as_ptr());
        write(level, log, text);
        (*log).action = action;
        (*context).current_request = current;
    }
}

/// Whether lines of this level are written. Mostly those of a tunnel are not, and need not be made.
pub fn takes(r: Request<'_>, level: ngx_uint_t) -> bool {
    // SAFETY: a request has a log, for as long as it lives.
    unsafe { (*r.log()).log_level >= level }
}

/// A line about no request.
///
/// `log` must be a cycle's.
pub fn cycle(log: *mut ngx_log_t, level: u32, text: fmt::Arguments<'_>) {
    write(level as ngx_uint_t, log, text);
}

/// A line about the directive that is being read; nginx adds the file and the line.
pub fn directive(cf: *mut ngx_conf_t, level: u32, text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(text);
    let line = line.text();
    // SAFETY: a configuration that is read is valid; "%*s" takes a length and that many bytes.
    unsafe {
        ngx_conf_log_error(
            level as ngx_uint_t,
            cf,
            0,
            c"%*s".as_ptr(),
            line.len(),
            line.as_ptr(),
        );
    }
}

/// A line about a place in the configuration that was read before.
pub fn place(log: *mut ngx_log_t, level: u32, place: Place, text: fmt::Arguments<'_>) {
    let (file, line) = (Text(place.file()), place.line());
    write(
        level as ngx_uint_t,
        log,
        format_args!("{text} in {file}:{line}"),
    );
}

fn write(level: ngx_uint_t, log: *mut ngx_log_t, text: fmt::Arguments<'_>) {
    // SAFETY: the log is a request's or a cycle's; "%*s" takes a length and that many bytes.
    unsafe {
        if level > (*log).log_level {
            return;
        }
        let mut line = Line::new();
        let _ = line.write_fmt(text);
        let line = line.text();
        ngx_log_error_core(level, log, 0, c"%*s".as_ptr(), line.len(), line.as_ptr());
    }
}

/// nginx cuts a line at [`NGX_MAX_ERROR_STR`] bytes, and writes when and by whom it was written before the text.
type Line = Cut<{ NGX_MAX_ERROR_STR as usize - "1970/01/01 00:00:00 [info] 1#1: ".len() }>;
