//! A connection of HTTP/2, between its socket and nginx: what nginx reads of it goes through here.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::{ptr, slice};

use nginx_sys::{
    NGX_AGAIN, NGX_ERROR, ngx_connection_t, ngx_event_t, ngx_http_v2_connection_t,
    ngx_pool_cleanup_add, ngx_post_event, ngx_posted_events, ngx_posted_next_events, off_t, u_char,
};
use websocket_protocol::http2::{Cut, Cutter, Data, nothing, settings, window_update};

use super::bytes::Bytes;
use super::frames::{Frame, Frames};
use super::functions::Recv;
use super::parser::Place;
use super::patience::Patience;
use super::replace::replace;
use super::stream::Stream;
use crate::nginx::pool;

/// What there is beside nginx's own connection. It lives in that one's memory.
pub struct Connection {
    c: *mut ngx_connection_t,
    original: Recv,
    cutter: Cutter,
    /// Bytes that came and are not cut.
    held: Bytes,
    /// They can't be without more, for which nginx does not wait for ever.
    is_short: bool,
    patience: Patience,
    /// What nginx is to get before anything else.
    reply: Bytes,
    /// The stream that this opens, and whether its client sends nothing behind it.
    announced: Option<(u32, bool)>,
    /// Those that are tunnels, or are to be.
    pub streams: *mut Stream,
    /// They lie apart, as streams queue some while the connection is read.
    pub frames: NonNull<Frames>,
}

const AGAIN: isize = NGX_AGAIN as isize;
const ERROR: isize = NGX_ERROR as isize;

/// So often a socket is read before others come, if nothing of it is nginx's.
const ROUNDS: usize = 16;

/// The most bytes of a header block that are held back. nginx's own bound is on its fields.
const LONGEST_BLOCK: usize = 64 << 10;

/// The largest window, and what nginx lets a connection's come down to.
const WINDOW: usize = (1 << 31) - 1;

impl Connection {
    /// That of a connection which is read through here.
    ///
    /// # Safety
    /// The connection must be open.
    pub unsafe fn of(c: *mut ngx_connection_t) -> Option<*mut Self> {
        // SAFETY: the caller vouches for the connection; its pool's cleanups are a list, and ours has a Connection.
        unsafe {
            if !is_ours(c) {
                return None;
            }
            pool::kept_for((*c).pool, clean_up)
        }
    }

    /// Stands in front of a connection that is at this place, and tells its client. `room`: how much nginx reads at once. `false`: there is no memory.
    ///
    /// # Safety
    /// It must be an open connection of HTTP/2 that is read by `original`.
    pub unsafe fn join(
        c: *mut ngx_connection_t,
        original: Recv,
        place: Place,
        room: usize,
    ) -> bool {
        let limit = LONGEST_BLOCK.min(room / 2) as u32;
        // SAFETY: the caller vouches for the connection.
        unsafe {
            let cleanup = ngx_pool_cleanup_add((*c).pool, size_of::<Self>());
            let (Some(cleanup), Some(frames)) =
                (cleanup.as_mut(), pool::place((*c).pool, Frames::new()))
            else {
                return false;
            };
            let this = cleanup.data.cast::<Self>();
            this.write(Self {
                c,
                original,
                cutter: match place {
                    Place::Start => Cutter::new(limit),
                    Place::BetweenFrames => Cutter::at_boundary(limit),
                },
                held: Bytes::new(),
                is_short: false,
                patience: Patience::new(c, Some(give_up)),
                reply: Bytes::new(),
                announced: None,
                streams: ptr::null_mut(),
                frames,
            });
            if Self::queue(this, &settings()).is_none() {
                return false;
            }
            cleanup.handler = Some(clean_up);
            (*c).recv = Some(recv);
        }
        true
    }

    /// Queues a frame of the connection.
    ///
    /// # Safety
    /// It must be open.
    unsafe fn queue(this: *mut Self, frame: &[u8]) -> Option<NonNull<Frame>> {
        // SAFETY: the caller vouches for the connection, in whose memory this is.
        unsafe {
            let c = (*this).c;
            Frames::queue((*this).frames.as_ptr(), (*c).data.cast(), (*c).pool, frame)
        }
    }

    /// The stream that nginx has just been told of, if it is this one: whether its client sends nothing behind it.
    pub fn claim(&mut self, stream: u32) -> Option<bool> {
        self.announced
            .take_if(|(announced, _)| *announced == stream)
            .map(|(_, is_last)| is_last)
    }

    fn h2c(&self) -> *mut ngx_http_v2_connection_t {
        // SAFETY: it is read, so it is open.
        unsafe { (*self.c).data.cast() }
    }

    /// Has nginx come again.
    fn set_ready(&self) {
        // SAFETY: it is read, so it is open.
        unsafe { (*(*self.c).read).set_ready(1) };
    }

    fn is_ready(&self) -> bool {
        // SAFETY: it is read, so it is open.
        unsafe { (*(*self.c).read).ready() != 0 }
    }

    /// What nginx gets.
    fn recv(&mut self, room: &mut [u8]) -> isize {
        // SAFETY: it is read, so it is open.
        if unsafe { (*self.c).error() } != 0 {
            return ERROR;
        }
        for _ in 0..ROUNDS {
            if !self.reply.is_empty() {
                return self.give_reply(room);
            }
            // nginx has read all that it was given: what it has not taken it has refused.
            self.announced = None;
            // A connection that nginx is about to close is read into less, and all goes nowhere.
            let held = self.held.len();
            let Some(place) = room.get_mut(held..) else {
                self.held.clear();
                continue;
            };
            let mut come = held;
            if place.is_empty() {
                self.patience.is_over = true;
            } else if held == 0 || self.is_short && !self.patience.is_over {
                // SAFETY: the connection is open, and there is so much room.
                let count = unsafe { (self.original)(self.c, place.as_mut_ptr(), place.len()) };
                match usize::try_from(count) {
                    Ok(count) if count > 0 => come += count,
                    _ => return count,
                }
            }
            if let Some(front) = room.get_mut(..held) {
                front.copy_from_slice(self.held.as_slice());
            }
            self.held.clear();
            self.is_short = false;
            let count = self.cut(room, come);
            self.patience.watch(self.c, self.is_short);
            if let Some(count) = count {
                return count;
            }
        }
        // SAFETY: an open connection has its events.
        unsafe { ngx_post_event((*self.c).read, &raw mut ngx_posted_next_events) };
        AGAIN
    }

    /// Finds what is nginx's in the first so many bytes. `None`: there is nothing, but more to read.
    fn cut(&mut self, room: &mut [u8], come: usize) -> Option<isize> {
        let mut at = 0;
        loop {
            let bytes = room.get(at..come).unwrap_or_default();
            let mut cutter = self.cutter;
            let mut cut = cutter.next(bytes, |stream| self.takes_data(stream));
            let is_full = !bytes.is_empty() && bytes.len() == room.len();
            if cut == Cut::More && (self.patience.is_over || is_full) {
                // A block that is late, or that there will never be room for, is nginx's without a look.
                self.patience.is_over = false;
                cut = cutter.give_up(bytes);
            }
            self.cutter = cutter;
            let size = cut.size();
            let behind = bytes.get(size..).unwrap_or_default();
            match cut {
                Cut::Data(data) => {
                    match self.take(data) {
                        Taken::All => {}
                        Taken::Flood => {
                            // SAFETY: it is read, so it is open.
                            let log = unsafe { (*self.c).log };
                            let is_told = self.reply.append(&nothing(), log).is_ok();
                            return Some(if is_told {
                                self.give_reply(room)
                            } else {
                                ERROR
                            });
                        }
                        Taken::Broken => return Some(ERROR),
                    }
                    at += size;
                    continue;
                }
                Cut::More => {
                    if is_full {
                        // There is no room for the head of a frame: nginx is about to close the connection.
                        self.cutter.stop();
                        continue;
                    }
                    self.is_short = !bytes.is_empty();
                    if !self.hold(bytes) {
                        return Some(ERROR);
                    }
                    return (!self.is_ready()).then_some(AGAIN);
                }
                Cut::Theirs(_) => {
                    if !self.leave(behind) {
                        return Some(ERROR);
                    }
                }
                Cut::Block(block) => {
                    if !self.leave(behind) {
                        return Some(ERROR);
                    }
                    // SAFETY: nginx has read all that came before the block, and waits for more.
                    match unsafe { replace(self.h2c(), block, &mut self.reply) } {
                        Some(true) => {
                            self.announced = Some((block.stream, block.is_last));
                            return Some(self.give_reply(room));
                        }
                        Some(false) => {}
                        None => return Some(ERROR),
                    }
                }
            }
            room.copy_within(at..at + size, 0);
            return Some(size as isize);
        }
    }

    /// Keeps bytes for when nginx comes again. `false`: there is no memory.
    fn leave(&mut self, bytes: &[u8]) -> bool {
        if !bytes.is_empty() {
            self.set_ready();
        }
        self.hold(bytes)
    }

    /// Keeps bytes for later. `false`: there is no memory.
    fn hold(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        // SAFETY: it is read, so it is open.
        let log = unsafe { (*self.c).log };
        self.held.append(bytes, log).is_ok()
    }

    fn give_reply(&mut self, room: &mut [u8]) -> isize {
        let count = room.len().min(self.reply.len());
        if let Some((place, bytes)) = room
            .get_mut(..count)
            .zip(self.reply.as_slice().get(..count))
        {
            place.copy_from_slice(bytes);
        }
        self.reply.take(count);
        self.set_ready();
        count as isize
    }

    fn stream(&self, id: u32) -> Option<*mut Stream> {
        let mut next = self.streams;
        // SAFETY: a list of streams that are alive.
        while let Some(stream) = unsafe { next.as_ref() } {
            if stream.id == id {
                return Some(next);
            }
            next = stream.next;
        }
        None
    }

    /// Whether the DATA of a stream is a tunnel's. nginx says what is wrong behind its end.
    fn takes_data(&self, id: u32) -> bool {
        // SAFETY: a stream of the list is alive.
        self.stream(id)
            .is_some_and(|stream| !unsafe { (*stream).is_last })
    }

    /// Gives a stream what is its.
    fn take(&mut self, data: Data<'_>) -> Taken {
        let h2c = self.h2c();
        let length = data.payload.len() + data.padding as usize;
        // SAFETY: the connection is open. nginx counts all of it so.
        unsafe {
            (*h2c).total_bytes += data.size as off_t;
            (*h2c).payload_bytes += data.payload.len() as off_t;
            if (*h2c).total_bytes / 8 > (*h2c).payload_bytes + FLOOD {
                return Taken::Flood;
            }
            // No frame is as large as what nginx leaves of it.
            let left = (*h2c).recv_window.saturating_sub(length);
            (*h2c).recv_window = left;
            if left < WINDOW / 4 {
                (*h2c).recv_window = WINDOW;
                let update = window_update(0, (WINDOW - left) as u32);
                if Self::queue(self, &update).is_none() {
                    return Taken::Broken;
                }
            }
        }
        if let Some(stream) = self.stream(data.stream) {
            // SAFETY: a stream of the list is alive.
            unsafe { Stream::come(stream, data) };
        }
        Taken::All
    }
}

/// What has become of a DATA frame.
enum Taken {
    All,
    /// There is too much of no use. nginx ends the connection for that, when it gets the next bytes.
    Flood,
    /// The connection is to end.
    Broken,
}

/// What nginx lets by beyond eight times of what is of use.
const FLOOD: off_t = 1 << 20;

/// Whether a connection is read through here.
///
/// # Safety
/// The connection must be open.
pub unsafe fn is_ours(c: *const ngx_connection_t) -> bool {
    // SAFETY: the caller vouches for the connection.
    unsafe { (*c).recv }.is_some_and(|is| ptr::fn_addr_eq(is, recv as Recv))
}

/// `c->recv`
unsafe extern "C" fn recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads an open connection, into room of this size.
    unsafe {
        match Connection::of(c) {
            Some(this) => (*this).recv(slice::from_raw_parts_mut(room, size)),
            None => ERROR,
        }
    }
}

/// A block that is held back is late.
unsafe extern "C" fn give_up(event: *mut ngx_event_t) {
    // SAFETY: the timer's connection is open: it goes with that.
    unsafe {
        let c = (*event).data.cast::<ngx_connection_t>();
        if let Some(this) = Connection::of(c) {
            (*this).patience.is_over = true;
            (*this).set_ready();
            ngx_post_event((*c).read, &raw mut ngx_posted_events);
        }
    }
}

/// The connection's memory goes, when its streams are gone.
unsafe extern "C" fn clean_up(this: *mut c_void) {
    // SAFETY: join() made it.
    let this = unsafe { &mut *this.cast::<Connection>() };
    this.held.clear();
    this.reply.clear();
    this.patience.end();
}
