//! Before and after nginx reads the http block.

use core::ptr;

use nginx_sys::{
    NGINX_VERSION, NGX_ERROR, NGX_LOG_EMERG, NGX_OK, ngx_array_t, ngx_conf_t, ngx_cycle_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, ngx_int_t, ngx_log_t, ngx_module_t,
};

use super::{access, access_log, cycle, filters, log_phase, off, peer, preaccess, seam, tunnel};
use crate::conf::{MainConf, zone};
use crate::inject::fields::Modules;
use crate::inject::twin;
use crate::nginx::{conf, fit, log, pool};
use crate::{advice, handover, http2, status, variables};

const OK: ngx_int_t = NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;

/// `preconfiguration`: looks whether nginx is the one that this file is for, and makes the variables known.
///
/// # Safety
/// nginx's, with its cf, and the module's table.
pub unsafe fn begin(cf: *mut ngx_conf_t, module: *mut ngx_module_t) -> ngx_int_t {
    // First of all: also where it is refused it has been given a place, which is to be given back.
    // SAFETY: the caller vouches for cf and the table.
    if unsafe { cycle::is_read(cf, module) }.is_none() {
        return ERROR;
    }
    if !fit::has_the_same_connection() {
        // SAFETY: the caller vouches for cf.
        refuse(unsafe { (*cf).log });
        return ERROR;
    }
    filters::remember();
    // SAFETY: the caller vouches for cf.
    let known = unsafe { variables::register(cf).and_then(|()| seam::register(cf)) };
    known.map_or(ERROR, |()| OK)
}

fn refuse(log: *mut ngx_log_t) {
    let version = NGINX_VERSION.to_str().unwrap_or_default();
    log::cycle(
        log,
        NGX_LOG_EMERG,
        format_args!(
            "\"ngx_http_websocket_module\" was built with the headers of another nginx {version} than this one: \
             build it with those of the package that this nginx is from"
        ),
    );
}

/// `postconfiguration`: all levels are merged.
///
/// The filters are joined also where `websocket` is nowhere on: nginx has one chain of them for the process,
/// also for the workers of a configuration in which it is on when another one is read and refused. The
/// phases belong to the configuration. Of one that is refused here no filter is joined: the next one in
/// its chain may be that of a module that goes with it.
pub unsafe extern "C" fn complete(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx calls this in the http context, after the merges.
    unsafe {
        let rc = prepare(cf);
        if rc == OK {
            filters::register();
        } else {
            filters::restore();
        }
        rc
    }
}

/// # Safety
/// As nginx calls [`complete`].
unsafe fn prepare(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: the caller vouches for cf.
    unsafe {
        variables::leave_to_users(cf);
        if variables::refuse_unknown(cf).is_err() {
            return ERROR;
        }
        let main = MainConf::of(cf);
        advice::warn_without_websocket((*cf).log, main);
        if zone::check(cf, main).is_err() || status::arrange(cf, main).is_err() {
            return ERROR;
        }
        let Some(first) = main.levels().find(|level| level.is_on()) else {
            return OK;
        };
        let modules = match Modules::find(cf) {
            Ok(modules) => modules,
            Err(mismatch) => {
                log::place(
                    (*cf).log,
                    NGX_LOG_EMERG,
                    first.place(),
                    format_args!("{mismatch}"),
                );
                return ERROR;
            }
        };
        advice::warn(cf, main, &modules);
        if access_log::find(cf, main).is_err()
            || twin::make_all(cf, main, &modules).is_err()
            || http2::arrange(cf, main).is_none()
            || join_phases(cf, main).is_none()
        {
            return ERROR;
        }
        peer::guard(cf, main);
        handover::arrange(cf, main);
    }
    OK
}

/// `init_module`: a configuration is in force, or has been tested.
pub unsafe extern "C" fn in_force(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx gives a cycle whose configuration has been read.
    unsafe {
        cycle::in_force(cycle);
        advice::check_drains(cycle);
        crate::zone::in_force(cycle);
        tunnel::in_force(cycle);
        handover::in_force(cycle);
    }
    OK
}

/// Preaccess is the first phase in which the location is final; an internal redirect runs it again.
///
/// # Safety
/// `cf` must be in the http context.
unsafe fn join_phases(cf: *mut ngx_conf_t, main: &MainConf) -> Option<()> {
    let post_read: ngx_http_handler_pt = main.has_http2().then_some(http2::post_read as _);
    let preaccess: ngx_http_handler_pt = Some(preaccess::handler);
    let access: ngx_http_handler_pt = Some(access::begin);
    let precontent: ngx_http_handler_pt = Some(access::end);
    let log_phase: ngx_http_handler_pt = Some(log_phase::handler);
    // SAFETY: the caller vouches for cf; the core module has a main conf, with an array of handlers
    // for each phase.
    unsafe {
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let core = core.cast::<ngx_http_core_main_conf_t>();
        for (phase, handler) in [
            (ngx_http_phases_NGX_HTTP_POST_READ_PHASE, post_read),
            (ngx_http_phases_NGX_HTTP_PREACCESS_PHASE, preaccess),
            (ngx_http_phases_NGX_HTTP_ACCESS_PHASE, access),
            (ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, precontent),
            (ngx_http_phases_NGX_HTTP_LOG_PHASE, log_phase),
        ] {
            if handler.is_some() {
                pool::push(handlers(core, phase), handler)?;
            }
        }
        if main.has_http2() {
            let handlers = handlers(core, ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE);
            let last: ngx_http_handler_pt = Some(off::handler);
            pool::push(handlers, last)?;
            // nginx calls those of a phase from the end of the array on.
            let place = (*handlers).elts.cast::<ngx_http_handler_pt>();
            ptr::copy(place, place.add(1), (*handlers).nelts - 1);
            place.write(last);
        }
    }
    Some(())
}

/// # Safety
/// `core` must be the core module's main conf.
unsafe fn handlers(core: *mut ngx_http_core_main_conf_t, phase: u32) -> *mut ngx_array_t {
    // SAFETY: the caller vouches for it.
    unsafe {
        let phases = (&raw mut (*core).phases).cast::<nginx_sys::ngx_http_phase_t>();
        &raw mut (*phases.add(phase as usize)).handlers
    }
}
