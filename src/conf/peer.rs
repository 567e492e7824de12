//! What the module keeps for an upstream block.

use core::cell::Cell;
use core::ffi::c_void;

use nginx_sys::{
    ngx_conf_t, ngx_http_upstream_init_peer_pt, ngx_http_upstream_srv_conf_t, ngx_pcalloc,
};

use crate::nginx::module;

pub struct PeerConf {
    /// How the block chooses a server, where the module stands in front of it.
    pub init: Cell<ngx_http_upstream_init_peer_pt>,
}

impl PeerConf {
    /// `None` for an upstream that was written without a block.
    ///
    /// # Safety
    /// `block` must be one of the configuration's.
    pub unsafe fn of<'a>(block: *const ngx_http_upstream_srv_conf_t) -> Option<&'a Self> {
        // SAFETY: the caller vouches for the block; its array has a slot for each module.
        unsafe {
            let all = (*block).srv_conf;
            if all.is_null() {
                return None;
            }
            (*all.add(module::index())).cast::<Self>().as_ref()
        }
    }
}

/// `create_srv_conf`
pub unsafe extern "C" fn create(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx gives a valid cf; all zeros is a structure that has nothing.
    unsafe { ngx_pcalloc((*cf).pool, size_of::<PeerConf>()) }
}
