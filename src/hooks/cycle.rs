//! Whether this process runs a configuration that has the module.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use nginx_sys::{
    NGX_PROCESS_SINGLE, ngx_conf_t, ngx_cycle, ngx_cycle_t, ngx_module_t, ngx_pool_cleanup_add,
    ngx_process, ngx_uint_t,
};

/// The cycle whose configuration has it. nginx has one chain of filters for the process: a configuration that was refused
/// after ours had joined leaves them there, also for the workers of one that never had them.
static CYCLE: AtomicPtr<ngx_cycle_t> = AtomicPtr::new(ptr::null_mut());

/// How many cycles of this process have it.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A configuration that has it is being read. `None`: there is no memory.
///
/// # Safety
/// nginx's cf, and the module's table.
pub unsafe fn is_read(cf: *mut ngx_conf_t, module: *mut ngx_module_t) -> Option<()> {
    // SAFETY: the caller vouches for cf, whose cycle has a pool.
    let cleanup = unsafe {
        let cycle = (*cf).cycle;
        let cleanup = ngx_pool_cleanup_add((*cycle).pool, size_of::<Known>()).as_mut()?;
        cleanup.data.cast::<Known>().write(Known { cycle, module });
        cleanup
    };
    cleanup.handler = Some(goes);
    COUNT.fetch_add(1, Ordering::Relaxed);
    Some(())
}

/// `init_module`: without a master process there is no other time.
pub fn in_force(cycle: *mut ngx_cycle_t) {
    // SAFETY: nginx sets it as it starts.
    if unsafe { ngx_process } == NGX_PROCESS_SINGLE as ngx_uint_t {
        init_process(cycle);
    }
}

/// `init_process`
pub fn init_process(cycle: *mut ngx_cycle_t) {
    CYCLE.store(cycle, Ordering::Relaxed);
}

/// Whether requests have a configuration of the module's.
pub fn is_configured() -> bool {
    // SAFETY: nginx changes it only between requests; it is compared.
    unsafe { ptr::eq(CYCLE.load(Ordering::Relaxed), ngx_cycle.cast_const().cast()) }
}

struct Known {
    cycle: *mut ngx_cycle_t,
    module: *mut ngx_module_t,
}

/// Its cycle goes. With the last one the module gives its place among those of HTTP back, as it would if it were
/// unloaded: `ngx_count_modules()` may give that to another, and gives none to one that has one.
unsafe extern "C" fn goes(known: *mut c_void) {
    // SAFETY: is_read() wrote it, and the table is there as long as the process.
    let (cycle, module) = unsafe {
        let known = &*known.cast::<Known>();
        (known.cycle, &mut *known.module)
    };
    let _ = CYCLE.compare_exchange(cycle, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed);
    if COUNT.fetch_sub(1, Ordering::Relaxed) == 1 {
        module.ctx_index = UNSET;
    }
}

/// `NGX_MODULE_UNSET_INDEX`
const UNSET: ngx_uint_t = ngx_uint_t::MAX;
