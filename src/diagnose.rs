//! Names why a handshake failed, and says so in one line.
//!
//! nginx keeps the reason of a failed attempt nowhere but in the line it logs, so that line is
//! listened to: what it says and what nginx was doing then tell the attempts apart. What cannot be
//! heard, because the log's level is above `error`, is read from nginx's notes on each attempt.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::str;

use memchr::memmem;
use nginx_sys::{
    NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_GATEWAY_TIME_OUT, NGX_LOG_INFO, NGX_LOG_WARN, NGX_OK,
    ngx_http_request_t, ngx_http_upstream_state_t, ngx_int_t, ngx_msec_t, ngx_str_t, ngx_uint_t,
};
use websocket_protocol::{Cause, Escaped, Refusal};

use crate::context::{self, Context, State};
use crate::location::LocationConf;
use crate::nginx::{pool, request, string};
use crate::{detect, log};

/// How each upstream server that was tried failed. More than these are counted, not named.
pub struct Tries {
    causes: [Option<Cause>; MAX_TRIES],
    /// How many attempts nginx had begun when something was last noted.
    begun: usize,
    client_gone: bool,
}

const MAX_TRIES: usize = 8;

impl Tries {
    pub const fn new() -> Self {
        Self {
            causes: [None; MAX_TRIES],
            begun: 0,
            client_gone: false,
        }
    }

    fn get(&self, index: usize, count: usize) -> Option<Cause> {
        let slot = if index + 1 == count {
            index.min(MAX_TRIES - 1)
        } else {
            index
        };
        self.causes.get(slot).copied().flatten()
    }
}

/// Notes why the current attempt failed; what was noted first stands.
pub fn note(r: *mut ngx_http_request_t, context: &mut Context, cause: Cause) {
    if let Some(slot) = current(r, context) {
        slot.get_or_insert(cause);
    }
}

/// Notes the status that the current attempt was answered with.
pub fn answered(r: *mut ngx_http_request_t, context: &mut Context, status: ngx_uint_t) {
    if let Some(cause) = u16::try_from(status)
        .ok()
        .and_then(Cause::from_upstream_status)
    {
        note(r, context, cause);
    }
}

/// The cause of the current attempt. What was seen of the one before goes when there is a new one.
fn current<'a>(
    r: *mut ngx_http_request_t,
    context: &'a mut Context,
) -> Option<&'a mut Option<Cause>> {
    let begun = request::upstream_states(r).len();
    // The last slot is the last attempt's, however many there were.
    let index = begun.saturating_sub(1).min(MAX_TRIES - 1);
    let is_new = core::mem::replace(&mut context.tries.begun, begun) != begun;
    let slot = context.tries.causes.get_mut(index)?;
    if is_new {
        context.seen = string::EMPTY;
        *slot = None;
    }
    Some(slot)
}

/// Sets the cause and what was seen of it, unless there is one.
pub fn set(
    r: *mut ngx_http_request_t,
    context: &mut Context,
    cause: Cause,
    seen: fmt::Arguments<'_>,
) {
    if context.cause.is_none() {
        context.cause = Some(cause);
        see(r, context, seen);
    }
}

/// Keeps what was seen of the attempt under way.
pub fn see(r: *mut ngx_http_request_t, context: &mut Context, seen: fmt::Arguments<'_>) {
    // SAFETY: the request is alive, and the text lives as long as it.
    context.seen = unsafe { pool::format((*r).pool, seen) };
}

/// A line that nginx logs for the request: `line` is all of it before nginx's context.
pub fn heard(r: *mut ngx_http_request_t, context: &mut Context, line: &[u8]) {
    if context.state != State::Pending || context.cause.is_some() {
        return;
    }
    let Some(said) = message(line) else { return };
    let action = action(r);
    let Some(cause) = classify(action, said) else {
        return;
    };
    let Some(slot) = current(r, context) else {
        return;
    };
    if slot.is_some() {
        return;
    }
    *slot = Some(cause);

    let waited = request::upstream(r).map_or(0, |u| request::now().wrapping_sub(u.start_time));
    match limit(r, action) {
        Some((module, directive, limit)) if contains(said, b"timed out") => see(
            r,
            context,
            format_args!(
                "{} after {waited} ms ({module}_{directive} {})",
                Escaped(said),
                Time(limit)
            ),
        ),
        _ => see(r, context, format_args!("{}", Said(said))),
    }
}

/// What nginx is doing for the request, in its words.
fn action<'a>(r: *mut ngx_http_request_t) -> &'a [u8] {
    // SAFETY: a request has a connection and that a log, whose action is NULL or constant text.
    unsafe {
        let action = (*(*(*r).connection).log).action;
        if action.is_null() {
            b""
        } else {
            CStr::from_ptr(action).to_bytes()
        }
    }
}

/// nginx's own words in a line it logs: between the connection's number and what it was doing, or
/// the end of a line that is too long for that.
fn message(line: &[u8]) -> Option<&[u8]> {
    let line = line.get(memmem::find(line, b": *")? + 3..)?;
    let line = line.get(memchr::memchr(b' ', line)? + 1..)?;
    let before = |part: &[u8], line: &[u8]| memmem::rfind(line, part).unwrap_or(line.len());
    let line = line.get(..before(b", client: ", line))?;
    line.get(..before(b" while ", line))
}

/// Why an attempt failed, from what nginx was doing and what it says of it.
fn classify(action: &[u8], said: &[u8]) -> Option<Cause> {
    // ECONNREFUSED, ECONNRESET, and EAGAIN of a unix socket; all else is on the way there.
    const REFUSED: [&[u8]; 3] = [b"(111: ", b"(104: ", b"(11: "];

    if contains(said, b"no live upstreams") {
        return Some(Cause::UpstreamNoneLive);
    }
    if contains(said, b"could not be resolved") || contains(said, b"no resolver defined") {
        return Some(Cause::UpstreamUnresolved);
    }
    match action {
        b"connecting to upstream" if contains(said, b"timed out") => {
            Some(Cause::UpstreamConnectTimeout)
        }
        b"connecting to upstream" if contains(said, b"connect()") => {
            Some(if REFUSED.iter().any(|errno| contains(said, errno)) {
                Cause::UpstreamRefused
            } else {
                Cause::UpstreamUnreachable
            })
        }
        // proxy_bind
        b"connecting to upstream" if contains(said, b"bind(") => Some(Cause::UpstreamUnreachable),
        b"SSL handshaking to upstream" => Some(Cause::UpstreamTlsFailed),
        b"sending request to upstream" | b"reading response header from upstream" => {
            if contains(said, b"upstream timed out") {
                Some(Cause::UpstreamResponseTimeout)
            } else if contains(said, b"upstream sent no valid")
                || contains(said, b"upstream sent invalid")
                || contains(said, b"upstream sent too big header")
            {
                Some(Cause::UpstreamResponseInvalid)
            } else if contains(said, b"upstream prematurely closed")
                || contains(said, b"recv() failed")
                || contains(said, b"send() failed")
                || contains(said, b"writev() failed")
                || contains(said, b"sendfile() failed")
                || contains(said, b"SSL_read() failed")
                || contains(said, b"SSL_write() failed")
            {
                Some(Cause::UpstreamClosed)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

/// The limit in force in a stage of an attempt: whose directive it is, and how long.
fn limit(
    r: *mut ngx_http_request_t,
    action: &[u8],
) -> Option<(&'static str, &'static str, ngx_msec_t)> {
    let u = request::upstream(r)?;
    // SAFETY: an upstream that is being tried has its location's settings.
    let conf = unsafe { u.conf.as_ref() }?;
    // SAFETY: the name is constant text of the proxying module.
    let module = str::from_utf8(unsafe { string::bytes(&conf.module) }).ok()?;
    match action {
        b"connecting to upstream" | b"SSL handshaking to upstream" => {
            Some((module, "connect_timeout", conf.connect_timeout))
        }
        b"sending request to upstream" => Some((module, "send_timeout", conf.send_timeout)),
        b"reading response header from upstream" => {
            Some((module, "read_timeout", conf.read_timeout))
        }
        _ => None,
    }
}

/// The last attempt, or the tunnel, is over: nginx still has both connections.
pub fn finalized(r: *mut ngx_http_request_t, context: &mut Context, rc: ngx_int_t) {
    // SAFETY: a request has a connection with events, and an upstream's has too when it is there.
    unsafe {
        let client = &*(*r).connection;
        if let Some(tunnel) = context.tunnel.as_mut() {
            tunnel.leave();
        } else if context.state == State::Established {
            let upstream = request::upstream(r).and_then(|u| u.peer.connection.as_ref());
            context.ended_by = Some(
                if (*client.read).eof() != 0 || (*client.read).error() != 0 {
                    "client"
                } else if upstream.is_some_and(|c| (*c.read).eof() != 0 || (*c.read).error() != 0) {
                    "upstream"
                } else {
                    "nginx"
                },
            );
        } else if rc == NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_int_t || client.error() != 0 {
            context.tries.client_gone = true;
        } else if action(r) == b"SSL handshaking to upstream" {
            note(r, context, Cause::UpstreamTlsFailed);
        }
    }
}

/// Decides the cause, now that nginx has decided the status. Called when the response header is
/// made, and once more when the request is logged, for one that ended without.
pub fn conclude(r: *mut ngx_http_request_t, context: &mut Context, status: ngx_uint_t) {
    if context.state != State::Pending || !context.is_attempt() {
        return;
    }
    context.handshake_time = Some(request::elapsed(r));

    let states = request::upstream_states(r);
    let last = current(r, context).and_then(|slot| *slot);
    // SAFETY: a request has a connection.
    let gone = context.tries.client_gone
        || status == NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_uint_t
        || unsafe { (*(*r).connection).error() } != 0;
    // A request for an upstream was made; without any attempt its address was not found.
    let made = context.seam.is_some();
    let asked = last.is_some() || !states.is_empty() || made;
    context.state = if asked || gone {
        State::Failed
    } else {
        State::Rejected
    };

    if gone {
        let time = request::elapsed(r);
        set(
            r,
            context,
            Cause::ClientGone,
            format_args!("client closed the connection after {time} ms"),
        );
    } else if let Some(cause) = last
        .or_else(|| answer(r))
        .or_else(|| noted(states))
        .or(made.then_some(Cause::UpstreamUnresolved))
    {
        if context.seen.len == 0 {
            see_answer(r, context, cause);
        }
        context.cause = Some(cause);
    } else if let Some(cause) = u16::try_from(status)
        .ok()
        .and_then(Cause::from_local_status)
    {
        see_local(r, context, cause, status);
        context.cause = Some(cause);
    }
}

/// What the upstream's status tells, where the module could not join: `fastcgi_pass`, `grpc_pass`.
fn answer(r: *mut ngx_http_request_t) -> Option<Cause> {
    let status = request::upstream(r)?.headers_in.status_n;
    let status = u16::try_from(status).ok().filter(|status| *status != 0)?;
    Cause::from_upstream_status(status)
}

/// What nginx's notes on the last attempt tell when its line could not be heard.
fn noted(states: &[ngx_http_upstream_state_t]) -> Option<Cause> {
    let state = states.last()?;
    let timed_out = state.status == NGX_HTTP_GATEWAY_TIME_OUT as ngx_uint_t;
    let connected = state.connect_time != ngx_msec_t::MAX;
    if state.peer.is_null() {
        return Some(if connected {
            // The note that nginx makes before it looks for a second upstream's address.
            Cause::UpstreamUnresolved
        } else {
            Cause::UpstreamUnreachable
        });
    }
    Some(match (connected, timed_out) {
        (false, true) => Cause::UpstreamConnectTimeout,
        (false, false) => Cause::UpstreamRefused,
        (true, true) => Cause::UpstreamResponseTimeout,
        (true, false) => Cause::UpstreamClosed,
    })
}

fn see_answer(r: *mut ngx_http_request_t, context: &mut Context, cause: Cause) {
    let Some(u) = request::upstream(r) else {
        return;
    };
    let status = u.headers_in.status_n;
    // SAFETY: NULL, or a header of the answer.
    let location = unsafe { u.headers_in.location.as_ref().map(|h| request::value(h)) };
    match (cause, location) {
        (Cause::UpstreamRedirect, Some(location)) => see(
            r,
            context,
            format_args!(
                "upstream answered {status} to \"{}\" where 101 was expected",
                Escaped(location)
            ),
        ),
        (Cause::UpstreamResponseInvalid, _) => {
            see(r, context, format_args!("upstream's answer is not HTTP"));
        }
        _ if status != 0 => {
            see(
                r,
                context,
                format_args!("upstream answered {status} where 101 was expected"),
            );
        }
        _ => {
            let waited = request::now().wrapping_sub(u.start_time);
            see(
                r,
                context,
                format_args!("upstream gave no answer in {waited} ms"),
            );
        }
    }
}

fn see_local(r: *mut ngx_http_request_t, context: &mut Context, cause: Cause, status: ngx_uint_t) {
    // SAFETY: NULL, or a header of the response.
    let location = unsafe {
        (*r).headers_out
            .location
            .as_ref()
            .map(|h| request::value(h))
    };
    match (cause, location) {
        (Cause::LocalRedirect, Some(location)) => see(
            r,
            context,
            format_args!(
                "nginx answered {status} to \"{}\" before any upstream was asked",
                Escaped(location)
            ),
        ),
        _ => see(
            r,
            context,
            format_args!("nginx answered {status} before any upstream was asked"),
        ),
    }
}

/// A handshake goes on although it breaks a rule.
pub fn report_passed_on(r: *mut ngx_http_request_t, conf: &LocationConf, refusal: Refusal<'_>) {
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
pub fn report_established(r: *mut ngx_http_request_t, context: &Context) {
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

/// One side's bytes are not WebSocket frames.
pub fn report_not_frames(r: *mut ngx_http_request_t, from: &str) {
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
    let Some(context) = attempt(r) else {
        return done;
    };
    // SAFETY: as above.
    let status = unsafe { (*r).headers_out.status };
    conclude(r, context, status);
    if core::mem::replace(&mut context.logged, true) {
        return done;
    }
    match (context.state, context.cause) {
        (State::Established, _) => report_ended(r, context),
        (State::Rejected | State::Failed, Some(cause)) => report_failed(r, context, cause),
        _ => {}
    }
    done
}

/// The request's state if it is a WebSocket attempt; begun here for one that was answered before
/// detection, by a `return` for example.
pub fn attempt<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Context> {
    if let Some(context) = context::get(r) {
        return context.is_attempt().then_some(context);
    }
    if !context::location_conf(r).is_on() || !detect::scan(r).is_attempt() {
        return None;
    }
    context::create(r, context::Verdict::Handshake)
}

fn report_failed(r: *mut ngx_http_request_t, context: &Context, cause: Cause) {
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

fn report_ended(r: *mut ngx_http_request_t, context: &Context) {
    let lasted = context.duration(r);
    let (seconds, milliseconds) = (lasted / 1000, lasted % 1000);
    // SAFETY: NULL, or a tunnel that lives as long as the request.
    if let Some(tunnel) = unsafe { context.tunnel.as_ref() } {
        let summary = tunnel.summary();
        let level = if summary.reason.is_abnormal() {
            NGX_LOG_WARN
        } else {
            NGX_LOG_INFO
        };
        log::request(
            r,
            level as ngx_uint_t,
            format_args!("websocket closed after {seconds}.{milliseconds:03} s {summary}"),
        );
        return;
    }
    let by = context.ended_by.unwrap_or("nginx");
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

/// nginx's own words, which may quote the upstream's. nginx has its quotes and escapes; the rest is
/// escaped, and what is quoted is cut.
struct Said<'a>(&'a [u8]);

impl Said<'_> {
    const MAX_QUOTED: usize = 128;
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\');
        let end = memchr::memchr(b'"', self.0).map_or(self.0.len(), |at| at + 1);
        let (own, quoted) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        let shown = quoted.get(..Self::MAX_QUOTED).unwrap_or(quoted);
        for part in own
            .split_inclusive(is_mark)
            .chain(shown.split_inclusive(is_mark))
        {
            let (text, mark) = match part.split_last() {
                Some((mark, text)) if is_mark(mark) => (text, Some(*mark)),
                _ => (part, None),
            };
            for text in text.chunks(Self::MAX_QUOTED) {
                write!(f, "{}", Escaped(text))?;
            }
            if let Some(mark) = mark {
                f.write_char(char::from(mark))?;
            }
        }
        if shown.len() < quoted.len() {
            f.write_str("...\"")?;
        }
        Ok(())
    }
}

/// How each server failed, where more than one was tried.
struct Attempts<'a>(&'a [ngx_http_upstream_state_t], &'a Tries);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(states, tries) = self;
        // Between two upstreams of one request nginx leaves a note that is no attempt's.
        let is_attempt = |(index, state): &(usize, &ngx_http_upstream_state_t)| {
            !state.peer.is_null() || tries.get(*index, states.len()).is_some()
        };
        let attempts = states.iter().enumerate().filter(is_attempt);
        let count = attempts.clone().count();
        if count < 2 {
            return Ok(());
        }
        write!(f, ", {count} upstreams tried:")?;
        let mut separator = "";
        for (index, state) in attempts {
            if index >= MAX_TRIES - 1 && index + 1 < states.len() {
                continue;
            }
            let cause = tries
                .get(index, states.len())
                .or_else(|| noted(states.get(..=index).unwrap_or_default()));
            // SAFETY: NULL, or the name of a server, which lives as long as the request.
            let peer = unsafe { state.peer.as_ref().map(|name| string::bytes(name)) };
            write!(
                f,
                "{separator} {} {}",
                Escaped(peer.unwrap_or(b"?")),
                cause.map_or("unknown", Cause::name)
            )?;
            separator = ",";
        }
        Ok(())
    }
}

/// A time as the configuration would write it.
struct Time(ngx_msec_t);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 {
            write!(f, "{}s", self.0 / 1000)
        } else {
            write!(f, "{}ms", self.0)
        }
    }
}
