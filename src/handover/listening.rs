//! Where a worker listens, for connections that it did not accept itself.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use core::{ptr, slice};

use nginx_sys::{
    NGX_OK, ngx_cmp_sockaddr, ngx_connection_handler_pt, ngx_cycle_t, ngx_http_init_connection,
    ngx_inet_get_port, ngx_int_t, ngx_listening_t, sockaddr, socklen_t,
};

use crate::http2;

/// nginx forgets how many there are when a worker is to exit.
static FIRST: AtomicPtr<ngx_listening_t> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// # Safety
/// `cycle` must be the worker's.
pub unsafe fn remember(cycle: *const ngx_cycle_t) {
    // SAFETY: the caller vouches for the cycle, which has an array of these as long as it lives.
    unsafe {
        FIRST.store((*cycle).listening.elts.cast(), Ordering::Relaxed);
        COUNT.store((*cycle).listening.nelts, Ordering::Relaxed);
    }
}

/// The one that a connection to this address would come from: the one of the address itself, or of all addresses
/// with its port.
///
/// # Safety
/// The address must be as long as it says.
pub unsafe fn find(address: *mut sockaddr, length: socklen_t) -> Option<*mut ngx_listening_t> {
    let first = FIRST.load(Ordering::Relaxed);
    if first.is_null() {
        return None;
    }
    // SAFETY: remember() found so many, which live as long as the worker's cycle; the caller vouches for the
    // address.
    unsafe {
        let all = slice::from_raw_parts(first, COUNT.load(Ordering::Relaxed));
        let ours = || all.iter().filter(|one| is_http(one));
        let same = |one: &&ngx_listening_t| {
            let compared = ngx_cmp_sockaddr(one.sockaddr, one.socklen, address, length, 1);
            compared == NGX_OK as ngx_int_t
        };
        let same_port = |one: &&ngx_listening_t| {
            one.wildcard() != 0
                && (*one.sockaddr).sa_family == (*address).sa_family
                && ngx_inet_get_port(one.sockaddr) == ngx_inet_get_port(address)
        };
        let found = ours().find(same).or_else(|| ours().find(same_port))?;
        Some(ptr::from_ref(found).cast_mut())
    }
}

fn is_http(one: &ngx_listening_t) -> bool {
    let http: ngx_connection_handler_pt = Some(ngx_http_init_connection);
    let is_same = match (one.handler, http) {
        (Some(handler), Some(http)) => ptr::fn_addr_eq(handler, http),
        _ => false,
    };
    one.type_ == libc::SOCK_STREAM && (is_same || http2::stands_at(one))
}
