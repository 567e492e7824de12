//! Directives that do nothing.

use core::ffi::c_void;

use nginx_sys::{ngx_http_handler_pt, ngx_log_t};

use super::headers;
use super::warnings::{Advice, warn_at};
use crate::conf::note::Note;
use crate::conf::{LocationConf, MainConf};
use crate::inject::twin::handler_around;
use crate::nginx::conf;
use crate::types::OtherUpgrades;

/// Directives where `websocket on` holds neither at their level nor below it: an origin check that
/// checks nothing is a hole.
pub fn warn_without_websocket(log: *mut ngx_log_t, main: &MainConf) {
    for level in main.levels().filter(|level| level.is_on()) {
        for note in level.with_above().flat_map(LocationConf::notes) {
            note.is_reached.set(true);
        }
    }
    let is_used = main.levels().any(LocationConf::is_on);
    let levels = main.http().into_iter().chain(main.levels());
    for note in levels
        .filter(|level| level.has_advice())
        .flat_map(LocationConf::notes)
        .filter(|note| LocationConf::needs_websocket(note) && !note.is_reached.get())
    {
        let name = note.name();
        // Clients are told of it all the same.
        if is_used && LocationConf::is_of_http2(note) && !note.is_off {
            let text = "\"websocket_http2 on\" without \"websocket on\" has all WebSockets over HTTP/2 answered 501";
            warn_at(log, note.place, format_args!("{text}"));
            continue;
        }
        warn_at(
            log,
            note.place,
            format_args!("\"{name}\" has no effect without \"websocket on\""),
        );
    }
}

pub fn warn(advice: &Advice<'_>) {
    nothing_to_carry(advice);
    no_tunnel(advice);
    nothing_to_pass(advice);
    nothing_to_log(advice);
}

/// `websocket on` over nothing that could carry a WebSocket. Of a handler that is not known, nothing
/// is said.
fn nothing_to_carry(advice: &Advice<'_>) {
    let may_carry = |handler: ngx_http_handler_pt| {
        handler.is_some() && advice.foreign.directive(handler).is_none()
    };
    for level in advice.main.levels().filter(|level| level.is_on()) {
        if let Some(note) = level.written().filter(|_| may_carry(handler_around(level))) {
            note.is_used.set(true);
        }
    }
    let idle = |level: &&LocationConf| level.is_on() && level.written().is_some_and(is_idle);
    for level in advice.levels().filter(idle) {
        let Some(directive) = advice.foreign.directive(handler_around(level)) else {
            continue;
        };
        if level.written().is_some_and(Note::is_news) {
            advice.warn_of(
                level,
                format_args!(
                    "\"{directive}\" cannot carry a WebSocket, so \"websocket on\" is of no use"
                ),
            );
        }
    }
    for note in advice
        .levels()
        .filter(idle)
        .filter_map(LocationConf::written)
    {
        if note.is_news() {
            let text = "\"websocket on\" carries nothing: no location that it applies to has \
                        \"proxy_pass\", \"uwsgi_pass\" or \"scgi_pass\"";
            advice.warn_at(note.place, format_args!("{text}"));
        }
    }
}

/// Directives of the tunnel where nginx's own loop carries all that they hold for.
fn no_tunnel(advice: &Advice<'_>) {
    let carried = |level: &&LocationConf| level.is_on() && handler_around(level).is_some();
    for level in advice.main.levels().filter(carried) {
        if level.has_tunnel() {
            level
                .tunnel_written()
                .for_each(|note| note.is_used.set(true));
        }
    }
    for level in advice.levels().filter(carried) {
        for note in level.tunnel_written() {
            if is_idle(note) && !note.is_off && note.is_news() {
                let name = note.name();
                advice.warn_in(
                    note.place,
                    level,
                    format_args!("\"{name}\" has no effect with \"websocket_tunnel off\""),
                );
            }
        }
    }
}

/// `websocket_other_upgrades pass` in locations with `proxy_pass` that have no lines to pass an
/// upgrade on.
fn nothing_to_pass(advice: &Advice<'_>) {
    let passes = |level: &&LocationConf| {
        let does = level.other_upgrades() == OtherUpgrades::Pass;
        level.is_on() && does && handler_around(level).is_some()
    };
    let missing = |level: &LocationConf| match advice.modules.proxy() {
        Some(proxy) if proxy.is(handler_around(level)) => headers::missing_for_pass(proxy, level),
        _ => None,
    };
    for level in advice.main.levels().filter(passes) {
        if let Some(note) = level.other_upgrades_written() {
            if missing(level).is_none() {
                note.is_used.set(true);
            }
        }
    }
    for level in advice.levels().filter(passes) {
        let Some(note) = level.other_upgrades_written().filter(|note| is_idle(note)) else {
            continue;
        };
        if let Some(line) = missing(level).filter(|_| note.is_news()) {
            advice.warn_in(
                note.place,
                level,
                format_args!("\"websocket_other_upgrades pass\" needs \"{line}\""),
            );
        }
    }
}

/// `websocket_log_open` where there is no access log.
fn nothing_to_log(advice: &Advice<'_>) {
    // SAFETY: a configuration is being read, and its cycle has its modules.
    let module = unsafe { conf::module((*advice.cf).cycle, c"ngx_http_log_module") };
    let Some(module) = module else {
        return;
    };
    let has_log = |level: &LocationConf| {
        let logs = level.of_module(module.ctx_index).cast::<*const c_void>();
        // SAFETY: what that module keeps for a level begins with its logs: NULL, if there are none.
        unsafe { !(*logs).is_null() }
    };
    let opens = |level: &&LocationConf| {
        level.is_on() && level.logs_open() && handler_around(level).is_some()
    };
    for level in advice
        .main
        .levels()
        .filter(opens)
        .filter(|level| has_log(level))
    {
        if let Some(note) = level.log_open_written() {
            note.is_used.set(true);
        }
    }
    for level in advice.levels().filter(opens) {
        let idle = level.log_open_written().filter(|note| is_idle(note));
        if let Some(note) = idle.filter(|note| note.is_news()) {
            let text = "\"websocket_log_open\" has no effect with \"access_log off\"";
            advice.warn_in(note.place, level, format_args!("{text}"));
        }
    }
}

fn is_idle(note: &Note) -> bool {
    !note.is_used.get()
}
