//! The log phase: the one line on a handshake that failed, or on a tunnel that ended.

use nginx_sys::{NGX_OK, ngx_http_request_t, ngx_int_t};

use super::{arrive, count, report, seam};
use crate::failure::conclude;
use crate::nginx::Request;
use crate::request::{self, Ending};

/// The handler of the log phase, which nginx calls once for a request of a client.
pub unsafe extern "C" fn handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    if r.is_main() {
        arrive::ended(r);
        end(r);
    }
    NGX_OK as ngx_int_t
}

fn end(r: Request<'_>) {
    let attempt = match request::of(r) {
        Some(attempt) => {
            seam::conclude(r, attempt);
            attempt
        }
        // One that ended without a response.
        None => match conclude::remember_unjudged(r) {
            Some(attempt) => attempt,
            None => return,
        },
    };
    match attempt.ending() {
        Some(Ending::Closed(carrier)) => report::ended(r, attempt, carrier),
        Some(Ending::Rejected(cause)) => report::failed(r, attempt, cause),
        Some(Ending::Failed(cause)) => {
            report::failed(r, attempt, cause);
            report::remark(r, attempt);
        }
        Some(Ending::Unknown) | None => {}
    }
    count::over(r, attempt);
}
