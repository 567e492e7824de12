//! Takes a tunnel away from nginx: both connections are closed and the request is freed, without a word to either
//! side or to the log, and the sockets live on.

use nginx_sys::{
    ngx_array_t, ngx_connection_t, ngx_http_close_connection, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_free_request, ngx_http_phase_t,
    ngx_http_phases_NGX_HTTP_LOG_PHASE, ngx_http_read_client_request_body, ngx_http_request_t,
};

use super::parcel::{Descriptor, Sockets};
use crate::nginx::{Request, Upstream, events};

/// Whether a tunnel can be taken away at all.
pub fn is_possible(r: Request<'_>, u: Upstream<'_>) -> bool {
    // SAFETY: the request is alive, so it has a connection.
    let is_idle = unsafe {
        let request = &*r.as_ptr();
        // nginx counts a reference to a request when it is asked for a body that it has already.
        !request.request_body.is_null()
            && request.out.is_null()
            // A thread may read a file into its memory, for a mirror that has a cache.
            && request.blocked() == 0
            && (*request.connection).buffered() == 0
    };
    is_idle
        && r.is_main()
        && !r.is_stream()
        && !r.has_body()
        && !r.is_secure()
        && u.connection().is_some_and(|connection| {
            // SAFETY: it is open.
            !is_tls(unsafe { connection.as_ref() })
        })
}

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
fn is_tls(connection: &ngx_connection_t) -> bool {
    !connection.ssl.is_null()
}

#[cfg(not(any(ngx_feature = "ssl", ngx_feature = "compat")))]
fn is_tls(_: &ngx_connection_t) -> bool {
    false
}

/// Other descriptors for both sockets. `None`: there are no more.
///
/// # Safety
/// Both connections must be open.
pub unsafe fn sockets(r: Request<'_>, u: Upstream<'_>) -> Option<Sockets> {
    // SAFETY: the caller vouches for the connections.
    unsafe {
        Some(Sockets {
            client: Descriptor::copy((*(*r.as_ptr()).connection).fd)?,
            upstream: Descriptor::copy(u.connection()?.as_ref().fd)?,
        })
    }
}

/// Takes it away. The request is gone after that, and its memory.
///
/// # Safety
/// It must be [possible](is_possible), with nothing of the request under way, and no reference to it left.
pub unsafe fn detach(r: *mut ngx_http_request_t) {
    // SAFETY: the caller vouches for the request, whose connections are open. nginx frees a request by these
    // two calls itself; what is to be done before, it does by the functions that are put up for that.
    unsafe {
        let client = (*r).connection;
        events::forget(client);
        events::forget((*(*r).upstream).peer.connection);
        // What ends the upstream's part would end the request, too, if it were the last to refer to it.
        ngx_http_read_client_request_body(r, Some(nothing));
        without_log(r, || ngx_http_free_request(r, 0));
        ngx_http_close_connection(client);
    }
}

unsafe extern "C" fn nothing(_: *mut ngx_http_request_t) {}

/// Does something while nginx has no functions for its log phase: its own mark of a request that has been logged is
/// in a structure whose bits are not to be relied on.
///
/// # Safety
/// The request must be alive.
unsafe fn without_log(r: *mut ngx_http_request_t, act: impl FnOnce()) {
    // SAFETY: the caller vouches for the request, whose configuration outlives it; the core module's has an
    // array of functions for each phase.
    unsafe {
        let core = *(*r).main_conf.add(ngx_http_core_module.ctx_index);
        let phases = &raw mut (*core.cast::<ngx_http_core_main_conf_t>()).phases;
        let phase = phases
            .cast::<ngx_http_phase_t>()
            .add(ngx_http_phases_NGX_HTTP_LOG_PHASE as usize);
        let functions: *mut ngx_array_t = &raw mut (*phase).handlers;
        let count = core::mem::replace(&mut (*functions).nelts, 0);
        act();
        (*functions).nelts = count;
    }
}
