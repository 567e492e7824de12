//! A response that the module makes itself, and sends in pieces.

use core::ffi::CStr;
use core::ptr::{self, NonNull};
use core::slice;

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_add_timer, ngx_buf_t, ngx_chain_t, ngx_create_temp_buf, ngx_del_timer,
    ngx_event_t, ngx_handle_write_event, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_http_finalize_request, ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header,
    ngx_http_test_reading, ngx_int_t, ngx_msec_t, ngx_post_event, ngx_posted_next_events,
    ngx_uint_t, off_t,
};

use super::{Request, string};

/// What goes in front of a response.
pub struct Head {
    pub status: u32,
    pub content_type: &'static CStr,
    /// Of the whole response, where that is known.
    pub length: Option<usize>,
}

/// Sends the header of a response. nginx's code: whether it goes on is for nginx to say.
pub fn send_head(r: Request<'_>, head: &Head) -> ngx_int_t {
    let content_type = string::constant(head.content_type);
    let bytes = head.content_type.to_bytes();
    let name = memchr::memchr(b';', bytes).unwrap_or(bytes.len());
    // SAFETY: the request is alive, and nothing of its response is sent yet.
    unsafe {
        let out = &raw mut (*r.as_ptr()).headers_out;
        (*out).status = head.status as ngx_uint_t;
        (*out).content_type = content_type;
        // Without its parameters, for those who go by types.
        (*out).content_type_len = name;
        if name < bytes.len() {
            (*out).charset = string::constant(c"utf-8");
        }
        (*out).content_length_n = head.length.map_or(-1, |length| length as off_t);
        ngx_http_send_header(r.as_ptr())
    }
}

/// Memory for a piece of a response.
pub struct Room {
    buffer: NonNull<ngx_buf_t>,
    is_sent: bool,
}

impl Room {
    /// As long as the request lives. `None` when there is no memory.
    pub fn new(r: Request<'_>, size: usize) -> Option<Self> {
        // SAFETY: the request is alive, so its pool is; what it gives is of that size.
        unsafe {
            let buffer = NonNull::new(ngx_create_temp_buf(r.pool(), size))?;
            ptr::write_bytes((*buffer.as_ptr()).start, 0, size);
            Some(Self {
                buffer,
                is_sent: false,
            })
        }
    }

    fn buffer(&self) -> &ngx_buf_t {
        // SAFETY: a buffer of the request's memory, at which nothing of nginx's works meanwhile.
        unsafe { self.buffer.as_ref() }
    }

    /// Whether nginx has sent, or copied, all that was written.
    pub fn is_taken(&self) -> bool {
        self.buffer().pos == self.buffer().last
    }

    /// Whether what is written was handed to nginx.
    pub fn is_sent(&self) -> bool {
        self.is_sent
    }

    pub fn is_full(&self) -> bool {
        self.buffer().last == self.buffer().end
    }

    /// Makes it empty, when all is taken.
    pub fn clear(&mut self) {
        // SAFETY: as in buffer().
        let buffer = unsafe { self.buffer.as_mut() };
        buffer.pos = buffer.start;
        buffer.last = buffer.start;
        self.is_sent = false;
    }

    /// What is free behind what is written.
    pub fn rest(&mut self) -> &mut [u8] {
        let buffer = self.buffer();
        let length = (buffer.end as usize).saturating_sub(buffer.last as usize);
        // SAFETY: new() has made bytes of all of it, and nobody reads behind `last`.
        unsafe { slice::from_raw_parts_mut(buffer.last, length) }
    }

    /// So much of the rest is written.
    pub fn add(&mut self, length: usize) {
        let free = self.rest().len();
        // SAFETY: as in buffer(); not past its end.
        unsafe {
            let buffer = self.buffer.as_mut();
            buffer.last = buffer.last.add(length.min(free));
        }
    }

    /// Hands what is written to nginx's filters, and on to the client.
    pub fn send(&mut self, r: Request<'_>, is_last: bool) -> ngx_int_t {
        // SAFETY: as in buffer().
        unsafe {
            let is_empty = self.is_taken();
            let buffer = self.buffer.as_mut();
            // nginx sends it, rather than waiting for more, and takes one without bytes for no mistake.
            buffer.set_temporary(u32::from(!is_empty));
            buffer.set_flush(u32::from(!is_last));
            buffer.set_last_buf(u32::from(is_last && r.is_main()));
            buffer.set_last_in_chain(u32::from(is_last));
        }
        self.is_sent = true;
        let mut link = ngx_chain_t {
            buf: self.buffer.as_ptr(),
            next: ptr::null_mut(),
        };
        // SAFETY: the request is alive. Filters copy the links of a chain.
        unsafe { ngx_http_output_filter(r.as_ptr(), &raw mut link) }
    }
}

/// Has nginx go on with what it was given. Whether it could.
pub fn flush(r: Request<'_>) -> bool {
    // SAFETY: the request is alive; nginx itself calls the filters so to have them go on.
    unsafe { ngx_http_output_filter(r.as_ptr(), ptr::null_mut()) != NGX_ERROR as ngx_int_t }
}

type Handler = unsafe extern "C" fn(*mut ngx_http_request_t);

/// Has a function called whenever the client can take more.
pub fn on_writable(r: Request<'_>, handler: Handler) {
    // SAFETY: the request is alive.
    unsafe { (*r.as_ptr()).write_event_handler = Some(handler) };
}

/// Has nginx look whether the client is still there, as it does while it sends.
pub fn end_with_client(r: Request<'_>) {
    // SAFETY: the request is alive, and its body read.
    unsafe { (*r.as_ptr()).read_event_handler = Some(ngx_http_test_reading) };
}

/// Has it called when all others have had their turn.
pub fn post(r: Request<'_>) {
    // nginx calls it when it is this one's turn.
    if !r.is_active() {
        return;
    }
    let write = write_event(r);
    // SAFETY: an open connection has its events; nginx takes them out of the queue when it closes it.
    unsafe {
        // A worker that is to exit waits for timers, but not for what is posted.
        if (*write).delayed() == 0 {
            ngx_add_timer(write, NEVER);
        }
        ngx_post_event(write, &raw mut ngx_posted_next_events);
    }
}

/// Far longer than a turn of the event loop takes.
const NEVER: ngx_msec_t = 60_000;

/// Has it called when the client takes what was sent, or takes too long to. `false`: that can't be.
pub fn wait(r: Request<'_>) -> bool {
    // As in post(); until then it is another one that the client keeps waiting.
    if !r.is_active() {
        return true;
    }
    let write = write_event(r);
    // SAFETY: as in post().
    unsafe {
        // `limit_rate` has set it.
        if (*write).delayed() == 0 {
            ngx_add_timer(write, core(r).send_timeout);
        }
        ngx_handle_write_event(write, core(r).send_lowat) == NGX_OK as ngx_int_t
    }
}

/// Whether nginx holds back what is sent for now.
pub fn is_delayed(r: Request<'_>) -> bool {
    // SAFETY: as in post().
    unsafe { (*write_event(r)).delayed() != 0 }
}

/// Whether the client has taken too long, which nginx is told then.
pub fn has_timed_out(r: Request<'_>) -> bool {
    // SAFETY: the request has an open connection.
    unsafe {
        let has = (*write_event(r)).timedout() != 0;
        if has {
            (*(*r.as_ptr()).connection).set_timedout(1);
        }
        has
    }
}

/// It is over, or nginx is to answer. The request may be gone after that.
pub fn finish(r: Request<'_>, rc: ngx_int_t) {
    let write = write_event(r);
    // SAFETY: as in post(). What else the connection is for is not to be ended by this one's timer.
    unsafe {
        if r.is_active() && (*write).timer_set() != 0 && (*write).delayed() == 0 {
            ngx_del_timer(write);
        }
    }
    // SAFETY: the request is alive; whoever calls this looks at it no more.
    unsafe { ngx_http_finalize_request(r.as_ptr(), rc) };
}

fn write_event(r: Request<'_>) -> *mut ngx_event_t {
    // SAFETY: a request has a connection, and that its events.
    unsafe { (*(*r.as_ptr()).connection).write }
}

fn core<'r>(r: Request<'r>) -> &'r ngx_http_core_loc_conf_t {
    // SAFETY: the core module's structure, which lives as long as the configuration.
    unsafe { &*r.location(ngx_http_core_module.ctx_index).cast() }
}
