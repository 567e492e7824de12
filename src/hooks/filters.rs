//! The auxiliary filters: the moment a response's header is sent, and the moment nginx's own loop
//! for an upgraded connection would begin.

use core::ffi::c_void;
use core::mem;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::{
    NGX_AGAIN, NGX_ERROR, NGX_HTTP_BAD_GATEWAY, NGX_HTTP_SWITCHING_PROTOCOLS, NGX_LOG_INFO, NGX_OK,
    ngx_chain_t, ngx_http_output_body_filter_pt, ngx_http_output_header_filter_pt,
    ngx_http_request_t, ngx_http_top_body_filter, ngx_http_top_header_filter,
    ngx_http_top_request_body_filter, ngx_http_write_filter, ngx_int_t, ngx_uint_t,
};

use websocket_protocol::{Cause, Upgrade};

use super::{access, access_log, arrive, count, cycle, own_loop, report, seam, tunnel};
use crate::conf::LocationConf;
use crate::failure::{conclude, remark, see, tries};
use crate::handover;
use crate::http2::{self, Answer};
use crate::nginx::{Request, Upstream, log, string};
use crate::request::{self, Attempt, Carrier, Ending, Joined, Stage, State, attempt};
use crate::types::OtherUpgrades;

/// The filters that come after ours; [`register`] sets them before any request.
static NEXT_HEADER: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static NEXT_BODY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// nginx's filters are a chain of functions, each calling the one that was put up before it.
///
/// # Safety
/// Only while nginx reads the configuration.
pub unsafe fn register() {
    let pointer = |function: Option<*mut c_void>| function.unwrap_or(ptr::null_mut());
    // SAFETY: nginx is single-threaded while it reads the configuration.
    unsafe {
        let next = ptr::replace(&raw mut ngx_http_top_header_filter, Some(header_filter));
        NEXT_HEADER.store(pointer(next.map(|f| f as *mut _)), Ordering::Relaxed);
        let next = ptr::replace(&raw mut ngx_http_top_body_filter, Some(body_filter));
        NEXT_BODY.store(pointer(next.map(|f| f as *mut _)), Ordering::Relaxed);
    }
}

/// The chains of the workers that run, while another configuration is read.
static RUNNING: [AtomicPtr<c_void>; 3] = [const { AtomicPtr::new(ptr::null_mut()) }; 3];

/// nginx is about to read a configuration, and will put up its filters anew.
pub fn remember() {
    for (chain, top) in RUNNING.iter().zip(tops()) {
        // SAFETY: nginx is single-threaded while it reads the configuration.
        chain.store(unsafe { top.read() }, Ordering::Relaxed);
    }
}

/// The configuration is refused before all filters are put up: a worker that takes the place of one
/// that runs has those of before.
pub fn restore() {
    for (chain, top) in RUNNING.iter().zip(tops()) {
        let chain = chain.load(Ordering::Relaxed);
        if !chain.is_null() {
            // SAFETY: as in remember(); a chain of the same kind, or none.
            unsafe { top.write(chain) };
        }
    }
}

/// The beginnings of nginx's chains: pointers to functions, or NULL.
fn tops() -> [*mut *mut c_void; 3] {
    [
        (&raw mut ngx_http_top_header_filter).cast(),
        (&raw mut ngx_http_top_body_filter).cast(),
        (&raw mut ngx_http_top_request_body_filter).cast(),
    ]
}

unsafe extern "C" fn header_filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive; its filters go on with it.
    unsafe {
        if !cycle::is_configured() {
            return pass_header_on(r);
        }
        let request = Request::new(r);
        if arrive::is_refused(request) && is_switching(request, request.status()) {
            return refuse_tunnel(request);
        }
        if let Some(unasked) = unasked_switch(request) {
            return refuse_switch(request, unasked);
        }
        look_at_response(request);
        let send = || {
            let rc = pass_header_on(r);
            if handover::is_turned_away(request) {
                request.was_switching();
            }
            rc
        };
        match http2::answer(request, || is_beginning(request)) {
            Answer::Plain => send(),
            // What nginx has queued before an error goes out too: it keeps the stream until then.
            Answer::Opens => match (send(), http2::flush(request)) {
                (rc, true) => rc,
                (_, false) => ERROR,
            },
            Answer::Wrong => {
                if request::of(request).is_none() {
                    // With the status that it would have had.
                    conclude::remember_unjudged(request);
                }
                request.clear_response();
                NGX_HTTP_BAD_GATEWAY as ngx_int_t
            }
        }
    }
}

/// # Safety
/// As nginx calls a header filter.
unsafe fn pass_header_on(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: what register() found there: a header filter, or NULL. The caller vouches for the request.
    unsafe {
        let next: ngx_http_output_header_filter_pt =
            mem::transmute(NEXT_HEADER.load(Ordering::Relaxed));
        next.map_or(OK, |next| next(r))
    }
}

/// Whether a tunnel begins with the response.
fn is_beginning(r: Request<'_>) -> bool {
    request::of(r)
        .and_then(Attempt::joined)
        .is_some_and(is_switched)
}

/// nginx sends a flush through the body filters between putting up its loop for an upgraded
/// connection and entering it.
unsafe extern "C" fn body_filter(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive, and a chain for it.
    unsafe {
        if !cycle::is_configured() {
            return pass_body_on(r, chain);
        }
        let request = Request::new(r);
        let mut head = ptr::null_mut()..ptr::null_mut();
        if let Some(attempt) = request::in_place(request) {
            if attempt.remark.is_expected() {
                remark::pass(request, attempt, chain);
            }
            if attempt.joined().is_some_and(is_switched) {
                head = request.waiting_head();
            }
        }
        let rc = next_body_filter(r, chain);
        let Some(attempt) = request::of(request) else {
            return rc;
        };
        match attempt.joined() {
            Some(joined) if is_switched(joined) => begin_tunnel(request, attempt, joined, head, rc),
            _ => rc,
        }
    }
}

fn is_switched(joined: Joined) -> bool {
    matches!(joined.stage, Stage::Switched)
}

/// # Safety
/// As nginx calls a body filter.
unsafe fn next_body_filter(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: the request is alive.
    unsafe {
        // A tunnel over HTTP/2 is a success with a body to nginx, to which it would add, and trailers to it. No internal
        // redirect takes its attempt out of its place.
        let request = Request::new(r);
        if request::in_place(request).is_some() && http2::is_tunnel(request) {
            return ngx_http_write_filter(r, chain);
        }
        pass_body_on(r, chain)
    }
}

/// # Safety
/// As nginx calls a body filter.
unsafe fn pass_body_on(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: what register() found there: a body filter, or NULL. The caller vouches for the request.
    unsafe {
        let next: ngx_http_output_body_filter_pt =
            mem::transmute(NEXT_BODY.load(Ordering::Relaxed));
        next.map_or(OK, |next| next(r, chain))
    }
}

/// What a response says about a handshake. One that was answered before it could be judged has
/// failed, so that a plain response costs a comparison.
fn look_at_response(r: Request<'_>) {
    if !r.is_main() {
        access::answered(r);
        return;
    }
    let status = r.status();
    match request::of(r) {
        Some(attempt) if is_switching(r, status) => switch(r, attempt),
        Some(attempt) => {
            if attempt.joined().is_none() {
                // Another response takes the place of the upstream's.
                attempt.remark.stop();
            }
            let is_handshake = !matches!(attempt.state(), State::LeftBehind);
            seam::conclude(r, attempt);
            tell(r, attempt, status);
            if is_handshake {
                refuse_the_rest(r);
            }
        }
        None if status >= 300 => {
            if let Some(attempt) = conclude::remember_unjudged(r) {
                tell(r, attempt, status);
                // Without Upgrade it asked for no tunnel that bytes could be meant for.
                if r.has_upgrade() {
                    refuse_the_rest(r);
                }
            }
        }
        None if is_unjudged(r, status) => refuse_the_rest(r),
        None => {}
    }
}

/// Whether a success that is no tunnel answers a handshake before it could be judged.
fn is_unjudged(r: Request<'_>, status: ngx_uint_t) -> bool {
    r.has_upgrade()
        && status != SWITCHING
        && LocationConf::of(r).is_on()
        && request::attempt::scan(r).upgrade().is_to_websocket()
}

/// The upstream whose 101 nobody asked for, where there is one. nginx would make a tunnel of it that was
/// never judged, or give the client a 101 without one.
fn unasked_switch<'r>(r: Request<'r>) -> Option<Upstream<'r>> {
    if r.status() != SWITCHING {
        return None;
    }
    let u = r.upstream()?;
    let conf = LocationConf::of(r);
    // Another upgrade, which goes on as it is; on a stream of HTTP/2 none can.
    let passes = || conf.other_upgrades() == OtherUpgrades::Pass && !r.is_stream();
    let is_asked = || {
        u.is_upgraded()
            && r.is_main()
            && match request::of(r).map(Attempt::state) {
                // By a location before this one.
                Some(State::LeftBehind) => passes() && attempt::scan(r).upgrade() == Upgrade::Other,
                Some(_) => true,
                None => passes(),
            }
    };
    (conf.is_on() && !is_asked()).then_some(u)
}

/// Answers 502 in its place. nginx takes a status from a filter where no header is sent yet.
fn refuse_switch(r: Request<'_>, u: Upstream<'_>) -> ngx_int_t {
    u.clear_upgrade();
    r.clear_response();
    let cause = Cause::ResponseUnasked;
    if !r.is_main() {
        report::unasked(r);
    } else if let Some(attempt) = request::of(r).or_else(|| request::begin(r)) {
        // One that was refused before stays so: an error page's upstream adds nothing to that.
        if !attempt.is_ended() {
            see(r, attempt, format_args!("{}", report::UNASKED));
            conclude::conclude_as(r, attempt, Ending::Failed(cause));
        }
    }
    NGX_HTTP_BAD_GATEWAY as ngx_int_t
}

/// What was a tunnel is none here: nginx is not to make one of it.
fn refuse_tunnel(r: Request<'_>) -> ngx_int_t {
    if let Some(u) = r.upstream() {
        u.clear_upgrade();
    }
    r.clear_response();
    NGX_HTTP_BAD_GATEWAY as ngx_int_t
}

fn is_switching(r: Request<'_>, status: ngx_uint_t) -> bool {
    status == SWITCHING && r.upstream().is_some_and(|u| u.is_upgraded())
}

/// The upstream has switched protocols.
fn switch(r: Request<'_>, attempt: &Attempt) {
    let before = attempt.joined();
    if r.upstream().is_some_and(|u| attempt.switch(u)) {
        r.send_unbuffered();
        tries::current(r, attempt);
        if !handover::is_arriving(r) {
            attempt.note_handshake_time();
            report::established(r, attempt);
            count::established(r, attempt);
        }
    } else if let Some(joined) = before {
        seam::step_aside(r, joined);
    }
}

/// Tells the client of the cause.
fn tell(r: Request<'_>, attempt: &Attempt, status: ngx_uint_t) {
    let Some(Ending::Rejected(cause) | Ending::Failed(cause)) = attempt.ending() else {
        return;
    };
    if status == UPGRADE_REQUIRED {
        // nginx has no text for this status.
        r.set_status_line(c"426 Upgrade Required");
    }
    if attempt.conf(r).has_cause_header() {
        let value = string::borrowed(cause.name().as_bytes());
        // Without memory the response goes on without the hint.
        let _ = r.add_header(c"X-WebSocket-Cause", value);
    }
}

/// A client that goes on before it has the answer to its handshake takes the connection for a tunnel, or
/// wants someone else to. What it has sent is never to be read as a request.
fn refuse_the_rest(r: Request<'_>) {
    if !r.is_post_action() && r.has_bytes_behind() {
        r.end_connection();
    }
}

const SWITCHING: ngx_uint_t = NGX_HTTP_SWITCHING_PROTOCOLS as ngx_uint_t;
const UPGRADE_REQUIRED: ngx_uint_t = 426;

/// The client has been told, if `rc` says so: the bytes are ours from here, or nginx's loop's.
///
/// What `limit_rate` has held back of the 101 goes out now. It is for responses, and of a tunnel's end
/// nothing would be sent later. `head` is what it lies in. Over HTTP/2 the answer may wait behind the frames of
/// other streams: what follows on its own stream can't overtake it.
fn begin_tunnel(
    r: Request<'_>,
    attempt: &Attempt,
    joined: Joined,
    head: Range<*mut u8>,
    rc: ngx_int_t,
) -> ngx_int_t {
    let Some(u) = joined.upstream(r) else {
        return rc;
    };
    r.lift_limit_rate();
    let is_arriving = handover::is_arriving(r);
    let rc = if rc == AGAIN {
        // SAFETY: nginx itself calls the filters so to have them go on.
        match unsafe { next_body_filter(r.as_ptr(), ptr::null_mut()) } {
            AGAIN if !r.is_stream() => refuse_to_wait(r),
            rc => rc,
        }
    } else {
        rc
    };
    seam::spend(r, u, head, rc == OK);
    let rc = if rc == AGAIN { OK } else { rc };
    if rc == ERROR {
        // nginx closes both connections: there is no tunnel.
        return rc;
    }
    let is_ours = rc == OK && tunnel::begin(r, attempt);
    if is_arriving {
        // nginx's own loop could not go on with it.
        return if is_ours { rc } else { ERROR };
    }
    if !is_ours {
        attempt.carry(Carrier::Nginx(None));
        count::carried_by_nginx(attempt);
        own_loop::prepare(r, u);
    }
    access_log::opened(r);
    rc
}

/// The client's socket has no room for the 101: it has not read what it was sent before. nginx's loop would never
/// send the rest, and have the client's bytes go by without any bounds meanwhile.
fn refuse_to_wait(r: Request<'_>) -> ngx_int_t {
    let text =
        "client does not read: there is no room for the whole 101, and its connection is closed";
    log::request(r, NGX_LOG_INFO as ngx_uint_t, format_args!("{text}"));
    ERROR
}

const OK: ngx_int_t = NGX_OK as ngx_int_t;
const AGAIN: ngx_int_t = NGX_AGAIN as ngx_int_t;
const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;
