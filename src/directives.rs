//! The module's directives and what a location makes of them.

use core::ffi::{CStr, c_char, c_void};
use core::mem::offset_of;
use core::ptr;

use nginx_sys::{NGX_CONF_1MORE, ngx_http_upstream_conf_t};
use nginx_sys::{
    NGX_CONF_FLAG, NGX_CONF_TAKE1, NGX_CONF_TAKE12, NGX_CONF_TAKE123, NGX_HTTP_LOC_CONF,
    NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF, NGX_LOG_EMERG, NGX_LOG_ERR,
    NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_array_t, ngx_command_t, ngx_conf_enum_t,
    ngx_conf_set_enum_slot, ngx_conf_set_flag_slot, ngx_conf_set_num_slot, ngx_conf_set_off_slot,
    ngx_conf_set_size_slot, ngx_conf_t, ngx_flag_t, ngx_int_t, ngx_msec_t, ngx_parse_time,
    ngx_pcalloc, ngx_pool_t, ngx_str_t, ngx_uint_t, off_t,
};

use crate::inject::Injection;
use crate::nginx::{conf, string};
use crate::tunnel::Side;
use crate::{inject, log, origin};

/// What a location makes of the module's directives. nginx's setters write into it, so an unset
/// value is nginx's own.
#[repr(C)]
pub struct LocationConf {
    websocket: ngx_flag_t,
    handshake: ngx_uint_t,
    other_upgrades: ngx_uint_t,
    timeout: ngx_msec_t,
    verify: ngx_uint_t,
    log_level: ngx_uint_t,
    cause_header: ngx_flag_t,
    /// Array of [`origin::Origin`]; NULL when origins are not checked.
    allow_origin: *mut ngx_array_t,
    tunnel: ngx_flag_t,
    buffer_size: usize,
    buffers: ngx_int_t,
    ping_interval: ngx_msec_t,
    ping_timeout: ngx_msec_t,
    ping_to: ngx_uint_t,
    max_lifetime: ngx_msec_t,
    max_message_size: off_t,
    rate: usize,
    drain: ngx_msec_t,
    drain_code: ngx_uint_t,
    /// Where `websocket` was written, for what can only be told after the merge.
    pub written: Place,
    pub injection: Injection,
    /// The location's upstream settings with `websocket_timeout` in them: made for the first
    /// tunnel, from the settings it is found with.
    pub tunnel_settings: Option<(
        *const ngx_http_upstream_conf_t,
        *mut ngx_http_upstream_conf_t,
    )>,
    pub pool: *mut ngx_pool_t,
}

/// A line of the configuration.
#[derive(Clone, Copy)]
pub struct Place {
    pub file: ngx_str_t,
    pub line: ngx_uint_t,
}

/// `websocket_handshake`
pub const STRICT: ngx_uint_t = 0;
const LENIENT: ngx_uint_t = 1;

/// `websocket_other_upgrades`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OtherUpgrades {
    Strip,
    Pass,
    Reject,
}

/// `websocket_verify`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    On,
    Off,
    Log,
}

/// `websocket_ping`
#[derive(Clone, Copy)]
pub struct Ping {
    pub interval: ngx_msec_t,
    pub timeout: ngx_msec_t,
    to: ngx_uint_t,
}

impl Ping {
    pub fn goes_to(&self, side: Side) -> bool {
        match side {
            Side::Client => self.to & TO_CLIENT != 0,
            Side::Upstream => self.to & TO_UPSTREAM != 0,
        }
    }
}

const TO_CLIENT: ngx_uint_t = 1;
const TO_UPSTREAM: ngx_uint_t = 2;

/// Close codes (RFC 6455 section 7.4, IANA's registry).
const GOING_AWAY: u16 = 1001;
const SERVICE_RESTART: u16 = 1012;

/// A time that may be `off`.
fn limit(time: ngx_msec_t) -> Option<ngx_msec_t> {
    (time < LONGEST_TIMEOUT).then_some(time)
}

/// `websocket_timeout` when it is not written, milliseconds.
const DEFAULT_TIMEOUT: ngx_msec_t = 60 * 60 * 1000;

/// nginx hands the nearest timer to the kernel as an `int` of milliseconds: more would wrap.
const LONGEST_TIMEOUT: ngx_msec_t = i32::MAX as ngx_msec_t;

impl LocationConf {
    pub fn is_on(&self) -> bool {
        self.websocket == 1
    }

    pub fn is_strict(&self) -> bool {
        self.handshake == STRICT
    }

    pub fn other_upgrades(&self) -> OtherUpgrades {
        match self.other_upgrades {
            1 => OtherUpgrades::Pass,
            2 => OtherUpgrades::Reject,
            _ => OtherUpgrades::Strip,
        }
    }

    pub fn verify(&self) -> Verify {
        match self.verify {
            1 => Verify::Off,
            2 => Verify::Log,
            _ => Verify::On,
        }
    }

    /// How long a tunnel may be idle, milliseconds; `off` is as long as nginx can wait.
    pub fn timeout(&self) -> ngx_msec_t {
        self.timeout.min(LONGEST_TIMEOUT)
    }

    pub fn log_level(&self) -> ngx_uint_t {
        self.log_level
    }

    pub fn has_cause_header(&self) -> bool {
        self.cause_header == 1
    }

    /// How long a tunnel may be idle, milliseconds; `None` for ever.
    pub fn tunnel_timeout(&self) -> Option<ngx_msec_t> {
        limit(self.timeout)
    }

    /// Whether tunnels are carried by this module.
    pub fn has_tunnel(&self) -> bool {
        self.tunnel == 1
    }

    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// How many free buffers a worker keeps.
    pub fn buffers(&self) -> usize {
        usize::try_from(self.buffers).unwrap_or(0)
    }

    pub fn ping(&self) -> Option<Ping> {
        let interval = limit(self.ping_interval)?;
        Some(Ping {
            interval,
            timeout: self.ping_timeout,
            to: self.ping_to,
        })
    }

    pub fn max_lifetime(&self) -> Option<ngx_msec_t> {
        limit(self.max_lifetime)
    }

    pub fn max_message_size(&self) -> Option<u64> {
        u64::try_from(self.max_message_size)
            .ok()
            .filter(|size| *size > 0)
    }

    /// Bytes per second from the client.
    pub fn rate(&self) -> Option<usize> {
        (self.rate > 0).then_some(self.rate)
    }

    /// Over what time tunnels leave a worker that is to exit, milliseconds.
    pub fn drain(&self) -> Option<ngx_msec_t> {
        limit(self.drain)
    }

    pub fn drain_code(&self) -> u16 {
        u16::try_from(self.drain_code).unwrap_or(SERVICE_RESTART)
    }

    /// The origins that may open a WebSocket here; `None` when any may.
    pub fn allowed_origins(&self) -> Option<&[origin::Origin]> {
        if self.allow_origin.is_null() {
            return None;
        }
        // SAFETY: after the merge this is NULL or an array of origins, made in this file.
        Some(unsafe { crate::nginx::pool::elements(self.allow_origin) })
    }
}

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

static mut HANDSHAKE: [ngx_conf_enum_t; 3] =
    [choice(c"strict", STRICT), choice(c"lenient", LENIENT), END];

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

pub static mut COMMANDS: [ngx_command_t; 17] = [
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
        let file = (*cf).conf_file;
        (*conf.cast::<LocationConf>()).written = Place {
            file: (*file).file.name,
            line: (*file).line,
        };
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

const DEFAULT_PING_TIMEOUT: ngx_msec_t = 10_000;

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

/// `create_loc_conf`: everything unset.
pub unsafe extern "C" fn create_location_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx gives a valid cf; ngx_pcalloc() aligns to NGX_ALIGNMENT.
    let conf = unsafe { ngx_pcalloc((*cf).pool, size_of::<LocationConf>()) }.cast::<LocationConf>();
    if conf.is_null() {
        return ptr::null_mut();
    }
    let unset = LocationConf {
        websocket: conf::UNSET_FLAG,
        handshake: conf::UNSET,
        other_upgrades: conf::UNSET,
        timeout: conf::UNSET,
        verify: conf::UNSET,
        log_level: conf::UNSET,
        cause_header: conf::UNSET_FLAG,
        allow_origin: ptr::without_provenance_mut(conf::UNSET),
        tunnel: conf::UNSET_FLAG,
        buffer_size: conf::UNSET,
        buffers: conf::UNSET_FLAG,
        ping_interval: conf::UNSET,
        ping_timeout: conf::UNSET,
        ping_to: conf::UNSET,
        max_lifetime: conf::UNSET,
        max_message_size: -1,
        rate: conf::UNSET,
        drain: conf::UNSET,
        drain_code: conf::UNSET,
        written: Place {
            file: string::EMPTY,
            line: 0,
        },
        injection: Injection::new(),
        tunnel_settings: None,
        // SAFETY: nginx gives a valid cf.
        pool: unsafe { (*cf).pool },
    };
    // SAFETY: fresh memory of the right size.
    unsafe { conf.write(unset) };
    conf.cast()
}

/// `merge_loc_conf`: what is unset comes from the level above; then the location, with all that it
/// inherits known, is given what its upstream needs.
pub unsafe extern "C" fn merge_location_conf(
    cf: *mut ngx_conf_t,
    above: *mut c_void,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx gives two different structures made by create_location_conf().
    let (above, this) = unsafe {
        (
            &*above.cast::<LocationConf>(),
            &mut *conf.cast::<LocationConf>(),
        )
    };

    if this.websocket == conf::UNSET_FLAG {
        this.written = above.written;
    }
    conf::merge(&mut this.websocket, above.websocket, conf::UNSET_FLAG, 0);
    conf::merge(&mut this.handshake, above.handshake, conf::UNSET, STRICT);
    conf::merge(
        &mut this.other_upgrades,
        above.other_upgrades,
        conf::UNSET,
        OtherUpgrades::Strip as ngx_uint_t,
    );
    conf::merge(
        &mut this.timeout,
        above.timeout,
        conf::UNSET,
        DEFAULT_TIMEOUT,
    );
    conf::merge(
        &mut this.verify,
        above.verify,
        conf::UNSET,
        Verify::On as ngx_uint_t,
    );
    conf::merge(
        &mut this.log_level,
        above.log_level,
        conf::UNSET,
        NGX_LOG_ERR as ngx_uint_t,
    );
    conf::merge(
        &mut this.cause_header,
        above.cause_header,
        conf::UNSET_FLAG,
        0,
    );
    conf::merge(
        &mut this.allow_origin,
        above.allow_origin,
        ptr::without_provenance_mut(conf::UNSET),
        ptr::null_mut(),
    );
    conf::merge(&mut this.tunnel, above.tunnel, conf::UNSET_FLAG, 1);
    conf::merge(
        &mut this.buffer_size,
        above.buffer_size,
        conf::UNSET,
        64 * 1024,
    );
    conf::merge(&mut this.buffers, above.buffers, conf::UNSET_FLAG, 64);
    conf::merge(
        &mut this.ping_interval,
        above.ping_interval,
        conf::UNSET,
        LONGEST_TIMEOUT,
    );
    conf::merge(
        &mut this.ping_timeout,
        above.ping_timeout,
        conf::UNSET,
        DEFAULT_PING_TIMEOUT,
    );
    conf::merge(&mut this.ping_to, above.ping_to, conf::UNSET, TO_CLIENT);
    conf::merge(
        &mut this.max_lifetime,
        above.max_lifetime,
        conf::UNSET,
        LONGEST_TIMEOUT,
    );
    conf::merge(&mut this.max_message_size, above.max_message_size, -1, 0);
    conf::merge(&mut this.rate, above.rate, conf::UNSET, 0);
    conf::merge(&mut this.drain, above.drain, conf::UNSET, LONGEST_TIMEOUT);
    conf::merge(
        &mut this.drain_code,
        above.drain_code,
        conf::UNSET,
        SERVICE_RESTART.into(),
    );
    if this.is_on() && this.drain().is_some() {
        // SAFETY: nginx merges in the http context.
        unsafe { inject::note_drain(cf) };
    }

    // SAFETY: nginx merges with cf in the location's own context.
    match unsafe {
        inject::merge(
            cf,
            this.is_on(),
            this.written,
            &above.injection,
            &mut this.injection,
        )
    } {
        Ok(()) => conf::OK,
        Err(refusal) => {
            if let Some(text) = refusal {
                log::configuration(cf, NGX_LOG_EMERG, this.written, format_args!("{text}"));
            }
            conf::ERROR
        }
    }
}
