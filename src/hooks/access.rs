//! Around nginx's access phase: whether a handshake was refused there.

use nginx_sys::{NGX_DECLINED, ngx_http_request_t, ngx_int_t};

use crate::conf::LocationConf;
use crate::nginx::Request;
use crate::request::{self, Attempt};

const PASS: ngx_int_t = NGX_DECLINED as ngx_int_t;

/// The handler of the access phase, before those of the modules that were there first.
pub unsafe extern "C" fn begin(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    if let Some(attempt) = attempt(unsafe { Request::new(r) }) {
        attempt.access.ask();
    }
    PASS
}

/// The handler of the next phase: nothing has refused it.
pub unsafe extern "C" fn end(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    if let Some(attempt) = attempt(unsafe { Request::new(r) }) {
        attempt.access.admit();
    }
    PASS
}

/// What was judged in this location. A location that is off, as an error page's may be, changes nothing.
fn attempt<'r>(r: Request<'r>) -> Option<&'r Attempt> {
    request::in_place(r).filter(|_| r.is_main() && LocationConf::of(r).is_on())
}

/// A subrequest is answered: perhaps the one that says whether a handshake is let in.
pub fn answered(r: Request<'_>) {
    let Some(attempt) = request::in_place(r.main()) else {
        return;
    };
    if r.is_child_of_main() {
        attempt
            .access
            .answered(u16::try_from(r.status()).unwrap_or(0));
    }
}
