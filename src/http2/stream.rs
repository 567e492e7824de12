//! A stream of HTTP/2 as a tunnel's end: what nginx reads and writes through the request's connection.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::{mem, slice};

use nginx_sys::{
    NGX_AGAIN, NGX_ERROR, ngx_add_timer, ngx_buf_t, ngx_connection_t, ngx_event_handler_pt,
    ngx_event_t, ngx_exiting, ngx_http_request_t, ngx_msec_t, ngx_pool_cleanup_add, ngx_post_event,
    ngx_posted_events, ngx_send_pt, ngx_table_elt_t, u_char,
};
use websocket_protocol::http2::{Data, Error, ReceiveWindow, reset, window_update};
use websocket_protocol::tunnel::CLOSE_TIMEOUT;

use super::bytes::Bytes;
use super::frames::{self, Frame, Frames};
use crate::nginx::pool;

const AGAIN: isize = NGX_AGAIN as isize;
const ERROR: isize = NGX_ERROR as isize;

/// Where WebSocket is turned off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// `websocket_http2`
    Server,
    /// `websocket`
    Location,
}

/// It lives in the request's memory.
pub struct Stream {
    pub next: *mut Stream,
    pub id: u32,
    /// The connection's list of them, and its frames.
    list: *mut *mut Stream,
    frames: *mut Frames,
    pub r: *mut ngx_http_request_t,
    window: ReceiveWindow,
    /// The frame by which its client is told how much more it may send, as long as that is queued, and what it says.
    credit: *mut Frame,
    credited: u32,
    /// What came and is not read.
    come: Bytes,
    /// Nothing more comes.
    pub is_last: bool,
    /// It is a tunnel.
    pub(super) is_open: bool,
    /// Its end is kept back for a while, as nginx's own loop would not give its client the answer to a Close.
    lingers: bool,
    /// Why it is not to be one.
    pub off: Option<Off>,
    /// Its client has sent more than its window has room for, or than there is memory for.
    is_overrun: bool,
    /// What nginx calls when there is something to read.
    event: ngx_event_handler_pt,
    /// What it calls when there is room.
    room: ngx_event_handler_pt,
    /// What nginx sends.
    pub out: ngx_buf_t,
    /// Where that lies, if nginx has not sent it at once.
    pub unsent: Bytes,
    /// What filters take for the encoding of the answer that opens it.
    pub encoding: ngx_table_elt_t,
}

impl Stream {
    /// Makes a request a stream of the list. `is_last`: its client sends nothing more. `None`: there is no memory.
    ///
    /// # Safety
    /// The request must be alive and have a stream of HTTP/2; the list and the frames must be its connection's.
    pub unsafe fn join(
        r: *mut ngx_http_request_t,
        is_last: bool,
        list: *mut *mut Stream,
        frames: *mut Frames,
    ) -> Option<*mut Self> {
        // SAFETY: the caller vouches for all of them.
        unsafe {
            let cleanup = ngx_pool_cleanup_add((*r).pool, size_of::<Self>()).as_mut()?;
            let stream = (*r).stream;
            // nginx was told of no body: so that is what its settings say.
            let window = u32::try_from((*stream).recv_window).unwrap_or(u32::MAX);
            let this = cleanup.data.cast::<Self>();
            this.write(Self {
                next: *list,
                id: (*(*stream).node).id as u32,
                list,
                frames,
                r,
                window: ReceiveWindow::new(window),
                credit: ptr::null_mut(),
                credited: 0,
                come: Bytes::new(),
                is_last,
                is_open: false,
                lingers: false,
                off: None,
                is_overrun: false,
                event: None,
                room: None,
                out: mem::zeroed(),
                unsent: Bytes::new(),
                encoding: mem::zeroed(),
            });
            *list = this;
            cleanup.handler = Some(leave);
            if !is_last {
                (*stream).set_in_closed(0);
            }
            Some(this)
        }
    }

    /// That of a request, if it has one.
    ///
    /// # Safety
    /// The request must be alive.
    pub unsafe fn of(r: *mut ngx_http_request_t) -> Option<*mut Self> {
        // SAFETY: the caller vouches for the request; its pool's cleanups are a list, and ours has a Stream.
        unsafe {
            if (*r).stream.is_null() {
                return None;
            }
            pool::kept_for((*r).pool, leave)
        }
    }

    /// Queues a frame.
    ///
    /// # Safety
    /// The stream must be alive.
    unsafe fn queue(&self, frame: &[u8]) -> Option<NonNull<Frame>> {
        // SAFETY: the caller vouches for the stream, whose connection lives longer.
        unsafe {
            let h2c = (*(*self.r).stream).connection;
            Frames::queue(self.frames, h2c, (*(*h2c).connection).pool, frame)
        }
    }

    /// Takes what has come.
    ///
    /// # Safety
    /// The stream must be alive.
    pub unsafe fn come(this: *mut Self, data: Data<'_>) {
        // SAFETY: the caller vouches for the stream, whose request has a connection with its events.
        unsafe {
            let stream = &mut *this;
            let fc = (*stream.r).connection;
            let length = data.payload.len() as u32 + data.padding;
            if (*fc).error() != 0 {
                return;
            }
            let fits = stream.window.received(length).is_ok()
                && stream.come.append(data.payload, (*fc).log).is_ok();
            if fits {
                stream.window.passed_on(data.padding);
                stream.is_last |= data.is_last;
            } else {
                // What nginx does to a stream whose client does that; it is told behind all that is queued for it.
                stream.is_overrun = true;
                (*(*stream.r).stream).set_rst_sent(1);
                (*fc).set_error(1);
                (*(*fc).read).set_error(1);
            }
            let read = (*fc).read;
            if stream.is_last {
                (*(*stream.r).stream).set_in_closed(1);
                (*read).set_pending_eof(1);
            }
            if stream.is_open || (*fc).error() != 0 {
                (*read).set_ready(1);
                ngx_post_event(read, &raw mut ngx_posted_events);
            }
        }
    }

    /// The tunnel begins. Its client may send so much before it is read; `send` is how it is written. `lingers`: who has
    /// the tunnel takes the end of a client's half for the end of all.
    ///
    /// # Safety
    /// The stream must be alive.
    pub unsafe fn open(this: *mut Self, size: usize, send: ngx_send_pt, lingers: bool) {
        // SAFETY: the caller vouches for the stream, whose request has a connection with its events.
        unsafe {
            let stream = &mut *this;
            let fc = (*stream.r).connection;
            (stream.is_open, stream.lingers) = (true, lingers);
            stream.window.grow(u32::try_from(size).unwrap_or(u32::MAX));
            (*fc).recv = Some(recv);
            (*fc).send = send;
            let read = (*fc).read;
            stream.event = (*read).handler.replace(event);
            stream.room = (*(*fc).write).handler.replace(event);
            // nginx's event method is never to wait for it.
            (*read).set_active(1);
            let is_readable = !stream.come.is_empty() || stream.is_last;
            (*read).set_ready(u32::from(is_readable));
            (*read).set_pending_eof(u32::from(stream.is_last));
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
            if (*this).is_last {
                return true;
            }
            let Some(increment) = (*this).window.update() else {
                return true;
            };
            Self::tell(this, increment) && frames::send((*(*(*this).r).stream).connection)
        }
    }

    /// Queues what the client may send more. `false`: there is no memory.
    ///
    /// A client that sends and does not read would have a queue of them that grows for ever, so that what is queued
    /// says it where it can.
    ///
    /// # Safety
    /// The stream must be alive.
    unsafe fn tell(this: *mut Self, increment: u32) -> bool {
        // SAFETY: the caller vouches for the stream; it has a frame in mind only as long as that is queued.
        unsafe {
            let id = (*this).id;
            let (queued, all) = ((*this).credit, (*this).credited.saturating_add(increment));
            if !queued.is_null() {
                if Frame::replace(queued, &window_update(id, all)) {
                    (*this).credited = all;
                    return true;
                }
                Frame::is_owned_by(queued, ptr::null_mut());
            }
            let Some(frame) = (*this).queue(&window_update(id, increment)) else {
                (*this).credit = ptr::null_mut();
                return false;
            };
            Frame::is_owned_by(frame.as_ptr(), &raw mut (*this).credit);
            (*this).credited = increment;
            true
        }
    }

    /// What has come before the connection broke, or the stream was reset, is read all the same.
    fn recv(&mut self, room: &mut [u8]) -> isize {
        // SAFETY: the request is alive, and its connection has its events.
        let (fc, read) = unsafe {
            let fc = (*self.r).connection;
            (fc, (*fc).read)
        };
        // SAFETY: as above.
        unsafe {
            let is_broken = (*fc).error() != 0;
            let count = room.len().min(self.come.len());
            if is_broken && (count == 0 && !self.is_last || self.is_overrun || (*fc).close() != 0) {
                (*read).set_eof(1);
                return ERROR;
            }
            let is_over = self.is_last && (is_broken || !self.lingers || !linger(read));
            if count == 0 && !is_over {
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
            if !is_broken && !Self::give_credit(self) {
                (*fc).set_error(1);
            }
            if self.come.is_empty() && !self.is_last && (*fc).error() == 0 {
                (*read).set_ready(0);
                (*read).set_active(1);
            }
            count as isize
        }
    }
}

/// Whether the time for which an end is kept back is not over. nginx takes out the timer when it closes the stream.
///
/// # Safety
/// It must be the read event of a connection that is open.
unsafe fn linger(read: *mut ngx_event_t) -> bool {
    // SAFETY: the caller vouches for the event.
    unsafe {
        if (*read).timedout() == 0 && (*read).timer_set() == 0 {
            ngx_add_timer(read, CLOSE_TIMEOUT.get() as ngx_msec_t);
        }
        (*read).timedout() == 0
    }
}

/// The request's memory goes: gives back what the stream holds. nginx has let go of what it had queued of it, and has
/// queued the stream's end, which may be all that there is to send on the connection.
unsafe extern "C" fn leave(this: *mut c_void) {
    // SAFETY: join() made it; the list is one of streams that are alive.
    unsafe {
        let this = this.cast::<Stream>();
        let mut place = (*this).list;
        while !(*place).is_null() {
            if *place == this {
                *place = (*this).next;
                break;
            }
            place = &raw mut (**place).next;
        }
        if !(*this).credit.is_null() {
            Frame::is_owned_by((*this).credit, ptr::null_mut());
        }
        (*this).come.clear();
        (*this).unsent.clear();
        let h2c = (*(*(*this).r).stream).connection;
        if (*this).is_overrun {
            let frame = reset((*this).id, Error::FlowControl);
            if (*this).queue(&frame).is_none() {
                (*(*h2c).connection).set_error(1);
            }
        }
        frames::send_soon(h2c);
        // nginx may have found that as it sent the stream's end, of which nothing is queued any more.
        frames::end_if_broken(h2c);
    }
}

/// Something has become of a stream. nginx doesn't say that there is something to read where that is an error, nor that
/// it closes the connection because the worker has to go.
unsafe extern "C" fn event(event: *mut ngx_event_t) {
    // SAFETY: nginx gives an event of a request's connection, whose stream has a connection of its own.
    unsafe {
        let fc = (*event).data.cast::<ngx_connection_t>();
        let r = (*fc).data.cast::<ngx_http_request_t>();
        if (*fc).error() != 0 {
            let read = (*fc).read;
            let is_look = (*event).write() == 0 && (*event).timedout() != 0;
            (*read).set_ready(1);
            (*read).set_pending_eof(1);
            // Where nginx ends the connection, this would mean that all has been read.
            (*read).set_eof(0);
            // It says so once, by the event for what it had queued where there was some: who has nothing to write
            // finds it by reading.
            if (*event).write() != 0 {
                ngx_post_event(read, &raw mut ngx_posted_events);
            }
            (*fc).set_close(u32::from(is_cut_off(
                &*(*(*(*r).stream).connection).connection,
            )));
            // Once nginx has ended the connection, it tells of nothing more, nor that the worker has to go.
            (*read).set_timedout(0);
            if (*read).timer_set() == 0 {
                ngx_add_timer(read, LOOK_AGAIN);
            }
            // Who has the tunnel was told of the error when it came. nginx's own loop would wait for its upstream from here
            // on anew.
            if is_look && (*fc).close() == 0 {
                return;
            }
        }
        if (*event).write() == 0 && (*event).timedout() != 0 {
            (*event).set_ready(1);
        }
        let handler = Stream::of(r).and_then(|stream| match (*event).write() {
            0 => (*stream).event,
            _ => {
                if (*(*r).stream).queued == 0 {
                    (*stream).unsent.clear();
                }
                (*stream).room
            }
        });
        if let Some(handler) = handler {
            handler(event);
        }
    }
}

/// A stream whose connection is broken is looked at this often, milliseconds.
const LOOK_AGAIN: ngx_msec_t = 1000;

/// Whether nginx ends the connection because its worker has been told to exit for long enough: it takes back `close`
/// before it ends the streams, of a connection that it has not ended before. Otherwise it is the end of what can be read or
/// written that is an error of the connection.
fn is_cut_off(connection: &ngx_connection_t) -> bool {
    // SAFETY: the connection is open, so it has its events; nginx's own variable, of its only thread.
    unsafe {
        let (read, write) = (&*connection.read, &*connection.write);
        let has_left = read.eof() != 0 || read.error() != 0;
        let is_stuck = write.error() != 0 || write.timedout() != 0;
        let is_told = connection.close() != 0 || connection.error() != 0 && !has_left && !is_stuck;
        ngx_exiting != 0 && is_told
    }
}

unsafe extern "C" fn recv(fc: *mut ngx_connection_t, place: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads a request's connection, into room of this size.
    unsafe {
        match Stream::of((*fc).data.cast()) {
            Some(stream) => (*stream).recv(slice::from_raw_parts_mut(place, size)),
            None => ERROR,
        }
    }
}
