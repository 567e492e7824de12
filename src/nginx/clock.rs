//! nginx's clock.

use nginx_sys::{ngx_current_msec, ngx_msec_t};

/// The time of the event loop's present turn, milliseconds. It may wrap.
pub fn now() -> ngx_msec_t {
    // SAFETY: a word that only this thread writes.
    unsafe { ngx_current_msec }
}
