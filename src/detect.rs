//! Finds the requests that ask for an upgrade, and answers those that must not go on.

use core::ffi::CStr;

use nginx_sys::{
    NGX_DECLINED, NGX_ERROR, NGX_HTTP_BAD_REQUEST, NGX_HTTP_VERSION_9, NGX_HTTP_VERSION_10,
    NGX_HTTP_VERSION_11, NGX_HTTP_VERSION_20, NGX_OK, ngx_array_t, ngx_conf_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt,
    ngx_http_phases_NGX_HTTP_LOG_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_request_t, ngx_int_t,
};
use websocket_protocol::{
    Cause, HttpVersion, Refusal, RequestAuthority, RequestHead, RequestHeader, RequestLine, Seen,
    Status, Upgrade,
};

use crate::context::{self, Context, State, Verdict};
use crate::location::{LocationConf, OtherUpgrades};
use crate::main_conf::MainConf;
use crate::nginx::request::Name;
use crate::nginx::{conf, pool, request, string};
use crate::{advice, diagnose, origin, report, variables};

/// `postconfiguration`: joins nginx's phases. Preaccess is the first in which the location is
/// final; an internal redirect runs it again.
pub unsafe extern "C" fn register(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx calls this in the http context, after the merges.
    if unsafe { variables::refuse_unknown(cf) }.is_err() {
        return NGX_ERROR as ngx_int_t;
    }
    // SAFETY: as above.
    if !unsafe { MainConf::of(cf) }.in_use.get() {
        return NGX_OK as ngx_int_t;
    }
    // SAFETY: as above.
    unsafe { advice::warn_of_uses(cf) };
    // SAFETY: nginx gives cf in the http context; the core module has a main conf there.
    unsafe {
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let phases = &mut (*core.cast::<ngx_http_core_main_conf_t>()).phases;
        for (phase, handler) in [
            (
                ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
                preaccess as Handler,
            ),
            (
                ngx_http_phases_NGX_HTTP_LOG_PHASE,
                report::log_phase as Handler,
            ),
        ] {
            let Some(phase) = phases.get_mut(phase as usize) else {
                return NGX_ERROR as ngx_int_t;
            };
            let handlers: *mut ngx_array_t = &raw mut phase.handlers;
            let handler: ngx_http_handler_pt = Some(handler);
            if pool::push(handlers, handler).is_none() {
                return NGX_ERROR as ngx_int_t;
            }
        }
    }
    NGX_OK as ngx_int_t
}

type Handler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

const PASS: ngx_int_t = NGX_DECLINED as ngx_int_t;

unsafe extern "C" fn preaccess(r: *mut ngx_http_request_t) -> ngx_int_t {
    let conf = context::location_conf(r);
    // A subrequest asks for nothing of its own.
    // SAFETY: nginx gives a valid request.
    if !conf.is_on() || unsafe { (*r).main } != r {
        return PASS;
    }
    if !may_ask(r) {
        return PASS;
    }
    let head = scan(r);
    if !head.is_attempt() && head.upgrade() == Upgrade::Absent {
        return PASS;
    }
    let known = context::get(r);
    if known
        .as_ref()
        .is_some_and(|context| context.verdict == Verdict::Refused)
    {
        // This is the error page of our own refusal.
        return PASS;
    }
    let Some((verdict, refusal)) = judge(r, conf, &head) else {
        return PASS;
    };
    let context = match known {
        Some(context) => {
            context.verdict = verdict;
            context
        }
        None => match context::create(r, verdict) {
            Some(context) => context,
            None => return nginx_sys::NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t,
        },
    };
    context.key = string::borrowed(head.key().unwrap_or_default());
    match (verdict, refusal) {
        (Verdict::Refused, Some(refusal)) => refuse(r, context, refusal),
        (Verdict::PassedOn, Some(refusal)) => {
            report::passed_on(r, conf, refusal);
            strip_unless_websocket(r, &head);
            PASS
        }
        (Verdict::Stripped, _) => {
            strip_unless_websocket(r, &head);
            PASS
        }
        _ => PASS,
    }
}

/// Whether a request may ask for an upgrade. Few do, so this looks for no more than it must: nginx
/// has noted an Upgrade header by itself.
fn may_ask(r: *mut ngx_http_request_t) -> bool {
    static LEFT_BEHIND: [Name<()>; 2] = [
        Name::new(RequestHeader::Key.name(), ()),
        Name::new(RequestHeader::Version.name(), ()),
    ];
    // SAFETY: nginx has parsed the request's headers.
    unsafe {
        let headers = &(*r).headers_in;
        !headers.upgrade.is_null()
            || request::named(&headers.headers, &LEFT_BEHIND)
                .next()
                .is_some()
    }
}

/// Whether a request is a WebSocket attempt.
pub fn is_attempt(r: *mut ngx_http_request_t) -> bool {
    may_ask(r) && scan(r).is_attempt()
}

/// Reads the headers that make a handshake, in place.
pub fn scan<'a>(r: *mut ngx_http_request_t) -> RequestHead<'a> {
    static NAMES: [Name<RequestHeader>; RequestHeader::ALL.len()] = {
        let mut names = [Name::new("", RequestHeader::Connection); RequestHeader::ALL.len()];
        let mut i = 0;
        while i < names.len() {
            let header = RequestHeader::ALL[i];
            names[i] = Name::new(header.name(), header);
            i += 1;
        }
        names
    };

    let mut head = RequestHead::new();
    // SAFETY: nginx has parsed the request's headers into this list, and they live as long as
    // the request.
    for (header, value) in unsafe { request::named(&(*r).headers_in.headers, &NAMES) } {
        head.add(header, value);
    }
    head
}

/// What is to become of a request that asks for an upgrade, and the rule it breaks. `None` where
/// it is none of this module's business.
fn judge<'a>(
    r: *mut ngx_http_request_t,
    conf: &LocationConf,
    head: &RequestHead<'a>,
) -> Option<(Verdict, Option<Refusal<'a>>)> {
    if head.upgrade() == Upgrade::Other {
        match conf.other_upgrades() {
            OtherUpgrades::Reject => {
                let cause = Cause::UpgradeNotWebsocket;
                let seen = Seen::Value("Upgrade", head.upgrade_value().unwrap_or_default());
                return Some((Verdict::Refused, Some(Refusal { cause, seen })));
            }
            OtherUpgrades::Strip if !head.is_attempt() => return Some((Verdict::Stripped, None)),
            OtherUpgrades::Pass if !head.is_attempt() => return None,
            OtherUpgrades::Strip | OtherUpgrades::Pass => {}
        }
    }
    let broken = head.check(line(r)).err();
    if broken.is_some() && conf.is_strict() {
        return Some((Verdict::Refused, broken));
    }
    if let Some(refusal) = conf
        .allowed_origins()
        .and_then(|allowed| check_origin(r, allowed))
    {
        return Some((Verdict::Refused, Some(refusal)));
    }
    Some(match broken {
        Some(_) => (Verdict::PassedOn, broken),
        None => (Verdict::Handshake, None),
    })
}

fn line<'a>(r: *mut ngx_http_request_t) -> RequestLine<'a> {
    // SAFETY: the request's line and headers are parsed, and live as long as it.
    unsafe {
        RequestLine {
            method: string::bytes(&(*r).method_name),
            version: match (*r).http_version as u32 {
                NGX_HTTP_VERSION_9 => HttpVersion::Http09,
                NGX_HTTP_VERSION_10 => HttpVersion::Http10,
                NGX_HTTP_VERSION_11 => HttpVersion::Http11,
                NGX_HTTP_VERSION_20 => HttpVersion::Http2,
                _ => HttpVersion::Http3,
            },
            has_body: (*r).headers_in.content_length_n > 0 || (*r).headers_in.chunked() != 0,
        }
    }
}

fn check_origin<'a>(r: *mut ngx_http_request_t, allowed: &[origin::Origin]) -> Option<Refusal<'a>> {
    static ORIGIN: [Name<()>; 1] = [Name::new("origin", ())];
    // SAFETY: the request's headers are parsed, and live as long as it; a request has a
    // connection, and that a log.
    let (origin, authority, log) = unsafe {
        let headers = &(*r).headers_in;
        let origin = request::named(&headers.headers, &ORIGIN)
            .next()
            .map(|(_, value)| value);
        let host = headers
            .host
            .as_ref()
            .map(|host| request::value(host))
            .unwrap_or_default();
        (
            origin,
            RequestAuthority {
                secure: is_secure(r),
                host,
            },
            (*(*r).connection).log,
        )
    };
    if origin::allows(allowed, origin, authority, log) {
        return None;
    }
    let seen = match origin {
        Some(origin) => Seen::Value("Origin", origin),
        None => Seen::Missing("Origin"),
    };
    Some(Refusal {
        cause: Cause::OriginNotAllowed,
        seen,
    })
}

#[cfg(ngx_feature = "http_ssl")]
fn is_secure(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: a request has a connection.
    unsafe { !(*(*r).connection).ssl.is_null() }
}

#[cfg(not(ngx_feature = "http_ssl"))]
fn is_secure(_r: *mut ngx_http_request_t) -> bool {
    false
}

/// Answers a request that breaks a rule: the status, with the headers that belong to it.
fn refuse(r: *mut ngx_http_request_t, context: &mut Context, refusal: Refusal<'_>) -> ngx_int_t {
    context.state = State::Rejected;
    context.handshake_time = Some(request::elapsed(r));
    diagnose::set(r, context, refusal.cause, format_args!("{}", refusal.seen));

    let headers: &[(&'static CStr, &'static CStr)] = match refusal.cause {
        Cause::MethodNotGet => &[(c"Allow", c"GET")],
        Cause::UpgradeMissing => &[(c"Upgrade", c"websocket"), (c"Connection", c"upgrade")],
        Cause::VersionUnsupported => &[(c"Sec-WebSocket-Version", c"13")],
        _ => &[],
    };
    for (name, value) in headers {
        // SAFETY: the request is in a phase before its response.
        if unsafe { request::add_header(r, name, string::constant(value)) }.is_none() {
            return nginx_sys::NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
        }
    }
    match refusal.cause.status() {
        Status::Code(code) => code as ngx_int_t,
        _ => NGX_HTTP_BAD_REQUEST as ngx_int_t,
    }
}

/// Takes an upgrade to anything but WebSocket from the request, so that nginx won't make a tunnel
/// of whatever the upstream answers.
fn strip_unless_websocket(r: *mut ngx_http_request_t, head: &RequestHead<'_>) {
    if head.upgrade() == Upgrade::Other
        && context::location_conf(r).other_upgrades() == OtherUpgrades::Strip
    {
        // SAFETY: nginx takes NULL for a request without the header.
        unsafe { (*r).headers_in.upgrade = core::ptr::null_mut() };
    }
}
