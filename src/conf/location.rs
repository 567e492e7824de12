//! What a location makes of the module's directives.

use core::cell::Cell;
use core::ffi::c_void;
use core::mem::offset_of;
use core::{iter, ptr};

use nginx_sys::{
    ngx_array_t, ngx_flag_t, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_http_core_srv_conf_t, ngx_int_t, ngx_msec_t, ngx_str_t, ngx_uint_t, off_t,
};
use websocket_protocol::tunnel::MessageRate;
use websocket_protocol::{Scanner, Strictness};
use websocket_zone::LabelId;

use super::note::{Note, Notes};
use super::origin;
use super::twins::Twins;
use crate::nginx::conf::Place;
use crate::nginx::{Request, module, pool, string};
use crate::types::{
    LONGEST_TIMEOUT, LargeBuffers, MaxLifetime, MaxMessageRate, OtherUpgrades, Ping,
    SERVICE_RESTART, Status, UpstreamDrain, Verify,
};

/// What a location makes of the module's directives. nginx's setters write into it, so an unset
/// value is nginx's own.
#[repr(C)]
pub struct LocationConf {
    pub(super) websocket: ngx_flag_t,
    pub(super) http2: ngx_flag_t,
    pub(super) handshake: ngx_uint_t,
    pub(super) other_upgrades: ngx_uint_t,
    pub(super) timeout: ngx_msec_t,
    pub(super) verify: ngx_uint_t,
    pub(super) log_level: ngx_uint_t,
    pub(super) log_open: ngx_flag_t,
    pub(super) cause_header: ngx_flag_t,
    /// Array of [`origin::Origin`]; NULL when origins are not checked.
    pub(super) allow_origin: *mut ngx_array_t,
    pub(super) tunnel: ngx_flag_t,
    pub(super) buffer_size: usize,
    pub(super) buffers: ngx_int_t,
    pub(super) send_lowat: usize,
    pub(super) large_buffers: LargeBuffers,
    pub(super) ping_interval: ngx_msec_t,
    pub(super) ping_timeout: ngx_msec_t,
    pub(super) ping_to: ngx_uint_t,
    pub(super) max_lifetime: Option<MaxLifetime>,
    pub(super) max_message_size: off_t,
    pub(super) rate: usize,
    pub(super) message_rate: Option<MaxMessageRate>,
    pub(super) message_timeout: ngx_msec_t,
    pub(super) drain: ngx_msec_t,
    pub(super) drain_code: ngx_uint_t,
    pub(super) upstream_drain: ngx_msec_t,
    pub(super) upstream_drain_code: ngx_uint_t,
    pub(super) advice: ngx_flag_t,
    /// `websocket_status`: a [`Status`], or unset.
    pub(super) status: ngx_uint_t,
    pub(super) control: ngx_flag_t,
    /// Where one of the two is written.
    pub(super) answers_at: Place,
    /// Where tunnels are closed from here: a path; empty where they can't be, or it isn't known.
    pub close_path: Cell<ngx_str_t>,
    /// `websocket_label`; its data is NULL where it is not set.
    pub(super) label_text: ngx_str_t,
    /// What is written at this level, for what can only be told after the merge.
    pub(super) notes: Notes,
    pub level: Level,
    /// What `inject` has made for it.
    pub twins: Cell<Twins>,
    /// What its handshakes and tunnels are counted under, in a worker.
    pub label: Cell<LabelId>,
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

/// A time that may be `off`.
fn limit(time: ngx_msec_t) -> Option<ngx_msec_t> {
    (time < LONGEST_TIMEOUT).then_some(time)
}

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

    /// The level and those around it, the http level too.
    pub fn with_above(&self) -> impl Iterator<Item = &Self> {
        // SAFETY: NULL, or a level that lives as long as this one.
        iter::successors(Some(self), |level| unsafe { level.level.above.as_ref() })
    }

    /// The module's directives that are written at this level.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter()
    }

    /// The directive that sets a field here, written at this level or around it.
    pub(super) fn note(&self, field: usize) -> Option<&Note> {
        self.with_above()
            .find_map(|level| level.notes().find(|note| note.field == field))
    }

    /// The `websocket` that is in force here, as it was written.
    pub fn written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, websocket))
    }

    /// Where that is.
    pub fn place(&self) -> Place {
        self.written().map_or(Place::NOWHERE, |note| note.place)
    }

    pub fn other_upgrades_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, other_upgrades))
    }

    pub fn timeout_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, timeout))
    }

    pub fn ping_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, ping_interval))
    }

    pub fn drain_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, drain))
    }

    pub fn upstream_drain_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, upstream_drain))
    }

    /// The directives in force here that only tunnels of this module heed.
    pub fn tunnel_written(&self) -> impl Iterator<Item = &Note> {
        let fields = [
            offset_of!(Self, buffer_size),
            offset_of!(Self, buffers),
            offset_of!(Self, send_lowat),
            offset_of!(Self, large_buffers),
            offset_of!(Self, ping_interval),
            offset_of!(Self, max_lifetime),
            offset_of!(Self, max_message_size),
            offset_of!(Self, rate),
            offset_of!(Self, message_rate),
            offset_of!(Self, message_timeout),
            offset_of!(Self, drain),
            offset_of!(Self, upstream_drain),
        ];
        fields.into_iter().filter_map(|field| self.note(field))
    }

    /// Whether a directive is nothing without `websocket on`.
    pub fn needs_websocket(note: &Note) -> bool {
        let others = [offset_of!(Self, websocket), offset_of!(Self, advice)];
        !others.contains(&note.field)
    }

    /// Its server. Not of the http level, likewise.
    pub fn server(&self) -> *const ngx_http_core_srv_conf_t {
        // SAFETY: a level that was merged has its server's structures, one of each module.
        unsafe { (*self.level.server.add(ngx_http_core_module.ctx_index)).cast() }
    }

    /// Whether it is found by an expression.
    pub fn has_expression(&self) -> bool {
        #[cfg(ngx_feature = "pcre")]
        return !self.core().regex.is_null();
        #[cfg(not(ngx_feature = "pcre"))]
        false
    }

    /// Whether the two belong to the same server.
    pub fn is_beside(&self, other: &Self) -> bool {
        ptr::eq(self.level.server, other.level.server)
    }

    /// What is counted here is counted under this; `None` where nothing is said of it.
    pub fn label_text(&self) -> Option<&[u8]> {
        // SAFETY: a word of the configuration.
        (!self.label_text.data.is_null()).then(|| unsafe { string::bytes(&self.label_text) })
    }

    /// The location as it is written.
    pub fn name(&self) -> &[u8] {
        // SAFETY: a location's name lives as long as the configuration.
        unsafe { string::bytes(&self.core().name) }
    }

    pub fn is_on(&self) -> bool {
        self.websocket == 1
    }

    /// `websocket_handshake`
    pub fn strictness(&self) -> Strictness {
        match self.handshake {
            0 => Strictness::Strict,
            2 => Strictness::Lenient,
            _ => Strictness::Safe,
        }
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

    /// Whether the access log has a line when a tunnel begins, too.
    pub fn logs_open(&self) -> bool {
        self.log_open == 1
    }

    /// Where that is written.
    pub fn log_open_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, log_open))
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

    /// The large buffers that a worker lends.
    pub fn large_buffers(&self) -> LargeBuffers {
        self.large_buffers
    }

    pub fn ping(&self) -> Option<Ping> {
        let interval = limit(self.ping_interval)?;
        Some(Ping {
            interval,
            timeout: self.ping_timeout,
            to: self.ping_to,
        })
    }

    pub fn max_lifetime(&self) -> Option<MaxLifetime> {
        self.max_lifetime
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

    /// How often the client may begin a message.
    pub fn message_rate(&self) -> Option<MessageRate> {
        self.message_rate.and_then(|rate| rate.0)
    }

    /// For how long no message may go by, milliseconds.
    pub fn message_timeout(&self) -> Option<ngx_msec_t> {
        limit(self.message_timeout)
    }

    /// Over what time tunnels leave a worker that is to exit, milliseconds.
    pub fn drain(&self) -> Option<ngx_msec_t> {
        limit(self.drain)
    }

    pub fn drain_code(&self) -> u16 {
        u16::try_from(self.drain_code).unwrap_or(SERVICE_RESTART)
    }

    /// How tunnels leave a server that a reload has taken away.
    pub fn upstream_drain(&self) -> Option<UpstreamDrain> {
        Some(UpstreamDrain {
            within: limit(self.upstream_drain)?,
            code: u16::try_from(self.upstream_drain_code).unwrap_or(SERVICE_RESTART),
        })
    }

    /// Whether tunnels are to know that their worker is to exit.
    pub fn heeds_exit(&self) -> bool {
        self.drain().is_some() || self.upstream_drain().is_some()
    }

    /// `websocket_status`
    pub fn status(&self) -> Option<Status> {
        Some(match self.status {
            0 => Status::Any,
            1 => Status::Html,
            2 => Status::Json,
            3 => Status::Prometheus,
            _ => return None,
        })
    }

    /// `websocket_control`
    pub fn has_control(&self) -> bool {
        self.control == 1
    }

    /// Whether requests are answered by the module itself.
    pub fn answers(&self) -> bool {
        self.status().is_some() || self.has_control()
    }

    /// Where it is written that they are.
    pub fn answers_at(&self) -> Place {
        self.answers_at
    }

    /// Whether `nginx -t` warns of what is not as it seems.
    pub fn has_advice(&self) -> bool {
        self.advice != 0
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
