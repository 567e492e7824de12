//! nginx module that carries, checks and explains WebSocket connections.
//!
//! Two nginx modules share this object. `ngx_http_websocket_module` stands before the proxying
//! modules, so that it sees every location before they merge it. `ngx_http_websocket_filter_module`
//! is an auxiliary filter: a filter installed by a module that stands that early would be
//! overwritten by nginx's own.

#![no_std]
// The C interface is the only one there is; its documentation is ARCHITECTURE.md.
#![allow(missing_docs)]

use core::ptr;

use nginx_sys::{NGX_HTTP_MODULE, ngx_http_module_t, ngx_module_t, ngx_uint_t};

mod advice;
mod context;
mod detect;
mod diagnose;
mod directives;
mod filter;
mod inject;
mod listen;
mod location;
mod log;
mod main_conf;
mod nginx;
mod origin;
mod panic;
mod report;
mod seam;
mod tries;
mod tunnel;
mod variables;
mod verify;

static mut WEBSOCKET_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(variables::register),
    postconfiguration: Some(detect::register),
    create_main_conf: Some(main_conf::create),
    init_main_conf: Some(main_conf::init),
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(location::create),
    merge_loc_conf: Some(location::merge),
};

static mut FILTER_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(filter::register),
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: None,
    merge_loc_conf: None,
};

#[allow(non_upper_case_globals)]
#[cfg_attr(not(feature = "export-modules"), unsafe(no_mangle))]
pub static mut ngx_http_websocket_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of_mut!(WEBSOCKET_CONTEXT).cast(),
    commands: ptr::addr_of_mut!(directives::COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(advice::check_drains),
    init_process: Some(tunnel::drain::init_process),
    exit_process: Some(tunnel::buffers::exit_process),
    ..ngx_module_t::default()
};

#[allow(non_upper_case_globals)]
#[cfg_attr(not(feature = "export-modules"), unsafe(no_mangle))]
pub static mut ngx_http_websocket_filter_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of_mut!(FILTER_CONTEXT).cast(),
    commands: ptr::null_mut(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..ngx_module_t::default()
};

/// The tables nginx reads from a dynamic module (`ngx_load_module()`).
#[cfg(feature = "export-modules")]
#[allow(non_upper_case_globals)]
mod export {
    use core::ffi::{CStr, c_char};
    use core::ptr;

    use nginx_sys::ngx_module_t;

    const MODULE: &CStr = c"ngx_http_websocket_module";
    const FILTER: &CStr = c"ngx_http_websocket_filter_module";

    #[unsafe(no_mangle)]
    pub static mut ngx_modules: [*const ngx_module_t; 3] = [
        ptr::addr_of!(super::ngx_http_websocket_module),
        ptr::addr_of!(super::ngx_http_websocket_filter_module),
        ptr::null(),
    ];

    #[unsafe(no_mangle)]
    pub static mut ngx_module_names: [*const c_char; 3] =
        [MODULE.as_ptr(), FILTER.as_ptr(), ptr::null()];

    /// nginx puts each of our modules before the first of those that follow it here.
    #[unsafe(no_mangle)]
    pub static mut ngx_module_order: [*const c_char; 7] = [
        MODULE.as_ptr(),
        c"ngx_http_proxy_module".as_ptr(),
        c"ngx_http_uwsgi_module".as_ptr(),
        c"ngx_http_scgi_module".as_ptr(),
        FILTER.as_ptr(),
        c"ngx_http_copy_filter_module".as_ptr(),
        ptr::null(),
    ];
}
