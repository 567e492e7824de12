//! nginx's clock, and times.

use nginx_sys::{ngx_current_msec, ngx_msec_t, ngx_parse_time};

use super::string;

/// The time of the event loop's present turn, milliseconds. It may wrap.
pub fn now() -> ngx_msec_t {
    // SAFETY: a word that only this thread writes.
    unsafe { ngx_current_msec }
}

/// A time as it is written in a configuration, milliseconds.
pub fn parse_time(text: &[u8]) -> Option<ngx_msec_t> {
    let mut text = string::borrowed(text);
    // SAFETY: the text is valid and is only read.
    let time = unsafe { ngx_parse_time(&raw mut text, 0) };
    ngx_msec_t::try_from(time).ok()
}
