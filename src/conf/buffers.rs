//! `websocket_buffer_size` and `websocket_large_buffers`: how much is read at once.

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_atoi, ngx_command_t, ngx_conf_set_size_slot, ngx_conf_t, ngx_int_t};

use super::LocationConf;
use super::words::{IS_DUPLICATE, noted, parse_size, refuse, refuse_parameter, slot};
use crate::nginx::{conf, string};

/// Below this a tunnel would be all overhead.
const SMALLEST_BUFFER: usize = 1024;

/// `size`
pub unsafe extern "C" fn set_buffer_size(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe {
        let expected = "a size of at least 1k";
        let rv = slot(cf, command, conf, ngx_conf_set_size_slot, expected);
        if rv == conf::OK && (*conf.cast::<LocationConf>()).buffer_size < SMALLEST_BUFFER {
            return refuse(cf, format_args!("{expected}"));
        }
        rv
    }
}

/// `off | number size`
pub unsafe extern "C" fn set_large_buffers(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_buffer_size().
    unsafe { noted(cf, command, conf, read_large_buffers) }
}

unsafe extern "C" fn read_large_buffers(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    let (this, words) = unsafe { (&mut *conf.cast::<LocationConf>(), conf::words(cf)) };
    if this.large_buffers != conf::UNSET_FLAG {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    // SAFETY: words of the configuration.
    let mut words = words.iter().map(|word| unsafe { string::bytes(word) });
    match (words.nth(1), words.next()) {
        (Some(b"off" | b"0"), None) => {
            (this.large_buffers, this.large_buffer_size) = (0, 0);
            conf::OK
        }
        (Some(number), Some(size)) => {
            match (parse_number(number), parse_size(size, SMALLEST_BUFFER)) {
                (None | Some(0), _) => refuse(cf, format_args!("a number above zero, or \"off\"")),
                (_, None) => {
                    let expected = ", it must be a size of at least 1k, such as \"256k\"";
                    refuse_parameter(cf, "invalid", size, format_args!("{expected}"))
                }
                (Some(number), Some(size)) => {
                    (this.large_buffers, this.large_buffer_size) = (number, size);
                    conf::OK
                }
            }
        }
        _ => refuse(cf, format_args!("\"off\", or a number and a size")),
    }
}

fn parse_number(text: &[u8]) -> Option<ngx_int_t> {
    // SAFETY: the text is valid and is only read.
    let number = unsafe { ngx_atoi(text.as_ptr().cast_mut(), text.len()) };
    (number >= 0).then_some(number)
}
