//! Functions of nginx's phases that a tunnel has passed before it is handed over, and that would count it once more
//! or ask elsewhere. What stands in front of them lets it by; for all other requests they are what they were.

use core::ffi::CStr;

use nginx_sys::{
    NGX_DECLINED, NGX_OK, ngx_array_t, ngx_conf_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_handler_pt, ngx_http_module_t, ngx_http_phase_t,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_request_t, ngx_int_t,
};

use super::replay::is_arriving;
use crate::conf::MainConf;
use crate::nginx::{Request, conf, pool};
use crate::types::Handover;

const PASS: ngx_int_t = NGX_DECLINED as ngx_int_t;

/// Stands in front of them, where tunnels are handed over.
///
/// # Safety
/// `cf` must be in the http context, with all modules that come before this one set up.
pub unsafe fn arrange(cf: *mut ngx_conf_t, main: &MainConf) {
    let Some(handover) = main.handover() else {
        return;
    };
    let passed = &main.passed;
    // SAFETY: the caller vouches for cf.
    unsafe {
        let preaccess = ngx_http_phases_NGX_HTTP_PREACCESS_PHASE;
        let found = stand_before(cf, c"ngx_http_limit_conn_module", preaccess, limit_conn);
        passed.limit_conn.set(found);
        let found = stand_before(cf, c"ngx_http_limit_req_module", preaccess, limit_req);
        passed.limit_req.set(found);
        if handover == Handover::Trust {
            let access = ngx_http_phases_NGX_HTTP_ACCESS_PHASE;
            let found = stand_before(cf, c"ngx_http_auth_request_module", access, auth_request);
            passed.auth_request.set(found);
        }
    }
}

type Handler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

/// Puts a function in the place of a module's, and gives back that. Modules that are not there have none.
///
/// A module's function has no name outside; it is what the module puts up in its phase, which it is asked to do
/// once more.
///
/// # Safety
/// As [`arrange`].
unsafe fn stand_before(
    cf: *mut ngx_conf_t,
    module: &CStr,
    phase: u32,
    ours: Handler,
) -> ngx_http_handler_pt {
    // SAFETY: the caller vouches for cf; the core module has a main conf, with an array of functions for each
    // phase.
    unsafe {
        let module = conf::module((*cf).cycle, module)?;
        let put_up = (*module.ctx.cast::<ngx_http_module_t>()).postconfiguration?;
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let phases = &raw mut (*core.cast::<ngx_http_core_main_conf_t>()).phases;
        let phase = phases.cast::<ngx_http_phase_t>().add(phase as usize);
        let functions: *mut ngx_array_t = &raw mut (*phase).handlers;
        let before = (*functions).nelts;
        let rc = put_up(cf);
        let added = (*functions).nelts.checked_sub(before);
        let last = pool::elements::<ngx_http_handler_pt>(functions)
            .last()
            .copied();
        (*functions).nelts = before;
        let theirs = last
            .flatten()
            .filter(|_| rc == NGX_OK as ngx_int_t && added == Some(1))?;
        let all = (*functions).elts.cast::<ngx_http_handler_pt>();
        let is_it = |at: &usize| {
            (*all.add(*at)).is_some_and(|function| core::ptr::fn_addr_eq(function, theirs))
        };
        *all.add((0..before).find(is_it)?) = Some(ours);
        Some(theirs)
    }
}

/// A tunnel is counted where it is. While it was between two workers nobody counted it, and others may have taken
/// its place: it was there before them, and goes on.
unsafe extern "C" fn limit_conn(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    let rc = call(r, MainConf::of_request(r).passed.limit_conn.get());
    if is_arriving(r) { PASS } else { rc }
}

/// A tunnel needs no second ticket.
unsafe extern "C" fn limit_req(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    if is_arriving(r) {
        return PASS;
    }
    call(r, MainConf::of_request(r).passed.limit_req.get())
}

/// A tunnel that is trusted was let in once.
unsafe extern "C" fn auth_request(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    if is_arriving(r) {
        return NGX_OK as ngx_int_t;
    }
    call(r, MainConf::of_request(r).passed.auth_request.get())
}

fn call(r: Request<'_>, theirs: ngx_http_handler_pt) -> ngx_int_t {
    // SAFETY: nginx's own function, with what nginx gave us.
    theirs.map_or(PASS, |theirs| unsafe { theirs(r.as_ptr()) })
}
