//! What nginx's event method knows of a connection.

use nginx_sys::{NGX_OK, ngx_connection_t, ngx_event_actions, ngx_int_t};

/// The kernel goes on telling of a socket whose descriptor is closed if there is another.
///
/// # Safety
/// The connection must be open.
pub unsafe fn forget(connection: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection; a method's functions are set before any connection.
    unsafe {
        let is_known = (*(*connection).read).active() != 0 || (*(*connection).write).active() != 0;
        if let (true, Some(forget)) = (is_known, ngx_event_actions.del_conn) {
            forget(connection, 0);
        }
    }
}

/// Has nginx's event method tell of a connection, and of what has come meanwhile. Whether it can.
///
/// # Safety
/// The connection must be open and unknown to it.
pub unsafe fn know(connection: *mut ngx_connection_t) -> bool {
    // SAFETY: as in forget().
    unsafe {
        (*(*connection).read).set_active(0);
        (*(*connection).write).set_active(0);
        let know = ngx_event_actions.add_conn;
        know.is_some_and(|know| know(connection) == NGX_OK as ngx_int_t)
    }
}
