//! Frames of our own, in nginx's queue of those that are to be sent.

use core::ptr::{self, NonNull};

use nginx_sys::{
    NGX_AGAIN, NGX_OK, ngx_buf_t, ngx_chain_t, ngx_http_v2_connection_t, ngx_http_v2_out_frame_t,
    ngx_int_t, ngx_pcalloc, ngx_pool_t, ngx_post_event, ngx_posted_events,
};

use super::functions;
use crate::nginx::tls;

/// The longest frame.
const SIZE: usize = 17;

/// One frame. nginx's part comes first: what nginx is given is the whole.
#[repr(C)]
pub struct Frame {
    frame: ngx_http_v2_out_frame_t,
    link: ngx_chain_t,
    buffer: ngx_buf_t,
    bytes: [u8; SIZE],
    /// Where it goes when it is sent.
    free: *mut Frames,
    next: *mut Frame,
    /// Who has it in mind as long as it is queued, or NULL.
    owner: *mut *mut Frame,
}

/// Frames that are free. They live as long as the connection.
#[derive(Clone, Copy)]
pub struct Frames(*mut Frame);

impl Frames {
    pub const fn new() -> Self {
        Self(ptr::null_mut())
    }

    /// Queues a frame. `None`: there is no memory.
    ///
    /// # Safety
    /// `this` and `pool` must live as long as the connection, which must be open.
    pub unsafe fn queue(
        this: *mut Self,
        h2c: *mut ngx_http_v2_connection_t,
        pool: *mut ngx_pool_t,
        bytes: &[u8],
    ) -> Option<NonNull<Frame>> {
        // SAFETY: the caller vouches for all of them; all zeros is a frame.
        unsafe {
            let mut place = (*this).0;
            if place.is_null() {
                place = ngx_pcalloc(pool, size_of::<Frame>()).cast::<Frame>();
            } else {
                (*this).0 = (*place).next;
            }
            let frame = place.as_mut()?;
            frame.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
            frame.free = this;
            frame.owner = ptr::null_mut();

            let start = frame.bytes.as_mut_ptr();
            frame.buffer.start = start;
            frame.buffer.pos = start;
            frame.buffer.last = start.add(bytes.len());
            frame.buffer.end = start.add(SIZE);
            frame.buffer.set_temporary(1);
            // It is not to wait in the buffer of TLS.
            frame.buffer.set_last_buf(1);
            frame.link.buf = &raw mut frame.buffer;
            frame.link.next = ptr::null_mut();

            frame.frame.first = &raw mut frame.link;
            frame.frame.last = &raw mut frame.link;
            frame.frame.handler = Some(is_sent);
            frame.frame.stream = ptr::null_mut();
            frame.frame.length = bytes.len();
            frame.frame.set_blocked(0);
            insert(h2c, place.cast());
            NonNull::new(place)
        }
    }
}

impl Frame {
    /// Whoever has it in mind has it no longer when it is sent.
    ///
    /// # Safety
    /// It must be queued, and `owner` be NULL or valid until then.
    pub unsafe fn is_owned_by(this: *mut Self, owner: *mut *mut Self) {
        // SAFETY: the caller vouches for both.
        unsafe {
            (*this).owner = owner;
            if let Some(owner) = owner.as_mut() {
                *owner = this;
            }
        }
    }

    /// Puts these in the place of its bytes, of which there are as many, unless some are sent. `false`: it is as it was.
    ///
    /// # Safety
    /// It must be queued.
    pub unsafe fn replace(this: *mut Self, bytes: &[u8]) -> bool {
        // SAFETY: the caller vouches for it. What nginx takes of its buffer, also into that of TLS, has gone from there.
        let frame = unsafe { &mut *this };
        let is_whole = frame.buffer.pos == frame.buffer.start && frame.frame.length == bytes.len();
        match frame.bytes.get_mut(..bytes.len()).filter(|_| is_whole) {
            Some(place) => {
                place.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

/// `ngx_http_v2_queue_blocked_frame()`: behind the frames of the connection that are queued, and before those of
/// streams that are not begun. The last to be sent is the first of the list.
///
/// # Safety
/// Both must be valid.
unsafe fn insert(h2c: *mut ngx_http_v2_connection_t, frame: *mut ngx_http_v2_out_frame_t) {
    // SAFETY: the caller vouches for them; the queue is a list of frames that are alive.
    unsafe {
        let mut place = &raw mut (*h2c).last_out;
        while let Some(queued) = (*place).as_mut() {
            if queued.blocked() != 0 || queued.stream.is_null() {
                break;
            }
            place = &raw mut queued.next;
        }
        (*frame).next = *place;
        *place = frame;
    }
}

/// nginx has sent what it could: whether that was all of the frame.
unsafe extern "C" fn is_sent(
    h2c: *mut ngx_http_v2_connection_t,
    frame: *mut ngx_http_v2_out_frame_t,
) -> ngx_int_t {
    // SAFETY: nginx gives a frame of queue(), and its connection.
    unsafe {
        let frame = frame.cast::<Frame>();
        if (*frame).buffer.pos != (*frame).buffer.last {
            return NGX_AGAIN as ngx_int_t;
        }
        (*h2c).total_bytes += (*frame).frame.length as i64;
        if let Some(owner) = (*frame).owner.as_mut() {
            *owner = ptr::null_mut();
        }
        let free = (*frame).free;
        (*frame).next = (*free).0;
        (*free).0 = frame;
    }
    NGX_OK as ngx_int_t
}

/// Has nginx send what is queued, and what waits in the buffer of TLS, unless it is about to. `false`: the connection is
/// broken.
///
/// # Safety
/// The connection must be open.
pub unsafe fn send(h2c: *mut ngx_http_v2_connection_t) -> bool {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        if (*h2c).blocked() != 0 {
            return true;
        }
        let is_sent =
            functions::get().is_some_and(|functions| (functions.send_output_queue)(h2c) != -1);
        free_tls(h2c);
        end_if_broken(h2c);
        is_sent
    }
}

/// Frees the buffer of TLS where all has gone out of it. nginx would keep it as long as there are streams, also where
/// nothing is said on any of them.
///
/// # Safety
/// The connection must be open.
pub unsafe fn free_tls(h2c: *mut ngx_http_v2_connection_t) {
    // SAFETY: the caller vouches for the connection, which is no stream's.
    unsafe {
        if (*h2c).blocked() == 0 && (*h2c).last_out.is_null() {
            tls::free((*h2c).connection);
        }
    }
}

/// Has nginx see that a connection is broken. It would when it sends what is queued, but that may go with its stream.
///
/// # Safety
/// The connection must be open.
pub unsafe fn end_if_broken(h2c: *mut ngx_http_v2_connection_t) {
    // SAFETY: the caller vouches for the connection, which has its events.
    unsafe {
        let c = (*h2c).connection;
        if (*c).error() != 0 {
            (*(*c).read).set_ready(1);
            ngx_post_event((*c).read, &raw mut ngx_posted_events);
        }
    }
}

/// Has nginx send what is queued, as it does by itself when it reads, and behind a connection's last stream.
///
/// # Safety
/// The connection must be open.
pub unsafe fn send_soon(h2c: *mut ngx_http_v2_connection_t) {
    // SAFETY: the caller vouches for the connection, which has its events.
    unsafe {
        if !(*h2c).last_out.is_null() && (*h2c).blocked() == 0 && (*h2c).processing > 1 {
            ngx_post_event((*(*h2c).connection).write, &raw mut ngx_posted_events);
        }
    }
}
