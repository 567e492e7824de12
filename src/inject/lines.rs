//! The lines of `proxy_set_header`, and the parameters of uwsgi and scgi, that a location's other
//! configurations have in place of its own.

use core::ffi::CStr;

use nginx_sys::{ngx_array_t, ngx_conf_t, ngx_http_upstream_param_t, ngx_keyval_t};

use super::JOINING_VARIABLE;
use crate::nginx::{pool, string};

/// What else of a location its handshakes are exempt from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Exempt {
    /// From `proxy_pass_request_headers off`.
    pub from_lost_headers: bool,
    /// From `proxy_set_body`.
    pub from_body: bool,
}

/// Lines for handshakes: Upgrade and Connection are ours, each where the user's first line of its
/// name stood.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_keyval_t`.
pub unsafe fn for_handshakes(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
    exempt: Exempt,
) -> Option<*mut ngx_array_t> {
    // SAFETY: the caller vouches for both.
    let (memory, lines) = unsafe { ((*cf).pool, pool::elements::<ngx_keyval_t>(source)) };
    // SAFETY: the pool is valid, and the array made here is one of lines.
    unsafe {
        let result = pool::array::<ngx_keyval_t>(memory, lines.len() + OURS.len())?;
        for (index, line) in lines.iter().enumerate() {
            let is_repeated = || {
                lines
                    .iter()
                    .take(index)
                    .any(|other| has_name_of(other, line))
            };
            match OURS.iter().find(|(name, _)| is_named(line, name)) {
                Some(_) if is_repeated() => {}
                Some(ours) => push(result, *ours)?,
                None if takes_from_handshake(line) => {}
                None if exempt.from_body && is_named(line, CONTENT_LENGTH) => {}
                None => pool::push(result, *line).map(|_| ())?,
            }
        }
        for ours in OURS {
            if !lines.iter().any(|line| is_named(line, ours.0)) {
                push(result, ours)?;
            }
        }
        if exempt.from_body {
            push(result, (CONTENT_LENGTH, c""))?;
        }
        for (name, value) in HANDSHAKE.into_iter().filter(|_| exempt.from_lost_headers) {
            let is_written =
                |line: &ngx_keyval_t| is_named(line, name) && !takes_from_handshake(line);
            if !lines.iter().any(is_written) {
                push(result, (name, value))?;
            }
        }
        Some(result)
    }
}

/// Lines for requests whose upgrade is taken away; `None` inside where the location's own do.
///
/// # Safety
/// As [`for_handshakes`].
pub unsafe fn for_stripped(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
) -> Option<Option<*mut ngx_array_t>> {
    // SAFETY: the caller vouches for both.
    let (memory, lines) = unsafe { ((*cf).pool, pool::elements::<ngx_keyval_t>(source)) };
    if !lines.iter().any(may_upgrade) {
        return Some(None);
    }
    // SAFETY: the pool is valid, and the array made here is one of lines.
    unsafe {
        let result = pool::array::<ngx_keyval_t>(memory, lines.len())?;
        for line in lines.iter().filter(|line| !may_upgrade(line)) {
            pool::push(result, *line)?;
        }
        Some(Some(result))
    }
}

/// Parameters with one more, which is never sent: its variable is evaluated while the request to
/// the upstream is made.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_http_upstream_param_t`.
pub unsafe fn with_joining_parameter(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
) -> Option<*mut ngx_array_t> {
    let joining = ngx_http_upstream_param_t {
        key: string::constant(c"WEBSOCKET"),
        value: string::constant(c"$websocket_injected_seam"),
        skip_empty: 1,
    };
    // SAFETY: the caller vouches for both.
    unsafe {
        let parameters = pool::elements::<ngx_http_upstream_param_t>(source);
        let result = pool::array::<ngx_http_upstream_param_t>((*cf).pool, parameters.len() + 1)?;
        for parameter in parameters.iter().chain([&joining]) {
            pool::push(result, *parameter)?;
        }
        Some(result)
    }
}

/// Parameters for requests whose upgrade is taken away: nginx leaves out a client's header of which there is a parameter,
/// and a parameter that is empty.
///
/// # Safety
/// As [`with_joining_parameter`].
pub unsafe fn without_upgrade_parameters(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
) -> Option<*mut ngx_array_t> {
    const HEADERS: [&CStr; 2] = [c"HTTP_UPGRADE", c"HTTP_CONNECTION"];
    // SAFETY: the caller vouches for both, whose words live as long as the configuration.
    unsafe {
        let parameters = pool::elements::<ngx_http_upstream_param_t>(source);
        let is_named = |parameter: &ngx_http_upstream_param_t, name: &CStr| {
            string::bytes(&parameter.key) == name.to_bytes()
        };
        let stays = |parameter: &&ngx_http_upstream_param_t| {
            let value = string::bytes(&parameter.value);
            let upgrades = mentions_upgrade(value) || value.contains(&b'$');
            !(is_named(parameter, HEADERS[0]) || is_named(parameter, HEADERS[1]) && upgrades)
        };
        let count = parameters.len() + HEADERS.len();
        let result = pool::array::<ngx_http_upstream_param_t>((*cf).pool, count)?;
        for parameter in parameters.iter().filter(stays) {
            pool::push(result, *parameter)?;
        }
        let is_written = |name| {
            parameters
                .iter()
                .filter(stays)
                .any(|one| is_named(one, name))
        };
        for name in HEADERS.into_iter().filter(|name| !is_written(*name)) {
            let empty = ngx_http_upstream_param_t {
                key: string::constant(name),
                value: string::constant(c""),
                skip_empty: 1,
            };
            pool::push(result, empty)?;
        }
        Some(result)
    }
}

type Line = (&'static CStr, &'static CStr);

const CONTENT_LENGTH: &CStr = c"Content-Length";

/// Evaluating the first joins the request to its upstream.
const OURS: [Line; 2] = [
    (c"Upgrade", c"websocket$websocket_injected_seam"),
    (c"Connection", c"upgrade"),
];

/// What a handshake can't do without, or loses features without.
const HANDSHAKE: [Line; 4] = [
    (c"Sec-WebSocket-Key", c"$http_sec_websocket_key"),
    (c"Sec-WebSocket-Version", c"$http_sec_websocket_version"),
    (c"Sec-WebSocket-Protocol", c"$http_sec_websocket_protocol"),
    (
        c"Sec-WebSocket-Extensions",
        c"$http_sec_websocket_extensions",
    ),
];

/// A line that would take away what no handshake works without. Without subprotocols or extensions
/// one may, so these stay as they are written.
fn takes_from_handshake(line: &ngx_keyval_t) -> bool {
    line.value.len == 0
        && HANDSHAKE
            .iter()
            .take(2)
            .any(|(name, _)| is_named(line, name))
}

/// A line that could ask for an upgrade.
fn may_upgrade(line: &ngx_keyval_t) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    let value = unsafe { string::bytes(&line.value) };
    (is_named(line, c"Upgrade") && !value.is_empty())
        || (is_named(line, c"Connection") && (mentions_upgrade(value) || value.contains(&b'$')))
}

/// Whether a line has a Sec-WebSocket-Key or a Sec-WebSocket-Protocol of its own.
///
/// # Safety
/// `source` must be NULL or an array of `ngx_keyval_t`.
pub unsafe fn set_handshake(source: *const ngx_array_t) -> bool {
    // SAFETY: the caller vouches for it.
    let lines = unsafe { pool::elements::<ngx_keyval_t>(source) };
    let names = [c"Sec-WebSocket-Key", c"Sec-WebSocket-Protocol"];
    lines
        .iter()
        .any(|line| names.iter().any(|name| is_named(line, name)))
}

pub fn mentions_upgrade(value: &[u8]) -> bool {
    value
        .windows(7)
        .any(|part| part.eq_ignore_ascii_case(b"upgrade"))
}

fn is_named(line: &ngx_keyval_t, name: &CStr) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    unsafe { string::bytes(&line.key) }.eq_ignore_ascii_case(name.to_bytes())
}

fn has_name_of(line: &ngx_keyval_t, other: &ngx_keyval_t) -> bool {
    // SAFETY: a line's words live as long as the configuration.
    unsafe { string::bytes(&line.key).eq_ignore_ascii_case(string::bytes(&other.key)) }
}

/// # Safety
/// `lines` must be an array of `ngx_keyval_t`.
unsafe fn push(lines: *mut ngx_array_t, (name, value): Line) -> Option<()> {
    let line = ngx_keyval_t {
        key: string::constant(name),
        value: string::constant(value),
    };
    // SAFETY: the caller vouches for the array.
    unsafe { pool::push(lines, line) }.map(|_| ())
}

// The name stands in the values above.
const _: () = assert!(matches!(
    JOINING_VARIABLE.to_bytes(),
    b"websocket_injected_seam"
));
