//! Lines of `proxy_set_header`: those that break a handshake, those that are no longer needed, and
//! those that forward more than WebSocket.

use core::ffi::CStr;

use nginx_sys::{ngx_array_t, ngx_keyval_t};

use super::warnings::Advice;
use crate::conf::LocationConf;
use crate::inject::fields::Proxying;
use crate::inject::lines::mentions_upgrade;
use crate::inject::twin::handler_around;
use crate::nginx::conf::Place;
use crate::nginx::string::Text;
use crate::nginx::{pool, string};
use crate::types::OtherUpgrades;

/// Locations that inherit the same lines are warned of once.
pub fn warn(advice: &Advice<'_>) {
    let Some(proxy) = advice.modules.proxy() else {
        return;
    };
    // Those that a location without `websocket on` has, or one that passes other upgrades on.
    let needs = |level: &&LocationConf| {
        let passes = level.other_upgrades() == OtherUpgrades::Pass;
        (!level.is_on() || passes) && proxy.is(handler_around(level))
    };
    let others = advice.main.levels().filter(needs);
    let needed = advice.set(others.map(|level| array(proxy, level)));
    let proxied = |level: &&LocationConf| proxy.is(handler_around(level));
    for level in advice.levels().filter(proxied) {
        let array = array(proxy, level);
        let lines = elements(array);
        if level.is_on() {
            if lines.iter().any(|line| is_lost(line) || is_needless(line)) && advice.is_news(array)
            {
                warn_of_lost(advice, level, lines);
                if !needed.has(array) {
                    warn_of_needless(advice, level, lines);
                }
            }
        } else if level.is_http2() && lines.iter().any(passes_upgrade) {
            if advice.is_news(array) {
                warn_of_http2(advice, level);
            }
        } else if lines.iter().any(forwards_any_upgrade) && advice.is_news(array) {
            warn_of_hand_written(advice, level);
        }
    }
}

/// Whether a location passes WebSockets on, with the module or by lines of its own.
pub fn carries(advice: &Advice<'_>, level: &LocationConf) -> bool {
    if level.is_on() {
        return handler_around(level).is_some();
    }
    advice.modules.proxy().is_some_and(|proxy| {
        proxy.is(handler_around(level)) && elements(array(proxy, level)).iter().any(passes_upgrade)
    })
}

/// What a location lacks to pass on other upgrades.
pub fn missing_for_pass(proxy: &Proxying, level: &LocationConf) -> Option<&'static str> {
    let lines = elements(array(proxy, level));
    let sends = |wanted: &[u8], upgrades: fn(&[u8]) -> bool| {
        lines.iter().map(words).any(|(name, value)| {
            name.eq_ignore_ascii_case(wanted) && (upgrades(value) || value.contains(&b'$'))
        })
    };
    let is_1_1 = proxy.http.is_none_or(|http| {
        // SAFETY: the level was merged, and this is its structure of the proxy module.
        unsafe { *http.version(level.of_module(proxy.module.ctx_index)) >= HTTP_1_1 }
    });
    if !sends(b"Upgrade", |value| !value.is_empty()) {
        Some("proxy_set_header Upgrade $http_upgrade")
    } else if !sends(b"Connection", mentions_upgrade) {
        Some("proxy_set_header Connection upgrade")
    } else if !is_1_1 {
        Some("proxy_http_version 1.1")
    } else {
        None
    }
}

const HTTP_1_1: nginx_sys::ngx_uint_t = nginx_sys::NGX_HTTP_VERSION_11 as nginx_sys::ngx_uint_t;

fn warn_of_lost(advice: &Advice<'_>, level: &LocationConf, lines: &[ngx_keyval_t]) {
    for line in lines.iter().filter(|line| is_lost(line)) {
        let (name, _) = words(line);
        let name = Text(name);
        advice.warn_of(
            level,
            format_args!(
                "\"proxy_set_header {name}\" with an empty value removes the header from \
                 handshakes"
            ),
        );
    }
}

fn warn_of_needless(advice: &Advice<'_>, level: &LocationConf, lines: &[ngx_keyval_t]) {
    let find = |wanted: &[u8]| {
        let mut lines = lines.iter().filter(|line| is_needless(line)).map(words);
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    match (find(b"Upgrade"), find(b"Connection")) {
        (Some((a, b)), Some((c, d))) => {
            let (a, b, c, d) = (Text(a), Text(b), Text(c), Text(d));
            advice.warn_of(
                level,
                format_args!(
                    "\"proxy_set_header {a} {b}\" and \"proxy_set_header {c} {d}\" \
                     are no longer needed"
                ),
            );
        }
        (Some((name, value)), None) | (None, Some((name, value))) => {
            let (name, value) = (Text(name), Text(value));
            advice.warn_of(
                level,
                format_args!("\"proxy_set_header {name} {value}\" is no longer needed"),
            );
        }
        (None, None) => {}
    }
}

fn warn_of_http2(advice: &Advice<'_>, level: &LocationConf) {
    let name = Text(level.name());
    advice.warn_at(
        server(level),
        format_args!(
            "\"websocket_http2 on\" makes browsers come over HTTP/2, where location \"{name}\" of the server answers \
             501: use \"websocket on\" there instead of \"proxy_set_header Upgrade\""
        ),
    );
}

fn warn_of_hand_written(advice: &Advice<'_>, level: &LocationConf) {
    let name = Text(level.name());
    advice.warn_at(
        server(level),
        format_args!(
            "use \"websocket on\" instead of \"proxy_set_header Upgrade $http_upgrade\", which \
             forwards any upgrade, even to h2c, in location \"{name}\" of the server"
        ),
    );
}

/// Where its server begins.
pub fn server(level: &LocationConf) -> Place {
    // SAFETY: a level that was merged has its server's structure of the core module.
    unsafe {
        let server = &*level.server();
        let file = CStr::from_ptr(server.file_name.cast());
        Place::new(string::borrowed(file.to_bytes()), server.line)
    }
}

/// The location's `proxy_set_header` lines, its own or inherited.
fn array(proxy: &Proxying, level: &LocationConf) -> *const ngx_array_t {
    // SAFETY: the level was merged, and its structure of the proxy module has an array of lines there,
    // or NULL.
    unsafe { *proxy.lines(level.of_module(proxy.module.ctx_index)) }
}

fn elements<'a>(array: *const ngx_array_t) -> &'a [ngx_keyval_t] {
    // SAFETY: NULL, or an array of lines that lives as long as the configuration.
    unsafe { pool::elements(array) }
}

fn words(line: &ngx_keyval_t) -> (&[u8], &[u8]) {
    // SAFETY: a line's words live as long as the configuration.
    unsafe { (string::bytes(&line.key), string::bytes(&line.value)) }
}

/// It takes away what a client may need.
fn is_lost(line: &ngx_keyval_t) -> bool {
    let (name, value) = words(line);
    let names: [&[u8]; 2] = [b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"];
    value.is_empty() && names.iter().any(|lost| name.eq_ignore_ascii_case(lost))
}

/// It was written for handshakes. What a variable makes of Connection may serve plain requests, too.
fn is_needless(line: &ngx_keyval_t) -> bool {
    let (name, value) = words(line);
    (name.eq_ignore_ascii_case(b"Upgrade") && !value.is_empty())
        || (name.eq_ignore_ascii_case(b"Connection")
            && mentions_upgrade(value)
            && !value.contains(&b'$'))
}

fn passes_upgrade(line: &ngx_keyval_t) -> bool {
    let (name, value) = words(line);
    name.eq_ignore_ascii_case(b"Upgrade") && !value.is_empty()
}

fn forwards_any_upgrade(line: &ngx_keyval_t) -> bool {
    let (name, value) = words(line);
    name.eq_ignore_ascii_case(b"Upgrade")
        && (value == b"$http_upgrade" || value == b"${http_upgrade}")
}
