//! `websocket_send_lowat`

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t};

use super::LocationConf;
use super::once::{Words, once};
use super::refuse::refuse;
use super::words::{SIZES, parse_size};
use crate::nginx::conf;

/// `size | off`
pub unsafe extern "C" fn set_send_lowat(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe {
        let field = &raw mut (*conf.cast::<LocationConf>()).send_lowat;
        once(cf, command, conf, field, conf::UNSET, read)
    }
}

fn read(words: Words<'_>) -> Result<usize, *mut c_char> {
    match words.first() {
        b"off" => Ok(0),
        text => {
            parse_size(text).ok_or_else(|| refuse(words.cf, format_args!("{SIZES}, or \"off\"")))
        }
    }
}

impl LocationConf {
    /// Below how many bytes that the kernel has not sent yet a socket takes more.
    pub fn send_lowat(&self) -> Option<usize> {
        (self.send_lowat > 0).then_some(self.send_lowat)
    }
}
