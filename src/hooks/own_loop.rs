//! Tunnels that nginx's own loop carries: `websocket_tunnel off`, or no memory.

use core::ptr;

use nginx_sys::{ngx_buf_t, ngx_connection_t, ngx_palloc, ngx_post_event, ngx_posted_events};

use crate::conf::LocationConf;
use crate::nginx::{Request, Upstream, pool};
use crate::tunnel::Side;

/// The loop is about to begin: from here on `websocket_timeout` is its limit.
pub fn prepare(r: Request<'_>, u: Upstream<'_>) {
    limit(r, u);
    keep_head(r, u);
}

/// The upstream's settings, with the tunnel's limit in place of the handshake's, are the request's
/// own: where they come from may be a request's, too. Without memory the handshake's limit stays.
fn limit(r: Request<'_>, u: Upstream<'_>) {
    let timeout = LocationConf::of(r).timeout();
    // SAFETY: an upstream's settings are complete, and the copy lives as long as the request.
    unsafe {
        let mut settings = *u.conf();
        settings.read_timeout = timeout;
        if let Some(settings) = pool::place(r.pool(), settings) {
            (*u.as_ptr()).conf = settings.as_ptr();
        }
    }
}

/// The loop would use the buffer of the request's head for the client's bytes, if some have come
/// behind it, and read over what the log quotes from there. It is given another one.
fn keep_head(r: Request<'_>, u: Upstream<'_>) {
    // SAFETY: the request and its upstream are alive; header_in holds what came behind the head.
    unsafe {
        let head = (*r.as_ptr()).header_in;
        let from_client = &raw mut (*u.as_ptr()).from_client;
        let length = ((*head).last as usize).saturating_sub((*head).pos as usize);
        if length == 0 || !(*from_client).start.is_null() {
            return;
        }
        let size = length.max((*u.conf()).buffer_size);
        let start = ngx_palloc(r.pool(), size).cast::<u8>();
        if start.is_null() {
            return;
        }
        ptr::copy_nonoverlapping((*head).pos, start, length);
        (*head).pos = (*head).last;
        let buffer: &mut ngx_buf_t = &mut *from_client;
        (buffer.start, buffer.pos) = (start, start);
        (buffer.last, buffer.end) = (start.add(length), start.add(size));
        buffer.set_temporary(1);
        buffer.tag = (*u.as_ptr()).output.tag;
        // The loop may begin with the other direction, and would not look at these bytes before
        // more come.
        if let Some(upstream) = u.connection() {
            ngx_post_event((*upstream.as_ptr()).write, &raw mut ngx_posted_events);
        }
    }
}

/// The side that has ended a tunnel in nginx's loop; `None` where nginx did.
pub fn ended_by(r: Request<'_>) -> Option<Side> {
    // SAFETY: a request has a connection with events, and an upstream's has too when it is there.
    unsafe {
        let has_left = |c: *const ngx_connection_t| {
            let read = (*c).read;
            (*read).eof() != 0 || (*read).error() != 0
        };
        if has_left((*r.as_ptr()).connection) {
            return Some(Side::Client);
        }
        let upstream = r.upstream()?.connection()?;
        has_left(upstream.as_ptr()).then_some(Side::Upstream)
    }
}
