//! `websocket_status` and `websocket_control`: where the module answers by itself.

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_set_flag_slot, ngx_conf_t};

use super::once::IS_DUPLICATE;
use super::refuse::refuse;
use super::{LocationConf, MainConf};
use crate::nginx::conf::{self, Place};
use crate::nginx::string;
use crate::types::Status;

/// `websocket_status [html | json | prometheus]`
pub unsafe extern "C" fn set_status(
    cf: *mut ngx_conf_t,
    _command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure, and the file being read.
    let (this, words) = unsafe { (&mut *conf.cast::<LocationConf>(), conf::words(cf)) };
    if this.status != conf::UNSET {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    // SAFETY: a word of the configuration.
    let status = match words.get(1).map(|word| unsafe { string::bytes(word) }) {
        None => Status::Any,
        Some(b"html") => Status::Html,
        Some(b"json") => Status::Json,
        Some(b"prometheus") => Status::Prometheus,
        Some(_) => return refuse(cf, format_args!("\"html\", \"json\" or \"prometheus\"")),
    };
    this.status = status as usize;
    // SAFETY: a directive is being read, in the http context.
    unsafe {
        this.answers_at = Place::being_read(cf);
        MainConf::of(cf).needs_zone.set(true);
    }
    conf::OK
}

/// `websocket_control on | off`
pub unsafe extern "C" fn set_control(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_status(); the command's offset is that of a flag.
    unsafe {
        let rv = ngx_conf_set_flag_slot(cf, command, conf);
        let this = &mut *conf.cast::<LocationConf>();
        if rv == conf::OK && this.has_control() {
            this.answers_at = Place::being_read(cf);
            MainConf::of(cf).needs_zone.set(true);
        }
        rv
    }
}
