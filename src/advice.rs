//! What `nginx -t` warns of: what cannot work, or does something else than it seems, in the
//! configuration as it is after the merge.

use core::ffi::CStr;

use nginx_sys::{
    NGX_LOG_WARN, NGX_OK, ngx_conf_t, ngx_core_conf_t, ngx_core_module, ngx_cycle_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_int_t, ngx_keyval_t, ngx_log_t,
};

use crate::conf::{LocationConf, MainConf};
use crate::inject::fields::{Modules, Proxying};
use crate::inject::lines::mentions_upgrade;
use crate::inject::twin::handler_around;
use crate::nginx::conf::Place;
use crate::nginx::{log, pool, string};
use crate::types::OtherUpgrades;

/// Every level has been merged. Who does not use the module is not advised by it.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn warn(cf: *mut ngx_conf_t, main: &MainConf, modules: &Modules) {
    // SAFETY: the caller vouches for cf.
    let log = unsafe { (*cf).log };
    let advised = main.levels().filter(|level| level.has_advice());
    let on = advised.clone().filter(|level| level.is_on());
    for level in on.clone().filter(|level| handler_around(level).is_some()) {
        if let Some(note) = level.written() {
            note.is_used.set(true);
        }
    }
    for note in on.filter_map(LocationConf::written) {
        if !note.is_used.get() && note.is_news() {
            log::place(
                log,
                NGX_LOG_WARN,
                note.place,
                format_args!("\"websocket on\" has no effect: no location under it proxies"),
            );
        }
    }
    for level in advised {
        let handler = handler_around(level);
        if handler.is_none() {
            continue;
        }
        if level.is_on() {
            warn_of_times(log, level);
        }
        let Some(proxy) = modules.proxy().filter(|proxy| proxy.is(handler)) else {
            continue;
        };
        // SAFETY: the level was merged, and this is its structure of the proxy module.
        let headers = unsafe { headers(proxy, level) };
        if level.is_on() {
            warn_of_headers(log, level, headers);
        } else if headers.iter().any(forwards_any_upgrade) {
            warn_of_hand_written(log, level);
        }
    }
}

/// Lines that break a handshake, and lines that are no longer needed.
fn warn_of_headers(log: *mut ngx_log_t, level: &LocationConf, headers: &[ngx_keyval_t]) {
    for line in headers {
        // SAFETY: a line's words live as long as the configuration.
        let (name, value) = unsafe { (string::bytes(&line.key), string::bytes(&line.value)) };
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        let is_lost =
            value.is_empty() && (is(b"Sec-WebSocket-Protocol") || is(b"Sec-WebSocket-Extensions"));
        let is_needless = level.other_upgrades() != OtherUpgrades::Pass
            && ((is(b"Upgrade") && !value.is_empty())
                || (is(b"Connection") && mentions_upgrade(value)));
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        if is_lost {
            warn_here(
                log,
                level,
                format_args!("\"proxy_set_header {name} \\\"\\\"\" takes it from handshakes"),
            );
        } else if is_needless {
            warn_here(
                log,
                level,
                format_args!("\"proxy_set_header {name} {value}\" is not needed any more"),
            );
        }
    }
}

fn warn_of_times(log: *mut ngx_log_t, level: &LocationConf) {
    if let (Some(ping), Some(timeout)) = (level.ping(), level.tunnel_timeout()) {
        if timeout < ping.interval {
            log::place(
                log,
                NGX_LOG_WARN,
                level
                    .ping_written()
                    .map_or(Place::NOWHERE, |note| note.place),
                format_args!(
                    "\"websocket_timeout\" is shorter than the interval of \"websocket_ping\": \
                     idle tunnels end before the first Ping"
                ),
            );
        }
    }
}

fn warn_of_hand_written(log: *mut ngx_log_t, level: &LocationConf) {
    // SAFETY: a level that was merged has a structure of the core module for its server.
    let server = unsafe {
        let server = *level.level.server.add(ngx_http_core_module.ctx_index);
        let server = &*server.cast::<ngx_http_core_srv_conf_t>();
        let file = CStr::from_ptr(server.file_name.cast());
        Place::new(string::borrowed(file.to_bytes()), server.line)
    };
    log::place(
        log,
        NGX_LOG_WARN,
        server,
        format_args!(
            "location \"{}\" forwards any Upgrade, h2c among them, by \"proxy_set_header Upgrade \
             $http_upgrade\": write \"websocket on\" in its place, server",
            level.name().escape_ascii()
        ),
    );
}

/// `init_module`: `worker_shutdown_timeout` may stand behind the http block.
pub unsafe extern "C" fn check_drains(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx gives a cycle whose configuration has been read.
    let (log, limit, main) = unsafe {
        let core = *(*cycle).conf_ctx.add(ngx_core_module.index);
        (
            (*cycle).log,
            (*core.cast::<ngx_core_conf_t>()).shutdown_timeout,
            MainConf::of_cycle(cycle),
        )
    };
    let Some(main) = main else {
        return NGX_OK as ngx_int_t;
    };
    let too_long = main.levels().filter(|level| {
        let is_too_long = level.drain().is_some_and(|time| limit > 0 && time > limit);
        level.is_on() && level.has_advice() && is_too_long
    });
    for note in too_long.filter_map(LocationConf::drain_written) {
        if note.is_news() {
            log::place(
                log,
                NGX_LOG_WARN,
                note.place,
                format_args!(
                    "\"websocket_drain\" is longer than \"worker_shutdown_timeout\": tunnels will \
                     leave within the latter"
                ),
            );
        }
    }
    NGX_OK as ngx_int_t
}

/// The location's `proxy_set_header` lines, its own or inherited.
///
/// # Safety
/// The level must be merged.
unsafe fn headers<'a>(proxy: &Proxying, level: &'a LocationConf) -> &'a [ngx_keyval_t] {
    // SAFETY: the level's structure of the proxy module has an array of lines there, or NULL.
    unsafe { pool::elements(*proxy.lines(level.of_module(proxy.module.ctx_index))) }
}

fn forwards_any_upgrade(line: &ngx_keyval_t) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    let (name, value) = unsafe { (string::bytes(&line.key), string::bytes(&line.value)) };
    name.eq_ignore_ascii_case(b"upgrade")
        && (value == b"$http_upgrade" || value == b"${http_upgrade}")
}

fn warn_here(log: *mut ngx_log_t, level: &LocationConf, text: core::fmt::Arguments<'_>) {
    log::place(
        log,
        NGX_LOG_WARN,
        level.place(),
        format_args!("{text} in location \"{}\"", level.name().escape_ascii()),
    );
}
