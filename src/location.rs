//! What a location makes of the module's directives.

use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::{
    NGX_LOG_EMERG, NGX_LOG_ERR, ngx_array_t, ngx_conf_t, ngx_flag_t, ngx_http_upstream_conf_t,
    ngx_int_t, ngx_msec_t, ngx_pcalloc, ngx_pool_t, ngx_str_t, ngx_uint_t, off_t,
};
use websocket_protocol::Scanner;

use crate::directives::DEFAULT_PING_TIMEOUT;
use crate::inject::Injection;
use crate::main_conf::MainConf;
use crate::nginx::{conf, pool, string};
use crate::tunnel::Side;
use crate::{advice, inject, log, origin};

/// What a location makes of the module's directives. nginx's setters write into it, so an unset
/// value is nginx's own.
#[repr(C)]
pub struct LocationConf {
    pub(super) websocket: ngx_flag_t,
    pub(super) handshake: ngx_uint_t,
    pub(super) other_upgrades: ngx_uint_t,
    pub(super) timeout: ngx_msec_t,
    pub(super) verify: ngx_uint_t,
    pub(super) log_level: ngx_uint_t,
    pub(super) cause_header: ngx_flag_t,
    /// Array of [`origin::Origin`]; NULL when origins are not checked.
    pub(super) allow_origin: *mut ngx_array_t,
    pub(super) tunnel: ngx_flag_t,
    pub(super) buffer_size: usize,
    pub(super) buffers: ngx_int_t,
    pub(super) ping_interval: ngx_msec_t,
    pub(super) ping_timeout: ngx_msec_t,
    pub(super) ping_to: ngx_uint_t,
    pub(super) max_lifetime: ngx_msec_t,
    pub(super) max_message_size: off_t,
    pub(super) rate: usize,
    pub(super) drain: ngx_msec_t,
    pub(super) drain_code: ngx_uint_t,
    pub(super) advice: ngx_flag_t,
    /// Where these were written, for what can only be told after the merge.
    pub written: Place,
    pub ping_written: Place,
    pub drain_written: Place,
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place {
    file: *const u8,
    file_len: usize,
    pub line: ngx_uint_t,
}

impl Place {
    pub const NOWHERE: Self = Self {
        file: ptr::null(),
        file_len: 0,
        line: 0,
    };

    pub fn new(file: ngx_str_t, line: ngx_uint_t) -> Self {
        Self {
            file: file.data,
            file_len: file.len,
            line,
        }
    }

    /// The line being read.
    ///
    /// # Safety
    /// `cf` must be the one that nginx gave to a directive's setter.
    pub unsafe fn being_read(cf: *const ngx_conf_t) -> Self {
        // SAFETY: while a directive is read there is a file it is read from.
        unsafe { Self::new((*(*cf).conf_file).file.name, (*(*cf).conf_file).line) }
    }

    pub fn file<'a>(&self) -> &'a [u8] {
        let name = ngx_str_t {
            len: self.file_len,
            data: self.file.cast_mut(),
        };
        // SAFETY: a file's name lives as long as the configuration.
        unsafe { string::bytes(&name) }
    }
}

/// `websocket_handshake`
pub const STRICT: ngx_uint_t = 0;
pub const LENIENT: ngx_uint_t = 1;

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

pub const TO_CLIENT: ngx_uint_t = 1;
pub const TO_UPSTREAM: ngx_uint_t = 2;

/// Close codes (RFC 6455 section 7.4, IANA's registry).
pub const GOING_AWAY: u16 = 1001;
pub const SERVICE_RESTART: u16 = 1012;

/// A time that may be `off`.
fn limit(time: ngx_msec_t) -> Option<ngx_msec_t> {
    (time < LONGEST_TIMEOUT).then_some(time)
}

/// `websocket_timeout` when it is not written, milliseconds.
pub const DEFAULT_TIMEOUT: ngx_msec_t = 60 * 60 * 1000;

/// nginx hands the nearest timer to the kernel as an `int` of milliseconds: more would wrap.
pub const LONGEST_TIMEOUT: ngx_msec_t = i32::MAX as ngx_msec_t;

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

    /// How much a buffer holds: a payload of the configured size together with its header, so that
    /// a message of 64k is not cut in two for the sake of some bytes.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size.saturating_add(Scanner::MAX_HEADER + 1)
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

    /// Whether `nginx -t` warns of what is not as it seems.
    pub fn has_advice(&self) -> bool {
        self.advice == 1
    }

    /// The origins that may open a WebSocket here; `None` when any may.
    pub fn allowed_origins(&self) -> Option<&[origin::Origin]> {
        if self.allow_origin.is_null() {
            return None;
        }
        // SAFETY: after the merge this is NULL or an array of origins, made in this file.
        Some(unsafe { pool::elements(self.allow_origin) })
    }
}

/// `create_loc_conf`: everything unset.
pub unsafe extern "C" fn create(cf: *mut ngx_conf_t) -> *mut c_void {
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
        advice: conf::UNSET_FLAG,
        written: Place::NOWHERE,
        ping_written: Place::NOWHERE,
        drain_written: Place::NOWHERE,
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
pub unsafe extern "C" fn merge(
    cf: *mut ngx_conf_t,
    above: *mut c_void,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx gives two different structures made by create().
    let (above, this) = unsafe {
        (
            &*above.cast::<LocationConf>(),
            &mut *conf.cast::<LocationConf>(),
        )
    };

    if this.websocket == conf::UNSET_FLAG {
        this.written = above.written;
    }
    if this.ping_interval == conf::UNSET {
        this.ping_written = above.ping_written;
    }
    if this.drain == conf::UNSET {
        this.drain_written = above.drain_written;
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
    conf::merge(&mut this.advice, above.advice, conf::UNSET_FLAG, 1);

    if this.is_on() {
        // SAFETY: nginx merges in the http context.
        unsafe { MainConf::of(cf) }.in_use.set(true);
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
        // SAFETY: as above.
        Ok(()) => match unsafe { advice::note(cf, above, this) } {
            Some(()) => conf::OK,
            None => conf::ERROR,
        },
        Err(refusal) => {
            if let Some(text) = refusal {
                log::configuration(cf, NGX_LOG_EMERG, this.written, format_args!("{text}"));
            }
            conf::ERROR
        }
    }
}
