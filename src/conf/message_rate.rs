//! `websocket_message_rate`: how often clients may begin a message.

use core::ffi::{c_char, c_void};
use core::num::NonZeroU32;

use nginx_sys::{ngx_command_t, ngx_conf_t};
use websocket_protocol::tunnel::{Excess, MessageRate};

use super::LocationConf;
use super::once::{Words, once};
use super::refuse::{refuse, repeated, unknown};
use super::words::{MOST, parse_digits, parse_number};
use crate::types::MaxMessageRate;

/// `off | rate [burst=number] [delay|close]`
pub unsafe extern "C" fn set_message_rate(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe {
        let field = &raw mut (*conf.cast::<LocationConf>()).message_rate;
        once(cf, command, conf, field, None, read)
    }
}

fn read(words: Words<'_>) -> Result<Option<MaxMessageRate>, *mut c_char> {
    let per_minute = match words.first() {
        b"off" => None,
        text => Some(parse_rate(text).ok_or_else(|| {
            let expected = "a rate from 1r/m to";
            let example = "such as \"10r/s\" or \"30r/m\", or \"off\"";
            refuse(words.cf, format_args!("{expected} {MOST}r/s, {example}"))
        })?),
    };
    let (mut burst, mut excess) = (None, None);
    for text in words.rest() {
        let known = match text {
            b"delay" => Some(excess.replace(Excess::Delay).is_some()),
            b"close" => Some(excess.replace(Excess::Close).is_some()),
            text => text
                .strip_prefix(b"burst=")
                .and_then(parse_number)
                .map(|count| burst.replace(count).is_some()),
        };
        match known {
            Some(false) => {}
            Some(true) => return Err(repeated(words.cf, text)),
            None => {
                let choices = "it must be \"burst=number\", with a number from 0 to";
                let others = "\"delay\" or \"close\"";
                return Err(unknown(
                    words.cf,
                    text,
                    format_args!("{choices} {MOST}, {others}"),
                ));
            }
        }
    }
    Ok(Some(MaxMessageRate(per_minute.map(|per_minute| {
        MessageRate {
            per_minute,
            burst: burst.unwrap_or(0),
            excess: excess.unwrap_or(Excess::Delay),
        }
    }))))
}

/// Messages per minute, from `10r/s` or `30r/m`.
fn parse_rate(text: &[u8]) -> Option<NonZeroU32> {
    let per_minute = match text.strip_suffix(b"r/s") {
        Some(digits) => parse_number(digits)? * 60,
        None => parse_digits(text.strip_suffix(b"r/m")?)?,
    };
    NonZeroU32::new(per_minute).filter(|rate| rate.get() <= MOST * 60)
}
