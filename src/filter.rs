//! The auxiliary filter: sees the response's header before it is sent.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::{
    NGX_HTTP_SWITCHING_PROTOCOLS, NGX_OK, ngx_chain_t, ngx_conf_t, ngx_http_output_body_filter_pt,
    ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_body_filter,
    ngx_http_top_header_filter, ngx_http_upstream_conf_t, ngx_int_t, ngx_uint_t,
};

use crate::context::{self, Context, State};
use crate::location::LocationConf;
use crate::main_conf::MainConf;
use crate::nginx::{pool, request, string};
use crate::{diagnose, report, tunnel};

/// The filter that comes after ours; `postconfiguration` sets it before any request.
static NEXT: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(ptr::null_mut());
static NEXT_BODY: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(ptr::null_mut());

type HeaderFilter = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

/// `postconfiguration`: nginx's filters are a chain of functions, each calling the one before it.
pub unsafe extern "C" fn register(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx calls this in the http context, after the merges.
    if !unsafe { MainConf::of(cf) }.in_use.get() {
        return NGX_OK as ngx_int_t;
    }
    // SAFETY: nginx is single-threaded while it reads the configuration.
    unsafe {
        let next = ptr::replace(&raw mut ngx_http_top_header_filter, Some(header_filter));
        NEXT.store(
            next.map_or(ptr::null_mut(), |f| f as *mut _),
            Ordering::Relaxed,
        );
        let next = ptr::replace(&raw mut ngx_http_top_body_filter, Some(body_filter));
        NEXT_BODY.store(
            next.map_or(ptr::null_mut(), |f| f as *mut _),
            Ordering::Relaxed,
        );
    }
    NGX_OK as ngx_int_t
}

unsafe extern "C" fn header_filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a valid request.
    unsafe {
        if (*r).main == r {
            let status = (*r).headers_out.status;
            if let Some(context) = concerned(r, status) {
                sending(r, context, status);
            }
        }
        // SAFETY: what register() found there: a header filter, or NULL.
        let next: ngx_http_output_header_filter_pt =
            core::mem::transmute(NEXT.load(Ordering::Relaxed));
        match next {
            Some(next) => (next as HeaderFilter)(r),
            None => NGX_OK as ngx_int_t,
        }
    }
}

/// nginx sends a flush through the body filters between putting up its loop for an upgraded
/// connection and entering it.
unsafe extern "C" fn body_filter(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: what register() found there: a body filter, or NULL.
    let rc = unsafe {
        let next: ngx_http_output_body_filter_pt =
            core::mem::transmute(NEXT_BODY.load(Ordering::Relaxed));
        match next {
            Some(next) => next(r, chain),
            None => NGX_OK as ngx_int_t,
        }
    };
    if let Some(context) = context::get(r) {
        if context.state == State::Established && context.tunnel.is_null() {
            if rc == NGX_OK as ngx_int_t {
                tunnel::take_over(r, context);
            }
            if context.tunnel.is_null() {
                limit_own_loop(r);
            }
        }
    }
    rc
}

/// A request whose response says something about a handshake. Only a failure can be one that
/// detection has not seen, so a plain response costs a comparison.
fn concerned<'a>(r: *mut ngx_http_request_t, status: ngx_uint_t) -> Option<&'a mut Context> {
    match context::get(r) {
        Some(context) => context.is_attempt().then_some(context),
        None if status >= 300 => diagnose::attempt(r),
        None => None,
    }
}

fn sending(r: *mut ngx_http_request_t, context: &mut Context, status: ngx_uint_t) {
    if status == NGX_HTTP_SWITCHING_PROTOCOLS as ngx_uint_t
        && request::upstream(r).is_some_and(|u| u.upgrade() != 0)
    {
        establish(r, context);
        return;
    }
    diagnose::conclude(r, context, status);
    // SAFETY: the header is not sent yet.
    let line = unsafe { &mut (*r).headers_out.status_line };
    if status == UPGRADE_REQUIRED && line.len == 0 {
        // nginx has no text for this status.
        *line = string::constant(c"426 Upgrade Required");
    }
    if let (Some(cause), true) = (context.cause, context::location_conf(r).has_cause_header()) {
        let value = string::borrowed(cause.name().as_bytes());
        // Without memory the response goes on without the hint.
        // SAFETY: the header is not sent yet.
        let _ = unsafe { request::add_header(r, c"X-WebSocket-Cause", value) };
    }
}

const UPGRADE_REQUIRED: ngx_uint_t = 426;

/// The upstream has switched protocols.
fn establish(r: *mut ngx_http_request_t, context: &mut Context) {
    if context.state != State::Pending {
        return;
    }
    context.state = State::Established;
    context.handshake_time = Some(request::elapsed(r));
    report::established(r, context);
}

/// nginx's own loop is to carry the tunnel: from here on `websocket_timeout` is its limit.
fn limit_own_loop(r: *mut ngx_http_request_t) {
    let Some(u) = request::upstream(r) else {
        return;
    };
    if let Some(settings) = tunnel_settings(context::location_conf(r), u.conf) {
        u.conf = settings;
    }
}

/// The location's upstream settings with the tunnel's limits in place of the handshake's. nginx
/// only reads them, so all tunnels of a location share one copy. `None` without memory: then the
/// handshake's limits stay.
fn tunnel_settings(
    conf: &mut LocationConf,
    settings: *mut ngx_http_upstream_conf_t,
) -> Option<*mut ngx_http_upstream_conf_t> {
    if let Some((source, copy)) = conf.tunnel_settings {
        if ptr::eq(source, settings) || ptr::eq(copy, settings) {
            return Some(copy);
        }
    }
    // SAFETY: an upstream's settings are complete, and the location's pool lives as long as its
    // configuration.
    let copy = unsafe {
        let mut copy = *settings;
        copy.read_timeout = conf.timeout();
        copy.send_timeout = conf.timeout();
        pool::place(conf.pool, copy)?.as_ptr()
    };
    conf.tunnel_settings = Some((settings, copy));
    Some(copy)
}
