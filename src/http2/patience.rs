//! How long a header block may take that is held back: as long as nginx lets one take (`client_header_timeout`).

use core::mem;

use nginx_sys::{
    ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_event_handler_pt, ngx_event_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_v2_connection_t, ngx_msec_t,
};

pub struct Patience {
    timer: ngx_event_t,
    /// What is there of the block is to be nginx's, which waits once more and then says so.
    pub is_over: bool,
}

impl Patience {
    /// `handler`: what to do when it is over.
    ///
    /// # Safety
    /// The connection must be open, and outlive this.
    pub unsafe fn new(c: *mut ngx_connection_t, handler: ngx_event_handler_pt) -> Self {
        // SAFETY: all zeros is an event; the caller vouches for the connection.
        unsafe {
            let mut timer: ngx_event_t = mem::zeroed();
            timer.data = c.cast();
            timer.log = (*c).log;
            timer.handler = handler;
            Self {
                timer,
                is_over: false,
            }
        }
    }

    /// Begins to wait, or ends that.
    pub fn watch(&mut self, c: *const ngx_connection_t, is_waiting: bool) {
        self.is_over &= is_waiting;
        if is_waiting == (self.timer.timer_set() != 0) {
            return;
        }
        if is_waiting {
            // SAFETY: the connection is open, and of HTTP/2.
            unsafe { ngx_add_timer(&raw mut self.timer, time(c)) };
        } else {
            self.end();
        }
    }

    pub fn end(&mut self) {
        if self.timer.timer_set() != 0 {
            // SAFETY: it is set.
            unsafe { ngx_del_timer(&raw mut self.timer) };
        }
    }
}

/// # Safety
/// The connection must be open, and of HTTP/2.
unsafe fn time(c: *const ngx_connection_t) -> ngx_msec_t {
    // SAFETY: the caller vouches for the connection, which has the configuration of its address.
    unsafe {
        let h2c = (*c).data.cast::<ngx_http_v2_connection_t>();
        let servers = (*(*(*h2c).http_connection).conf_ctx).srv_conf;
        let server = *servers.add(ngx_http_core_module.ctx_index);
        (*server.cast::<ngx_http_core_srv_conf_t>()).client_header_timeout
    }
}
