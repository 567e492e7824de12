//! nginx's own counters of connections and requests, which its module `stub_status` shows.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

use nginx_sys::ngx_atomic_t;

/// One more connection is open: nginx counts it off when it closes it.
pub fn is_active() {
    add(c"ngx_stat_active", 1);
}

/// A request is about to be counted that has been counted before.
pub fn was_counted() {
    add(c"ngx_stat_requests", -1);
}

/// The file is one for every nginx of a version: only one that was built with `stub_status` has counters.
fn add(name: &CStr, more: isize) {
    // SAFETY: the name is a string. What nginx calls so is a pointer, set before there is any worker, to a word that
    // all workers write to by atomics.
    unsafe {
        let counter = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).cast::<*mut ngx_atomic_t>();
        if let Some(counter) = counter.as_ref().filter(|counter| !counter.is_null()) {
            AtomicUsize::from_ptr((*counter).cast()).fetch_add(more as usize, Ordering::Relaxed);
        }
    }
}
