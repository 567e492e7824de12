//! Names why a handshake failed.
//!
//! An attempt's cause is noted when nginx says why it failed or when its answer is there. What
//! could not be heard, because the log's level is above `error`, is read from nginx's notes on each
//! attempt.

use core::fmt;

use nginx_sys::{
    NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_GATEWAY_TIME_OUT, ngx_connection_t,
    ngx_http_request_t, ngx_http_upstream_state_t, ngx_int_t, ngx_msec_t, ngx_uint_t,
};
use websocket_protocol::{Cause, Escaped};

use crate::context::{self, Context, State};
use crate::detect;
use crate::listen::action;
use crate::nginx::{pool, request};
use crate::tries::{current, note};
use crate::tunnel::Side;

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

/// The last attempt, or the tunnel, is over: nginx still has both connections.
pub fn finalized(r: *mut ngx_http_request_t, context: &mut Context, rc: ngx_int_t) {
    // SAFETY: a request has a connection with events, and an upstream's has too when it is there.
    unsafe {
        let client = &*(*r).connection;
        if let Some(tunnel) = context.tunnel.as_mut() {
            tunnel.leave();
        } else if context.state == State::Established {
            let upstream = request::upstream(r).and_then(|u| u.peer.connection.as_ref());
            let has_left = |c: &ngx_connection_t| (*c.read).eof() != 0 || (*c.read).error() != 0;
            context.ended_by = if has_left(client) {
                Some(Side::Client)
            } else {
                upstream.is_some_and(has_left).then_some(Side::Upstream)
            };
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
pub fn noted(states: &[ngx_http_upstream_state_t]) -> Option<Cause> {
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

/// The request's state if it is a WebSocket attempt; begun here for one that was answered before
/// detection, by a `return` for example.
pub fn attempt<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Context> {
    if let Some(context) = context::get(r) {
        return context.is_attempt().then_some(context);
    }
    if !context::location_conf(r).is_on() || !detect::is_attempt(r) {
        return None;
    }
    context::create(r, context::Verdict::Handshake)
}
