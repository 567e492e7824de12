//! Lines of `proxy_set_header`: those that break a handshake, those that are no longer needed, and
//! those that forward more than WebSocket.

use core::ffi::CStr;
use core::{fmt, iter};

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
    // Of which lines each has been said.
    let [mut lost, mut needless, mut over_http2, mut by_hand] = [(); 4].map(|()| advice.no_set());
    let proxied = |level: &&LocationConf| proxy.is(handler_around(level));
    for level in advice.levels().filter(proxied) {
        let array = array(proxy, level);
        let lines = elements(array);
        if level.is_on() {
            if lines.iter().any(is_lost) && lost.add(array) {
                warn_of_lost(advice, level, lines);
            }
            if !needed.has(array) && lines.iter().any(is_needless) && needless.add(array) {
                warn_of_needless(advice, proxy, level);
            }
        } else if level.is_http2() && lines.iter().any(passes_upgrade) {
            if over_http2.add(array) {
                warn_of_http2(advice, level);
            }
        } else if !is_off_on_purpose(level)
            && lines.iter().any(forwards_any_upgrade)
            && by_hand.add(array)
        {
            warn_of_hand_written(advice, level);
        }
    }
}

/// Whether it says `websocket off`: then its lines are meant to be what they are.
fn is_off_on_purpose(level: &LocationConf) -> bool {
    level.written().is_some_and(|note| note.is_off)
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

fn warn_of_needless(advice: &Advice<'_>, proxy: &Proxying, level: &LocationConf) {
    let lines = elements(array(proxy, level));
    let find = |wanted: &[u8]| {
        let mut lines = lines.iter().filter(|line| is_needless(line)).map(words);
        let (name, value) = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some((Text(name), Text(value)))
    };
    let without = Without { proxy, level };
    let name = Text(level.name());
    match (find(b"Upgrade"), find(b"Connection")) {
        (Some((a, b)), Some((c, d))) => advice.warn_at(
            level.place(),
            format_args!(
                "\"proxy_set_header {a} {b}\" and \"proxy_set_header {c} {d}\" are no longer needed \
                 in location \"{name}\"{without}"
            ),
        ),
        (Some((a, b)), None) | (None, Some((a, b))) => advice.warn_at(
            level.place(),
            format_args!(
                "\"proxy_set_header {a} {b}\" is no longer needed in location \"{name}\"{without}"
            ),
        ),
        (None, None) => {}
    }
}

/// What has to be known by who takes these lines away: plain requests have them, too.
struct Without<'a> {
    proxy: &'a Proxying,
    level: &'a LocationConf,
}

impl fmt::Display for Without<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = elements(array(self.proxy, self.level));
        let is_connection = |line: &ngx_keyval_t| {
            is_needless(line) && words(line).0.eq_ignore_ascii_case(b"Connection")
        };
        if lines.iter().any(is_connection) && self.may_keep_connections() {
            f.write_str(
                "; if the upstream has \"keepalive\", write \"proxy_set_header Connection ''\" for \
                 plain requests",
            )?;
        }
        if lines.iter().all(is_needless) && self.hides_others() {
            f.write_str("; without them the \"proxy_set_header\" lines of the level above apply")?;
        }
        Ok(())
    }
}

impl Without<'_> {
    /// An upstream that is written out may have `keepalive`.
    fn may_keep_connections(&self) -> bool {
        // SAFETY: the level was merged, and this is its structure of the proxy module; an upstream that it has
        // lives as long as the configuration.
        unsafe {
            let own = self.level.of_module(self.proxy.module.ctx_index);
            let upstream = (*self.proxy.upstream(own)).upstream.as_ref();
            upstream.is_some_and(|upstream| upstream.flags & CREATE != 0)
        }
    }

    /// Whether the level at which the lines are written has others above it, which they replace.
    fn hides_others(&self) -> bool {
        let own = array(self.proxy, self.level);
        let mut arrays = iter::successors(Some(self.level), |level| level.above());
        let above = arrays.find_map(|level| {
            let array = array(self.proxy, level);
            (array != own).then_some(array)
        });
        above.is_some_and(|array| !elements(array).is_empty())
    }
}

/// `NGX_HTTP_UPSTREAM_CREATE`: a block `upstream` has written it out.
const CREATE: nginx_sys::ngx_uint_t = 1;

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
