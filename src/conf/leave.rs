//! `websocket_drain` and `websocket_upstream_drain`: how tunnels leave.

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t, ngx_uint_t};

use super::LocationConf;
use super::refuse::unknown;
use super::words::set_time_or_off;
use crate::nginx::{conf, string};
use crate::types::{GOING_AWAY, SERVICE_RESTART};

/// `off | time [code=1001|1012]`
pub unsafe extern "C" fn set_drain(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe {
        let code = &raw mut (*conf.cast::<LocationConf>()).drain_code;
        set_leave(cf, command, conf, code)
    }
}

/// `off | time [code=1001|1012]`
pub unsafe extern "C" fn set_upstream_drain(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_drain().
    unsafe {
        let code = &raw mut (*conf.cast::<LocationConf>()).upstream_drain_code;
        set_leave(cf, command, conf, code)
    }
}

/// A time within which tunnels leave, and the code of their Close.
///
/// # Safety
/// The first three must be what nginx gave to the directive's setter, and `code` a field beside.
unsafe fn set_leave(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
    code: *mut ngx_uint_t,
) -> *mut c_char {
    // SAFETY: the caller vouches for them.
    let rv = unsafe { set_time_or_off(cf, command, conf) };
    if rv != conf::OK {
        return rv;
    }
    // SAFETY: as above; a word of the configuration.
    let chosen = unsafe { conf::words(cf).get(2).map(|word| string::bytes(word)) };
    let chosen = match chosen {
        Some(b"code=1001") => GOING_AWAY,
        None | Some(b"code=1012") => SERVICE_RESTART,
        Some(text) => {
            return unknown(cf, text, "it must be \"code=1001\" or \"code=1012\"");
        }
    };
    // SAFETY: the caller vouches for the field.
    unsafe { *code = chosen.into() };
    conf::OK
}
