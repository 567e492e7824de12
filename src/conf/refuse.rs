//! How a directive's words are refused.

use core::ffi::c_char;
use core::fmt;

use nginx_sys::{NGX_LOG_EMERG, ngx_conf_t};

use crate::nginx::string::Text;
use crate::nginx::{conf, log, string};

/// Refuses the first word behind the directive's name, in nginx's own manner.
pub(super) fn refuse(cf: *mut ngx_conf_t, expected: fmt::Arguments<'_>) -> *mut c_char {
    // SAFETY: a directive is being read.
    let words = unsafe { conf::words(cf) };
    let word = |at: usize| {
        // SAFETY: a word of the configuration.
        let word = words.get(at).map(|word| unsafe { string::bytes(word) });
        Text(word.unwrap_or_default())
    };
    log::directive(
        cf,
        NGX_LOG_EMERG,
        format_args!(
            "invalid value \"{}\" in \"{}\" directive, it must be {expected}",
            word(1),
            word(0)
        ),
    );
    conf::ERROR
}

/// Refuses a parameter.
pub(super) fn unknown(cf: *mut ngx_conf_t, text: &[u8], choices: impl fmt::Display) -> *mut c_char {
    refuse_parameter(cf, "invalid", text, format_args!(", {choices}"))
}

pub(super) fn repeated(cf: *mut ngx_conf_t, text: &[u8]) -> *mut c_char {
    refuse_parameter(cf, "duplicate", text, format_args!(""))
}

pub(super) fn refuse_parameter(
    cf: *mut ngx_conf_t,
    how: &str,
    text: &[u8],
    more: fmt::Arguments<'_>,
) -> *mut c_char {
    // SAFETY: a directive is being read, and its name is a word of the configuration.
    let name = unsafe { conf::words(cf).first().map(|name| string::bytes(name)) };
    log::directive(
        cf,
        NGX_LOG_EMERG,
        format_args!(
            "{how} parameter \"{}\" in \"{}\" directive{more}",
            Text(text),
            Text(name.unwrap_or_default())
        ),
    );
    conf::ERROR
}
