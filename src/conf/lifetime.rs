//! `websocket_max_lifetime`: how old a tunnel may become.

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t};
use websocket_protocol::ControlFrame;

use super::LocationConf;
use super::words::{IS_DUPLICATE, noted, parse_time, refuse, unknown};
use crate::nginx::conf;
use crate::nginx::string;
use crate::nginx::value::Value;
use crate::types::{Age, GOING_AWAY, MaxLifetime, POLICY_VIOLATION};

/// `time | $variable | off [code=number]`
pub unsafe extern "C" fn set_max_lifetime(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe { noted(cf, command, conf, read) }
}

unsafe extern "C" fn read(
    cf: *mut ngx_conf_t,
    _command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as above.
    let (this, words) = unsafe { (&mut *conf.cast::<LocationConf>(), conf::words(cf)) };
    if this.max_lifetime.is_some() {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    let Some(word) = words.get(1) else {
        return conf::ERROR;
    };
    // SAFETY: a word of the configuration.
    let text = unsafe { string::bytes(word) };
    let (age, code) = match text {
        b"off" => (Age::Any, GOING_AWAY),
        text if text.contains(&b'$') => {
            // SAFETY: cf is the setter's, and the word the directive's.
            match unsafe { Value::compile(cf, *word) } {
                Some(value) => (Age::Of(value), POLICY_VIOLATION),
                None => return conf::ERROR,
            }
        }
        text => match parse_time(text) {
            Some(time) => (Age::Fixed(time), GOING_AWAY),
            None => {
                let expected = "a time above zero, such as \"30s\", a variable, or \"off\"";
                return refuse(cf, format_args!("{expected}"));
            }
        },
    };
    let mut max = MaxLifetime { age, code };
    if let Some(word) = words.get(2) {
        // SAFETY: a word of the configuration.
        let text = unsafe { string::bytes(word) };
        match parse_code(text) {
            Some(code) => max.code = code,
            None => {
                let choices = "it must be \"code=number\", with a code that may be sent: \
                               1000 to 1003, 1007 to 1014, or 3000 to 4999";
                return unknown(cf, text, choices);
            }
        }
    }
    this.max_lifetime = Some(max);
    conf::OK
}

/// `code=number`
fn parse_code(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"code=")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = core::str::from_utf8(digits).ok()?.parse().ok()?;
    ControlFrame::may_close_with(code).then_some(code)
}
