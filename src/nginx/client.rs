//! What a client sends behind the request that is being answered, and the end of its connection.

use core::mem::replace;

use nginx_sys::{NGX_HTTP_VERSION_20, ngx_http_update_location_config, ngx_uint_t};

use super::Request;

impl Request<'_> {
    /// Whether the client has by now sent something behind the head of its request: a body, another
    /// request, or what is none. Not for streams of HTTP/2 and HTTP/3, which have ends of their own.
    pub fn has_bytes_behind(self) -> bool {
        if self.http_version() >= NGX_HTTP_VERSION_20 as ngx_uint_t {
            return false;
        }
        // SAFETY: NULL, or the buffer that the head was read into.
        let buffer = unsafe { (*self.as_ptr()).header_in.as_ref() };
        // A full one may be all that OpenSSL could be asked for, with more that it has decrypted.
        buffer.is_some_and(|buffer| buffer.pos < buffer.last || buffer.last == buffer.end)
            || self.has_bytes_to_read()
    }

    /// Whether the system has bytes of the client's that nginx has not read. Of a connection with TLS
    /// they may be anything, but a client that only waits sends none.
    fn has_bytes_to_read(self) -> bool {
        let mut byte = 0_u8;
        // SAFETY: the request's connection has a socket, and there is room for a byte.
        let count = unsafe {
            let socket = (*(*self.as_ptr()).connection).fd;
            let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            libc::recv(socket, (&raw mut byte).cast(), 1, flags)
        };
        count > 0
    }

    /// Has nginx close the client's connection behind the answer. To be called before the header is sent.
    ///
    /// nginx has a bit for that, `keepalive`, in a structure whose bits are not to be relied on. It takes the
    /// bit away itself where it looks whether a connection has had as many requests as it may have.
    pub fn end_connection(self) {
        // SAFETY: the request is alive and has a connection; nginx calls the function whenever a request
        // comes to a location, and it sets nothing but what the location says.
        unsafe {
            let r = self.as_ptr();
            let (connection, location) = ((*r).connection, (*r).loc_conf);
            let requests = replace(&mut (*connection).requests, ngx_uint_t::MAX);
            ngx_http_update_location_config(r);
            (*connection).requests = requests;
            // It goes into a `limit_except` block, which a handshake's own configuration is not.
            (*r).loc_conf = location;
        }
    }
}
