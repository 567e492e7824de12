//! `websocket_large_buffers`: how much is read at once where much comes.

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t};

use super::LocationConf;
use super::once::{Words, once};
use super::refuse::{refuse, unknown};
use super::words::{MOST, SIZES, parse_number, parse_size};
use crate::types::LargeBuffers;

/// `off | number size`
pub unsafe extern "C" fn set_large_buffers(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe {
        let field = &raw mut (*conf.cast::<LocationConf>()).large_buffers;
        once(cf, command, conf, field, LargeBuffers::UNSET, read)
    }
}

fn read(words: Words<'_>) -> Result<LargeBuffers, *mut c_char> {
    match (words.first(), words.rest().next()) {
        (b"off", _) | (b"0", None) => Ok(LargeBuffers::OFF),
        (number, Some(size)) => {
            let number = parse_number(number).filter(|number| *number > 0);
            let number = number.ok_or_else(|| {
                refuse(
                    words.cf,
                    format_args!("a number from 1 to {MOST}, or \"off\""),
                )
            })?;
            let size = parse_size(size).ok_or_else(|| {
                unknown(
                    words.cf,
                    size,
                    format_args!("it must be {SIZES}, such as \"256k\""),
                )
            })?;
            Ok(LargeBuffers {
                number: number as usize,
                size,
            })
        }
        _ => Err(refuse(
            words.cf,
            format_args!("\"off\", or a number and a size"),
        )),
    }
}
