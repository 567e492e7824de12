//! The tunnel: carries the bytes of an established connection in place of nginx's own loop, which
//! keeps two buffers for each tunnel's life and moves a page at a time.
//!
//! What is to be done is decided by [`websocket_protocol::tunnel`]; here it is done: bytes are read and
//! written, and the timer is set.
//!
//! nginx still owns the request, both connections and their end: this module only takes the place
//! of the four functions that nginx calls when one of the sockets can be read or written. To end a
//! tunnel it puts them back and lets nginx find the end of a stream, so that nginx closes
//! everything its own way.

use core::ptr::{self, NonNull};

use nginx_sys::{
    ngx_buf_t, ngx_http_request_t, ngx_http_upstream_t, ngx_msec_t, ngx_pfree, ngx_post_event,
    ngx_posted_events, ngx_random,
};
use websocket_protocol::tunnel::{self as rules, Next};

use self::buffers::Buffer;
use self::drain::Link;
use self::pump::{Memory, Pump};
use self::socket::Socket;
use crate::conf::LocationConf;
use crate::nginx::clock::now;

pub mod buffers;
pub mod drain;
mod pump;
mod settings;
mod socket;

pub use websocket_protocol::tunnel::{Side, Summary};

/// An established connection. It goes when the request's memory does.
pub struct Tunnel {
    r: *mut ngx_http_request_t,
    rules: rules::Tunnel,
    from_client: Option<Buffer>,
    from_upstream: Option<Buffer>,
    memory: Memory,
    original: Handlers,
    /// It has something to do when nginx is through with its own beginning, and is to be called.
    begins: bool,
    link: Link,
    /// Over what time it is to be drained, if it is, milliseconds.
    drain: Option<ngx_msec_t>,
}

/// The functions that nginx calls when one of the sockets can be read or written.
#[derive(Clone, Copy)]
pub struct Handlers {
    pub client_read: RequestHandler,
    pub client_write: RequestHandler,
    pub upstream_read: UpstreamHandler,
    pub upstream_write: UpstreamHandler,
}

type RequestHandler = Option<unsafe extern "C" fn(*mut ngx_http_request_t)>;
type UpstreamHandler =
    Option<unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_upstream_t)>;

/// Which of them was called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    ClientRead,
    ClientWrite,
    UpstreamRead,
    UpstreamWrite,
}

/// What has become of a tunnel in a turn.
#[must_use]
pub struct Outcome {
    /// It is to end: [`hand_back`] is to be called, with no reference to it left.
    pub is_over: bool,
    /// What the client sends has turned out to be no frames.
    pub client_not_frames: bool,
    /// Likewise the upstream.
    pub upstream_not_frames: bool,
}

/// Takes the place of nginx's loop, which is about to begin: `handlers` are called in its stead, each
/// to call [`Tunnel::turn`]. `None` where anything is not as expected: then nothing has changed, and
/// nginx goes on alone.
///
/// # Safety
/// The request must be alive and upgraded; `place` must have room for a tunnel as long as it is alive,
/// and [`Tunnel::let_go`] must be called before that goes. The handlers must find the tunnel there.
pub unsafe fn take_over(
    r: *mut ngx_http_request_t,
    conf: &LocationConf,
    handlers: Handlers,
    place: NonNull<Tunnel>,
) -> Option<NonNull<Tunnel>> {
    // SAFETY: the caller vouches for the request; one that is upgraded has an upstream and both
    // connections.
    unsafe {
        let u = (*r).upstream.as_mut()?;
        let client = (*r).connection;
        let upstream = u.peer.connection.as_ref()?;
        // A header that has not gone out yet would be overtaken.
        if (*client).buffered() != 0 || upstream.read.is_null() {
            return None;
        }
        place.write(Tunnel::new(r, conf, u));
        // Nobody else knows of it yet.
        let tunnel = &mut *place.as_ptr();

        let header_in = (*r).header_in.as_mut();
        let pipelined = header_in
            .as_ref()
            .map_or(&[] as &[u8], |buffer| unread(buffer));
        if !tunnel.preload(Side::Client, pipelined)
            || !tunnel.preload(Side::Upstream, unread(&u.buffer))
        {
            tunnel.let_go();
            return None;
        }
        // From here on there is no way back.
        if let Some(buffer) = header_in {
            buffer.pos = buffer.last;
        }
        let start = u.buffer.start;
        make_empty(&mut u.buffer);
        make_empty(&mut u.from_client);
        ngx_pfree((*r).pool, start.cast());

        (*r).read_event_handler = handlers.client_read;
        (*r).write_event_handler = handlers.client_write;
        u.read_event_handler = handlers.upstream_read;
        u.write_event_handler = handlers.upstream_write;
        if tunnel.drain.is_some() && tunnel.link.enter() {
            tunnel.leave_in_time();
        }
        // nginx still has its own loop to go through, and that sets timers of its own.
        tunnel.begins = !tunnel.is_at_rest((*u.conf).read_timeout);
        if tunnel.begins {
            ngx_post_event(upstream.read, &raw mut ngx_posted_events);
        }
    }
    Some(place)
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

/// Hands the request back to nginx, with the end of a stream for it to find. The request, and the
/// tunnel in its memory, may be gone after that.
///
/// # Safety
/// The tunnel must be one that [`take_over`] gave, of a request that is alive. No reference to it may
/// be left: nginx calls back, and what it calls looks at the tunnel.
pub unsafe fn hand_back(tunnel: NonNull<Tunnel>) {
    // SAFETY: the caller vouches for the tunnel; this reference is the only one, and ends before nginx
    // is called.
    let tunnel = unsafe { &mut *tunnel.as_ptr() };
    let Some((client, upstream)) = tunnel.sockets() else {
        return;
    };
    tunnel.finish();
    let (r, original) = (tunnel.r, tunnel.original);
    client.clear_write_timer();
    upstream.clear_write_timer();
    upstream.take_timer();
    upstream.end();
    // SAFETY: the request is alive, and nginx's functions are what they were when the tunnel began.
    unsafe {
        let u = (*r).upstream;
        (*r).read_event_handler = original.client_read;
        (*r).write_event_handler = original.client_write;
        (*u).read_event_handler = original.upstream_read;
        (*u).write_event_handler = original.upstream_write;
        if let Some(handler) = original.upstream_read {
            handler(r, u);
        }
    }
}

impl Tunnel {
    /// # Safety
    /// The request must be alive, with nginx's own handlers in place.
    unsafe fn new(
        r: *mut ngx_http_request_t,
        conf: &LocationConf,
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
        Self {
            r,
            rules: rules::Tunnel::new(limits, now(), random(), mask()),
            from_client: None,
            from_upstream: None,
            memory: Memory {
                size: conf.buffer_size(),
                keep: conf.buffers(),
            },
            original: Handlers {
                client_read,
                client_write,
                upstream_read: u.read_event_handler,
                upstream_write: u.write_event_handler,
            },
            begins: true,
            link: Link::new(told),
            drain: conf.drain(),
        }
    }

    /// Takes in bytes that nginx had read before the tunnel began. `false`: there is no memory.
    fn preload(&mut self, from: Side, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        // SAFETY: the request is alive, so it has a connection with a log.
        let log = unsafe { (*(*self.r).connection).log };
        let Some(mut buffer) = Buffer::borrow(bytes.len().max(self.memory.size), log) else {
            return false;
        };
        buffer.append(bytes);
        match from {
            Side::Client => self.from_client = Some(buffer),
            Side::Upstream => self.from_upstream = Some(buffer),
        }
        self.rules.received(from, bytes.len(), now());
        true
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

    /// One of nginx's events: does what is to be done. Half of the time there is nothing, so the
    /// beginning of this is a part of each handler.
    ///
    /// # Safety
    /// The request must be alive.
    #[inline(always)]
    pub unsafe fn turn(&mut self, event: Event) -> Outcome {
        let Some((client, upstream)) = self.sockets().filter(|_| !self.rules.is_finished()) else {
            return Outcome::GOES_ON;
        };
        let from = match event {
            Event::ClientRead | Event::UpstreamWrite => Side::Client,
            Event::ClientWrite | Event::UpstreamRead => Side::Upstream,
        };
        // The upstream's read event is the tunnel's clock, too, as it is for nginx's own loop.
        if event == Event::UpstreamRead {
            if self.begins {
                return self.begin(client, upstream);
            }
            if upstream.take_timer() {
                self.rules.tick(now(), mask());
                return self.carry(client, upstream, from);
            }
        }
        let (source, sink) = ends(client, upstream, from);
        // epoll tells that a socket can be written whenever it can be read.
        if self.rules.is_empty(from) && !source.is_readable() && !source.has_ended() {
            if source.await_read() && sink.await_write() {
                return Outcome::GOES_ON;
            }
            self.rules.give_up();
        }
        self.carry(client, upstream, from)
    }

    /// nginx is through with its own beginning.
    fn begin(&mut self, client: Socket, upstream: Socket) -> Outcome {
        self.begins = false;
        client.clear_write_timer();
        upstream.clear_write_timer();
        self.pump(client, upstream, Side::Client);
        self.carry(client, upstream, Side::Upstream)
    }

    /// Moves what comes from a side, and does what follows from it.
    fn carry(&mut self, client: Socket, upstream: Socket, from: Side) -> Outcome {
        self.pump(client, upstream, from);
        let mut outcome = Outcome::GOES_ON;
        loop {
            match self.rules.next(now()) {
                Next::Wait => break,
                Next::Turn(from) => self.pump(client, upstream, from),
                Next::NotFrames(Side::Client) => outcome.client_not_frames = true,
                Next::NotFrames(Side::Upstream) => outcome.upstream_not_frames = true,
                Next::End => {
                    outcome.is_over = true;
                    return outcome;
                }
            }
        }
        self.set_timer_of(upstream);
        outcome
    }

    /// Sets the timer anew, if that is late.
    #[inline]
    fn set_timer_of(&mut self, upstream: Socket) {
        if let Some(delay) = self.rules.timeout(now()) {
            upstream.set_timer(delay);
        }
    }

    fn set_timer(&mut self) {
        if let Some((_, upstream)) = self.sockets() {
            self.set_timer_of(upstream);
        }
    }

    fn pump(&mut self, client: Socket, upstream: Socket, from: Side) {
        let (source, sink) = ends(client, upstream, from);
        let received = Pump {
            rules: &mut self.rules,
            buffer: match from {
                Side::Client => &mut self.from_client,
                Side::Upstream => &mut self.from_upstream,
            },
            memory: self.memory,
            from,
            source,
            sink,
            log: source.log(),
        }
        .run();
        if from == Side::Upstream && received > 0 {
            self.count_received(received);
        }
        if !source.await_read() || !sink.await_write() {
            self.rules.give_up();
        }
    }

    /// Notes bytes that came from the upstream server, for `$upstream_bytes_received`.
    fn count_received(&self, bytes: u64) {
        // SAFETY: the request is alive; NULL, or what nginx notes of the server in use.
        unsafe {
            let upstream = (*self.r).upstream;
            if let Some(state) = upstream.as_ref().and_then(|u| u.state.as_mut()) {
                state.bytes_received += bytes as i64;
            }
        }
    }

    /// The worker is to exit: picks the moment, within the time that nginx leaves it.
    fn leave_in_time(&mut self) {
        let Some(within) = self.drain else {
            return;
        };
        self.rules
            .drain(within, drain::time_left(), now(), random());
        // A tunnel that has not begun sets its clock when it does.
        if !self.begins {
            self.set_timer();
        }
    }

    /// Notes how the tunnel ended, and lets go. Called on every way a request ends, while its
    /// connections are still there.
    pub fn finish(&mut self) {
        // SAFETY: the request is alive, so it has a connection.
        let is_cut_off = unsafe { (*(*self.r).connection).close() } != 0;
        self.rules.finish(is_cut_off);
        self.let_go();
    }

    /// Gives back what the tunnel holds. That takes no connection, and does nothing the second time.
    pub fn let_go(&mut self) {
        self.memory.release(&mut self.from_client);
        self.memory.release(&mut self.from_upstream);
        self.link.leave();
    }

    /// How it is, or how it ended.
    pub fn summary(&self) -> Summary {
        self.rules.summary()
    }

    /// The client's connection and the upstream's.
    #[inline(always)]
    fn sockets(&self) -> Option<(Socket, Socket)> {
        // SAFETY: nginx keeps both connections open, and a request has them, until it is finalized;
        // it is not while one of the tunnel's functions runs.
        unsafe {
            let upstream = (*self.r).upstream.as_ref()?.peer.connection;
            Some((Socket::new((*self.r).connection)?, Socket::new(upstream)?))
        }
    }
}

/// The worker is to exit.
///
/// # Safety
/// The link must be that of a tunnel whose request is alive, and none of its turns under way.
unsafe fn told(link: NonNull<Link>) {
    // SAFETY: the caller vouches for the tunnel around the link.
    unsafe {
        let tunnel = link.byte_sub(core::mem::offset_of!(Tunnel, link));
        tunnel.cast::<Tunnel>().as_mut().leave_in_time();
    }
}

impl Outcome {
    const GOES_ON: Self = Self {
        is_over: false,
        client_not_frames: false,
        upstream_not_frames: false,
    };
}

/// Where a direction comes from, and where it goes.
#[inline(always)]
fn ends(client: Socket, upstream: Socket, from: Side) -> (Socket, Socket) {
    match from {
        Side::Client => (client, upstream),
        Side::Upstream => (upstream, client),
    }
}

fn random() -> usize {
    ngx_random() as usize
}

/// A mask for a frame to the upstream (RFC 6455 section 5.3).
fn mask() -> [u8; 4] {
    (random() as u32).to_ne_bytes()
}
