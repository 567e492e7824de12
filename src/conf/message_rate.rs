//! `websocket_message_rate`: how often clients may begin a message.

use core::ffi::{c_char, c_void};
use core::num::NonZeroU32;
use core::str;

use nginx_sys::{ngx_command_t, ngx_conf_t};
use websocket_protocol::tunnel::{Excess, MessageRate};

use super::LocationConf;
use super::words::{IS_DUPLICATE, noted, refuse, repeated, unknown};
use crate::nginx::{conf, string};
use crate::types::MaxMessageRate;

/// `off | rate [burst=number] [delay|close]`
pub unsafe extern "C" fn set_message_rate(
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
    if this.message_rate.is_some() {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    let mut texts = words
        .iter()
        .skip(1)
        // SAFETY: words of the configuration.
        .map(|word| unsafe { string::bytes(word) });
    let rate = match texts.next() {
        Some(b"off") => None,
        text => match text.and_then(parse_rate) {
            Some(rate) => Some(rate),
            None => {
                let expected = "a rate above zero, such as \"10r/s\" or \"30r/m\", or \"off\"";
                return refuse(cf, format_args!("{expected}"));
            }
        },
    };
    let (mut burst, mut excess) = (None, None);
    for text in texts {
        let known = match text {
            b"delay" => Some(excess.replace(Excess::Delay).is_some()),
            b"close" => Some(excess.replace(Excess::Close).is_some()),
            text => text
                .strip_prefix(b"burst=")
                .and_then(number)
                .map(|count| burst.replace(count).is_some()),
        };
        match known {
            Some(false) => {}
            Some(true) => return repeated(cf, text),
            None => {
                let choices = "it must be \"burst=number\", \"delay\" or \"close\"";
                return unknown(cf, text, choices);
            }
        }
    }
    this.message_rate = Some(MaxMessageRate(rate.map(|per_minute| MessageRate {
        per_minute,
        burst: burst.unwrap_or(0),
        excess: excess.unwrap_or(Excess::Delay),
    })));
    conf::OK
}

/// Messages per minute, from `10r/s` or `30r/m`.
fn parse_rate(text: &[u8]) -> Option<NonZeroU32> {
    let per_minute = match text.strip_suffix(b"r/s") {
        Some(digits) => number(digits)?.checked_mul(60)?,
        None => number(text.strip_suffix(b"r/m")?)?,
    };
    NonZeroU32::new(per_minute)
}

fn number(digits: &[u8]) -> Option<u32> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_plain)?
        .parse()
        .ok()
}
