//! An extended CONNECT as a request, and the answer to it.

use core::ffi::CStr;
use core::{mem, ptr};

use nginx_sys::{
    NGX_DECLINED, NGX_ERROR, NGX_HTTP_NOT_IMPLEMENTED, NGX_HTTP_SWITCHING_PROTOCOLS,
    ngx_http_request_t, ngx_int_t, ngx_list_push, ngx_table_elt_t, ngx_uint_t,
};

use super::connection::Connection;
use super::frames;
use super::send::send;
use super::stream::{Off, Stream};
use crate::conf::LocationConf;
use crate::nginx::{Request, headers, string};

const PASS: ngx_int_t = NGX_DECLINED as ngx_int_t;
const NO_MEMORY: ngx_int_t = NGX_ERROR as ngx_int_t;

/// What a CONNECT is answered where there is no tunnel to be had (RFC 9220 section 3 for HTTP/3).
const NOT_IMPLEMENTED: ngx_int_t = NGX_HTTP_NOT_IMPLEMENTED as ngx_int_t;

/// The smallest window of a tunnel.
const WINDOW: usize = 64 << 10;

/// The handler of the phase in which nginx has read a request, and done nothing yet. An extended CONNECT gets here what a
/// handshake of HTTP/1.1 has, and nginx would refuse in HTTP/2.
pub unsafe extern "C" fn post_read(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    unsafe {
        let Some((connection, id)) = connection_of(r) else {
            return PASS;
        };
        let Some(is_last) = (*connection).claim(id) else {
            return PASS;
        };
        let (list, frames) = (&raw mut (*connection).streams, (*connection).frames);
        let Some(stream) = Stream::join(r, is_last, list, frames.as_ptr()) else {
            return NO_MEMORY;
        };
        let (upgrade, connection) = (
            add(r, c"upgrade", c"websocket"),
            add(r, c"connection", c"Upgrade"),
        );
        if upgrade.is_null() || connection.is_null() {
            return NO_MEMORY;
        }
        (*r).headers_in.upgrade = upgrade;
        // It has no content, whatever it says: what comes is the tunnel's.
        (*r).headers_in.content_length_n = -1;
        // The client knows of it by another server of the address.
        if !LocationConf::of(Request::new(r)).is_http2() {
            (*stream).off = Some(Off::Server);
            return NOT_IMPLEMENTED;
        }
    }
    PASS
}

/// Adds a header of the request.
///
/// # Safety
/// The request must be alive.
unsafe fn add(
    r: *mut ngx_http_request_t,
    name: &'static CStr,
    value: &'static CStr,
) -> *mut ngx_table_elt_t {
    // SAFETY: the caller vouches for the request, whose headers nginx has read.
    unsafe {
        let header = ngx_list_push(&raw mut (*r).headers_in.headers).cast::<ngx_table_elt_t>();
        if let Some(header) = header.as_mut() {
            *header = mem::zeroed();
            header.hash = string::hash(name.to_bytes());
            header.key = string::constant(name);
            header.lowcase_key = header.key.data;
            header.value = string::constant(value);
        }
        header
    }
}

/// The connection that is read here, and the stream's number in it.
///
/// # Safety
/// The request must be alive.
unsafe fn connection_of(r: *mut ngx_http_request_t) -> Option<(*mut Connection, u32)> {
    // SAFETY: the caller vouches for the request; that of a stream has one, with its connection.
    unsafe {
        let stream = (*r).stream.as_ref()?;
        if (*r).main != r {
            return None;
        }
        let connection = Connection::of((*stream.connection).connection)?;
        Some((connection, u32::try_from((*stream.node).id).ok()?))
    }
}

fn stream_of(r: Request<'_>) -> Option<*mut Stream> {
    if !r.is_main() {
        return None;
    }
    // SAFETY: the request is alive.
    unsafe { Stream::of(r.as_ptr()) }
}

/// Whether a request was an extended CONNECT.
pub fn is_connect(r: Request<'_>) -> bool {
    stream_of(r).is_some()
}

/// Whether a tunnel has begun on a request's stream.
pub fn is_tunnel(r: Request<'_>) -> bool {
    // SAFETY: the request is alive, and with it its stream.
    stream_of(r).is_some_and(|stream| unsafe { (*stream).is_open })
}

/// Refuses an extended CONNECT for a location in which WebSocket is off. `None`: it is none.
pub fn refuse(r: Request<'_>) -> Option<ngx_int_t> {
    let stream = stream_of(r)?;
    // SAFETY: the stream of a request that is alive.
    unsafe { (*stream).off = Some(Off::Location) };
    Some(NOT_IMPLEMENTED)
}

/// Why an extended CONNECT was refused, if it was.
pub fn refused(r: Request<'_>) -> Option<Off> {
    // SAFETY: the stream of a request that is alive.
    stream_of(r).and_then(|stream| unsafe { (*stream).off })
}

/// What is to become of the answer to a request.
pub enum Answer {
    /// Nothing else than of any.
    Plain,
    /// It opens a tunnel: it has become one of HTTP/2, and is to be [flushed](flush) when nginx has it.
    Opens,
    /// It would open one where there is none.
    Wrong,
}

/// The answer to a request is about to be sent. `is_tunnel`: a tunnel begins with it.
pub fn answer(r: Request<'_>, is_tunnel: impl FnOnce() -> bool) -> Answer {
    let Some(stream) = stream_of(r) else {
        return Answer::Plain;
    };
    if is_tunnel() {
        open(r, stream);
        return Answer::Opens;
    }
    match r.status() {
        200..300 | SWITCHING => Answer::Wrong,
        _ => Answer::Plain,
    }
}

const SWITCHING: ngx_uint_t = NGX_HTTP_SWITCHING_PROTOCOLS as ngx_uint_t;

/// Makes the 101 a 200.
fn open(r: Request<'_>, stream: *mut Stream) {
    const NOT_IN_HTTP2: &[&str] = &[
        "connection",
        "keep-alive",
        "sec-websocket-accept",
        "upgrade",
    ];
    let conf = LocationConf::of(r);
    // SAFETY: the request is alive, and nothing of its response is sent; the stream is its.
    unsafe {
        let out = &raw mut (*r.as_ptr()).headers_out;
        (*out).status = 200;
        (*out).status_line = string::EMPTY;
        (*out).content_length_n = -1;
        // No filter is to take it for a text, to compress it, or to ask whether the client has it already, as none would
        // with a 101.
        (*out).content_type = string::EMPTY;
        (*out).content_type_len = 0;
        (*stream).encoding.value = string::constant(c"identity");
        (*out).content_encoding = &raw mut (*stream).encoding;
        let asked = &raw mut (*r.as_ptr()).headers_in;
        (*asked).if_modified_since = ptr::null_mut();
        (*asked).if_unmodified_since = ptr::null_mut();
        (*asked).if_match = ptr::null_mut();
        (*asked).if_none_match = ptr::null_mut();
        headers::leave_out(&raw mut (*out).headers, NOT_IN_HTTP2);
        Stream::open(
            stream,
            conf.buffer_size().max(WINDOW),
            Some(send),
            !conf.has_tunnel(),
        );
    }
}

/// Has nginx send what it has of the answer that opens a tunnel, and gives its client room. `false`: the connection is
/// broken.
pub fn flush(r: Request<'_>) -> bool {
    let Some(stream) = stream_of(r) else {
        return true;
    };
    // SAFETY: the request is alive, and with it its stream and connection.
    unsafe { Stream::give_credit(stream) && frames::send((*(*r.as_ptr()).stream).connection) }
}
