//! What nginx has answered by itself, and why.

use nginx_sys::{
    NGX_HTTP_BAD_REQUEST, NGX_HTTP_REQUEST_HEADER_TOO_LARGE, NGX_HTTP_TO_HTTPS,
    NGX_HTTPS_CERT_ERROR, NGX_HTTPS_NO_CERT, ngx_uint_t,
};
use websocket_protocol::Cause;

use crate::conf::LocationConf;
use crate::http2;
use crate::nginx::Request;
use crate::nginx::certificate::{self, Refused};
use crate::nginx::value;
use crate::request::Attempt;

/// The cause behind this status, which nginx itself has decided for a handshake.
pub fn cause(r: Request<'_>, status: ngx_uint_t) -> Option<Cause> {
    if http2::refused(r).is_some() {
        return Some(Cause::LocalWebsocketOff);
    }
    if status != NGX_HTTP_BAD_REQUEST as ngx_uint_t {
        return Cause::from_local_status(u16::try_from(status).ok()?);
    }
    // Whatever nginx found wrong: an Upgrade, for one, from 1.31.0 on.
    if r.is_stream() && !http2::is_connect(r) {
        return Some(Cause::OverHttp2);
    }
    let status = hidden(r).unwrap_or(NGX_HTTP_BAD_REQUEST);
    Cause::from_local_status(u16::try_from(status).ok()?)
}

/// Whether `limit_conn` or `limit_req` has turned it away.
pub fn is_over_limit(r: Request<'_>) -> bool {
    [c"limit_conn_status", c"limit_req_status"]
        .iter()
        .any(|name| value::named(r, name) == b"REJECTED")
}

/// nginx has numbers of its own for some refusals, but answers 400 and forgets them: what they stand
/// for has to be looked at again.
fn hidden(r: Request<'_>) -> Option<u32> {
    if r.is_plain_to_tls() {
        return Some(NGX_HTTP_TO_HTTPS);
    }
    if r.has_reached_phases() {
        return None;
    }
    if r.is_header_buffer_full() {
        return Some(NGX_HTTP_REQUEST_HEADER_TOO_LARGE);
    }
    match certificate::refused(r)? {
        Refused::Missing => Some(NGX_HTTPS_NO_CERT),
        Refused::Invalid => Some(NGX_HTTPS_CERT_ERROR),
    }
}

/// Why nginx has refused a handshake before its content was asked for, if it has: whatever `error_page` has
/// made of that since.
pub fn refusal(r: Request<'_>, attempt: &Attempt) -> Option<Cause> {
    if let Some(cause) = attempt.access.refused() {
        return Some(cause);
    }
    // An upstream that was asked before is the reason for all that comes then.
    if attempt.access.is_admitted() || attempt.tries.begun() != 0 {
        return None;
    }
    let decided = match u16::try_from(r.error_status()).unwrap_or(0) {
        // That is the page's, which is missing.
        404 if !LocationConf::of(r).is_on() => 0,
        decided => decided,
    };
    let status = match (decided, attempt.access.answer()) {
        (400.., _) => decided,
        // Most likely by a limit; that can't be told from what other modules do in that phase.
        _ if !attempt.access.is_asked() => 0,
        (_, answer @ (401 | 403)) => answer,
        // What auth_request makes of an answer that is none.
        (_, 300..) => 500,
        _ if r.has_www_authenticate() => 401,
        _ => 403,
    };
    Cause::from_local_status(status)
}
