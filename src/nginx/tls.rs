//! The buffer in which nginx gathers what it sends over TLS: `ssl_buffer_size`, 16 KiB if nothing is
//! written, made for the first response and kept until the next request. A tunnel writes past it.

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
pub use buffer::{free, leave_at_once, send_past};

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
mod buffer {
    use core::ptr;

    use nginx_sys::{NGX_OK, ngx_connection_t, ngx_pfree};

    /// From here on a chain of buffers goes to OpenSSL as it is, so that no buffer is made for it.
    ///
    /// # Safety
    /// The connection must be open, and no stream of another one.
    pub unsafe fn send_past(connection: *mut ngx_connection_t) {
        // SAFETY: the caller vouches for the connection; NULL, or what nginx keeps of its TLS.
        unsafe {
            // What waits in the buffer would be overtaken.
            if (*connection).buffered() == 0 {
                if let Some(tls) = (*connection).ssl.as_mut() {
                    tls.set_buffer(0);
                }
            }
        }
    }

    /// nginx is to say no goodbye when it closes the connection.
    ///
    /// # Safety
    /// As for [`send_past`].
    pub unsafe fn leave_at_once(connection: *mut ngx_connection_t) {
        // SAFETY: as above.
        if let Some(tls) = unsafe { (*connection).ssl.as_mut() } {
            tls.set_no_wait_shutdown(1);
            tls.set_no_send_shutdown(1);
        }
    }

    /// Frees the buffer, if it is there and empty. nginx makes another one when it has a use for it.
    ///
    /// # Safety
    /// As for [`send_past`].
    pub unsafe fn free(connection: *mut ngx_connection_t) {
        // SAFETY: as above; nginx's own buffer is NULL or one that its pool has.
        unsafe {
            let Some(tls) = (*connection).ssl.as_ref() else {
                return;
            };
            if let Some(buffer) = tls.buf.as_mut() {
                let is_empty = !buffer.start.is_null() && buffer.pos == buffer.last;
                if is_empty && ngx_pfree((*connection).pool, buffer.start.cast()) == NGX_OK as isize
                {
                    buffer.start = ptr::null_mut();
                }
            }
        }
    }
}

#[cfg(not(any(ngx_feature = "ssl", ngx_feature = "compat")))]
pub use nothing::{free, leave_at_once, send_past};

/// An nginx without TLS.
#[cfg(not(any(ngx_feature = "ssl", ngx_feature = "compat")))]
mod nothing {
    use nginx_sys::ngx_connection_t;

    /// # Safety
    /// None is needed.
    pub unsafe fn send_past(_connection: *mut ngx_connection_t) {}

    /// # Safety
    /// None is needed.
    pub unsafe fn leave_at_once(_connection: *mut ngx_connection_t) {}

    /// # Safety
    /// None is needed.
    pub unsafe fn free(_connection: *mut ngx_connection_t) {}
}
