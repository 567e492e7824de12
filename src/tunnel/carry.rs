//! A tunnel under way: what is done for the rules in a turn, and how nginx gets the request back.

use core::ptr::NonNull;

use nginx_sys::{ngx_http_request_t, ngx_http_upstream_t, ngx_msec_t, ngx_random};
use websocket_protocol::tunnel::{
    self as rules, CloseText, End, Farewell, Flood, Next, Share, Side, Summary, Traffic,
};

use super::buffers::Buffer;
use super::drain::{self, Link, News};
use super::pump::{Memory, Pump};
use super::roster;
use super::socket::Socket;
use crate::conf::LocationConf;
use crate::nginx::block::Block;
use crate::nginx::clock::now;
use crate::nginx::{pool, string};

/// An established connection. It goes when the request's memory does.
pub struct Tunnel {
    pub(super) r: *mut ngx_http_request_t,
    pub(super) rules: rules::Tunnel<'static>,
    pub(super) from_client: Option<Buffer>,
    pub(super) from_upstream: Option<Buffer>,
    /// The text of the first Close, in the request's memory: few tunnels need room for one, and those
    /// only at their end.
    pub(super) close_text: Option<NonNull<CloseText>>,
    /// The Close that somebody asked for, in the request's memory likewise.
    pub(super) farewell: Option<NonNull<Farewell>>,
    pub(super) conf: *const LocationConf,
    pub(super) original: Handlers,
    /// It has something to do when nginx is through with its own beginning, and is to be called.
    pub(super) begins: bool,
    pub(super) client_flood: Flood,
    pub(super) upstream_flood: Flood,
    /// The client's part of what its connection holds, where that is a stream.
    pub(super) share: Share,
    pub(super) link: Link,
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
    /// Something was done.
    pub is_worked: bool,
    /// It is to end: [`hand_back`] is to be called, with no reference to it left.
    pub is_over: bool,
    /// What the client sends has turned out to be no frames.
    pub client_not_frames: bool,
    /// Likewise the upstream.
    pub upstream_not_frames: bool,
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
    let is_dead = tunnel.rules.has_given_up(Side::Client);
    client.clear_write_timer();
    upstream.clear_write_timer();
    upstream.take_timer();
    upstream.end();
    if is_dead {
        client.give_up();
    }
    for (to, socket) in [(Side::Client, client), (Side::Upstream, upstream)] {
        if tunnel.rules.is_stuck(to.other()) || socket.is_tls() && socket.is_full() {
            socket.say_no_goodbye();
        }
    }
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
                self.tick(client, upstream);
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
        let mut outcome = Outcome {
            is_worked: true,
            ..Outcome::GOES_ON
        };
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

    fn pump(&mut self, client: Socket, upstream: Socket, from: Side) {
        let (source, sink) = ends(client, upstream, from);
        let memory = Memory::of(self.conf());
        let (buffer, flood) = match from {
            Side::Client => (&mut self.from_client, &mut self.client_flood),
            Side::Upstream => (&mut self.from_upstream, &mut self.upstream_flood),
        };
        let received = Pump {
            rules: &mut self.rules,
            buffer,
            flood,
            memory,
            from,
            source,
            sink,
            // SAFETY: the request is alive.
            pool: unsafe { (*self.r).pool },
            close_text: &mut self.close_text,
            // SAFETY: it lies in the request's memory, and is not changed meanwhile.
            farewell: self.farewell.map(|farewell| unsafe { farewell.as_ref() }),
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
    pub(super) fn leave_in_time(&mut self) {
        if let Some(within) = self.conf().drain() {
            self.rules
                .drain(within, drain::time_left(), now(), random());
        }
        self.leave_server_in_time();
    }

    /// Likewise, if the configuration in force has the tunnel's server no more.
    fn leave_server_in_time(&mut self) {
        if let Some(drain) = self
            .conf()
            .upstream_drain()
            .filter(|_| self.is_server_left())
        {
            let left = drain::time_left();
            self.rules
                .drain_upstream(drain.code, drain.within, left, now(), random());
        }
        // A tunnel that has not begun sets its clock when it does.
        if !self.begins {
            self.set_timer();
        }
    }

    fn is_server_left(&self) -> bool {
        // SAFETY: the request is alive, and with it its upstream, a block of its configuration and the name of
        // the server in use.
        unsafe {
            let Some(upstream) = (*self.r).upstream.as_ref() else {
                return false;
            };
            match (Block::new(upstream.upstream), upstream.peer.name.as_ref()) {
                (Some(block), Some(name)) => roster::is_left(block, string::bytes(name)),
                _ => false,
            }
        }
    }

    /// Somebody asked for it to end, at some moment within this time, with this code and reason. Whether
    /// it will: it may be due to end before, or there is no memory.
    pub fn depart(&mut self, code: u16, reason: &str, within: ngx_msec_t) -> bool {
        let farewell = Farewell::new(code, reason, mask());
        // One place for all that are asked for, also where nothing comes of it.
        let place = self.farewell.or_else(|| {
            // SAFETY: the request is alive, so its pool is.
            unsafe { pool::place((*self.r).pool, farewell) }
        });
        self.farewell = place;
        let Some(mut place) = place else {
            return false;
        };
        if !self.rules.depart(&farewell, within, now(), random()) {
            return false;
        }
        // SAFETY: it lies in the request's memory, and nobody looks at it now. None of it is sent: the tunnel is not closing.
        unsafe { *place.as_mut() = farewell };
        // A tunnel that has not begun sets its clock when it does.
        if !self.begins {
            self.set_timer();
        }
        true
    }

    /// Whether the kernel has reported the end of a side behind what can still be read.
    pub fn has_left(&self) -> bool {
        self.sockets()
            .is_some_and(|(client, upstream)| client.has_left() || upstream.has_left())
    }

    /// The request that it belongs to.
    pub fn request(&self) -> *mut ngx_http_request_t {
        self.r
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
        let memory = Memory::of(self.conf());
        memory.release(&mut self.from_client);
        memory.release(&mut self.from_upstream);
        self.link.leave();
    }

    /// How it is, or how it ended.
    pub fn summary(&self) -> Summary<'_> {
        // SAFETY: it lies in the request's memory, and is written to only in a turn.
        let text = self
            .close_text
            .as_ref()
            .map(|text| unsafe { text.as_ref() });
        self.rules.summary(text.map_or(&[], CloseText::bytes))
    }

    /// How it ended.
    pub fn end(&self) -> End {
        self.rules.end()
    }

    /// What has gone by so far.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        self.rules.traffic()
    }

    pub(super) fn conf(&self) -> &'static LocationConf {
        // SAFETY: a location's configuration outlives its requests.
        unsafe { &*self.conf }
    }

    /// The client's connection and the upstream's.
    #[inline(always)]
    pub(super) fn sockets(&self) -> Option<(Socket, Socket)> {
        // SAFETY: nginx keeps both connections open, and a request has them, until it is finalized;
        // it is not while one of the tunnel's functions runs.
        unsafe {
            let upstream = (*self.r).upstream.as_ref()?.peer.connection;
            Some((Socket::new((*self.r).connection)?, Socket::new(upstream)?))
        }
    }
}

/// All tunnels of the worker, if it counts them. Their requests are alive.
pub fn each(mut look: impl FnMut(NonNull<Tunnel>)) {
    drain::each(|link| {
        // SAFETY: a link of the queue is a part of a tunnel.
        look(unsafe { tunnel_of(link) });
    });
}

/// The tunnel that a link is a part of.
///
/// # Safety
/// It must be a part of one.
pub unsafe fn tunnel_of(link: NonNull<Link>) -> NonNull<Tunnel> {
    // SAFETY: the caller vouches for the tunnel around the link.
    unsafe { link.byte_sub(core::mem::offset_of!(Tunnel, link)) }.cast()
}

/// There is something to tell.
///
/// # Safety
/// The link must be that of a tunnel whose request is alive, and none of its turns under way.
pub(super) unsafe fn told(link: NonNull<Link>, news: News) {
    // SAFETY: the caller vouches for the tunnel around the link.
    let tunnel = unsafe { tunnel_of(link).as_mut() };
    match news {
        News::Exit => tunnel.leave_in_time(),
        News::Servers => tunnel.leave_server_in_time(),
    }
}

impl Outcome {
    const GOES_ON: Self = Self {
        is_worked: false,
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

pub(super) fn random() -> usize {
    ngx_random() as usize
}

/// A mask for a frame to the upstream (RFC 6455 section 5.3).
pub(super) fn mask() -> [u8; 4] {
    (random() as u32).to_ne_bytes()
}
