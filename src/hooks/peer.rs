//! Keeps handshakes and HTTP/2 apart among the connections that an upstream block keeps.
//!
//! A kept connection knows no protocol: nginx gives it to whoever comes next, unless the block keeps
//! connections by location. Where a location speaks HTTP/2 to its upstream, its handshakes, which
//! can't, get connections of their own and leave none behind.

use core::ffi::c_void;

use nginx_sys::{
    NGX_DONE, NGX_ERROR, NGX_OK, ngx_conf_t, ngx_event_free_peer_pt, ngx_event_get_peer_pt,
    ngx_event_notify_peer_pt, ngx_http_request_t, ngx_http_upstream_main_conf_t,
    ngx_http_upstream_module, ngx_http_upstream_srv_conf_t, ngx_http_upstream_t, ngx_int_t,
    ngx_peer_connection_t, ngx_uint_t,
};

use crate::conf::{LocationConf, MainConf, PeerConf};
use crate::nginx::{Request, conf, kept, pool};

/// Stands in front of the upstream blocks' choice of a server, if a location needs it.
///
/// # Safety
/// `cf` must be in the http context, with the twins made.
pub unsafe fn guard(cf: *mut ngx_conf_t, main: &MainConf) {
    if !main.levels().any(|level| level.twins.get().apart) {
        return;
    }
    // SAFETY: the caller vouches for cf; the upstream module keeps its blocks in an array, and a block
    // that was written has a structure of each module.
    unsafe {
        let upstreams = conf::main(cf, ngx_http_upstream_module.ctx_index);
        let upstreams = &raw const (*upstreams.cast::<ngx_http_upstream_main_conf_t>()).upstreams;
        for &block in pool::elements::<*mut ngx_http_upstream_srv_conf_t>(upstreams) {
            if let Some(ours) = PeerConf::of(block) {
                ours.init.set((*block).peer.init.replace(init));
            }
        }
    }
}

/// nginx chooses a server for a request.
unsafe extern "C" fn init(
    r: *mut ngx_http_request_t,
    block: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive, and the block in which guard() put this.
    unsafe {
        let original = PeerConf::of(block).and_then(|ours| ours.init.get());
        let rc = original.map_or(NGX_ERROR as ngx_int_t, |original| original(r, block));
        let request = Request::new(r);
        let twins = LocationConf::of(request).twins.get();
        if rc != NGX_OK as ngx_int_t || !twins.apart || !request.is_in(twins.handshake) {
            return rc;
        }
        let upstream = (*r).upstream;
        let peer = &raw mut (*upstream).peer;
        let ours = Apart {
            upstream,
            data: (*peer).data,
            get: (*peer).get,
            free: (*peer).free,
            notify: (*peer).notify,
            #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
            set_session: (*peer).set_session,
            #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
            save_session: (*peer).save_session,
        };
        let Some(ours) = pool::place((*r).pool, ours) else {
            return NGX_ERROR as ngx_int_t;
        };
        (*peer).data = ours.as_ptr().cast();
        (*peer).get = Some(get);
        (*peer).free = Some(free);
        (*peer).notify = (*peer).notify.map(|_| notify as Notify);
        #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
        {
            (*peer).set_session = (*peer).set_session.map(|_| session::set as session::Set);
            (*peer).save_session = (*peer).save_session.map(|_| session::save as session::Save);
        }
        rc
    }
}

/// What a handshake's upstream would have without us.
#[derive(Clone, Copy)]
struct Apart {
    upstream: *mut ngx_http_upstream_t,
    data: *mut c_void,
    get: ngx_event_get_peer_pt,
    free: ngx_event_free_peer_pt,
    notify: ngx_event_notify_peer_pt,
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    set_session: nginx_sys::ngx_event_set_peer_session_pt,
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    save_session: nginx_sys::ngx_event_save_peer_session_pt,
}

type Notify = unsafe extern "C" fn(*mut ngx_peer_connection_t, *mut c_void, ngx_uint_t);

/// A connection that was kept is closed, and nginx opens another.
unsafe extern "C" fn get(peer: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx gives what init() put there, with the peer that it belongs to.
    unsafe {
        let ours = *data.cast::<Apart>();
        let Some(original) = ours.get else {
            return NGX_ERROR as ngx_int_t;
        };
        let rc = original(peer, ours.data);
        if rc != NGX_DONE as ngx_int_t || (*peer).connection.is_null() {
            return rc;
        }
        kept::close(peer);
        NGX_OK as ngx_int_t
    }
}

/// The handshake's own connection is not kept.
unsafe extern "C" fn free(peer: *mut ngx_peer_connection_t, data: *mut c_void, state: ngx_uint_t) {
    // SAFETY: as in get(); the upstream lives as long as its peer.
    unsafe {
        let ours = *data.cast::<Apart>();
        (*ours.upstream).set_keepalive(0);
        if let Some(original) = ours.free {
            original(peer, ours.data, state);
        }
    }
}

unsafe extern "C" fn notify(peer: *mut ngx_peer_connection_t, data: *mut c_void, kind: ngx_uint_t) {
    // SAFETY: as in get().
    unsafe {
        let ours = *data.cast::<Apart>();
        if let Some(original) = ours.notify {
            original(peer, ours.data, kind);
        }
    }
}

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
mod session {
    use core::ffi::c_void;

    use nginx_sys::{NGX_ERROR, ngx_int_t, ngx_peer_connection_t};

    use super::Apart;

    pub type Set = unsafe extern "C" fn(*mut ngx_peer_connection_t, *mut c_void) -> ngx_int_t;
    pub type Save = unsafe extern "C" fn(*mut ngx_peer_connection_t, *mut c_void);

    pub unsafe extern "C" fn set(peer: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
        // SAFETY: nginx gives what init() put there, with the peer that it belongs to.
        unsafe {
            let ours = *data.cast::<Apart>();
            ours.set_session
                .map_or(NGX_ERROR as ngx_int_t, |original| original(peer, ours.data))
        }
    }

    pub unsafe extern "C" fn save(peer: *mut ngx_peer_connection_t, data: *mut c_void) {
        // SAFETY: as in set().
        unsafe {
            let ours = *data.cast::<Apart>();
            if let Some(original) = ours.save_session {
                original(peer, ours.data);
            }
        }
    }
}
