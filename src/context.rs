//! What the module remembers of a request: only of one that asks for an upgrade.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use nginx_sys::{
    ngx_alloc, ngx_http_log_handler_pt, ngx_http_request_t, ngx_http_upstream_t, ngx_int_t,
    ngx_module_t, ngx_msec_t, ngx_palloc, ngx_pool_cleanup_add, ngx_str_t,
};
use websocket_protocol::Cause;

use crate::location::LocationConf;
use crate::nginx::{pool, request, string};
use crate::tries::Tries;
use crate::tunnel::{Side, Tunnel};

/// The module that owns the configuration and the contexts.
pub fn module() -> &'static ngx_module_t {
    // SAFETY: nginx writes to it only while it loads modules, before any of our code runs.
    unsafe { &*ptr::addr_of!(crate::ngx_http_websocket_module) }
}

/// A request's state; it goes when the request's memory does.
pub struct Context {
    pub verdict: Verdict,
    pub state: State,
    /// The client's Sec-WebSocket-Key, where it lies.
    pub key: ngx_str_t,
    /// Why the handshake failed, and what was seen of it.
    pub cause: Option<Cause>,
    pub seen: ngx_str_t,
    /// How long the handshake took, once it is known.
    pub handshake_time: Option<ngx_msec_t>,
    pub logged: bool,
    pub tries: Tries,
    pub seam: Option<Seam>,
    pub protocol: ngx_str_t,
    pub extensions: ngx_str_t,
    /// NULL where nginx's own loop carries the bytes.
    pub tunnel: *mut Tunnel,
    /// The side that ended a tunnel in nginx's own loop; `None` where nginx did.
    pub ended_by: Option<Side>,
    /// Memory that is not the pool's; NULL where there is none.
    apart: *mut c_void,
}

/// What detection made of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A handshake that keeps the rules.
    Handshake,
    /// One that breaks a rule and goes to the upstream all the same.
    PassedOn,
    /// One that was answered here.
    Refused,
    /// No WebSocket attempt, but an upgrade that must not reach the upstream.
    Stripped,
}

/// What became of a WebSocket attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    /// nginx answered it without asking an upstream.
    Rejected,
    /// An upstream was asked, and no tunnel came of it.
    Failed,
    Established,
}

/// nginx's own functions that the module stands in front of, while a request has this upstream.
#[derive(Clone, Copy)]
pub struct Seam {
    pub upstream: *mut ngx_http_upstream_t,
    pub process_header: Option<unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t>,
    pub reinit_request: Option<unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t>,
    pub finalize_request: Option<unsafe extern "C" fn(*mut ngx_http_request_t, ngx_int_t)>,
    pub log_handler: ngx_http_log_handler_pt,
}

impl Context {
    /// Whether the request asks for a WebSocket, as far as this module can tell.
    pub fn is_attempt(&self) -> bool {
        self.verdict != Verdict::Stripped
    }

    /// Room for a `T` as long as the request lives: in a pool's block that has it, else apart. A
    /// pool would take a block of a page for it, which is as much again as an idle tunnel needs.
    ///
    /// # Safety
    /// The request must be alive.
    pub unsafe fn make_room<T>(&mut self, r: *mut ngx_http_request_t) -> Option<NonNull<T>> {
        // SAFETY: the request is alive, so its pool is.
        unsafe {
            if pool::has_room((*r).pool, size_of::<T>()) {
                return NonNull::new(ngx_palloc((*r).pool, size_of::<T>()).cast());
            }
            if self.apart.is_null() {
                self.apart = ngx_alloc(size_of::<T>(), (*(*r).connection).log);
            }
        }
        NonNull::new(self.apart.cast())
    }

    /// How long the tunnel has lasted, milliseconds.
    pub fn duration(&self, r: *mut ngx_http_request_t) -> ngx_msec_t {
        request::elapsed(r).saturating_sub(self.handshake_time.unwrap_or_default())
    }

    /// Whether the request goes, or went, to the upstream as a handshake.
    pub fn is_passed(&self) -> bool {
        matches!(self.verdict, Verdict::Handshake | Verdict::PassedOn)
    }
}

/// The configuration of the request's location.
pub fn location_conf<'a>(r: *mut ngx_http_request_t) -> &'a mut LocationConf {
    // SAFETY: a request always has a location's structures, ours among them, and nginx runs one
    // request at a time.
    unsafe { &mut *(*(*r).loc_conf.add(module().ctx_index)).cast::<LocationConf>() }
}

/// The request's state, if it has one. An internal redirect takes a module's context away; the
/// request's own memory still has it.
pub fn get<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Context> {
    // SAFETY: a request has a slot for each module, and ours holds what create() put there.
    unsafe {
        let slot = (*r).ctx.add(module().ctx_index);
        if let Some(context) = (*slot).cast::<Context>().as_mut() {
            return Some(context);
        }
        if r != (*r).main || ((*r).internal() == 0 && (*r).filter_finalize() == 0) {
            return None;
        }
        let mut cleanup = (*(*r).pool).cleanup;
        while let Some(entry) = cleanup.as_ref() {
            if entry
                .handler
                .is_some_and(|f| ptr::fn_addr_eq(f, anchor as Anchor))
            {
                *slot = entry.data;
                return entry.data.cast::<Context>().as_mut();
            }
            cleanup = entry.next;
        }
    }
    None
}

/// Begins to remember a request. `None` when there is no memory.
///
/// Not in the pool: a request with few headers fills its two blocks nearly to the brim, and what is
/// put there early would make nginx take a third one, a page, for as long as the tunnel lasts.
pub fn create<'a>(r: *mut ngx_http_request_t, verdict: Verdict) -> Option<&'a mut Context> {
    // SAFETY: the request is alive, so its pool is; the context is freed with the pool.
    unsafe {
        let cleanup = ngx_pool_cleanup_add((*r).pool, 0);
        if cleanup.is_null() {
            return None;
        }
        let context = ngx_alloc(size_of::<Context>(), (*(*r).connection).log).cast::<Context>();
        if context.is_null() {
            return None;
        }
        context.write(Context {
            verdict,
            state: State::Pending,
            key: string::EMPTY,
            cause: None,
            seen: string::EMPTY,
            handshake_time: None,
            logged: false,
            tries: Tries::new(),
            seam: None,
            protocol: string::EMPTY,
            extensions: string::EMPTY,
            tunnel: ptr::null_mut(),
            ended_by: None,
            apart: ptr::null_mut(),
        });
        (*cleanup).handler = Some(anchor);
        (*cleanup).data = context.cast();
        *(*r).ctx.add(module().ctx_index) = context.cast();
        context.as_mut()
    }
}

type Anchor = unsafe extern "C" fn(*mut c_void);

/// Runs when the request's memory goes, and marks our entry among its cleanups.
unsafe extern "C" fn anchor(context: *mut c_void) {
    // SAFETY: create() registered it with the context; that and what is apart are ours alone.
    unsafe {
        libc::free((*context.cast::<Context>()).apart);
        libc::free(context);
    }
}
