//! What another module's directive does to a location, seen by running it on one that no request
//! comes to.

use core::ffi::{CStr, c_void};
use core::{mem, ptr};

use nginx_sys::{
    ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_handler_pt, ngx_http_max_module, ngx_http_module_t,
    ngx_http_upstream_main_conf_t, ngx_http_upstream_module, ngx_module_t, ngx_pcalloc, ngx_pool_t,
    ngx_str_t,
};

use crate::nginx::{conf, pool, string};

/// What the directive has made of the location.
pub struct Probed {
    /// The module's own structure.
    pub location: *mut c_void,
    pub handler: ngx_http_handler_pt,
}

/// Runs a directive with one word. What it would add to the whole configuration, a variable or an
/// upstream, is thrown away. `None` where the module has no such directive or refuses, which it has
/// said, or where there is no memory.
///
/// # Safety
/// `cf` must be in the http context.
pub unsafe fn run(
    cf: *mut ngx_conf_t,
    module: &ngx_module_t,
    directive: &'static [u8],
    word: &'static CStr,
) -> Option<Probed> {
    // SAFETY: the caller vouches for cf, which gets its fields back before anyone else looks. All
    // that is made lies in the configuration's own pool, as nginx may keep parts of it. For all
    // these structures zeros are a valid beginning, and `upstreams` is made an array.
    unsafe {
        let memory = (*cf).pool;
        let command = ptr::from_ref(conf::command(module, directive)?).cast_mut();
        let functions = &*module.ctx.cast::<ngx_http_module_t>();
        let (create, set) = (functions.create_loc_conf?, (*command).set?);
        let location = create(cf);
        if location.is_null() {
            return None;
        }
        let core = zeroed::<ngx_http_core_loc_conf_t>(memory)?;
        let upstreams = zeroed::<ngx_http_upstream_main_conf_t>(memory)?;
        (*upstreams).upstreams = *pool::array::<*mut c_void>(memory, 1)?;
        let variables = zeroed::<ngx_http_core_main_conf_t>(memory)?;

        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let mut throw_away = *context;
        throw_away.loc_conf = slots(memory, ptr::null())?;
        *throw_away.loc_conf.add(ngx_http_core_module.ctx_index) = core.cast();
        *throw_away.loc_conf.add(module.ctx_index) = location;
        throw_away.main_conf = slots(memory, (*context).main_conf)?;
        *throw_away.main_conf.add(ngx_http_core_module.ctx_index) = variables.cast();
        *throw_away.main_conf.add(ngx_http_upstream_module.ctx_index) = upstreams.cast();

        let words = pool::array::<ngx_str_t>(memory, 2)?;
        pool::push(words, (*command).name)?;
        pool::push(words, string::constant(word))?;

        let args = mem::replace(&mut (*cf).args, words);
        (*cf).ctx = (&raw mut throw_away).cast();
        let rv = set(cf, command, location);
        ((*cf).ctx, (*cf).args) = (context.cast(), args);
        (rv == conf::OK).then(|| Probed {
            location,
            handler: (*core).handler,
        })
    }
}

/// # Safety
/// `memory` must be valid, and all zeros a valid `T`.
unsafe fn zeroed<T>(memory: *mut ngx_pool_t) -> Option<*mut T> {
    // SAFETY: the caller vouches for the pool; ngx_pcalloc() aligns to NGX_ALIGNMENT.
    let place = unsafe { ngx_pcalloc(memory, size_of::<T>()) }.cast::<T>();
    (!place.is_null()).then_some(place)
}

/// An array with a slot for each module's structure, filled from another one unless that is NULL.
///
/// # Safety
/// `memory` must be valid, and `from` such an array.
unsafe fn slots(memory: *mut ngx_pool_t, from: *const *mut c_void) -> Option<*mut *mut c_void> {
    // SAFETY: the caller vouches for both; the number of http modules is known by now.
    unsafe {
        let count = ngx_http_max_module;
        let size = count.checked_mul(size_of::<*mut c_void>())?;
        let slots = ngx_pcalloc(memory, size).cast::<*mut c_void>();
        if slots.is_null() {
            return None;
        }
        if !from.is_null() {
            ptr::copy_nonoverlapping(from, slots, count);
        }
        Some(slots)
    }
}
