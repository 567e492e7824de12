//! The module's lines on a request: that a tunnel began, how it ended, why there was none.

use core::fmt;
use core::str;

use nginx_sys::{
    NGX_LOG_INFO, NGX_LOG_WARN, NGX_OK, ngx_http_request_t, ngx_int_t, ngx_str_t, ngx_uint_t,
};
use websocket_protocol::{Cause, Escaped, Refusal};

use crate::context::{self, Context, State};
use crate::location::LocationConf;
use crate::nginx::{request, string};
use crate::tries::Attempts;
use crate::tunnel::Side;
use crate::{diagnose, log};

/// A handshake goes on although it breaks a rule.
pub fn passed_on(r: *mut ngx_http_request_t, conf: &LocationConf, refusal: Refusal<'_>) {
    log::request(
        r,
        conf.log_level(),
        format_args!(
            "websocket handshake passed on: {}: {}; {}",
            refusal.cause,
            refusal.seen,
            refusal.cause.advice()
        ),
    );
}

/// A tunnel begins.
pub fn established(r: *mut ngx_http_request_t, context: &Context) {
    if !log::takes(r, INFO) {
        return;
    }
    let time = context.handshake_time.unwrap_or_default();
    let protocol = text(&context.protocol);
    if protocol.is_empty() {
        log::request(r, INFO, format_args!("websocket established in {time} ms"));
    } else {
        log::request(
            r,
            INFO,
            format_args!(
                "websocket established in {time} ms, subprotocol \"{}\"",
                Escaped(protocol)
            ),
        );
    }
}

const INFO: ngx_uint_t = NGX_LOG_INFO as ngx_uint_t;
const WARN: ngx_uint_t = NGX_LOG_WARN as ngx_uint_t;

/// One side's bytes are not WebSocket frames.
pub fn not_frames(r: *mut ngx_http_request_t, from: &str) {
    log::request(
        r,
        INFO,
        format_args!(
            "websocket not-websocket-frames: what the {from} sends is passed on, but no longer \
             followed"
        ),
    );
}

/// The log phase: the one line on a handshake that failed, or on a tunnel that ended.
pub unsafe extern "C" fn log_phase(r: *mut ngx_http_request_t) -> ngx_int_t {
    let done = NGX_OK as ngx_int_t;
    // SAFETY: nginx gives a valid request.
    if unsafe { (*r).main } != r {
        return done;
    }
    let Some(context) = diagnose::attempt(r) else {
        return done;
    };
    // SAFETY: as above.
    let status = unsafe { (*r).headers_out.status };
    diagnose::conclude(r, context, status);
    if core::mem::replace(&mut context.logged, true) {
        return done;
    }
    match (context.state, context.cause) {
        (State::Established, _) => ended(r, context),
        (State::Rejected | State::Failed, Some(cause)) => failed(r, context, cause),
        _ => {}
    }
    done
}

fn failed(r: *mut ngx_http_request_t, context: &Context, cause: Cause) {
    log::request(
        r,
        context::location_conf(r).log_level(),
        format_args!(
            "websocket handshake failed: {cause}: {}{}; {}",
            Text(&context.seen),
            Attempts(request::upstream_states(r), &context.tries),
            cause.advice()
        ),
    );
}

fn ended(r: *mut ngx_http_request_t, context: &Context) {
    if !log::takes(r, WARN) {
        return;
    }
    let lasted = context.duration(r);
    let (seconds, milliseconds) = (lasted / 1000, lasted % 1000);
    // SAFETY: NULL, or a tunnel that lives as long as the request.
    if let Some(tunnel) = unsafe { context.tunnel.as_ref() } {
        let summary = tunnel.summary();
        let level = if summary.reason.is_abnormal() {
            WARN
        } else {
            INFO
        };
        log::request(
            r,
            level,
            format_args!("websocket closed after {seconds}.{milliseconds:03} s {summary}"),
        );
        return;
    }
    let by = context.ended_by.map_or("nginx", Side::name);
    let (sent, received) = request::upstream_states(r)
        .last()
        .map_or((0, 0), |state| (state.bytes_sent, state.bytes_received));
    log::request(
        r,
        INFO,
        format_args!(
            "websocket closed after {seconds}.{milliseconds:03} s by {by}, {sent} bytes to \
             upstream, {received} bytes from upstream"
        ),
    );
}

fn text<'a>(s: &ngx_str_t) -> &'a [u8] {
    // SAFETY: the context's texts are in the request's pool, or in its headers.
    unsafe { string::bytes(s) }
}

/// What was seen: made by this module, so already escaped.
struct Text<'a>(&'a ngx_str_t);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(text(self.0)).unwrap_or("?"))
    }
}
