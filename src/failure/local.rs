//! What nginx has answered by itself, and why.

use nginx_sys::{
    NGX_HTTP_BAD_REQUEST, NGX_HTTP_REQUEST_HEADER_TOO_LARGE, NGX_HTTP_TO_HTTPS,
    NGX_HTTPS_CERT_ERROR, NGX_HTTPS_NO_CERT, ngx_uint_t,
};
use websocket_protocol::Cause;

use crate::nginx::Request;
use crate::nginx::certificate::{self, Refused};

/// The cause behind this status, which nginx itself has decided for a handshake.
pub fn cause(r: Request<'_>, status: ngx_uint_t) -> Option<Cause> {
    if status != NGX_HTTP_BAD_REQUEST as ngx_uint_t {
        return Cause::from_local_status(u16::try_from(status).ok()?);
    }
    // Whatever nginx found wrong: an Upgrade, for one, from 1.31.0 on.
    if r.is_stream() {
        return Some(Cause::OverHttp2);
    }
    let status = hidden(r).unwrap_or(NGX_HTTP_BAD_REQUEST);
    Cause::from_local_status(u16::try_from(status).ok()?)
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
