//! What a tunnel sends on a stream: DATA frames of nginx's, within the client's windows.

use core::{mem, ptr, slice};

use nginx_sys::{
    NGX_AGAIN, NGX_ERROR, ngx_buf_t, ngx_chain_t, ngx_connection_t, ngx_http_v2_connection_t,
    ngx_http_v2_stream_t, u_char,
};

use super::bytes::WHOLE;
use super::frames;
use super::stream::Stream;

const AGAIN: isize = NGX_AGAIN as isize;
const ERROR: isize = NGX_ERROR as isize;

/// So much is written at once: a tunnel's buffer, which holds a whole frame, is not cut.
const MOST: usize = WHOLE;

/// `NGX_CHAIN_ERROR`
const CHAIN_ERROR: *mut ngx_chain_t = NGX_ERROR as isize as *mut ngx_chain_t;

/// `fc->send`
pub unsafe extern "C" fn send(fc: *mut ngx_connection_t, bytes: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx writes to a request's connection, from so many bytes.
    unsafe {
        match Stream::of((*fc).data.cast()) {
            Some(stream) => send_on(&mut *stream, slice::from_raw_parts(bytes, size)),
            None => ERROR,
        }
    }
}

/// Sends what there is room for. If that is not all, nginx calls when there is more.
fn send_on(this: &mut Stream, bytes: &[u8]) -> isize {
    let mut rest = bytes;
    while !rest.is_empty() {
        match send_piece(this, rest) {
            Ok(0) => break,
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Broken) => return ERROR,
        }
    }
    // SAFETY: the request is alive, so its stream and the connection are.
    unsafe { frames::free_tls((*(*this.r).stream).connection) };
    match bytes.len() - rest.len() {
        0 => AGAIN,
        sent => sent as isize,
    }
}

/// The connection or the stream is.
struct Broken;

/// Sends once. How much; 0: there is no room.
fn send_piece(this: &mut Stream, bytes: &[u8]) -> Result<usize, Broken> {
    // SAFETY: the request is alive, and its connection and stream are. Nothing of this stream is queued that lies in
    // these bytes when this is over.
    unsafe {
        let fc = (*this.r).connection;
        let stream = (*this.r).stream;
        if (*fc).error() != 0 {
            return Err(Broken);
        }
        if (*stream).queued > 0 {
            wait(fc);
            return Ok(0);
        }
        this.unsent.clear();
        // Without room nginx is to note that the stream waits for some.
        let length = bytes.len().min(MOST).min(room(stream).max(1));
        let start = bytes.as_ptr().cast_mut();
        this.out = mem::zeroed();
        this.out.start = start;
        this.out.pos = start;
        this.out.last = start.add(length);
        this.out.end = this.out.last;
        this.out.set_memory(1);
        this.out.set_flush(1);
        let mut link = ngx_chain_t {
            buf: &raw mut this.out,
            next: ptr::null_mut(),
        };
        let send_chain = (*fc).send_chain.ok_or(Broken)?;
        let left = send_chain(fc, &raw mut link, 0);
        if (*stream).queued > 0 && !keep_unsent(this, stream, start, length) {
            return Err(Broken);
        }
        if left == CHAIN_ERROR {
            frames::end_if_broken((*stream).connection);
            return Err(Broken);
        }
        if !left.is_null() {
            wait(fc);
            return Ok(0);
        }
        Ok(length)
    }
}

/// Nothing is taken for now; nginx calls when something is.
///
/// # Safety
/// It must be the connection of a request that is alive.
unsafe fn wait(fc: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the request, whose connection has its events.
    unsafe {
        (*(*fc).write).set_ready(0);
        (*(*fc).write).set_active(1);
    }
}

/// What nginx has queued and not sent is the caller's: it is copied. Without memory the connection ends.
///
/// # Safety
/// The stream must be alive, and what is queued of it lie in these bytes.
unsafe fn keep_unsent(
    this: &mut Stream,
    stream: *mut ngx_http_v2_stream_t,
    start: *mut u8,
    length: usize,
) -> bool {
    // SAFETY: the caller vouches for the stream; nginx's queue is a list of frames that are alive, each with its
    // buffers.
    unsafe {
        let h2c = (*stream).connection;
        let c = (*h2c).connection;
        let bytes = slice::from_raw_parts(start, length);
        if this.unsent.append(bytes, (*c).log).is_err() {
            abandon(h2c);
            return false;
        }
        let copy = this.unsent.as_slice().as_ptr().cast_mut();
        let moved =
            |place: *mut u8| copy.wrapping_add((place as usize).wrapping_sub(start as usize));
        let range = start as usize..=start as usize + length;
        let relocate = |buffer: &mut ngx_buf_t| {
            if range.contains(&(buffer.pos as usize)) && range.contains(&(buffer.last as usize)) {
                buffer.pos = moved(buffer.pos);
                buffer.last = moved(buffer.last);
                buffer.start = buffer.pos;
                buffer.end = buffer.last;
            }
        };
        let mut frame = (*h2c).last_out;
        while let Some(queued) = frame.as_ref() {
            if queued.stream == stream {
                let mut link = queued.first;
                while !link.is_null() {
                    if (*link).buf != &raw mut this.out {
                        relocate(&mut *(*link).buf);
                    }
                    if link == queued.last {
                        break;
                    }
                    link = (*link).next;
                }
            }
            frame = queued.next;
        }
        relocate(&mut this.out);
    }
    true
}

/// Ends a connection whose queue can't be sent.
///
/// # Safety
/// The connection must be open.
unsafe fn abandon(h2c: *mut ngx_http_v2_connection_t) {
    // SAFETY: the caller vouches for the connection. nginx forgets its queue likewise where it ends one.
    unsafe {
        (*h2c).last_out = ptr::null_mut();
        (*(*h2c).connection).set_error(1);
        frames::end_if_broken(h2c);
    }
}

/// How much the client's windows have room for.
///
/// # Safety
/// The stream must be alive.
unsafe fn room(stream: *const ngx_http_v2_stream_t) -> usize {
    // SAFETY: the caller vouches for the stream.
    unsafe {
        let of_stream = usize::try_from((*stream).send_window).unwrap_or(0);
        of_stream.min((*(*stream).connection).send_window)
    }
}
