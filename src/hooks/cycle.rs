//! Whether this process runs a configuration that has the module.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::{ngx_cycle, ngx_cycle_t};

/// The cycle whose configuration has it. nginx has one chain of filters for the process: a configuration that was refused
/// after ours had joined leaves them there, also for the workers of one that never had them.
static CYCLE: AtomicPtr<ngx_cycle_t> = AtomicPtr::new(ptr::null_mut());

/// `init_process`
pub fn init_process(cycle: *mut ngx_cycle_t) {
    CYCLE.store(cycle, Ordering::Relaxed);
}

/// Whether requests have a configuration of the module's.
pub fn is_configured() -> bool {
    // SAFETY: nginx changes it only between requests; it is compared.
    unsafe { ptr::eq(CYCLE.load(Ordering::Relaxed), ngx_cycle.cast_const().cast()) }
}
