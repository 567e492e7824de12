//! `websocket_max_lifetime`: how old a tunnel may become.

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t};
use websocket_protocol::ControlFrame;

use super::LocationConf;
use super::once::{Words, once};
use super::refuse::{refuse, unknown};
use super::words::{TIMES, parse_time};
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
    unsafe {
        let field = &raw mut (*conf.cast::<LocationConf>()).max_lifetime;
        once(cf, command, conf, field, None, read)
    }
}

fn read(words: Words<'_>) -> Result<Option<MaxLifetime>, *mut c_char> {
    let (age, mut code) = match words.first() {
        b"off" => (Age::Any, GOING_AWAY),
        text if text.contains(&b'$') => {
            // SAFETY: the setter's cf, and a word of the directive's.
            let value = unsafe { Value::compile(words.cf, string::borrowed(text)) };
            (Age::Of(value.ok_or(conf::ERROR)?), POLICY_VIOLATION)
        }
        text => match parse_time(text) {
            Some(time) => (Age::Fixed(time), GOING_AWAY),
            None => {
                return Err(refuse(
                    words.cf,
                    format_args!("{TIMES}, a variable, or \"off\""),
                ));
            }
        },
    };
    for text in words.rest() {
        code = parse_code(text).ok_or_else(|| {
            let choices = "it must be \"code=number\", with a code that may be sent: \
                           1000 to 1003, 1007 to 1014, or 3000 to 4999";
            unknown(words.cf, text, choices)
        })?;
    }
    Ok(Some(MaxLifetime { age, code }))
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
