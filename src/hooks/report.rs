//! The module's lines on a request: that a tunnel began, how it ended, why there was none.

use core::{fmt, str};

use nginx_sys::{NGX_LOG_INFO, NGX_LOG_WARN, ngx_str_t, ngx_uint_t};
use websocket_protocol::{Cause, Escaped, Refusal, Remark};

use crate::conf::LocationConf;
use crate::failure::tries::Attempts;
use crate::nginx::{Request, log, string};
use crate::request::{Attempt, Carrier};
use crate::tunnel::Side;

/// A handshake goes on although it breaks a rule.
pub fn passed_on(r: Request<'_>, conf: &LocationConf, refusal: Refusal<'_>) {
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
pub fn established(r: Request<'_>, attempt: &Attempt) {
    if !log::takes(r, INFO) {
        return;
    }
    let time = attempt.handshake_time.get().unwrap_or_default();
    let protocol = attempt.protocol.get();
    let protocol = text(&protocol);
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
pub fn not_frames(r: Request<'_>, from: &str) {
    log::request(
        r,
        INFO,
        format_args!(
            "websocket not-websocket-frames: what the {from} sends is passed on, but no longer \
             followed"
        ),
    );
}

/// A handshake has failed.
pub fn failed(r: Request<'_>, attempt: &Attempt, cause: Cause) {
    log::request(
        r,
        attempt.conf(r).log_level(),
        format_args!(
            "websocket handshake failed: {cause}: {}{}; {}",
            Text(attempt.seen.get()),
            Attempts(attempt.states(r), &attempt.tries),
            attempt.advice.get().text(cause)
        ),
    );
}

/// What the upstream itself says of a failure, where it says anything.
pub fn remark(r: Request<'_>, attempt: &Attempt) {
    if let Some(remark) = Remark::read(attempt.remark.bytes(r)) {
        log::request(
            r,
            INFO,
            format_args!("websocket upstream says \"{remark}\""),
        );
    }
}

/// A tunnel is over.
pub fn ended(r: Request<'_>, attempt: &Attempt, carrier: Carrier) {
    if !log::takes(r, WARN) {
        return;
    }
    let lasted = attempt.duration(r);
    let (seconds, milliseconds) = (lasted / 1000, lasted % 1000);
    match carrier {
        Carrier::Module(tunnel) => {
            // SAFETY: a tunnel lives as long as its request, and this one is over.
            let summary = unsafe { tunnel.as_ref() }.summary();
            let level = if summary.end.reason.is_abnormal() {
                WARN
            } else {
                INFO
            };
            log::request(
                r,
                level,
                format_args!("websocket closed after {seconds}.{milliseconds:03} s {summary}"),
            );
        }
        Carrier::Nginx(ended_by) => {
            let by = ended_by.map_or("nginx", Side::name);
            let (sent, received) = attempt
                .states(r)
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
    }
}

fn text<'a>(s: &ngx_str_t) -> &'a [u8] {
    // SAFETY: the context's texts are in the request's pool, or in its headers.
    unsafe { string::bytes(s) }
}

/// What was seen: made by this module, so already escaped.
struct Text(ngx_str_t);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(text(&self.0)).unwrap_or("?"))
    }
}
