//! What `nginx -t` warns of: what cannot work, or does something else than it seems, in the
//! configuration as it is after the merge.

use nginx_sys::{
    NGX_LOG_WARN, NGX_OK, ngx_conf_t, ngx_core_conf_t, ngx_core_module, ngx_cycle_t,
    ngx_http_complex_value_t, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_int_t,
    ngx_keyval_t,
};

use crate::inject::fields::{self, BODY, HEADERS, METHOD, PASS_HEADERS};
use crate::location::{LocationConf, OtherUpgrades, Place};
use crate::log;
use crate::main_conf::{Drain, MainConf};
use crate::nginx::{conf, pool, string};

/// Something that is only known to matter when every location has been seen.
#[derive(Clone, Copy)]
pub enum Use {
    /// `websocket on` was written here; whether any location under it proxies.
    On { written: Place, proxies: bool },
    /// A hand-written location that forwards any upgrade, in the server that begins here.
    HandWritten {
        server: Place,
        name: nginx_sys::ngx_str_t,
    },
}

/// Notes what a location, just merged, may be worth a warning for. `None` when there is no memory.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
pub unsafe fn note(cf: *mut ngx_conf_t, above: &LocationConf, this: &LocationConf) -> Option<()> {
    // SAFETY: the caller vouches for cf; the arrays are made with the main conf.
    unsafe {
        let main = MainConf::of(cf);
        // What was written at http level has been seen by no merge.
        for (conf, proxies) in [(above, false), (this, this.injection.proxies)] {
            if conf.is_on() && conf.has_advice() {
                note_on(main, conf.written, proxies)?;
            }
        }
        if let Some(time) = this.drain().filter(|_| this.is_on()) {
            let drain = Drain {
                written: this.drain_written,
                time,
                advised: this.has_advice(),
            };
            if !main
                .drains()
                .iter()
                .any(|known| known.written == drain.written)
            {
                pool::push(main.drains, drain)?;
            }
        }
        if !this.injection.proxies || !this.has_advice() {
            return Some(());
        }
        if this.is_on() {
            warn_of_request(cf, this);
            warn_of_headers(cf, this);
            warn_of_times(cf, this);
        } else if headers(this).iter().any(forwards_any_upgrade) {
            let server = conf::server(cf, ngx_http_core_module.ctx_index);
            let server = &*server.cast::<ngx_http_core_srv_conf_t>();
            let file = core::ffi::CStr::from_ptr(server.file_name.cast());
            let server = Place::new(string::borrowed(file.to_bytes()), server.line);
            pool::push(
                main.uses,
                Use::HandWritten {
                    server,
                    name: conf::core_location(cf).name,
                },
            )?;
        }
    }
    Some(())
}

/// # Safety
/// `main` must be the configuration's own.
unsafe fn note_on(main: &MainConf, written: Place, proxies: bool) -> Option<()> {
    // SAFETY: an array of these, made with the main conf; no other reference to it is held.
    let uses = unsafe { pool::elements_mut::<Use>(main.uses) };
    for used in uses {
        if let Use::On {
            written: known,
            proxies: any,
        } = used
        {
            if *known == written {
                *any |= proxies;
                return Some(());
            }
        }
    }
    // SAFETY: as above.
    unsafe { pool::push(main.uses, Use::On { written, proxies }) }.map(|_| ())
}

/// Every location has been seen, and one is on: who does not use the module is not advised by it.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn warn_of_uses(cf: *mut ngx_conf_t) {
    // SAFETY: the caller vouches for cf; an array of these, made with the main conf.
    let uses = unsafe { pool::elements::<Use>(MainConf::of(cf).uses) };
    for used in uses {
        match used {
            Use::On {
                written,
                proxies: false,
            } => warn(
                cf,
                *written,
                format_args!("\"websocket on\" has no effect: no location under it proxies"),
            ),
            Use::On { .. } => {}
            Use::HandWritten { server, name } => {
                // SAFETY: a location's name lives as long as the configuration.
                let name = unsafe { string::bytes(name) }.escape_ascii();
                warn(
                    cf,
                    *server,
                    format_args!(
                        "location \"{name}\" forwards any Upgrade, h2c among them, by \
                         \"proxy_set_header Upgrade $http_upgrade\": write \"websocket on\" in \
                         its place, server"
                    ),
                );
            }
        }
    }
}

/// `init_module`: `worker_shutdown_timeout` may stand behind the http block.
pub unsafe extern "C" fn check_drains(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx gives a cycle whose configuration has been read.
    unsafe {
        let core = *(*cycle).conf_ctx.add(ngx_core_module.index);
        let limit = (*core.cast::<ngx_core_conf_t>()).shutdown_timeout;
        let drains = MainConf::of_cycle(cycle).map_or(&[] as &[Drain], MainConf::drains);
        for drain in drains
            .iter()
            .filter(|drain| drain.advised && limit > 0 && drain.time > limit)
        {
            log::at(
                (*cycle).log,
                NGX_LOG_WARN,
                drain.written,
                format_args!(
                    "\"websocket_drain\" is longer than \"worker_shutdown_timeout\": tunnels will \
                     leave within the latter"
                ),
            );
        }
    }
    NGX_OK as ngx_int_t
}

/// What keeps a handshake from reaching the upstream as one.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
unsafe fn warn_of_request(cf: *mut ngx_conf_t, this: &LocationConf) {
    let original = |index: usize| this.injection.originals.get(index).copied().unwrap_or(0);
    let is_set = |index: usize| fields::FIELDS.get(index).map(fields::Field::unset);

    let method = original(METHOD);
    if is_set(METHOD) != Some(method) && method != 0 {
        // SAFETY: the word of `proxy_method` is a pointer to a value.
        let method = unsafe {
            let value = core::ptr::with_exposed_provenance::<ngx_http_complex_value_t>(method);
            if (*value).lengths.is_null() {
                string::bytes(&(*value).value)
            } else {
                b"GET"
            }
        };
        if !method.eq_ignore_ascii_case(b"GET") {
            warn_here(
                cf,
                this,
                format_args!("\"proxy_method\" other than GET breaks handshakes"),
            );
        }
    }
    if original(BODY) != 0 {
        warn_here(
            cf,
            this,
            format_args!("\"proxy_set_body\" gives handshakes a body"),
        );
    }
    if original(PASS_HEADERS) == 0 {
        warn_here(
            cf,
            this,
            format_args!("\"proxy_pass_request_headers off\" drops the Sec-WebSocket headers"),
        );
    }
}

/// Lines that break a handshake, and lines that are no longer needed.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
unsafe fn warn_of_headers(cf: *mut ngx_conf_t, this: &LocationConf) {
    for line in headers(this) {
        // SAFETY: a line's words live as long as the configuration.
        let (name, value) = unsafe { (string::bytes(&line.key), string::bytes(&line.value)) };
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        if starts_with(line, b"sec-websocket-") && line.value.len == 0 {
            warn_here(
                cf,
                this,
                format_args!("\"proxy_set_header {name} \\\"\\\"\" takes it from handshakes"),
            );
        } else if this.other_upgrades() != OtherUpgrades::Pass
            && ((is(b"Upgrade") && line.value.len > 0)
                || (is(b"Connection") && mentions_upgrade(line)))
        {
            warn_here(
                cf,
                this,
                format_args!("\"proxy_set_header {name} {value}\" is not needed any more"),
            );
        }
    }
}

/// # Safety
/// `cf` must be the one nginx merges the location with.
unsafe fn warn_of_times(cf: *mut ngx_conf_t, this: &LocationConf) {
    if let (Some(ping), Some(timeout)) = (this.ping(), this.tunnel_timeout()) {
        if timeout < ping.interval {
            warn(
                cf,
                this.ping_written,
                format_args!(
                    "\"websocket_timeout\" is shorter than the interval of \"websocket_ping\": \
                     idle tunnels end before the first Ping"
                ),
            );
        }
    }
}

/// The location's `proxy_set_header` lines, its own or inherited, without this module's.
fn headers(this: &LocationConf) -> &'static [ngx_keyval_t] {
    match this.injection.originals.get(HEADERS) {
        Some(&array) if array != conf::UNSET => {
            // SAFETY: the word of `proxy_set_header` is a pointer to an array of lines.
            unsafe { pool::elements(core::ptr::with_exposed_provenance(array)) }
        }
        _ => &[],
    }
}

fn forwards_any_upgrade(line: &ngx_keyval_t) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    let (name, value) = unsafe { (string::bytes(&line.key), string::bytes(&line.value)) };
    name.eq_ignore_ascii_case(b"upgrade")
        && (value == b"$http_upgrade" || value == b"${http_upgrade}")
}

fn mentions_upgrade(line: &ngx_keyval_t) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    let value = unsafe { string::bytes(&line.value) };
    value
        .windows(7)
        .any(|part| part.eq_ignore_ascii_case(b"upgrade"))
}

fn starts_with(line: &ngx_keyval_t, prefix: &[u8]) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    let name = unsafe { string::bytes(&line.key) };
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn warn_here(cf: *mut ngx_conf_t, this: &LocationConf, text: core::fmt::Arguments<'_>) {
    // SAFETY: nginx merges with cf in the http context; a location's name lives as long as the
    // configuration.
    let name = unsafe { string::bytes(&conf::core_location(cf).name) };
    warn(
        cf,
        this.written,
        format_args!("{text} in location \"{}\"", name.escape_ascii()),
    );
}

fn warn(cf: *mut ngx_conf_t, place: Place, text: core::fmt::Arguments<'_>) {
    log::configuration(cf, NGX_LOG_WARN, place, text);
}
