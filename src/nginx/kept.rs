//! A connection that an upstream block has kept (`keepalive`), where another one is needed.

use core::ptr;

use nginx_sys::{ngx_close_connection, ngx_connection_t, ngx_destroy_pool, ngx_peer_connection_t};

/// Closes the connection that the balancer has chosen, if there is one, as `ngx_http_upstream_keepalive_close()` does.
///
/// # Safety
/// It must be one that was kept: open, with nothing under way.
pub unsafe fn close(peer: *mut ngx_peer_connection_t) {
    // SAFETY: the caller vouches for the connection, which nobody but the peer has.
    unsafe {
        let connection = ptr::replace(&raw mut (*peer).connection, ptr::null_mut());
        (*peer).set_cached(0);
        if connection.is_null() {
            return;
        }
        end_tls(connection);
        if !(*connection).pool.is_null() {
            ngx_destroy_pool((*connection).pool);
        }
        ngx_close_connection(connection);
    }
}

/// Frees what it has of TLS, without a goodbye.
///
/// # Safety
/// As for [`close`].
#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
unsafe fn end_tls(connection: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection. Nothing is sent or waited for, so that nothing is left to be done.
    unsafe {
        if !(*connection).ssl.is_null() {
            super::tls::leave_at_once(connection);
            let _ = nginx_sys::ngx_ssl_shutdown(connection);
        }
    }
}

/// # Safety
/// None is needed.
#[cfg(not(any(ngx_feature = "ssl", ngx_feature = "compat")))]
unsafe fn end_tls(_connection: *mut ngx_connection_t) {}
