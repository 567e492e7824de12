//! The module's directives: their names, contexts and how their words are read.

use core::ffi::{CStr, c_char, c_void};
use core::mem::offset_of;
use core::ptr;

use nginx_sys::{
    NGX_CONF_1MORE, NGX_CONF_FLAG, NGX_CONF_TAKE1, NGX_CONF_TAKE12, NGX_CONF_TAKE123,
    NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF,
    NGX_LOG_EMERG, NGX_LOG_ERR, NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_array_t,
    ngx_command_t, ngx_conf_enum_t, ngx_conf_set_enum_slot, ngx_conf_set_flag_slot,
    ngx_conf_set_num_slot, ngx_conf_set_off_slot, ngx_conf_set_size_slot, ngx_conf_t, ngx_msec_t,
    ngx_parse_time, ngx_str_t, ngx_uint_t,
};

use super::note::Note;
use super::{LocationConf, MainConf, origin, zone};
use crate::nginx::{conf, log, string};
use crate::types::{
    GOING_AWAY, Handshake, LONGEST_TIMEOUT, OtherUpgrades, SERVICE_RESTART, TO_CLIENT, TO_UPSTREAM,
    Verify,
};

const fn choice(name: &'static CStr, value: ngx_uint_t) -> ngx_conf_enum_t {
    ngx_conf_enum_t {
        name: string::constant(name),
        value,
    }
}

const END: ngx_conf_enum_t = ngx_conf_enum_t {
    name: string::EMPTY,
    value: 0,
};

static mut HANDSHAKE: [ngx_conf_enum_t; 3] = [
    choice(c"strict", Handshake::Strict as ngx_uint_t),
    choice(c"lenient", Handshake::Lenient as ngx_uint_t),
    END,
];

static mut OTHER_UPGRADES: [ngx_conf_enum_t; 4] = [
    choice(c"strip", OtherUpgrades::Strip as ngx_uint_t),
    choice(c"pass", OtherUpgrades::Pass as ngx_uint_t),
    choice(c"reject", OtherUpgrades::Reject as ngx_uint_t),
    END,
];

static mut VERIFY: [ngx_conf_enum_t; 4] = [
    choice(c"on", Verify::On as ngx_uint_t),
    choice(c"off", Verify::Off as ngx_uint_t),
    choice(c"log", Verify::Log as ngx_uint_t),
    END,
];

static mut LOG_LEVEL: [ngx_conf_enum_t; 5] = [
    choice(c"error", NGX_LOG_ERR as ngx_uint_t),
    choice(c"warn", NGX_LOG_WARN as ngx_uint_t),
    choice(c"notice", NGX_LOG_NOTICE as ngx_uint_t),
    choice(c"info", NGX_LOG_INFO as ngx_uint_t),
    END,
];

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

const fn directive(
    name: &'static CStr,
    words: u32,
    set: Setter,
    offset: usize,
    post: *mut c_void,
) -> ngx_command_t {
    ngx_command_t {
        name: string::constant(name),
        type_: (ANYWHERE | words) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset,
        post,
    }
}

/// One of the whole of `http {}`.
const fn main_directive(name: &'static CStr, set: Setter, offset: usize) -> ngx_command_t {
    ngx_command_t {
        name: string::constant(name),
        type_: (NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_MAIN_CONF_OFFSET,
        offset,
        post: ptr::null_mut(),
    }
}

pub static mut COMMANDS: [ngx_command_t; 21] = [
    directive(
        c"websocket",
        NGX_CONF_FLAG,
        set_websocket,
        offset_of!(LocationConf, websocket),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_handshake",
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, handshake),
        ptr::addr_of_mut!(HANDSHAKE).cast(),
    ),
    directive(
        c"websocket_other_upgrades",
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, other_upgrades),
        ptr::addr_of_mut!(OTHER_UPGRADES).cast(),
    ),
    directive(
        c"websocket_timeout",
        NGX_CONF_TAKE1,
        set_time_or_off,
        offset_of!(LocationConf, timeout),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_verify",
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, verify),
        ptr::addr_of_mut!(VERIFY).cast(),
    ),
    directive(
        c"websocket_log_level",
        NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot,
        offset_of!(LocationConf, log_level),
        ptr::addr_of_mut!(LOG_LEVEL).cast(),
    ),
    directive(
        c"websocket_cause_header",
        NGX_CONF_FLAG,
        ngx_conf_set_flag_slot,
        offset_of!(LocationConf, cause_header),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_allow_origin",
        NGX_CONF_1MORE,
        set_allow_origin,
        offset_of!(LocationConf, allow_origin),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_tunnel",
        NGX_CONF_FLAG,
        ngx_conf_set_flag_slot,
        offset_of!(LocationConf, tunnel),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_buffer_size",
        NGX_CONF_TAKE1,
        set_buffer_size,
        offset_of!(LocationConf, buffer_size),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_buffers",
        NGX_CONF_TAKE1,
        ngx_conf_set_num_slot,
        offset_of!(LocationConf, buffers),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_ping",
        NGX_CONF_TAKE123,
        set_ping,
        offset_of!(LocationConf, ping_interval),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_max_lifetime",
        NGX_CONF_TAKE1,
        set_time_or_off,
        offset_of!(LocationConf, max_lifetime),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_max_message_size",
        NGX_CONF_TAKE1,
        ngx_conf_set_off_slot,
        offset_of!(LocationConf, max_message_size),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_rate",
        NGX_CONF_TAKE1,
        ngx_conf_set_size_slot,
        offset_of!(LocationConf, rate),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_drain",
        NGX_CONF_TAKE12,
        set_drain,
        offset_of!(LocationConf, drain),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_advice",
        NGX_CONF_FLAG,
        ngx_conf_set_flag_slot,
        offset_of!(LocationConf, advice),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_label",
        NGX_CONF_TAKE1,
        zone::set_label,
        offset_of!(LocationConf, label_text),
        ptr::null_mut(),
    ),
    main_directive(
        c"websocket_zone",
        zone::set_zone,
        offset_of!(MainConf, zone_name),
    ),
    main_directive(
        c"websocket_history",
        zone::set_history,
        offset_of!(MainConf, history),
    ),
    ngx_command_t {
        name: string::EMPTY,
        type_: 0,
        set: None,
        conf: 0,
        offset: 0,
        post: ptr::null_mut(),
    },
];

/// `websocket on | off;`
unsafe extern "C" fn set_websocket(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe {
        (*conf.cast::<LocationConf>()).written = Note::being_read(cf);
        ngx_conf_set_flag_slot(cf, command, conf)
    }
}

/// A time, or `off`, which is no limit. Zero would end every tunnel at once, so it is refused.
unsafe extern "C" fn set_time_or_off(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the command's offset is that of a time in the structure nginx gives.
    let time = unsafe { &mut *conf.byte_add((*command).offset).cast::<ngx_msec_t>() };
    if *time != conf::UNSET {
        return c"is duplicate".as_ptr().cast_mut();
    }
    // SAFETY: nginx has checked that there is a word after the name.
    let Some(word) = unsafe { conf::words(cf) }.get(1) else {
        return conf::ERROR;
    };
    match parse_time_or_off(word) {
        Ok(parsed) => {
            *time = parsed;
            conf::OK
        }
        Err(refusal) => refusal.as_ptr().cast_mut(),
    }
}

/// Milliseconds, [`LONGEST_TIMEOUT`] for `off`; or why not.
fn parse_time_or_off(word: &ngx_str_t) -> Result<ngx_msec_t, &'static CStr> {
    // SAFETY: a word of the configuration.
    match unsafe { string::bytes(word) } {
        b"off" => Ok(LONGEST_TIMEOUT),
        text => parse_time(text),
    }
}

fn parse_time(text: &[u8]) -> Result<ngx_msec_t, &'static CStr> {
    let mut text = string::borrowed(text);
    // SAFETY: the text is valid and is only read.
    match ngx_msec_t::try_from(unsafe { ngx_parse_time(&raw mut text, 0) }) {
        Ok(0) => Err(c"must not be 0: write \"off\" for no limit"),
        Ok(time) => Ok(time),
        Err(_) => Err(c"invalid value"),
    }
}

/// `websocket_buffer_size size;`
unsafe extern "C" fn set_buffer_size(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure.
    unsafe {
        let rv = ngx_conf_set_size_slot(cf, command, conf);
        if rv.is_null() && (*conf.cast::<LocationConf>()).buffer_size < SMALLEST_BUFFER {
            return c"must be at least 1k".as_ptr().cast_mut();
        }
        rv
    }
}

/// Below this a tunnel would be all overhead.
const SMALLEST_BUFFER: usize = 1024;

/// `websocket_ping off | interval [timeout=time] [to=client|upstream|both];`
unsafe extern "C" fn set_ping(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure.
    let rv = unsafe { set_time_or_off(cf, command, conf) };
    if !rv.is_null() {
        return rv;
    }
    // SAFETY: as above.
    let (this, words) = unsafe { (&mut *conf.cast::<LocationConf>(), conf::words(cf)) };
    // SAFETY: as above.
    this.ping_written = unsafe { Note::being_read(cf) };
    (this.ping_timeout, this.ping_to) = (DEFAULT_PING_TIMEOUT, TO_CLIENT);
    for word in words.iter().skip(2) {
        // SAFETY: a word of the configuration.
        let text = unsafe { string::bytes(word) };
        match (text, text.strip_prefix(b"timeout=")) {
            (_, Some(time)) => match parse_time(time) {
                Ok(time) => this.ping_timeout = time,
                Err(_) => return invalid_parameter(cf, text),
            },
            (b"to=client", _) => this.ping_to = TO_CLIENT,
            (b"to=upstream", _) => this.ping_to = TO_UPSTREAM,
            (b"to=both", _) => this.ping_to = TO_CLIENT | TO_UPSTREAM,
            _ => return invalid_parameter(cf, text),
        }
    }
    conf::OK
}

pub const DEFAULT_PING_TIMEOUT: ngx_msec_t = 10_000;

/// `websocket_drain off | time [code=1001|1012];`
unsafe extern "C" fn set_drain(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure.
    let rv = unsafe { set_time_or_off(cf, command, conf) };
    if !rv.is_null() {
        return rv;
    }
    // SAFETY: as above.
    let (this, words) = unsafe { (&mut *conf.cast::<LocationConf>(), conf::words(cf)) };
    // SAFETY: as above.
    this.drain_written = unsafe { Note::being_read(cf) };
    this.drain_code = SERVICE_RESTART.into();
    if let Some(word) = words.get(2) {
        // SAFETY: a word of the configuration.
        match unsafe { string::bytes(word) } {
            b"code=1001" => this.drain_code = GOING_AWAY.into(),
            b"code=1012" => {}
            text => return invalid_parameter(cf, text),
        }
    }
    conf::OK
}

fn invalid_parameter(cf: *mut ngx_conf_t, text: &[u8]) -> *mut c_char {
    log::directive(
        cf,
        NGX_LOG_EMERG,
        format_args!("invalid parameter \"{}\"", text.escape_ascii()),
    );
    conf::ERROR
}

/// `websocket_allow_origin none | same | origin | ~regex ...;`
unsafe extern "C" fn set_allow_origin(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the command's offset is that of the array in the structure nginx gives.
    let origins = unsafe { &mut *conf.byte_add((*command).offset).cast::<*mut ngx_array_t>() };
    if *origins as usize != conf::UNSET {
        return c"is duplicate".as_ptr().cast_mut();
    }
    // SAFETY: nginx calls a setter with the directive's words.
    match unsafe { origin::parse(cf, conf::words(cf)) } {
        Some(parsed) => {
            *origins = parsed;
            conf::OK
        }
        None => conf::ERROR,
    }
}
