//! A tunnel that has been handed over to this worker, until it goes on or is refused: kept with its client's
//! connection, which knows afterwards how often it was handed over.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;

use nginx_sys::{
    NGX_LOG_NOTICE, ngx_connection_t, ngx_event_free_peer_pt, ngx_event_get_peer_pt,
    ngx_http_upstream_conf_t, ngx_http_upstream_resolved_t, ngx_log_t, ngx_pool_cleanup_add,
};
use websocket_protocol::handover::Message;

use super::memory::Memory;
use super::parcel::Descriptor;
use super::{tally, turn_away};
use crate::nginx::{Request, log};

pub struct Arrival {
    pub client: *mut ngx_connection_t,
    /// The upstream's socket, until a connection of nginx's has it.
    pub socket: Cell<Option<Descriptor>>,
    /// What it came with, which lives as long as this.
    pub message: Message<'static>,
    _bytes: Memory,
    /// How much of the PROXY line, of the request's head and of the answer's has been read.
    pub proxy_read: Cell<usize>,
    pub request_read: Cell<usize>,
    pub answer_read: Cell<usize>,
    /// Its request has come to the upstream that it had.
    pub is_met: Cell<bool>,
    /// Why it may not go on, where that is known before it is answered.
    pub refusal: Cell<Option<&'static str>>,
    pub way: Cell<Way>,
}

/// How its request comes to its upstream.
#[derive(Clone, Copy)]
pub struct Way {
    /// The settings, and the address that a variable has given, as they are without us.
    pub conf: *mut ngx_http_upstream_conf_t,
    pub resolved: *mut ngx_http_upstream_resolved_t,
    /// The block's own choice of a server.
    pub get: ngx_event_get_peer_pt,
    pub free: ngx_event_free_peer_pt,
    pub data: *mut c_void,
    /// How many servers it has.
    pub tries: usize,
}

/// What a client's connection keeps.
struct Kept {
    arrival: *mut Arrival,
    handovers: u32,
}

impl Arrival {
    /// Keeps it with its connection. `None`: the message is none, or there is no memory.
    ///
    /// # Safety
    /// The connection must be open, with a pool.
    pub unsafe fn keep(
        client: *mut ngx_connection_t,
        socket: Descriptor,
        bytes: Memory,
        log: *mut ngx_log_t,
    ) -> Option<&'static Self> {
        // SAFETY: the message is kept beside its bytes, which stay where they are, and is looked at no longer
        // than both are there; what is placed is fresh memory of the right size.
        unsafe {
            let all: &'static [u8] = &*ptr::from_ref(bytes.bytes());
            let message = Message::read(all).ok()?;
            let place = nginx_sys::ngx_alloc(size_of::<Self>(), log).cast::<Self>();
            if place.is_null() {
                return None;
            }
            let cleanup = ngx_pool_cleanup_add((*client).pool, size_of::<Kept>());
            if cleanup.is_null() {
                libc::free(place.cast());
                return None;
            }
            place.write(Self {
                client,
                socket: Cell::new(Some(socket)),
                message,
                _bytes: bytes,
                proxy_read: Cell::new(0),
                request_read: Cell::new(0),
                answer_read: Cell::new(0),
                is_met: Cell::new(false),
                refusal: Cell::new(None),
                way: Cell::new(Way {
                    conf: ptr::null_mut(),
                    resolved: ptr::null_mut(),
                    get: None,
                    free: None,
                    data: ptr::null_mut(),
                    tries: 0,
                }),
            });
            (*cleanup).handler = Some(end);
            (*cleanup).data.cast::<Kept>().write(Kept {
                arrival: place,
                handovers: message.account.handovers.saturating_add(1),
            });
            Some(&*place)
        }
    }

    /// Why it may not go on: the first reason stands.
    pub fn refuse(&self, why: &'static str) {
        self.refusal.set(self.refusal.get().or(Some(why)));
    }
}

/// That of a connection, as long as it has not gone on and was not refused.
///
/// # Safety
/// The connection must be open.
pub unsafe fn of_connection<'a>(client: *const ngx_connection_t) -> Option<&'a Arrival> {
    // SAFETY: the caller vouches for the connection; what is kept there is NULL or an arrival.
    unsafe { kept(client)?.as_ref()?.arrival.as_ref() }
}

/// Likewise of a request's.
pub fn of<'r>(r: Request<'r>) -> Option<&'r Arrival> {
    // SAFETY: a request has an open connection.
    unsafe { of_connection((*r.as_ptr()).connection) }
}

/// How often a request's tunnel has been handed over.
pub fn handovers(r: Request<'_>) -> u32 {
    // SAFETY: as above.
    unsafe {
        let kept = kept((*r.as_ptr()).connection).and_then(|kept| kept.as_ref());
        kept.map_or(0, |kept| kept.handovers)
    }
}

/// Frees it: nobody may look at it any more.
///
/// # Safety
/// The connection must be open, and no reference to its arrival left.
pub unsafe fn forget(client: *const ngx_connection_t) {
    // SAFETY: the caller vouches for both.
    unsafe {
        if let Some(kept) = kept(client).and_then(|kept| kept.as_mut()) {
            free(ptr::replace(&raw mut kept.arrival, ptr::null_mut()));
        }
    }
}

/// # Safety
/// As [`of_connection`].
unsafe fn kept(client: *const ngx_connection_t) -> Option<*mut Kept> {
    // SAFETY: the caller vouches for the connection, whose pool's cleanups are a list; ours has what keep() put
    // there.
    unsafe {
        let mut cleanup = (*(*client).pool).cleanup;
        while let Some(entry) = cleanup.as_ref() {
            if entry
                .handler
                .is_some_and(|handler| ptr::fn_addr_eq(handler, end as Cleanup))
            {
                return Some(entry.data.cast());
            }
            cleanup = entry.next;
        }
    }
    None
}

/// # Safety
/// NULL, or what keep() made, with no reference to it left.
unsafe fn free(arrival: *mut Arrival) {
    if !arrival.is_null() {
        // SAFETY: the caller vouches for it.
        unsafe {
            ptr::drop_in_place(arrival);
            libc::free(arrival.cast());
        }
    }
}

type Cleanup = unsafe extern "C" fn(*mut c_void);

/// The connection is no more, and its socket is closed. One that still is on its way then has come to nothing.
unsafe extern "C" fn end(kept: *mut c_void) {
    // SAFETY: keep() put it there; nobody else has it.
    unsafe {
        let arrival = (*kept.cast::<Kept>()).arrival;
        if let Some(lost) = arrival.as_ref() {
            let summary = turn_away::without_client(&lost.message, lost.socket.take());
            tally::note(false);
            log::cycle(
                (*nginx_sys::ngx_cycle).log,
                NGX_LOG_NOTICE,
                format_args!(
                    "websocket handover refused: nginx has closed the client's connection; {summary}"
                ),
            );
        }
        free(arrival);
    }
}
