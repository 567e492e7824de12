//! nginx module that carries, checks and explains WebSocket connections.
//!
//! For nginx it is an auxiliary HTTP filter. Its layers, each of which uses only those below it:
//! `hooks`, `status`, `variables`, `handover`, `failure`, `request`, `http2`, `tunnel`, `zone`, `advice`, `inject`, `conf`, `types`, `nginx`.

#![no_std]
// The C interface is the only one there is; its documentation is ARCHITECTURE.md.
#![allow(missing_docs)]

use core::ptr;

use nginx_sys::{
    NGX_HTTP_MODULE, ngx_conf_t, ngx_http_module_t, ngx_int_t, ngx_module_t, ngx_uint_t,
};

mod advice;
mod conf;
mod failure;
mod handover;
mod hooks;
mod http2;
mod inject;
mod nginx;
mod panic;
mod request;
mod status;
mod tunnel;
mod types;
mod variables;
mod zone;

static mut CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(begin),
    postconfiguration: Some(hooks::configuration::complete),
    create_main_conf: Some(conf::main::create),
    init_main_conf: None,
    create_srv_conf: Some(conf::peer::create),
    merge_srv_conf: None,
    create_loc_conf: Some(conf::merge::create),
    merge_loc_conf: Some(conf::merge::merge),
};

#[allow(non_upper_case_globals)]
#[cfg_attr(not(feature = "export-modules"), unsafe(no_mangle))]
pub static mut ngx_http_websocket_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of_mut!(CONTEXT).cast(),
    commands: ptr::addr_of_mut!(conf::directives::COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(hooks::configuration::in_force),
    init_process: Some(hooks::tunnel::init_process),
    exit_process: Some(hooks::tunnel::exit_process),
    ..ngx_module_t::default()
};

/// `preconfiguration`: nginx has given the module its place by now.
unsafe extern "C" fn begin(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx writes to the table only while it loads modules.
    nginx::module::set_index(unsafe { ngx_http_websocket_module.ctx_index });
    // SAFETY: nginx's own call, with its cf.
    unsafe { hooks::configuration::begin(cf, ptr::addr_of_mut!(ngx_http_websocket_module)) }
}

/// The tables nginx reads from a dynamic module (`ngx_load_module()`).
#[cfg(feature = "export-modules")]
#[allow(non_upper_case_globals)]
mod export {
    use core::ffi::{CStr, c_char};
    use core::ptr;

    use nginx_sys::ngx_module_t;

    const MODULE: &CStr = c"ngx_http_websocket_module";

    #[unsafe(no_mangle)]
    pub static mut ngx_modules: [*const ngx_module_t; 2] =
        [ptr::addr_of!(super::ngx_http_websocket_module), ptr::null()];

    #[unsafe(no_mangle)]
    pub static mut ngx_module_names: [*const c_char; 2] = [MODULE.as_ptr(), ptr::null()];

    /// Where auxiliary filters stand: nginx puts a module before the first of those that follow it
    /// here.
    #[unsafe(no_mangle)]
    pub static mut ngx_module_order: [*const c_char; 3] = [
        MODULE.as_ptr(),
        c"ngx_http_copy_filter_module".as_ptr(),
        ptr::null(),
    ];
}
