//! `websocket_allow_origin`: who may open a WebSocket here.

use nginx_sys::{NGX_LOG_EMERG, ngx_array_t, ngx_conf_t, ngx_log_t, ngx_str_t};
use websocket_protocol::{OriginRule, RequestAuthority};

use crate::nginx::string::{self, Text};
use crate::nginx::{log, pool};

/// How lines that refuse a word name where it stands.
const DIRECTIVE: &str = "in \"websocket_allow_origin\" directive";

/// One word of the directive.
#[derive(Clone, Copy)]
pub enum Origin {
    Rule(OriginRule<'static>),
    /// A compiled expression, in the array of one that nginx matches with.
    Matching(*mut ngx_array_t),
}

/// Reads the directive's words, its name first. `None` when one is refused, which has been logged.
///
/// # Safety
/// `cf` must be the one that nginx gave to the directive's setter.
pub unsafe fn parse(cf: *mut ngx_conf_t, words: &[ngx_str_t]) -> Option<*mut ngx_array_t> {
    // SAFETY: cf is valid, and its pool lives as long as the configuration.
    let origins = unsafe { pool::array::<Origin>((*cf).pool, words.len()) }?;
    for word in words.iter().skip(1) {
        // SAFETY: words of the configuration live as long as it does.
        let text: &'static [u8] = unsafe { string::bytes(word) };
        let origin = match text.strip_prefix(b"~") {
            // SAFETY: cf is valid.
            Some(pattern) => Origin::Matching(unsafe { compile(cf, pattern) }?),
            None => match OriginRule::parse(text) {
                Ok(rule) => Origin::Rule(rule),
                Err(error) => {
                    let word = Text(text);
                    log::directive(
                        cf,
                        NGX_LOG_EMERG,
                        format_args!("invalid value \"{word}\" {DIRECTIVE}, {error}"),
                    );
                    return None;
                }
            },
        };
        // SAFETY: an array of origins, made above.
        unsafe { pool::push(origins, origin) }?;
    }
    Some(origins)
}

/// Whether a request that names `origin`, or none, satisfies one of the rules.
pub fn allows(
    origins: &[Origin],
    origin: Option<&[u8]>,
    request: RequestAuthority<'_>,
    log: *mut ngx_log_t,
) -> bool {
    origins.iter().any(|allowed| match allowed {
        Origin::Rule(rule) => rule.matches(origin, request),
        Origin::Matching(regex) => origin.is_some_and(|origin| matches(*regex, origin, log)),
    })
}

/// Compiles a regular expression with nginx's PCRE; origins are compared without regard to case.
///
/// # Safety
/// `cf` must be valid.
#[cfg(ngx_feature = "pcre")]
unsafe fn compile(cf: *mut ngx_conf_t, pattern: &'static [u8]) -> Option<*mut ngx_array_t> {
    let mut error = [0_u8; 256];
    // SAFETY: a plain C structure for which all zeros is empty.
    let mut rc: nginx_sys::ngx_regex_compile_t = unsafe { core::mem::zeroed() };
    rc.pattern = string::borrowed(pattern);
    // SAFETY: cf is valid.
    rc.pool = unsafe { (*cf).pool };
    rc.options = nginx_sys::NGX_REGEX_CASELESS as _;
    rc.err = ngx_str_t {
        len: error.len(),
        data: error.as_mut_ptr(),
    };
    // SAFETY: all that rc points to is valid for the call.
    if unsafe { nginx_sys::ngx_regex_compile(&raw mut rc) } != nginx_sys::NGX_OK as isize {
        let message = error.get(..rc.err.len).unwrap_or_default();
        log::directive(
            cf,
            NGX_LOG_EMERG,
            format_args!("{} {DIRECTIVE}", Text(message)),
        );
        return None;
    }
    let element = nginx_sys::ngx_regex_elt_t {
        regex: rc.regex,
        name: pattern.as_ptr().cast_mut(),
    };
    // SAFETY: cf is valid, and so is the array made here.
    unsafe {
        let array = pool::array::<nginx_sys::ngx_regex_elt_t>((*cf).pool, 1)?;
        pool::push(array, element)?;
        Some(array)
    }
}

#[cfg(not(ngx_feature = "pcre"))]
unsafe fn compile(cf: *mut ngx_conf_t, pattern: &'static [u8]) -> Option<*mut ngx_array_t> {
    let pattern = Text(pattern);
    log::directive(
        cf,
        NGX_LOG_EMERG,
        format_args!("using regex \"{pattern}\" {DIRECTIVE} requires PCRE library"),
    );
    None
}

/// `ngx_regex_exec_array()` rather than the request's own matching, which would overwrite the
/// captures of the location.
#[cfg(ngx_feature = "pcre")]
fn matches(expression: *mut ngx_array_t, text: &[u8], log: *mut ngx_log_t) -> bool {
    let mut text = string::borrowed(text);
    // SAFETY: the expression was compiled by nginx, and the text is only read.
    unsafe { nginx_sys::ngx_regex_exec_array(expression, &raw mut text, log) == 0 }
}

#[cfg(not(ngx_feature = "pcre"))]
fn matches(_expression: *mut ngx_array_t, _text: &[u8], _log: *mut ngx_log_t) -> bool {
    false
}
