//! The module's lines on a request: that a tunnel began, how it ended, why there was none.

use core::fmt;

use nginx_sys::{NGX_LOG_INFO, NGX_LOG_WARN, ngx_str_t, ngx_uint_t};
use websocket_protocol::{Cause, Chosen, Counted, Escaped, Refusal, Remark, RequestHead};

use crate::conf::LocationConf;
use crate::failure::Text;
use crate::failure::tries::Attempts;
use crate::handover;
use crate::nginx::{Request, log, string};
use crate::request::{Attempt, Broken, Carrier};
use crate::tunnel::Side;

/// An upgrade that is not to a WebSocket is taken from the request.
pub fn stripped(r: Request<'_>, head: &RequestHead<'_>) {
    log::request(
        r,
        INFO,
        format_args!(
            "websocket_other_upgrades strip: request is passed on without \"Upgrade: {}\"",
            Escaped(head.upgrade_value().unwrap_or_default())
        ),
    );
}

/// A handshake, or the answer to it, goes on although it breaks a rule.
pub fn passed_on(r: Request<'_>, level: ngx_uint_t, refusal: Refusal<'_>) {
    log::request(
        r,
        level,
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
    let time = attempt.handshake_time().unwrap_or_default();
    let protocol = Subprotocol(attempt.protocol.get());
    let broken = BrokenRule(attempt.broken());
    log::request(
        r,
        INFO,
        format_args!("websocket established in {time} ms{protocol}{broken}"),
    );
}

pub const INFO: ngx_uint_t = NGX_LOG_INFO as ngx_uint_t;
const WARN: ngx_uint_t = NGX_LOG_WARN as ngx_uint_t;

/// One side's bytes are not WebSocket frames.
pub fn not_frames(r: Request<'_>, from: Side) {
    log::request(
        r,
        INFO,
        format_args!(
            "websocket {} sends bytes that are not WebSocket frames: they are passed on, but no Ping or \
             Close can be sent to the {}",
            from.name(),
            from.other().name()
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

/// The upstream of a subrequest has answered it 101.
pub fn unasked(r: Request<'_>) {
    let cause = Cause::ResponseUnasked;
    log::request(
        r,
        LocationConf::of(r).log_level(),
        format_args!(
            "websocket handshake failed: {cause}: {UNASKED}; {}",
            cause.advice()
        ),
    );
}

/// What was seen of it.
pub const UNASKED: &str = "upstream answered 101 to a request that asked for no upgrade";

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
    let lasted = attempt.duration();
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
                format_args!(
                    "websocket closed after {seconds}.{milliseconds:03} s {summary}{}",
                    Handovers(handover::handovers(r))
                ),
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
                    "websocket closed after {seconds}.{milliseconds:03} s by {by}, {} to upstream, \
                     {} from upstream",
                    bytes(sent),
                    bytes(received)
                ),
            );
        }
    }
}

/// The subprotocol that the upstream chose, if it chose one.
struct Subprotocol(ngx_str_t);

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text(&self.0) {
            [] => Ok(()),
            chosen => write!(f, ", subprotocol {}", Chosen(chosen)),
        }
    }
}

/// How often the tunnel was handed over, if it was.
struct Handovers(u32);

impl fmt::Display for Handovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, ", handed over {}", Counted(count.into(), "time")),
        }
    }
}

/// The rule that a handshake breaks which the upstream has taken all the same.
struct BrokenRule(Option<Broken>);

impl fmt::Display for BrokenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Broken { rule, seen }) => {
                write!(
                    f,
                    ", although the handshake breaks a rule: {rule}: {}",
                    Text(seen)
                )
            }
            None => Ok(()),
        }
    }
}

fn bytes(count: i64) -> Counted<'static> {
    Counted(u64::try_from(count).unwrap_or(0), "byte")
}

fn text<'a>(s: &ngx_str_t) -> &'a [u8] {
    // SAFETY: the context's texts are in the request's pool, or in its headers.
    unsafe { string::bytes(s) }
}
