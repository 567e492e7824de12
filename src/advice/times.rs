//! Times that don't fit together.

use core::fmt;
use core::ptr;

use nginx_sys::{
    NGX_OK, ngx_core_conf_t, ngx_core_module, ngx_cycle, ngx_cycle_t, ngx_int_t, ngx_msec_t,
};

use super::warnings::{Advice, warn_at};
use crate::conf::{LocationConf, MainConf};
use crate::inject::fields::Proxying;
use crate::inject::twin::handler_around;
use crate::nginx::conf;

pub fn warn(advice: &Advice<'_>) {
    late_pings(advice);
    long_reads(advice);
}

/// A `websocket_ping` in whose every location idle tunnels end before it.
fn late_pings(advice: &Advice<'_>) {
    let is_late = |level: &LocationConf| match (level.ping(), level.tunnel_timeout()) {
        (Some(ping), Some(timeout)) => timeout <= ping.interval,
        _ => false,
    };
    let late = |level: &&LocationConf| has_tunnels(level) && is_late(level);
    let others = advice
        .main
        .levels()
        .filter(|level| has_tunnels(level) && !is_late(level));
    let in_time = advice.set(
        others
            .filter_map(LocationConf::ping_written)
            .map(ptr::from_ref),
    );
    for level in advice.levels().filter(late) {
        let Some(note) = level.ping_written().filter(|note| note.is_news()) else {
            continue;
        };
        if !in_time.has(ptr::from_ref(note)) {
            let text = "\"websocket_timeout\" is not longer than the interval of \
                        \"websocket_ping\": idle tunnels end before the first Ping";
            advice.warn_in(note.place, level, format_args!("{text}"));
        }
    }
}

/// A `proxy_read_timeout` that looks as if it kept idle tunnels open.
fn long_reads(advice: &Advice<'_>) {
    // Where locations without `websocket on` have their times from.
    let off = advice.proxied(advice.main.levels().filter(|level| !level.is_on()));
    let for_others = advice.set(off.map(|(level, module)| {
        // SAFETY: the level was merged, and this is its structure of the module.
        let time = unsafe { read_timeout(module, level) };
        ptr::from_ref(origin(advice, module, level, time))
    }));
    for (level, module) in advice.proxied(advice.levels().filter(|level| level.is_on())) {
        // SAFETY: the level was merged, and this is its structure of the module.
        let read = unsafe { read_timeout(module, level) };
        let Some(timeout) = level.tunnel_timeout().filter(|&timeout| timeout < read) else {
            continue;
        };
        let origin = origin(advice, module, level, read);
        if read == DEFAULT_READ_TIMEOUT || is_written_within(level, origin) {
            continue;
        }
        let note = level.timeout_written();
        let is_for_others = for_others.has(ptr::from_ref(origin));
        if !advice.is_news(origin) || note.is_some() && is_for_others {
            continue;
        }
        let by_default = if note.is_none() { ", the default," } else { "" };
        let place = note.or(level.written()).map(|note| note.place);
        let (name, read, timeout) = (module.name, Time(read), Time(timeout));
        advice.warn_in(
            place.unwrap_or(level.place()),
            level,
            format_args!(
                "\"{name}_read_timeout {read}\" does not hold for tunnels: \"websocket_timeout\" \
                 ends idle ones after {timeout}{by_default}"
            ),
        );
    }
}

/// nginx's, which may not have been written.
const DEFAULT_READ_TIMEOUT: ngx_msec_t = 60_000;

/// The outermost level that the time can have been inherited from.
fn origin<'l>(
    advice: &Advice<'_>,
    module: &Proxying,
    level: &'l LocationConf,
    time: ngx_msec_t,
) -> &'l LocationConf {
    let mut origin = level;
    while let Some(above) = origin.above() {
        // SAFETY: the level was merged, and this is its structure of the module.
        if unsafe { read_timeout(module, above) } != time {
            return origin;
        }
        origin = above;
    }
    // SAFETY: the configuration's end is in the http context, for which the module has a structure.
    let http = unsafe {
        let http = conf::http(advice.cf, module.module.ctx_index);
        (*module.upstream(http)).read_timeout
    };
    match origin.with_above().last() {
        Some(outermost) if http == time => outermost,
        _ => origin,
    }
}

/// Whether the level's `websocket_timeout` was written further in than another level: who wrote it
/// knew of the other time.
fn is_written_within(level: &LocationConf, outer: &LocationConf) -> bool {
    let Some(note) = level.timeout_written() else {
        return false;
    };
    level
        .with_above()
        .take_while(|within| !ptr::eq(*within, outer))
        .any(|within| within.notes().any(|written| ptr::eq(written, note)))
}

/// # Safety
/// The level must be merged.
unsafe fn read_timeout(module: &Proxying, level: &LocationConf) -> ngx_msec_t {
    // SAFETY: the level's structure of the module has its upstream's settings there.
    unsafe { (*module.upstream(level.of_module(module.module.ctx_index))).read_timeout }
}

/// `init_module`: `worker_shutdown_timeout` may stand behind the http block.
pub unsafe extern "C" fn check_drains(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx gives a cycle whose configuration has been read.
    let (log, limit, main) = unsafe {
        let core = *(*cycle).conf_ctx.add(ngx_core_module.index);
        (
            // As the warnings of the configuration before it: the new log is not in use yet, and has the
            // level of what is to be served.
            (*ngx_cycle).log,
            (*core.cast::<ngx_core_conf_t>()).shutdown_timeout,
            MainConf::of_cycle(cycle),
        )
    };
    let Some(main) = main else {
        return NGX_OK as ngx_int_t;
    };
    let is_too_long = |time: Option<ngx_msec_t>| time.is_some_and(|time| limit > 0 && time > limit);
    for level in main
        .levels()
        .filter(|level| level.has_advice() && has_tunnels(level))
    {
        let all = level.drain_written();
        let some = level.upstream_drain_written();
        let within = level.upstream_drain().map(|drain| drain.within);
        let too_long = [(level.drain(), all), (within, some)]
            .into_iter()
            .filter_map(|(time, note)| note.filter(|_| is_too_long(time)));
        for note in too_long.filter(|note| note.is_news()) {
            let name = note.name();
            warn_at(
                log,
                note.place,
                format_args!(
                    "\"{name}\" is longer than \"worker_shutdown_timeout\", within which all \
                     tunnels are closed"
                ),
            );
        }
    }
    NGX_OK as ngx_int_t
}

/// Whether requests to a level may become tunnels of this module.
fn has_tunnels(level: &LocationConf) -> bool {
    level.is_on() && level.has_tunnel() && handler_around(level).is_some()
}

/// Milliseconds as a configuration would say them.
struct Time(ngx_msec_t);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(ngx_msec_t, &str); 4] = [
            (24 * 60 * 60 * 1000, "d"),
            (60 * 60 * 1000, "h"),
            (60 * 1000, "m"),
            (1000, "s"),
        ];
        let (unit, name) = UNITS
            .into_iter()
            .find(|(unit, _)| self.0 % unit == 0)
            .unwrap_or((1, "ms"));
        write!(f, "{}{name}", self.0 / unit)
    }
}
