//! Which of the two a request is for.

use nginx_sys::{NGX_HTTP_NOT_FOUND, ngx_http_request_t, ngx_int_t};

use super::{control, serve};
use crate::conf::LocationConf;
use crate::nginx::Request;

/// The content handler of locations with one of the two.
pub(super) unsafe extern "C" fn handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    let conf = LocationConf::of(r);
    if conf.has_control() && is_close(r.path()) {
        control::begin(r)
    } else if conf.status().is_some() {
        serve::begin(r)
    } else {
        NGX_HTTP_NOT_FOUND as ngx_int_t
    }
}

/// Whether a path is that of the action.
pub(super) fn is_close(path: &[u8]) -> bool {
    path.ends_with(b"/close")
}
