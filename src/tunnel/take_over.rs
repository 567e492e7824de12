//! How a tunnel begins: in the place of nginx's own loop, with what nginx has read already.

use core::ptr::{self, NonNull};

use nginx_sys::{
    ngx_buf_t, ngx_http_request_t, ngx_http_upstream_t, ngx_msec_t, ngx_pfree, ngx_post_event,
    ngx_posted_events,
};
use websocket_protocol::tunnel::{self as rules, Flood, Guard, Share, Side};

use super::buffers::Buffer;
use super::carry::{Handlers, Tunnel, mask, random, told};
use super::drain::{self, Link};
use super::pump::Memory;
use super::{lifetime, settings};
use crate::conf::LocationConf;
use crate::nginx::Request;
use crate::nginx::clock::now;
use crate::nginx::tls;
use crate::zone;

/// Takes the place of nginx's loop, which is about to begin: `handlers` are called in its stead, each
/// to call [`Tunnel::turn`]. `lasted` is how long the request has, milliseconds. `None` where anything
/// is not as expected: then nothing has changed, and nginx goes on alone.
///
/// # Safety
/// The request must be alive and upgraded; `place` must have room for the location's [`size`] as long as it
/// is alive, and [`Tunnel::let_go`] must be called before that goes. The handlers must find the tunnel there.
pub unsafe fn take_over(
    r: *mut ngx_http_request_t,
    conf: &LocationConf,
    lasted: ngx_msec_t,
    handlers: Handlers,
    place: NonNull<Tunnel>,
) -> Option<NonNull<Tunnel>> {
    // SAFETY: the caller vouches for the request; one that is upgraded has an upstream and both
    // connections.
    unsafe {
        let u = (*r).upstream;
        if u.is_null() {
            return None;
        }
        let (client, upstream) = ((*r).connection, (*u).peer.connection);
        // A stream of HTTP/2 shares its connection with others.
        let is_stream = Request::new(r).is_stream();
        // A header that has not gone out yet would be overtaken, but for that of a stream.
        let is_held_up = (*client).buffered() != 0 && !is_stream;
        if upstream.is_null() || (*upstream).read.is_null() || is_held_up {
            return None;
        }
        place.write(Tunnel::new(r, conf, lasted, &*u));
        if let Some(guard) = Guard::new(settings::bounds(conf), now()) {
            let behind = place.add(1).cast::<Guard>();
            behind.write(guard);
            (*place.as_ptr()).rules.hold_to(&mut *behind.as_ptr());
        }
        // Nobody else knows of it yet.
        let tunnel = &mut *place.as_ptr();

        let header_in = (*r).header_in.as_mut();
        let pipelined = header_in
            .as_ref()
            .map_or(&[] as &[u8], |buffer| unread(buffer));
        if !tunnel.preload(Side::Client, pipelined)
            || !tunnel.preload(Side::Upstream, unread(&(*u).buffer))
        {
            tunnel.let_go();
            return None;
        }
        // From here on there is no way back.
        if let Some(buffer) = header_in {
            buffer.pos = buffer.last;
        }
        let start = (*u).buffer.start;
        make_empty(&mut (*u).buffer);
        make_empty(&mut (*u).from_client);
        ngx_pfree((*r).pool, start.cast());
        if !is_stream {
            tls::free(client);
        }
        tls::free(upstream);

        (*r).read_event_handler = handlers.client_read;
        (*r).write_event_handler = handlers.client_write;
        (*u).read_event_handler = handlers.upstream_read;
        (*u).write_event_handler = handlers.upstream_write;
        // Who walks the worker's queue goes from a link to the tunnel around it.
        let is_late = (conf.heeds_exit() || zone::writer().is_some() || drain::has_heir())
            && Link::enter(&raw mut (*place.as_ptr()).link);
        let tunnel = &mut *place.as_ptr();
        tunnel.bound_kernel_queues();
        if is_late {
            tunnel.leave_in_time();
        }
        // nginx still has its own loop to go through, and that sets timers of its own.
        tunnel.begins = !tunnel.is_at_rest((*(*u).conf).read_timeout);
        if tunnel.begins {
            ngx_post_event((*upstream).read, &raw mut ngx_posted_events);
        }
    }
    Some(place)
}

/// How many bytes a location's tunnels take: what holds messages to their bounds lies behind the tunnel,
/// where there are some.
pub fn size(conf: &LocationConf) -> usize {
    const { assert!(align_of::<Guard>() <= align_of::<Tunnel>()) };
    let guard = if settings::bounds(conf).is_any() {
        size_of::<Guard>()
    } else {
        0
    };
    size_of::<Tunnel>() + guard
}

/// What nginx has read and not passed on.
///
/// # Safety
/// The buffer must be one of the request's, and unchanged for `'a`.
unsafe fn unread<'a>(buffer: &ngx_buf_t) -> &'a [u8] {
    if buffer.pos.is_null() {
        return &[];
    }
    let length = (buffer.last as usize).saturating_sub(buffer.pos as usize);
    // SAFETY: nginx reads into `pos .. last`.
    unsafe { core::slice::from_raw_parts(buffer.pos, length) }
}

/// A buffer that is there, but has neither bytes nor room: nginx's loop finds nothing to do with
/// it, and does not make another.
fn make_empty(buffer: &mut ngx_buf_t) {
    static NOTHING: [u8; 1] = [0];
    let nothing = ptr::addr_of!(NOTHING).cast::<u8>().cast_mut();
    buffer.start = nothing;
    buffer.pos = nothing;
    buffer.last = nothing;
    buffer.end = nothing;
}

impl Tunnel {
    /// # Safety
    /// The request must be alive, with nginx's own handlers in place.
    unsafe fn new(
        r: *mut ngx_http_request_t,
        conf: &LocationConf,
        lasted: ngx_msec_t,
        u: &ngx_http_upstream_t,
    ) -> Self {
        // SAFETY: the caller vouches for the request.
        let (limits, client_read, client_write) = unsafe {
            (
                settings::limits(r, conf),
                (*r).read_event_handler,
                (*r).write_event_handler,
            )
        };
        let mut rules = rules::Tunnel::new(limits, now(), random(), mask());
        // SAFETY: the caller vouches for the request.
        if let Some(lifetime) = lifetime::of(unsafe { Request::new(r) }, conf, lasted) {
            rules.live(lifetime, now(), random());
        }
        Self {
            r,
            rules,
            from_client: None,
            from_upstream: None,
            close_text: None,
            farewell: None,
            conf,
            original: Handlers {
                client_read,
                client_write,
                upstream_read: u.read_event_handler,
                upstream_write: u.write_event_handler,
            },
            begins: true,
            client_flood: Flood::default(),
            upstream_flood: Flood::default(),
            share: Share::default(),
            link: Link::new(told),
        }
    }

    /// Takes in bytes that nginx had read before the tunnel began. `false`: there is no memory.
    fn preload(&mut self, from: Side, bytes: &[u8]) -> bool {
        let is_held = self.hold(from, bytes);
        if is_held && !bytes.is_empty() {
            self.rules.received(from, bytes.len(), now());
        }
        is_held
    }

    /// Holds bytes that came from this side before. `false`: there is no memory.
    pub(super) fn hold(&mut self, from: Side, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        // SAFETY: the request is alive, so it has a connection with a log.
        let log = unsafe { (*(*self.r).connection).log };
        let needed = bytes.len().max(self.conf().buffer_size());
        let capacity = Memory::of(self.conf()).made_for(needed);
        let Some(mut buffer) = Buffer::borrow(capacity, log) else {
            return false;
        };
        buffer.append(bytes);
        match from {
            Side::Client => self.from_client = Some(buffer),
            Side::Upstream => self.from_upstream = Some(buffer),
        }
        true
    }

    /// `websocket_send_lowat`
    fn bound_kernel_queues(&self) {
        let Some((size, (client, upstream))) = self.conf().send_lowat().zip(self.sockets()) else {
            return;
        };
        client.set_send_lowat(size);
        upstream.set_send_lowat(size);
    }

    /// Whether all can wait for an event: nothing is to be moved, and the timer that nginx is about
    /// to set fires no later than ours would. The clock takes over from it when it does.
    fn is_at_rest(&mut self, read_timeout: ngx_msec_t) -> bool {
        let Some((client, upstream)) = self.sockets() else {
            return false;
        };
        self.rules.is_empty(Side::Client)
            && self.rules.is_empty(Side::Upstream)
            && [client, upstream]
                .iter()
                .all(|socket| !socket.is_readable() && !socket.has_ended() && socket.is_writable())
            && self.rules.has_timer(read_timeout, now())
    }
}
