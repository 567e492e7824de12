//! What a location makes of the module's directives: data, defaults and the merge.

use core::cell::Cell;
use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::{
    NGX_LOG_ERR, ngx_array_t, ngx_conf_t, ngx_flag_t, ngx_http_conf_ctx_t,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_int_t, ngx_msec_t, ngx_pcalloc, ngx_uint_t,
    off_t,
};
use websocket_protocol::Scanner;

use super::directives::DEFAULT_PING_TIMEOUT;
use super::{MainConf, origin};
use crate::nginx::conf::Place;
use crate::nginx::{Request, conf, module, pool, string};
use crate::types::{
    Handshake, LONGEST_TIMEOUT, OtherUpgrades, Ping, SERVICE_RESTART, TO_CLIENT, Verify,
};

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
    pub level: Level,
    /// What `inject` has made for it.
    pub twins: Cell<Twins>,
}

/// A level of the configuration, as nginx keeps it.
#[derive(Clone, Copy)]
pub struct Level {
    /// The level around it; NULL for the http level.
    pub above: *const LocationConf,
    /// Every module's structure for it.
    pub location: *mut *mut c_void,
    /// Every module's structure for the server it belongs to.
    pub server: *mut *mut c_void,
}

/// The configurations that a location has beside its own, NULL where it has none.
#[derive(Clone, Copy)]
pub struct Twins {
    /// For handshakes: HTTP/1.1, with the headers that upgrade.
    pub handshake: *mut *mut c_void,
    /// For requests whose upgrade is taken away, where the location's own lines would send one.
    pub stripped: *mut *mut c_void,
}

/// A time that may be `off`.
fn limit(time: ngx_msec_t) -> Option<ngx_msec_t> {
    (time < LONGEST_TIMEOUT).then_some(time)
}

/// `websocket_timeout` when it is not written, milliseconds.
pub const DEFAULT_TIMEOUT: ngx_msec_t = 60 * 60 * 1000;

impl LocationConf {
    /// The configuration of the request's location.
    pub fn of<'r>(r: Request<'r>) -> &'r Self {
        // SAFETY: create() made it, and a configuration outlives its requests.
        unsafe { &*r.location(module::index()).cast::<Self>() }
    }

    /// The level around this one; `None` for a server, around which there is only http.
    pub fn above(&self) -> Option<&Self> {
        // SAFETY: NULL, or a level that lives as long as this one.
        unsafe { self.level.above.as_ref() }.filter(|above| !above.level.location.is_null())
    }

    /// A module's structure for the level. Not of the http level, which is never merged.
    pub fn of_module(&self, index: usize) -> *mut c_void {
        // SAFETY: a level that was merged has a structure of each module.
        unsafe { *self.level.location.add(index) }
    }

    /// The core module's structure, likewise.
    pub fn core(&self) -> &ngx_http_core_loc_conf_t {
        // SAFETY: the core module's index is set before any configuration is read, and what it keeps
        // lives as long as the configuration.
        unsafe { &*self.of_module(ngx_http_core_module.ctx_index).cast() }
    }

    /// The location as it is written.
    pub fn name(&self) -> &[u8] {
        // SAFETY: a location's name lives as long as the configuration.
        unsafe { string::bytes(&self.core().name) }
    }

    pub fn is_on(&self) -> bool {
        self.websocket == 1
    }

    pub fn is_strict(&self) -> bool {
        self.handshake == Handshake::Strict as ngx_uint_t
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
        level: Level {
            above: ptr::null(),
            location: ptr::null_mut(),
            server: ptr::null_mut(),
        },
        twins: Cell::new(Twins {
            handshake: ptr::null_mut(),
            stripped: ptr::null_mut(),
        }),
    };
    // SAFETY: fresh memory of the right size.
    unsafe { conf.write(unset) };
    conf.cast()
}

/// `merge_loc_conf`: what is unset comes from the level above.
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
    conf::merge(
        &mut this.handshake,
        above.handshake,
        conf::UNSET,
        Handshake::Strict as ngx_uint_t,
    );
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

    // SAFETY: nginx merges in the http context, with the level's own structures in it.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        this.level = Level {
            above,
            location: (*context).loc_conf,
            server: (*context).srv_conf,
        };
        match MainConf::of(cf).note(this) {
            Some(()) => conf::OK,
            None => conf::ERROR,
        }
    }
}
