//! A stream of HTTP/2 as a tunnel's end: what nginx reads and writes through the request's connection.

use core::{mem, ptr, slice};

use nginx_sys::{
    NGX_AGAIN, NGX_ERROR, ngx_buf_t, ngx_chain_t, ngx_connection_t, ngx_event_handler_pt,
    ngx_event_t, ngx_http_request_t, ngx_http_v2_connection_t, ngx_http_v2_stream_t,
    ngx_post_event, ngx_posted_events, u_char,
};
use websocket_protocol::http2::{Data, Error, ReceiveWindow, window_update};

use super::bytes::Bytes;
use super::connection::Connection;

const AGAIN: isize = NGX_AGAIN as isize;
const ERROR: isize = NGX_ERROR as isize;

/// It lives in the request's memory.
pub struct Stream {
    pub next: *mut Stream,
    pub id: u32,
    pub connection: *mut Connection,
    pub r: *mut ngx_http_request_t,
    pub window: ReceiveWindow,
    /// What came and is not read.
    pub come: Bytes,
    /// Nothing more comes.
    pub is_last: bool,
    /// It is a tunnel.
    pub is_open: bool,
    /// What nginx calls when there is something to read.
    pub event: ngx_event_handler_pt,
    /// What nginx sends.
    pub out: ngx_buf_t,
    /// Where that lies, if nginx has not sent it at once.
    pub unsent: Bytes,
}

/// So much is written at once.
const MOST: usize = 64 << 10;

/// `NGX_CHAIN_ERROR`
const CHAIN_ERROR: *mut ngx_chain_t = NGX_ERROR as isize as *mut ngx_chain_t;

impl Stream {
    /// That of a request's connection.
    ///
    /// # Safety
    /// It must be the connection of a request of HTTP/2, which is alive.
    unsafe fn of(fc: *mut ngx_connection_t) -> Option<*mut Self> {
        // SAFETY: the caller vouches for the request.
        unsafe {
            let stream = (*(*fc).data.cast::<ngx_http_request_t>()).stream;
            let connection = Connection::of((*(*stream).connection).connection)?;
            (*connection).stream(u32::try_from((*(*stream).node).id).ok()?)
        }
    }

    /// Takes what has come. `false`: the connection is to end.
    ///
    /// # Safety
    /// The stream must be alive.
    pub unsafe fn come(this: *mut Self, data: Data<'_>) -> bool {
        // SAFETY: the caller vouches for the stream, whose request has a connection with its events.
        unsafe {
            let stream = &mut *this;
            let fc = (*stream.r).connection;
            let length = data.payload.len() as u32 + data.padding;
            if (*fc).error() != 0 || stream.is_last && length > 0 {
                return true;
            }
            let fits = stream.window.received(length).is_ok()
                && stream.come.append(data.payload, (*fc).log).is_ok();
            if fits {
                stream.window.passed_on(data.padding);
                stream.is_last |= data.is_last;
            } else {
                // What nginx does to a stream whose client does that.
                let id = stream.id;
                if Connection::reset(stream.connection, id, Error::FlowControl).is_none() {
                    return false;
                }
                (*(*stream.r).stream).set_rst_sent(1);
                (*fc).set_error(1);
            }
            if stream.is_last {
                (*(*stream.r).stream).set_in_closed(1);
            }
            let read = (*fc).read;
            if stream.is_open || (*fc).error() != 0 {
                (*read).set_ready(1);
                ngx_post_event(read, &raw mut ngx_posted_events);
            }
        }
        true
    }

    /// The tunnel begins. Its client may send so much before it is read.
    ///
    /// # Safety
    /// The stream must be alive.
    pub unsafe fn open(this: *mut Self, size: usize) {
        // SAFETY: the caller vouches for the stream, whose request has a connection with its events.
        unsafe {
            let stream = &mut *this;
            let fc = (*stream.r).connection;
            stream.is_open = true;
            stream.window.grow(u32::try_from(size).unwrap_or(u32::MAX));
            (*fc).recv = Some(recv);
            (*fc).send = Some(send);
            let read = (*fc).read;
            stream.event = mem::replace(&mut (*read).handler, Some(event));
            // nginx's event method is never to wait for it.
            (*read).set_active(1);
            let is_readable = !stream.come.is_empty() || stream.is_last;
            (*read).set_ready(u32::from(is_readable));
            if is_readable {
                ngx_post_event(read, &raw mut ngx_posted_events);
            }
        }
    }

    /// Tells the client how much more it may send, if that is due. `false`: the connection is broken.
    ///
    /// # Safety
    /// The stream must be alive.
    pub unsafe fn give_credit(this: *mut Self) -> bool {
        // SAFETY: the caller vouches for the stream.
        unsafe {
            let stream = &mut *this;
            if stream.is_last {
                return true;
            }
            let Some(increment) = stream.window.update() else {
                return true;
            };
            let connection = stream.connection;
            Connection::queue(connection, &window_update(stream.id, increment)).is_some()
                && Connection::send(connection)
        }
    }

    /// Gives back what it holds, and leaves its connection.
    ///
    /// # Safety
    /// The stream must be alive; nothing of it is queued any more.
    pub unsafe fn leave(this: *mut Self) {
        // SAFETY: the caller vouches for the stream; the list is one of streams that are alive.
        unsafe {
            let mut place = &raw mut (*(*this).connection).streams;
            while !(*place).is_null() {
                if *place == this {
                    *place = (*this).next;
                    break;
                }
                place = &raw mut (**place).next;
            }
            (*this).come.clear();
            (*this).unsent.clear();
        }
    }

    fn recv(&mut self, room: &mut [u8]) -> isize {
        // SAFETY: the request is alive, and its connection has its events.
        let (fc, read) = unsafe {
            let fc = (*self.r).connection;
            (fc, (*fc).read)
        };
        // SAFETY: as above.
        unsafe {
            if (*fc).error() != 0 {
                (*read).set_eof(1);
                return ERROR;
            }
            let count = room.len().min(self.come.len());
            if count == 0 && !self.is_last {
                (*read).set_ready(0);
                (*read).set_active(1);
                return AGAIN;
            }
            if count == 0 {
                (*read).set_eof(1);
                return 0;
            }
            if let Some((place, bytes)) =
                room.get_mut(..count).zip(self.come.as_slice().get(..count))
            {
                place.copy_from_slice(bytes);
            }
            self.come.take(count);
            self.window.passed_on(count as u32);
            if !Self::give_credit(self) {
                (*fc).set_error(1);
                return ERROR;
            }
            if self.come.is_empty() && !self.is_last {
                (*read).set_ready(0);
                (*read).set_active(1);
            }
            count as isize
        }
    }

    fn send(&mut self, bytes: &[u8]) -> isize {
        // SAFETY: the request is alive, and its connection and stream are.
        unsafe {
            let fc = (*self.r).connection;
            let stream = (*self.r).stream;
            if (*fc).error() != 0 {
                return ERROR;
            }
            if (*stream).queued > 0 {
                return self.refuse(fc);
            }
            self.unsent.clear();
            let room = room(stream);
            // Without room nginx is to note that the stream waits for some.
            let length = bytes.len().min(MOST).min(room.max(1));
            let start = bytes.as_ptr().cast_mut();
            self.out = mem::zeroed();
            self.out.start = start;
            self.out.pos = start;
            self.out.last = start.add(length);
            self.out.end = self.out.last;
            self.out.set_memory(1);
            self.out.set_flush(1);
            let mut link = ngx_chain_t {
                buf: &raw mut self.out,
                next: ptr::null_mut(),
            };
            let send_chain = match (*fc).send_chain {
                Some(send_chain) => send_chain,
                None => return ERROR,
            };
            let left = send_chain(fc, &raw mut link, 0);
            if left == CHAIN_ERROR {
                self.keep_unsent(stream, start, length);
                return ERROR;
            }
            if !left.is_null() {
                return self.refuse(fc);
            }
            if (*stream).queued > 0 && !self.keep_unsent(stream, start, length) {
                return ERROR;
            }
            length as isize
        }
    }

    /// Nothing is taken for now; nginx calls when something is.
    fn refuse(&self, fc: *mut ngx_connection_t) -> isize {
        // SAFETY: the request's connection has its events.
        unsafe {
            (*(*fc).write).set_ready(0);
            (*(*fc).write).set_active(1);
        }
        AGAIN
    }

    /// What nginx has queued and not sent is the caller's: it is copied. Without memory the connection ends.
    ///
    /// # Safety
    /// The stream must be alive, and what is queued of it lie in these bytes.
    unsafe fn keep_unsent(
        &mut self,
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
            if self.unsent.append(bytes, (*c).log).is_err() {
                abandon(h2c);
                return false;
            }
            let copy = self.unsent.as_slice().as_ptr().cast_mut();
            let moved =
                |place: *mut u8| copy.wrapping_add((place as usize).wrapping_sub(start as usize));
            let range = start as usize..=start as usize + length;
            let relocate = |buffer: &mut ngx_buf_t| {
                if range.contains(&(buffer.pos as usize)) && range.contains(&(buffer.last as usize))
                {
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
                        if (*link).buf != &raw mut self.out {
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
            relocate(&mut self.out);
        }
        true
    }
}

/// Ends a connection whose queue can't be sent.
///
/// # Safety
/// The connection must be open.
unsafe fn abandon(h2c: *mut ngx_http_v2_connection_t) {
    // SAFETY: the caller vouches for the connection. nginx forgets its queue likewise where it ends one.
    unsafe {
        let c = (*h2c).connection;
        (*h2c).last_out = ptr::null_mut();
        (*c).set_error(1);
        (*(*c).read).set_ready(1);
        ngx_post_event((*c).read, &raw mut ngx_posted_events);
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

/// Something has become of a stream. nginx doesn't say that there is something to read where that is an error.
unsafe extern "C" fn event(read: *mut ngx_event_t) {
    // SAFETY: nginx gives the event of a request's connection.
    unsafe {
        let fc = (*read).data.cast::<ngx_connection_t>();
        if (*fc).error() != 0 {
            (*read).set_ready(1);
        }
        if let Some(handler) = Stream::of(fc).and_then(|stream| (*stream).event) {
            handler(read);
        }
    }
}

unsafe extern "C" fn recv(fc: *mut ngx_connection_t, place: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads a request's connection, into room of this size.
    unsafe {
        match Stream::of(fc) {
            Some(stream) => (*stream).recv(slice::from_raw_parts_mut(place, size)),
            None => ERROR,
        }
    }
}

unsafe extern "C" fn send(fc: *mut ngx_connection_t, bytes: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx writes to a request's connection, from so many bytes.
    unsafe {
        match Stream::of(fc) {
            Some(stream) => (*stream).send(slice::from_raw_parts(bytes, size)),
            None => ERROR,
        }
    }
}
