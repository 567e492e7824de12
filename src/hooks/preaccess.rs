//! Finds the requests that ask for an upgrade, answers those that must not go on, and gives
//! handshakes their location's twin.

use core::ffi::{CStr, c_void};

use nginx_sys::{
    NGX_DECLINED, NGX_HTTP_BAD_REQUEST, NGX_HTTP_INTERNAL_SERVER_ERROR,
    NGX_HTTP_SERVICE_UNAVAILABLE, ngx_http_request_t, ngx_int_t,
};
use websocket_protocol::{
    Cause, Evidence, Refusal, RequestHead, Seen, Status, Strictness, Upgrade,
};

use super::{arrive, count, report};
use crate::conf::LocationConf;
use crate::failure::conclude;
use crate::handover::Arrival;
use crate::nginx::{Request, string};
use crate::request::attempt::{self, Judgement};
use crate::request::{self, Attempt, Broken};

const PASS: ngx_int_t = NGX_DECLINED as ngx_int_t;
const NO_MEMORY: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

/// The handler of the preaccess phase.
pub unsafe extern "C" fn handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    let conf = LocationConf::of(r);
    let arrival = arrive::of_main(r);
    // It is not to ask anybody for anything on the way. A location without a handler may lead to another.
    if let Some(arrival) = arrival.filter(|_| !conf.is_on() && r.has_content_handler()) {
        return turn_away(arrival, "its location has no \"websocket on\"");
    }
    // `post_action` comes when all is over.
    if !conf.is_on() || r.is_post_action() || !attempt::may_ask(r) {
        return PASS;
    }
    if !r.is_main() {
        // A subrequest asks for nothing of its own, but has the client's headers.
        enter(r, conf.twins.get().stripped);
        return PASS;
    }
    let head = attempt::scan(r);
    let known = request::of(r);
    if known.is_some_and(Attempt::is_ended) {
        // The error page of what was refused.
        r.clear_upgrade();
        enter(r, conf.twins.get().stripped);
        return PASS;
    }
    let judgement = attempt::judge(r, conf, &head);
    if let Some(arrival) = arrival.filter(|_| !judgement.is_about_handshake()) {
        return turn_away(arrival, "its location takes its handshake for none");
    }
    let (asks, broken) = match judgement {
        Judgement::Plain => return PASS,
        Judgement::Stripped => {
            strip(r, conf, &head);
            return PASS;
        }
        Judgement::Refused(refusal) => {
            let Some(attempt) = known.or_else(|| request::begin(r)) else {
                return NO_MEMORY;
            };
            count::judged(r, attempt, conf, arrival.is_none());
            return refuse(r, attempt, refusal);
        }
        Judgement::LeftBehind(refusal) => (false, Some(refusal)),
        Judgement::Handshake(broken) => (true, broken),
    };
    let Some(attempt) = known.or_else(|| request::begin(r)) else {
        return NO_MEMORY;
    };
    conclude::note_refusal(r, attempt);
    let key = head.key().unwrap_or_default();
    count::judged(r, attempt, conf, asks && arrival.is_none());
    attempt.judge(r, asks, broken.map(|refusal| keep(r, refusal)), key);
    if let Some(refusal) = broken.filter(|broken| asks && Strictness::Safe.refuses(broken.cause)) {
        report::passed_on(r, conf.log_level(), refusal);
    }
    match head.upgrade() {
        Upgrade::WebSocket | Upgrade::Versioned => enter(r, conf.twins.get().handshake),
        Upgrade::Other => strip(r, conf, &head),
        Upgrade::Absent => {}
    }
    PASS
}

/// A tunnel that was handed over may not go on. What is answered goes nowhere.
fn turn_away(arrival: &Arrival, why: &'static str) -> ngx_int_t {
    arrival.refuse(why);
    NGX_HTTP_SERVICE_UNAVAILABLE as ngx_int_t
}

/// A broken rule, for as long as the request lives.
fn keep(r: Request<'_>, refusal: Refusal<'_>) -> Broken {
    Broken {
        rule: refusal.cause,
        seen: r.format(format_args!("{}", refusal.seen)),
    }
}

/// Has the upstream hear of no upgrade; a 101 all the same is one that nobody asked for. Another location to which the
/// request may come yet is to find it as it was.
fn strip(r: Request<'_>, conf: &LocationConf, head: &RequestHead<'_>) {
    let twins = conf.twins.get();
    enter(r, twins.stripped);
    // Nothing is known of what passes a request on in another way, if anything does.
    if !twins.handshake.is_null() {
        report::stripped(r, head);
    }
}

fn enter(r: Request<'_>, twin: *mut *mut c_void) {
    if !twin.is_null() {
        // SAFETY: made by `inject` for the location that the request is in.
        unsafe { r.enter(twin) };
    }
}

/// Answers a request that breaks a rule: the status, with the headers that belong to it.
fn refuse(r: Request<'_>, attempt: &Attempt, refusal: Refusal<'_>) -> ngx_int_t {
    let evidence = Evidence {
        origin: match refusal.seen {
            Seen::Missing(_) => None,
            _ => Some(&[]),
        },
        ..Evidence::default()
    };
    attempt.advice.set(evidence.advice(refusal.cause));
    conclude::refuse(r, attempt, refusal.cause, format_args!("{}", refusal.seen));
    // Whatever answers it instead, no tunnel comes of it.
    r.forget_upgrade();

    let headers: &[(&'static CStr, &'static CStr)] = match refusal.cause {
        Cause::MethodNotGet => &[(c"Allow", c"GET")],
        Cause::VersionUnsupported => &[(c"Sec-WebSocket-Version", c"13")],
        _ => &[],
    };
    for (name, value) in headers {
        if r.add_header(name, string::constant(value)).is_none() {
            return NO_MEMORY;
        }
    }
    match refusal.cause.status() {
        Status::Code(code) => code as ngx_int_t,
        _ => NGX_HTTP_BAD_REQUEST as ngx_int_t,
    }
}
