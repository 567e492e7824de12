//! The end of the configuration: where the module answers.

use nginx_sys::{
    NGX_LOG_EMERG, ngx_conf_t, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_log_t,
    ngx_pool_t, ngx_str_t,
};

use super::handler::{handler, is_close};
use crate::conf::{LocationConf, MainConf};
use crate::nginx::string::{self, Text};
use crate::nginx::{log, pool};

/// Puts up the module's handler wherever it is to answer, and finds out where tunnels are closed.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn arrange(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), ()> {
    // SAFETY: the caller vouches for cf.
    let (pool, log) = unsafe { ((*cf).pool, (*cf).log) };
    let answering = main.levels().filter(|level| level.answers());
    let locations = answering.clone().filter(|level| !is_block(level));
    for location in locations.clone() {
        check(location, log)?;
    }
    // nginx looks for one in `limit_except` as well.
    for level in answering
        .clone()
        .filter(|level| level.core().handler.is_none())
    {
        // SAFETY: the core module's index is set, and the structure is looked at by nothing meanwhile.
        unsafe {
            let core = level.of_module(ngx_http_core_module.ctx_index);
            (*core.cast::<ngx_http_core_loc_conf_t>()).handler = Some(handler);
        }
    }
    for level in answering {
        let own = level.with_above().find(|level| !is_block(level));
        let own = own.filter(|own| closes_at_path(own));
        let beside = || {
            let mut controls = locations.clone().filter(|other| closes_at_path(other));
            controls.find(|other| level.is_beside(other))
        };
        if let Some(control) = own.or_else(beside) {
            // SAFETY: the pool is the configuration's.
            level.close_path.set(unsafe { close_path(pool, control) });
        }
    }
    Ok(())
}

fn is_block(level: &LocationConf) -> bool {
    level.core().noname() != 0
}

/// Whether the module can answer there.
fn check(location: &LocationConf, log: *mut ngx_log_t) -> Result<(), ()> {
    let core = location.core();
    let refuse = |text| {
        log::place(log, NGX_LOG_EMERG, location.answers_at(), text);
        Err(())
    };
    if core.handler.is_some() {
        return refuse(format_args!(
            "\"websocket_status\" and \"websocket_control\" can't stand beside a directive that \
             answers requests, such as \"proxy_pass\","
        ));
    }
    if location.has_control() && core.exact_match() != 0 && !is_close(location.name()) {
        return refuse(format_args!(
            "\"websocket_control\" answers to paths that end in \"/close\", which \
             \"location = {}\" never gets,",
            Text(location.name())
        ));
    }
    Ok(())
}

/// Whether it closes tunnels at a path that can be told.
fn closes_at_path(location: &LocationConf) -> bool {
    location.has_control() && !location.has_expression() && location.core().named() == 0
}

/// The path at which a location closes tunnels.
///
/// # Safety
/// `pool` must be that of the configuration.
unsafe fn close_path(pool: *mut ngx_pool_t, location: &LocationConf) -> ngx_str_t {
    let core = location.core();
    // SAFETY: a location's name lives as long as the configuration; escaped it is ASCII. nginx escapes it
    // as well, but keeps that since 1.21.4 only.
    unsafe {
        let escaped = string::escaped(pool, core.name);
        if core.exact_match() != 0 {
            return escaped;
        }
        let name = string::bytes(&escaped);
        let name = name.strip_suffix(b"/").unwrap_or(name);
        pool::format(pool, format_args!("{}/close", Text(name)))
    }
}
