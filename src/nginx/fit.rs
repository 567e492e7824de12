//! Whether nginx has the structures that this file was built for.
//!
//! nginx compares its version and a signature of its options. It cannot know what those that ship it have changed:
//! Debian 12's nginx 1.22.1 has one bit more in `ngx_connection_t` than nginx.org's, and to a file for the
//! other one all bits behind it are their neighbours.

use core::mem;

use nginx_sys::{
    NGX_OK, ngx_connection_t, ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_SET, ngx_int_t, ngx_log_t, ngx_tcp_nodelay,
};

/// Asks nginx for a field that stands behind all bits of a connection that are used here. It has two bits: nginx finds
/// something in it, whichever of the two is set, only where it is for nginx what it is for this file.
pub fn has_the_same_connection() -> bool {
    [
        ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_SET,
        ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED,
    ]
    .into_iter()
    .all(finds_nodelay)
}

/// nginx does nothing to a connection whose `tcp_nodelay` is set to anything. Else it asks the system to
/// set it, which fails for want of a socket.
fn finds_nodelay(value: u32) -> bool {
    // SAFETY: of both, all zeroes are a value; such a log takes no line. nginx looks at nothing else.
    unsafe {
        let mut log: ngx_log_t = mem::zeroed();
        let mut connection: ngx_connection_t = mem::zeroed();
        connection.fd = -1;
        connection.log = &raw mut log;
        connection.set_tcp_nodelay(value);
        ngx_tcp_nodelay(&raw mut connection) == NGX_OK as ngx_int_t
    }
}
