//! Refuses an extended CONNECT in a location with `websocket off`: whatever that answered, a client would take it for
//! a tunnel if it went well.

use nginx_sys::{NGX_DECLINED, ngx_http_request_t, ngx_int_t};

use crate::conf::LocationConf;
use crate::failure::local;
use crate::http2;
use crate::nginx::Request;
use crate::request::{self, Attempt};

const PASS: ngx_int_t = NGX_DECLINED as ngx_int_t;

/// The last handler before the content: `try_files` may have led to another location.
pub unsafe extern "C" fn handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    // `post_action` comes when all is over.
    if LocationConf::of(r).is_on() || r.is_post_action() || is_page(r) {
        return PASS;
    }
    http2::refuse(r).unwrap_or(PASS)
}

/// Whether it is the page of what has failed before, which is why the client gets no tunnel.
fn is_page(r: Request<'_>) -> bool {
    let has_failed = |attempt: &Attempt| {
        attempt.is_ended() || attempt.tries.begun() != 0 || local::refusal(r, attempt).is_some()
    };
    r.is_error_page() || request::of(r).is_some_and(has_failed)
}
