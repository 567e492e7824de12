//! The module's directives: their names, contexts, and the words that they know.

use core::ffi::{CStr, c_void};
use core::mem::offset_of;
use core::ptr;

use nginx_sys::{
    NGX_CONF_1MORE, NGX_CONF_FLAG, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE12,
    NGX_CONF_TAKE123, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF, NGX_LOG_ERR, NGX_LOG_INFO, NGX_LOG_NOTICE,
    NGX_LOG_WARN, ngx_command_t, ngx_conf_enum_t, ngx_uint_t,
};
use websocket_protocol::Strictness;

use super::buffers::set_large_buffers;
use super::leave::{set_drain, set_upstream_drain};
use super::once::Setter;
use super::words::{
    set_allow_origin, set_choice, set_flag, set_message_size, set_number, set_ping, set_rate,
    set_size, set_time_or_off,
};
use super::{LocationConf, MainConf, handover, lifetime, message_rate, send_lowat, status, zone};
use crate::nginx::string;
use crate::types::{OtherUpgrades, Verify};

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

static mut HANDSHAKE: [ngx_conf_enum_t; 4] = [
    choice(c"strict", Strictness::Strict as ngx_uint_t),
    choice(c"safe", Strictness::Safe as ngx_uint_t),
    choice(c"lenient", Strictness::Lenient as ngx_uint_t),
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
const fn main_directive(
    name: &'static CStr,
    words: u32,
    set: Setter,
    offset: usize,
) -> ngx_command_t {
    ngx_command_t {
        name: string::constant(name),
        type_: (NGX_HTTP_MAIN_CONF | words) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_MAIN_CONF_OFFSET,
        offset,
        post: ptr::null_mut(),
    }
}

pub static mut COMMANDS: [ngx_command_t; 31] = [
    directive(
        c"websocket",
        NGX_CONF_FLAG,
        set_flag,
        offset_of!(LocationConf, websocket),
        ptr::null_mut(),
    ),
    ngx_command_t {
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_FLAG) as ngx_uint_t,
        ..directive(
            c"websocket_http2",
            NGX_CONF_FLAG,
            set_flag,
            offset_of!(LocationConf, http2),
            ptr::null_mut(),
        )
    },
    directive(
        c"websocket_handshake",
        NGX_CONF_TAKE1,
        set_choice,
        offset_of!(LocationConf, handshake),
        ptr::addr_of_mut!(HANDSHAKE).cast(),
    ),
    directive(
        c"websocket_other_upgrades",
        NGX_CONF_TAKE1,
        set_choice,
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
        set_choice,
        offset_of!(LocationConf, verify),
        ptr::addr_of_mut!(VERIFY).cast(),
    ),
    directive(
        c"websocket_log_level",
        NGX_CONF_TAKE1,
        set_choice,
        offset_of!(LocationConf, log_level),
        ptr::addr_of_mut!(LOG_LEVEL).cast(),
    ),
    directive(
        c"websocket_log_open",
        NGX_CONF_FLAG,
        set_flag,
        offset_of!(LocationConf, log_open),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_cause_header",
        NGX_CONF_FLAG,
        set_flag,
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
        set_flag,
        offset_of!(LocationConf, tunnel),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_buffer_size",
        NGX_CONF_TAKE1,
        set_size,
        offset_of!(LocationConf, buffer_size),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_buffers",
        NGX_CONF_TAKE1,
        set_number,
        offset_of!(LocationConf, buffers),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_large_buffers",
        NGX_CONF_TAKE12,
        set_large_buffers,
        offset_of!(LocationConf, large_buffers),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_send_lowat",
        NGX_CONF_TAKE1,
        send_lowat::set_send_lowat,
        offset_of!(LocationConf, send_lowat),
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
        NGX_CONF_TAKE12,
        lifetime::set_max_lifetime,
        offset_of!(LocationConf, max_lifetime),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_max_message_size",
        NGX_CONF_TAKE1,
        set_message_size,
        offset_of!(LocationConf, max_message_size),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_rate",
        NGX_CONF_TAKE1,
        set_rate,
        offset_of!(LocationConf, rate),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_message_rate",
        NGX_CONF_TAKE123,
        message_rate::set_message_rate,
        offset_of!(LocationConf, message_rate),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_message_timeout",
        NGX_CONF_TAKE1,
        set_time_or_off,
        offset_of!(LocationConf, message_timeout),
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
        c"websocket_upstream_drain",
        NGX_CONF_TAKE12,
        set_upstream_drain,
        offset_of!(LocationConf, upstream_drain),
        ptr::null_mut(),
    ),
    directive(
        c"websocket_advice",
        NGX_CONF_FLAG,
        set_flag,
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
    ngx_command_t {
        type_: (NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1)
            as ngx_uint_t,
        ..directive(
            c"websocket_status",
            NGX_CONF_TAKE1,
            status::set_status,
            offset_of!(LocationConf, status),
            ptr::null_mut(),
        )
    },
    ngx_command_t {
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_FLAG) as ngx_uint_t,
        ..directive(
            c"websocket_control",
            NGX_CONF_FLAG,
            status::set_control,
            offset_of!(LocationConf, control),
            ptr::null_mut(),
        )
    },
    main_directive(
        c"websocket_zone",
        NGX_CONF_TAKE1,
        zone::set_zone,
        offset_of!(MainConf, zone_name),
    ),
    main_directive(
        c"websocket_history",
        NGX_CONF_TAKE1,
        zone::set_history,
        offset_of!(MainConf, history),
    ),
    main_directive(
        c"websocket_handover",
        NGX_CONF_TAKE12,
        handover::set_handover,
        offset_of!(MainConf, handover),
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
