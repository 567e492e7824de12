//! `websocket_zone`, `websocket_history` and `websocket_label`: what is counted, and where.

use core::ffi::{c_char, c_void};

use nginx_sys::{
    NGX_LOG_EMERG, ngx_command_t, ngx_conf_set_num_slot, ngx_conf_set_str_slot, ngx_conf_t,
    ngx_int_t, ngx_parse_size,
};
use websocket_zone::Zone;

use super::MainConf;
use super::once::{IS_DUPLICATE, noted};
use super::refuse::refuse;
use crate::nginx::conf::Place;
use crate::nginx::string::{self, Text};
use crate::nginx::{conf, log};

/// `websocket_zone name:size;`
pub unsafe extern "C" fn set_zone(
    cf: *mut ngx_conf_t,
    _command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own main structure, and a word after the name.
    let (main, words) = unsafe { (&mut *conf.cast::<MainConf>(), conf::words(cf)) };
    if main.zone_name.len > 0 {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    let Some(word) = words.get(1) else {
        return conf::ERROR;
    };
    // SAFETY: a word of the configuration.
    let parts = split(unsafe { string::bytes(word) });
    let Some((name, size)) = parts else {
        return refuse(
            cf,
            format_args!("a name and a size, such as \"websocket:1m\""),
        );
    };
    (main.zone_name, main.zone_size) = (string::borrowed(name), size);
    // SAFETY: as above.
    main.zone_place = unsafe { Place::being_read(cf) };
    conf::OK
}

/// `name:size`, with neither empty.
fn split(text: &[u8]) -> Option<(&[u8], usize)> {
    let (name, size) = text.split_at_checked(memchr::memchr(b':', text)?)?;
    let mut digits = string::borrowed(size.get(1..)?);
    // SAFETY: the text is valid and is only read.
    let size = usize::try_from(unsafe { ngx_parse_size(&raw mut digits) }).ok()?;
    // As other directives have it, "zone=" is no part of a name. Whole words: what is left is of no use.
    (!name.is_empty() && !name.contains(&b'=') && size > 0)
        .then_some((name, size - size % size_of::<u64>()))
}

/// `websocket_history number;`
pub unsafe extern "C" fn set_history(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own main structure; it gives back one of two marks or a
    // constant text.
    unsafe {
        let main = conf.cast::<MainConf>();
        let is_set = (*main).history != conf::UNSET_FLAG;
        let rv = ngx_conf_set_num_slot(cf, command, conf);
        if !is_set {
            (*main).history_place = Place::being_read(cf);
        }
        if is_set || (rv == conf::OK && (*main).history <= LONGEST_HISTORY) {
            return rv;
        }
        refuse(cf, format_args!("a number from 0 to {LONGEST_HISTORY}"))
    }
}

/// A history is looked through by people.
const LONGEST_HISTORY: ngx_int_t = 65536;

/// `websocket_label text;`
pub unsafe extern "C" fn set_label(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure, and a word after the name.
    unsafe {
        let word = conf::words(cf).get(1).map(|word| string::bytes(word));
        // Clients would decide how many labels there are.
        if word.is_none_or(|text| text.is_empty() || text.contains(&b'$')) {
            return refuse(cf, format_args!("a text without variables"));
        }
        noted(cf, command, conf, ngx_conf_set_str_slot)
    }
}

/// The whole configuration is read: looks whether the zone is large enough for what is to be in it.
///
/// # Safety
/// `cf` must be in the http context.
pub unsafe fn check(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), ()> {
    let Some(zone) = main.zone() else {
        return Ok(());
    };
    let least = Zone::least_words(zone.history) * size_of::<u64>();
    if zone.size >= least {
        return Ok(());
    }
    // SAFETY: the caller vouches for cf.
    let log = unsafe { (*cf).log };
    log::place(
        log,
        NGX_LOG_EMERG,
        zone.place,
        format_args!(
            "websocket zone \"{}\" is too small: with websocket_history {} it has to be at least {}k",
            Text(zone.name),
            zone.history,
            // As it would be written.
            least.div_ceil(1024)
        ),
    );
    Err(())
}
