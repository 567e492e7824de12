//! Stands in front of nginx's own functions for one request to an upstream.
//!
//! `u->process_header` shows each answer before nginx commits to it, `u->finalize_request` how the
//! last attempt or the tunnel ended, and the request's log handler what nginx itself says of an
//! attempt that fails, which no field keeps. The variable that a twin's lines hold is evaluated
//! while nginx makes the request to the upstream: that is when `r->upstream` is complete, in every
//! form of `proxy_pass`.

use core::ops::Range;
use core::{ptr, slice};

use nginx_sys::{
    NGX_AGAIN, NGX_ERROR, NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_UPSTREAM_INVALID_HEADER,
    NGX_HTTP_VAR_NOCACHEABLE, NGX_HTTP_VAR_NOHASH, NGX_MAX_ERROR_STR, NGX_OK, ngx_conf_t,
    ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t,
    ngx_table_elt_t, ngx_uint_t, u_char,
};
use websocket_protocol::Cause;

use super::{own_loop, verify};
use crate::conf::LocationConf;
use crate::failure::{conclude, listen as failure_listen, tries};
use crate::handover;
use crate::inject::JOINING_VARIABLE;
use crate::nginx::{Request, Upstream, pool, string};
use crate::request::state::RequestFunction;
use crate::request::{self, Attempt, Carrier, Ending, Joined, Stage};
use crate::tunnel::Tunnel;

/// Makes the joining variable known to nginx, by itself and not in the hash of variables, so that
/// finding it costs no look-up. `None` when there is no memory.
///
/// # Safety
/// `cf` must be in the http context, before its directives are read.
pub unsafe fn register(cf: *mut ngx_conf_t) -> Option<()> {
    let mut name = string::constant(JOINING_VARIABLE);
    let flags = (NGX_HTTP_VAR_NOHASH | NGX_HTTP_VAR_NOCACHEABLE) as ngx_uint_t;
    // SAFETY: the caller vouches for cf; nginx returns a variable or NULL.
    unsafe {
        let variable = ngx_http_add_variable(cf, &raw mut name, flags).as_mut()?;
        variable.get_handler = Some(evaluated);
    }
    Some(())
}

/// nginx makes the request to an upstream: joins it. The value is empty.
unsafe extern "C" fn evaluated(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    _data: usize,
) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive, and the place for the value.
    unsafe {
        let r = Request::new(r);
        if let (Some(attempt), Some(u)) = (request::of(r), r.upstream()) {
            join(r, attempt, u);
        }
        // All else is zero, which is empty: nothing but this writes to an indexed variable of ours.
        (*value).set_valid(1);
        (*value).set_no_cacheable(1);
    }
    NGX_OK as ngx_int_t
}

fn join(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>) {
    let is_joined = attempt
        .joined()
        .is_some_and(|joined| joined.upstream == u.as_ptr());
    let twin = LocationConf::of(r).twins.get().handshake;
    if is_joined || !r.is_main() || twin.is_null() || !r.is_in(twin) {
        return;
    }
    // SAFETY: the request and its upstream are alive; these are plain function pointers.
    unsafe {
        let (request, upstream) = (r.as_ptr(), u.as_ptr());
        let joined = Joined {
            upstream,
            process_header: (*upstream).process_header,
            reinit_request: (*upstream).reinit_request,
            finalize_request: (*upstream).finalize_request,
            log_handler: match (*request).log_handler {
                // Of an upstream before, which nginx has left without a word.
                Some(ours) if ptr::fn_addr_eq(ours, listen as LogHandler) => {
                    attempt.joined().and_then(|joined| joined.log_handler)
                }
                other => other,
            },
            stage: Stage::Asked,
        };
        if attempt.join(joined) {
            (*upstream).process_header = Some(process_header);
            (*upstream).reinit_request = Some(reinit_request);
            (*upstream).finalize_request = Some(finalize_request);
            (*request).log_handler = Some(listen);
            spare(r);
            if handover::is_arriving(r) {
                handover::guide(r, u);
            }
        }
    }
}

/// What nginx writes from here on, the request for the upstream and the 101 for the client, is of no use
/// once it has gone out: it lies apart, to be freed when the tunnel begins. And where the request's
/// memory has no room for what stays, another block of a page would be as good as empty.
fn spare(r: Request<'_>) {
    // What stays: chain links, buffers' headers and copies of short headers, each smaller than this.
    const SMALL: usize = 128;
    const ALL_SMALL: usize = 950;
    // And a list of headers. It lies apart as well where the tunnel, which is larger, fits in its place.
    const LIST: usize = 8 * size_of::<ngx_table_elt_t>();
    // All, with a 101 that does not lie apart.
    const ALL: usize = ALL_SMALL + LIST + 200;
    // SAFETY: the request is alive, so its pool is.
    unsafe {
        let has_tunnel_s = pool::has_room(r.pool(), ALL_SMALL + size_of::<Tunnel>());
        if !pool::has_room(r.pool(), ALL) {
            pool::grow_by_little(r.pool());
        }
        pool::put_apart(r.pool(), if has_tunnel_s { SMALL } else { LIST });
    }
}

/// The tunnel is about to begin: nothing lies apart from here on. What has gone out is freed: the request,
/// and the `head` of the 101 if it `is_sent`.
pub fn spend(r: Request<'_>, u: Upstream<'_>, head: Range<*mut u8>, is_sent: bool) {
    // SAFETY: the request is alive, so its pool is.
    unsafe { pool::put_together(r.pool()) };
    u.forget_request_head(r.has_body(), r.pool());
    if is_sent {
        r.forget_sent(head);
    }
}

type LogHandler = unsafe extern "C" fn(
    *mut ngx_http_request_t,
    *mut ngx_http_request_t,
    *mut u_char,
    usize,
) -> *mut u_char;

/// Gives nginx its functions back: there is nothing more to be seen.
pub fn step_aside(r: Request<'_>, joined: Joined) {
    // SAFETY: the request is alive, and so is its upstream where it still has this one.
    unsafe {
        if let Some(u) = joined.upstream(r) {
            let upstream = u.as_ptr();
            (*upstream).process_header = joined.process_header;
            (*upstream).reinit_request = joined.reinit_request;
            (*upstream).finalize_request = joined.finalize_request;
        }
        (*r.as_ptr()).log_handler = joined.log_handler;
        pool::put_together(r.pool());
    }
}

/// The state of a request that has been joined, and what it was joined to.
fn joined<'r>(r: Request<'r>) -> Option<(&'r Attempt, Joined, Upstream<'r>)> {
    let attempt = request::of(r)?;
    let joined = attempt.joined()?;
    Some((attempt, joined, joined.upstream(r)?))
}

/// The proxy module's parser puts its next stage into `u->process_header`, and `reinit_request`
/// its first: what it put there is what we call next.
fn stand_in_front_again(attempt: &Attempt, u: Upstream<'_>) {
    // SAFETY: the upstream is alive; a plain function pointer.
    let place = unsafe { &raw mut (*u.as_ptr()).process_header };
    // SAFETY: as above.
    let found = unsafe { place.read() };
    if !found.is_some_and(|f| ptr::fn_addr_eq(f, process_header as RequestFunction)) {
        attempt.rejoin(found);
        // SAFETY: as above.
        unsafe { place.write(Some(process_header)) };
    }
}

unsafe extern "C" fn process_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let request = unsafe { Request::new(r) };
    let Some((attempt, joined, u)) = joined(request) else {
        return NGX_ERROR as ngx_int_t;
    };
    let Some(original) = joined.process_header else {
        return NGX_ERROR as ngx_int_t;
    };
    let version = request.http_version();
    // SAFETY: nginx's own function, with what nginx gave us.
    let rc = unsafe { original(r) };
    stand_in_front_again(attempt, u);

    if rc == NGX_OK as ngx_int_t {
        return match verify::answer(request, attempt, u) {
            Ok(()) => {
                // A handshake that a second location has saved is a 101, not the first one's error.
                if u.is_upgraded() {
                    request.clear_error_status();
                }
                rc
            }
            Err(()) => {
                // What is no HTTP has made an HTTP/0.9 request of the client's, whose answer
                // would have no status.
                request.set_http_version(version);
                // It may be so by what the client has sent, which is not to take a server from all others.
                u.acquit_server();
                NGX_HTTP_UPSTREAM_INVALID_HEADER as ngx_int_t
            }
        };
    }
    if rc == NGX_HTTP_UPSTREAM_INVALID_HEADER as ngx_int_t {
        tries::note(request, attempt, Cause::UpstreamResponseInvalid);
    }
    if rc == NGX_AGAIN as ngx_int_t && u.is_buffer_full() {
        failure_listen::too_big(request, attempt, u);
    }
    rc
}

unsafe extern "C" fn reinit_request(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let request = unsafe { Request::new(r) };
    let Some((attempt, joined, u)) = joined(request) else {
        return NGX_ERROR as ngx_int_t;
    };
    let Some(original) = joined.reinit_request else {
        return NGX_ERROR as ngx_int_t;
    };
    // SAFETY: nginx's own function, with what nginx gave us.
    let rc = unsafe { original(r) };
    stand_in_front_again(attempt, u);
    rc
}

/// The last attempt, or the tunnel, is over: nginx still has both connections.
unsafe extern "C" fn finalize_request(r: *mut ngx_http_request_t, rc: ngx_int_t) {
    // SAFETY: nginx gives a request that is alive.
    let request = unsafe { Request::new(r) };
    let Some((attempt, joined, _)) = joined(request) else {
        return;
    };
    match joined.stage {
        Stage::Carried(Carrier::Module(mut tunnel)) => {
            // SAFETY: a tunnel lives as long as its request, and none of its turns is under way:
            // a turn ends before nginx is given the request back.
            unsafe { tunnel.as_mut().finish() };
            attempt.leave(None);
        }
        Stage::Switched | Stage::Carried(Carrier::Nginx(_)) => {
            attempt.leave(own_loop::ended_by(request));
        }
        Stage::Asked => {
            note_end(request, attempt, rc);
            attempt.leave(None);
        }
    }
    step_aside(request, joined);
    if let Some(original) = joined.finalize_request {
        // SAFETY: nginx's own function, with what nginx gave us.
        unsafe { original(r, rc) };
    }
}

/// Notes what nothing has been said of.
fn note_end(r: Request<'_>, attempt: &Attempt, rc: ngx_int_t) {
    if rc == NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_int_t || r.has_client_failed() {
        // No error page follows.
        conclude::conclude_as(r, attempt, Ending::Failed(Cause::ClientGone));
    } else if r.action() == b"SSL handshaking to upstream" {
        tries::note(r, attempt, Cause::UpstreamTlsFailed);
    } else if r.upstream_states().is_empty() {
        // A request was made, and no address was found to send it to.
        tries::note(r, attempt, Cause::UpstreamUnresolved);
    }
}

/// Called for each line that nginx logs for the request, to add its context to it. A mirror's or
/// another subrequest's line comes by here, too, with that as `sr`.
///
/// `buffer` is where the line goes on and `room` what is left of nginx's buffer, of which the line
/// so far is the beginning.
unsafe extern "C" fn listen(
    r: *mut ngx_http_request_t,
    sr: *mut ngx_http_request_t,
    buffer: *mut u_char,
    room: usize,
) -> *mut u_char {
    // SAFETY: nginx gives a request that is alive.
    let request = unsafe { Request::new(r) };
    let Some((attempt, joined, u)) = joined(request) else {
        return buffer;
    };
    if let (true, Stage::Asked, Some(written)) = (
        sr == r,
        joined.stage,
        (NGX_MAX_ERROR_STR as usize).checked_sub(room),
    ) {
        // SAFETY: ngx_log_error_core() has one buffer of NGX_MAX_ERROR_STR bytes for a line, and
        // gives its handlers the rest of it: what stands before is written.
        let line = unsafe { slice::from_raw_parts(buffer.sub(written), written) };
        failure_listen::heard(request, attempt, u, line);
    }
    match joined.log_handler {
        // SAFETY: nginx's own function, with what nginx gave us.
        Some(original) => unsafe { original(r, sr, buffer, room) },
        None => buffer,
    }
}

/// Ends an attempt of which no tunnel comes, and leaves its upstream to nginx.
pub fn conclude(r: Request<'_>, attempt: &Attempt) {
    let before = attempt.joined();
    conclude::conclude(r, attempt);
    if let (true, Some(joined)) = (attempt.is_ended(), before) {
        step_aside(r, joined);
    }
}
