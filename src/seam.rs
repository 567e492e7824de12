//! Stands in front of nginx's own functions for one request to an upstream.
//!
//! `u->process_header` shows each answer before nginx commits to it, `u->finalize_request` how the
//! last attempt or the tunnel ended, and the request's log handler what nginx itself says of an
//! attempt that fails, which no field keeps. nginx evaluates the injected variables while it makes
//! the request to the upstream: that is when `r->upstream` is complete, in every form of
//! `proxy_pass`.

use core::slice;

use nginx_sys::{
    NGX_ERROR, NGX_HTTP_UPSTREAM_INVALID_HEADER, NGX_MAX_ERROR_STR, NGX_OK, ngx_http_request_t,
    ngx_int_t, u_char,
};
use websocket_protocol::Cause;

use crate::context::{self, Context, Seam};
use crate::nginx::request;
use crate::{diagnose, listen, tries, verify};

/// Joins a handshake that is about to go to an upstream.
pub fn join(r: *mut ngx_http_request_t, context: &mut Context) {
    let Some(u) = request::upstream(r) else {
        return;
    };
    if context
        .seam
        .is_some_and(|seam| seam.upstream == &raw mut *u)
    {
        return;
    }
    // SAFETY: the request is alive; its log handler is a plain function pointer.
    let log_handler = unsafe { &mut (*r).log_handler };
    let original = match context.seam {
        // A second upstream, after an internal redirect: we already listen.
        Some(seam) => seam.log_handler,
        None => log_handler.replace(listen),
    };
    context.seam = Some(Seam {
        upstream: u,
        process_header: u.process_header.replace(process_header),
        reinit_request: u.reinit_request.replace(reinit_request),
        finalize_request: u.finalize_request.replace(finalize_request),
        log_handler: original,
    });
}

/// The state of a request that has been joined.
fn joined<'a>(r: *mut ngx_http_request_t) -> Option<(&'a mut Context, Seam)> {
    let context = context::get(r)?;
    let seam = context.seam?;
    Some((context, seam))
}

/// The proxy module's parser puts its next stage into `u->process_header`, and `reinit_request`
/// its first: what it put there is what we call next.
fn stand_in_front_again(r: *mut ngx_http_request_t, context: &mut Context) {
    let (Some(u), Some(seam)) = (request::upstream(r), context.seam.as_mut()) else {
        return;
    };
    if !u
        .process_header
        .is_some_and(|f| core::ptr::fn_addr_eq(f, process_header as Handler))
    {
        seam.process_header = u.process_header.replace(process_header);
    }
}

type Handler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

unsafe extern "C" fn process_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    let Some((
        context,
        Seam {
            process_header: Some(original),
            ..
        },
    )) = joined(r)
    else {
        return NGX_ERROR as ngx_int_t;
    };
    // SAFETY: nginx's own function, with what nginx gave us; the request is alive.
    let (version, rc) = unsafe { ((*r).http_version, original(r)) };
    stand_in_front_again(r, context);

    if rc == NGX_OK as ngx_int_t {
        return match verify::answer(r, context) {
            Ok(()) => rc,
            Err(()) => {
                // What is no HTTP has made an HTTP/0.9 request of the client's, whose answer
                // would have no status.
                // SAFETY: as above.
                unsafe { (*r).http_version = version };
                NGX_HTTP_UPSTREAM_INVALID_HEADER as ngx_int_t
            }
        };
    }
    if rc == NGX_HTTP_UPSTREAM_INVALID_HEADER as ngx_int_t {
        tries::note(r, context, Cause::UpstreamResponseInvalid);
    }
    rc
}

unsafe extern "C" fn reinit_request(r: *mut ngx_http_request_t) -> ngx_int_t {
    let Some((
        context,
        Seam {
            reinit_request: Some(original),
            ..
        },
    )) = joined(r)
    else {
        return NGX_ERROR as ngx_int_t;
    };
    // SAFETY: nginx's own function, with what nginx gave us.
    let rc = unsafe { original(r) };
    stand_in_front_again(r, context);
    rc
}

unsafe extern "C" fn finalize_request(r: *mut ngx_http_request_t, rc: ngx_int_t) {
    let Some((
        context,
        Seam {
            finalize_request: Some(original),
            ..
        },
    )) = joined(r)
    else {
        return;
    };
    diagnose::finalized(r, context, rc);
    // SAFETY: nginx's own function, with what nginx gave us.
    unsafe { original(r, rc) };
}

/// Called for each line that nginx logs for the request, to add its context to it.
///
/// `buffer` is where the line goes on and `room` what is left of nginx's buffer, of which the line
/// so far is the beginning.
unsafe extern "C" fn listen(
    r: *mut ngx_http_request_t,
    sr: *mut ngx_http_request_t,
    buffer: *mut u_char,
    room: usize,
) -> *mut u_char {
    let Some((context, seam)) = joined(r) else {
        return buffer;
    };
    if let Some(written) = (NGX_MAX_ERROR_STR as usize).checked_sub(room) {
        // SAFETY: ngx_log_error_core() has one buffer of NGX_MAX_ERROR_STR bytes for a line, and
        // gives its handlers the rest of it: what stands before is written.
        let line = unsafe { slice::from_raw_parts(buffer.sub(written), written) };
        listen::heard(r, context, line);
    }
    match seam.log_handler {
        // SAFETY: nginx's own function, with what nginx gave us.
        Some(original) => unsafe { original(r, sr, buffer, room) },
        None => buffer,
    }
}
