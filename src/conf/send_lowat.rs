//! `websocket_send_lowat`

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t};

use super::LocationConf;
use super::words::{IS_DUPLICATE, noted, parse_size, refuse};
use crate::nginx::{conf, string};

/// Below this a socket would be asked again for every few frames.
const SMALLEST: usize = 1024;

/// The kernel takes an `int`.
const LARGEST: usize = i32::MAX as usize;

/// `size | off`
pub unsafe extern "C" fn set_send_lowat(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe { noted(cf, command, conf, read) }
}

unsafe extern "C" fn read(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the command's offset is that of a size in the structure nginx gives.
    let size = unsafe { &mut *conf.byte_add((*command).offset).cast::<usize>() };
    if *size != conf::UNSET {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    // SAFETY: nginx has checked that there is a word after the name.
    let Some(word) = unsafe { conf::words(cf) }.get(1) else {
        return conf::ERROR;
    };
    // SAFETY: a word of the configuration.
    let parsed = match unsafe { string::bytes(word) } {
        b"off" => Some(0),
        text => parse_size(text, SMALLEST).map(|size| size.min(LARGEST)),
    };
    match parsed {
        Some(parsed) => {
            *size = parsed;
            conf::OK
        }
        None => refuse(cf, format_args!("a size of at least 1k, or \"off\"")),
    }
}

impl LocationConf {
    /// Below how many bytes that the kernel has not sent yet a socket takes more.
    pub fn send_lowat(&self) -> Option<usize> {
        (self.send_lowat > 0).then_some(self.send_lowat)
    }
}
