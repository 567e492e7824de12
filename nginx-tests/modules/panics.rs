//! An nginx module that panics as nginx starts, to see what becomes of it.

#![no_std]
#![allow(missing_docs)]

use core::ptr;

use nginx_sys::{NGX_CONF_MODULE, ngx_cycle_t, ngx_int_t, ngx_module_t, ngx_uint_t};

#[path = "../../src/panic.rs"]
mod panic;

extern "C" fn init_module(_cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // Of two lines, and longer than nginx would write.
    panic!("on purpose,\nand at length: {:.>3000}", "the end");
}

#[allow(non_upper_case_globals)]
static mut panics_module: ngx_module_t = ngx_module_t {
    type_: NGX_CONF_MODULE as ngx_uint_t,
    init_module: Some(init_module),
    ..ngx_module_t::default()
};

#[allow(non_upper_case_globals)]
mod export {
    use core::ffi::c_char;

    use super::{ngx_module_t, ptr};

    #[unsafe(no_mangle)]
    pub static mut ngx_modules: [*const ngx_module_t; 2] =
        [ptr::addr_of!(super::panics_module), ptr::null()];

    #[unsafe(no_mangle)]
    pub static mut ngx_module_names: [*const c_char; 2] = [c"panics_module".as_ptr(), ptr::null()];

    #[unsafe(no_mangle)]
    pub static mut ngx_module_order: [*const c_char; 1] = [ptr::null()];
}
