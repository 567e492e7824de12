//! `websocket_zone`, `websocket_history` and `websocket_label`: what is counted, and where.

use core::ffi::{CStr, c_char, c_void};

use nginx_sys::{
    NGX_LOG_EMERG, ngx_command_t, ngx_conf_set_num_slot, ngx_conf_set_str_slot, ngx_conf_t,
    ngx_parse_size,
};
use websocket_zone::Zone;

use super::MainConf;
use crate::nginx::conf::Place;
use crate::nginx::{conf, log, string};

/// `websocket_zone name:size;`
pub unsafe extern "C" fn set_zone(
    cf: *mut ngx_conf_t,
    _command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own main structure, and a word after the name.
    let (main, words) = unsafe { (&mut *conf.cast::<MainConf>(), conf::words(cf)) };
    if main.zone_name.len > 0 {
        return refusal(c"is duplicate");
    }
    let Some(word) = words.get(1) else {
        return conf::ERROR;
    };
    // SAFETY: a word of the configuration.
    let text = unsafe { string::bytes(word) };
    let parts = memchr::memchr(b':', text).and_then(|at| text.split_at_checked(at));
    let Some((name, size)) = parts.filter(|(name, _)| !name.is_empty()) else {
        return invalid(cf, "invalid zone", text);
    };
    let mut digits = string::borrowed(size.get(1..).unwrap_or_default());
    // SAFETY: the text is valid and is only read.
    match usize::try_from(unsafe { ngx_parse_size(&raw mut digits) }) {
        Ok(size) if size > 0 => {
            main.zone_name = string::borrowed(name);
            main.zone_size = size;
            // SAFETY: as above.
            main.zone_place = unsafe { Place::being_read(cf) };
            conf::OK
        }
        _ => invalid(cf, "invalid zone size", text),
    }
}

/// `websocket_history number;`
pub unsafe extern "C" fn set_history(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own main structure.
    unsafe {
        let rv = ngx_conf_set_num_slot(cf, command, conf);
        if rv.is_null() && (*conf.cast::<MainConf>()).history > LONGEST_HISTORY {
            return refusal(c"must be at most 65536");
        }
        rv
    }
}

/// A history is looked through by people.
const LONGEST_HISTORY: isize = 65536;

/// `websocket_label text;`
pub unsafe extern "C" fn set_label(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx has checked that there is a word after the name.
    if let Some(word) = unsafe { conf::words(cf) }.get(1) {
        // SAFETY: a word of the configuration.
        let text = unsafe { string::bytes(word) };
        if text.is_empty() {
            return refusal(c"must not be empty");
        }
        if text.contains(&b'$') {
            return refusal(c"takes no variables: clients would decide how many labels there are");
        }
    }
    // SAFETY: nginx calls a setter with its own location structure.
    unsafe { ngx_conf_set_str_slot(cf, command, conf) }
}

/// The whole configuration is read: looks whether the zone is large enough for what is to be in it.
///
/// # Safety
/// `cf` must be in the http context.
pub unsafe fn check(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), ()> {
    let Some(zone) = main.zone() else {
        return Ok(());
    };
    let fits = |bytes: usize| Zone::fits(bytes / size_of::<u64>(), zone.history);
    if fits(zone.size) {
        return Ok(());
    }
    // Kilobytes, as they would be written.
    let least = (1usize..).map(|size| size * 4).find(|size| fits(size * 1024));
    let text = format_args!(
        "websocket zone \"{}\" is too small: with websocket_history {} it has to be at least {}k",
        zone.name.escape_ascii(),
        zone.history,
        least.unwrap_or_default()
    );
    // SAFETY: the caller vouches for cf.
    log::place(unsafe { (*cf).log }, NGX_LOG_EMERG, zone.place, text);
    Err(())
}

fn refusal(text: &'static CStr) -> *mut c_char {
    text.as_ptr().cast_mut()
}

fn invalid(cf: *mut ngx_conf_t, what: &str, text: &[u8]) -> *mut c_char {
    let text = format_args!("{what} \"{}\"", text.escape_ascii());
    log::directive(cf, NGX_LOG_EMERG, text);
    conf::ERROR
}
