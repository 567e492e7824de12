//! Short answers, and what all answers have in common.

use core::ffi::CStr;

use nginx_sys::{
    NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_HTTP_SERVICE_UNAVAILABLE, NGX_OK,
    ngx_int_t,
};
use websocket_status::write_error;
use websocket_zone::Zone;

use crate::nginx::response::{self, Head, Room};
use crate::nginx::{Request, string};
use crate::zone;

pub(super) const NO_MEMORY: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

/// As much as any short answer takes.
const SHORT: usize = 2048;

/// Answers with JSON, and is through with the request, which may be gone after that.
pub(super) fn short(r: Request<'_>, status: u32, write: impl FnOnce(&mut [u8]) -> usize) {
    response::finish(r, send_short(r, status, write));
}

fn send_short(r: Request<'_>, status: u32, write: impl FnOnce(&mut [u8]) -> usize) -> ngx_int_t {
    let Some(mut room) = Room::new(r, SHORT) else {
        return NO_MEMORY;
    };
    let length = write(room.rest());
    room.add(length);
    let head = Head {
        status,
        content_type: c"application/json",
        length: Some(length),
    };
    match send_head(r, &head) {
        Some(rc) => rc,
        None => room.send(r, true),
    }
}

/// What all workers count in. Where there is nothing, the request is answered, and may be gone.
pub(super) fn zone(r: Request<'_>) -> Option<Zone<'static>> {
    const NO_ZONE: &str = "this worker counts nothing: the error log says why";
    let zone = zone::writer().map(|writer| writer.zone());
    if zone.is_none() {
        short(r, NGX_HTTP_SERVICE_UNAVAILABLE, |room| {
            write_error(room, NO_ZONE)
        });
    }
    zone
}

/// Sends the header. `Some`: that was all, or went wrong.
pub(super) fn send_head(r: Request<'_>, head: &Head) -> Option<ngx_int_t> {
    let headers = [
        (c"Cache-Control", c"no-store"),
        (c"X-Content-Type-Options", c"nosniff"),
    ];
    for (name, value) in headers {
        if r.add_header(name, string::constant(value)).is_none() {
            return Some(NO_MEMORY);
        }
    }
    let rc = response::send_head(r, head);
    (rc != NGX_OK as ngx_int_t || !r.takes_body()).then_some(rc)
}

/// Answers that a method is not one of those.
pub(super) fn not_allowed(r: Request<'_>, allowed: &'static CStr) -> ngx_int_t {
    match r.add_header(c"Allow", string::constant(allowed)) {
        Some(()) => NGX_HTTP_NOT_ALLOWED as ngx_int_t,
        None => NO_MEMORY,
    }
}
