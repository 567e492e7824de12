//! What the module keeps for the whole of `http {}`.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;

use nginx_sys::{
    ngx_array_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_handler_pt,
    ngx_http_module, ngx_int_t, ngx_pcalloc, ngx_str_t,
};

use super::LocationConf;
use crate::nginx::conf::Place;
use crate::nginx::{Request, conf, module, pool, string};
use crate::types::Handover;

pub struct MainConf {
    /// Array of pointers to [`LocationConf`], in the order in which nginx merges them: a level comes
    /// after the one around it. The http level itself, which is never merged, is not in it.
    levels: *mut ngx_array_t,
    /// `websocket_zone`, as its words have it; empty where it is not written.
    pub(super) zone_name: ngx_str_t,
    pub(super) zone_size: usize,
    pub(super) zone_place: Place,
    pub(super) history: ngx_int_t,
    pub(super) history_place: Place,
    /// `websocket_handover`; `None` where it is not written.
    pub(super) handover: Option<Option<Handover>>,
    /// Functions of nginx's phases that a tunnel has passed before it is handed over.
    pub passed: Passed,
    /// What writes the access log, where a location has a line when a tunnel begins.
    pub access_log: Cell<ngx_http_handler_pt>,
    /// Something is written that needs a zone.
    pub needs_zone: Cell<bool>,
    /// Array of [`Http2`].
    pub(super) http2: *mut ngx_array_t,
}

/// An address at which a server has `websocket_http2 on`.
#[derive(Clone, Copy)]
pub(super) struct Http2 {
    pub address: *const u8,
    pub length: usize,
}

/// Functions of nginx's phases, where something stands in front of them.
#[derive(Default)]
pub struct Passed {
    pub limit_conn: Cell<ngx_http_handler_pt>,
    pub limit_req: Cell<ngx_http_handler_pt>,
    pub auth_request: Cell<ngx_http_handler_pt>,
}

/// The memory in which workers count.
#[derive(Clone, Copy)]
pub struct ZoneConf<'a> {
    pub name: &'a [u8],
    /// Bytes.
    pub size: usize,
    /// How many failed handshakes, and how many tunnels that have ended, are remembered.
    pub history: usize,
    /// Where it is written, or what makes it too small.
    pub place: Place,
}

impl MainConf {
    /// # Safety
    /// `cf` must be in the http context, with the main confs made.
    pub unsafe fn of<'a>(cf: *const ngx_conf_t) -> &'a Self {
        // SAFETY: create() made it.
        unsafe { &*conf::main(cf, module::index()).cast::<Self>() }
    }

    /// `None` where there is no http block.
    ///
    /// # Safety
    /// `cycle` must be valid, with its configuration read.
    pub unsafe fn of_cycle<'a>(cycle: *const ngx_cycle_t) -> Option<&'a Self> {
        // SAFETY: NULL where there is no http block, else a context with a slot for each module.
        unsafe {
            let http = *(*cycle).conf_ctx.add(ngx_http_module.index);
            let http = http.cast::<ngx_http_conf_ctx_t>().as_ref()?;
            (*http.main_conf.add(module::index()))
                .cast::<Self>()
                .as_ref()
        }
    }

    /// That of the configuration that a request is answered by.
    pub fn of_request<'r>(r: Request<'r>) -> &'r Self {
        // SAFETY: create() made it, and a configuration outlives its requests.
        unsafe { &*(*(*r.as_ptr()).main_conf.add(module::index())).cast::<Self>() }
    }

    /// Servers, locations and the blocks within them.
    pub fn levels<'a>(&self) -> impl Iterator<Item = &'a LocationConf> + Clone {
        self.all().iter().copied()
    }

    /// The same as a list, in the order of the merges: each server's are one behind the other.
    pub fn all<'a>(&self) -> &'a [&'a LocationConf] {
        // SAFETY: an array of these, filled by note(); what they lead to lives as long as the configuration.
        unsafe { pool::elements(self.levels) }
    }

    /// The http level. `None` where there is no server.
    pub fn http<'a>(&self) -> Option<&'a LocationConf> {
        self.levels().next()?.with_above().last()
    }

    /// `websocket_zone`, or the one that is there by itself where something needs it.
    pub fn zone(&self) -> Option<ZoneConf<'_>> {
        let (name, size, place): (&[u8], _, _) = match self.zone_name.len {
            0 if self.needs_zone.get() => (DEFAULT_ZONE.0, DEFAULT_ZONE.1, self.history_place),
            0 => return None,
            _ => {
                // SAFETY: a word of the configuration.
                let name = unsafe { string::bytes(&self.zone_name) };
                (name, self.zone_size, self.zone_place)
            }
        };
        Some(ZoneConf {
            name,
            size,
            history: usize::try_from(self.history).unwrap_or(DEFAULT_HISTORY),
            place,
        })
    }

    /// `websocket_handover`, where there is anything to hand over.
    pub fn handover(&self) -> Option<Handover> {
        let handover = self.handover.flatten()?;
        self.levels().any(|level| level.is_on()).then_some(handover)
    }

    /// Notes a level. `None` when there is no memory.
    pub fn note(&self, level: *const LocationConf) -> Option<()> {
        // SAFETY: an array of these, made by create().
        unsafe { pool::push(self.levels, level) }.map(|_| ())
    }
}

/// `websocket_zone` where it is not written and needed.
const DEFAULT_ZONE: (&[u8], usize) = (b"websocket", 1024 * 1024);

/// `websocket_history` where it is not written.
const DEFAULT_HISTORY: usize = 256;

/// `create_main_conf`
pub unsafe extern "C" fn create(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx gives a valid cf.
    unsafe {
        let main = ngx_pcalloc((*cf).pool, size_of::<MainConf>()).cast::<MainConf>();
        let levels = pool::array::<*const LocationConf>((*cf).pool, 16);
        let http2 = pool::array::<Http2>((*cf).pool, 1);
        let (Some(levels), Some(http2), false) = (levels, http2, main.is_null()) else {
            return ptr::null_mut();
        };
        main.write(MainConf {
            levels,
            zone_name: string::EMPTY,
            zone_size: 0,
            zone_place: Place::NOWHERE,
            history: conf::UNSET_FLAG,
            history_place: Place::NOWHERE,
            handover: None,
            passed: Passed::default(),
            access_log: Cell::new(None),
            needs_zone: Cell::new(false),
            http2,
        });
        main.cast()
    }
}
