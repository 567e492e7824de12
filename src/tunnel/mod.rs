//! The tunnel: carries the bytes of an established connection in place of nginx's own loop, which
//! keeps two buffers for each tunnel's life and moves a page at a time.
//!
//! nginx still owns the request, both connections and their end: this module only takes the place
//! of the four functions that nginx calls when one of the sockets can be read or written. To end a
//! tunnel it puts them back and lets nginx find the end of a stream, so that nginx closes
//! everything its own way.

use core::ptr;

use nginx_sys::{
    NGX_CLOSE_EVENT, NGX_ERROR, ngx_add_timer, ngx_buf_t, ngx_connection_t, ngx_del_timer,
    ngx_handle_read_event, ngx_handle_write_event, ngx_http_request_t, ngx_http_upstream_t,
    ngx_msec_t, ngx_pfree, ngx_post_event, ngx_posted_events, ngx_queue_t, ngx_random, ngx_uint_t,
};
use websocket_protocol::ControlFrame;

use self::direction::{Direction, Stop};
use crate::conf::LocationConf;
use crate::nginx::clock::now;

pub mod buffers;
mod clock;
mod direction;
pub mod drain;
mod summary;

pub use direction::Side;
pub use summary::{Reason, Summary};

/// An established connection. It goes when the request's memory does.
pub struct Tunnel {
    r: *mut ngx_http_request_t,
    settings: *const LocationConf,
    original: Handlers,
    /// It has something to do when nginx is through with its own beginning, and is to be called.
    begins: bool,
    /// The worker's tunnels that are to be drained.
    queue: ngx_queue_t,
    from_client: Direction,
    from_upstream: Direction,
    clock: clock::Clock,
    closing: Option<Closing>,
    /// Who sent a Close first.
    first_close: Option<Side>,
    /// Set when nginx has taken the request's end in hand.
    end: Option<summary::End>,
}

/// The functions that nginx calls when one of the sockets can be read or written.
#[derive(Clone, Copy)]
struct Handlers {
    client_read: RequestHandler,
    client_write: RequestHandler,
    upstream_read: UpstreamHandler,
    upstream_write: UpstreamHandler,
}

type RequestHandler = Option<unsafe extern "C" fn(*mut ngx_http_request_t)>;
type UpstreamHandler =
    Option<unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_upstream_t)>;

/// The module ends the tunnel: both sides are sent a Close and have until `deadline` to answer.
#[derive(Clone, Copy)]
struct Closing {
    reason: Reason,
    code: u16,
    deadline: ngx_msec_t,
    /// How long the client and the upstream had been silent.
    silent: (ngx_msec_t, ngx_msec_t),
}

/// How long the peers have to answer our Close, milliseconds.
const CLOSE_TIMEOUT: ngx_msec_t = 5000;

/// Takes the place of nginx's loop, which is about to begin. Where anything is not as expected,
/// nginx goes on alone.
pub fn take_over(
    r: *mut ngx_http_request_t,
    conf: &'static LocationConf,
    mut place: core::ptr::NonNull<Tunnel>,
) -> bool {
    let Some(u) = (unsafe { (*r).upstream.as_mut() }) else {
        return false;
    };
    // SAFETY: an upgraded request has both connections.
    unsafe {
        let client = (*r).connection;
        let Some(upstream) = u.peer.connection.as_mut() else {
            return false;
        };
        // A header that has not gone out yet would be overtaken.
        if !conf.has_tunnel() || (*client).buffered() != 0 || upstream.read.is_null() {
            return false;
        }
        place.write(Tunnel::new(r, conf));
        let tunnel = place.as_mut();

        let header_in = (*r).header_in.as_mut();
        let pipelined = header_in
            .as_ref()
            .map_or(&[] as &[u8], |buffer| unread(buffer));
        let log = (*client).log;
        if tunnel.from_client.preload(pipelined, conf, log).is_none()
            || tunnel
                .from_upstream
                .preload(unread(&u.buffer), conf, log)
                .is_none()
        {
            tunnel.from_client.release(conf);
            return false;
        }
        // From here on there is no way back.
        if let Some(buffer) = header_in {
            buffer.pos = buffer.last;
        }
        let start = u.buffer.start;
        make_empty(&mut u.buffer);
        make_empty(&mut u.from_client);
        ngx_pfree((*r).pool, start.cast());

        tunnel.original = Handlers {
            client_read: (*r).read_event_handler.replace(client_read),
            client_write: (*r).write_event_handler.replace(client_write),
            upstream_read: u.read_event_handler.replace(upstream_read),
            upstream_write: u.write_event_handler.replace(upstream_write),
        };
        drain::enter(tunnel);
        // nginx still has its own loop to go through, and that sets timers of its own.
        tunnel.begins = !tunnel.is_at_rest(client, upstream, (*u.conf).read_timeout);
        if tunnel.begins {
            ngx_post_event(upstream.read, &raw mut ngx_posted_events);
        }
    }
    true
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

/// The tunnel of a request that has one.
fn of<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Tunnel> {
    unsafe {
        crate::request::of(crate::nginx::Request::new(r))?
            .tunnel()
            .map(|mut t| t.as_mut())
    }
}

unsafe extern "C" fn client_read(r: *mut ngx_http_request_t) {
    run(r, |tunnel| tunnel.carry(Side::Client));
}

unsafe extern "C" fn upstream_write(r: *mut ngx_http_request_t, _u: *mut ngx_http_upstream_t) {
    run(r, |tunnel| tunnel.carry(Side::Client));
}

/// The upstream's read event is the tunnel's clock, too, as it is for nginx's own loop.
unsafe extern "C" fn upstream_read(r: *mut ngx_http_request_t, _u: *mut ngx_http_upstream_t) {
    run(r, |tunnel| {
        if tunnel.begins {
            tunnel.begin()
        } else {
            tunnel.look_at_clock() && tunnel.carry(Side::Upstream)
        }
    });
}

unsafe extern "C" fn client_write(r: *mut ngx_http_request_t) {
    run(r, |tunnel| tunnel.carry(Side::Upstream));
}

/// Does a turn of the tunnel's work. Where that says `false` the tunnel is to end: only here, with
/// no reference to it left, as the request and the tunnel in its memory may go at once.
fn run(r: *mut ngx_http_request_t, turn: impl FnOnce(&mut Tunnel) -> bool) {
    if of(r).is_some_and(|tunnel| !tunnel.is_over() && !turn(tunnel)) {
        end(r);
    }
}

/// Hands the request back to nginx, with the end of a stream for it to find.
fn end(r: *mut ngx_http_request_t) {
    let Some((original, client, upstream)) = of(r).and_then(Tunnel::hand_back) else {
        return;
    };
    // SAFETY: the request is alive, and its connections open; nginx's functions are what they were
    // when the tunnel began.
    unsafe {
        let u = (*r).upstream;
        (*r).read_event_handler = original.client_read;
        (*r).write_event_handler = original.client_write;
        (*u).read_event_handler = original.upstream_read;
        (*u).write_event_handler = original.upstream_write;
        (*(*client).write).set_timedout(0);
        (*(*upstream).write).set_timedout(0);
        (*(*upstream).read).set_timedout(0);
        (*(*upstream).read).set_eof(1);
        if let Some(handler) = original.upstream_read {
            handler(r, u);
        }
    }
}

impl Tunnel {
    fn new(r: *mut ngx_http_request_t, settings: &LocationConf) -> Self {
        Self {
            r,
            settings,
            original: Handlers {
                client_read: None,
                client_write: None,
                upstream_read: None,
                upstream_write: None,
            },
            begins: true,
            // SAFETY: a plain C structure for which all zeros is unused.
            queue: unsafe { core::mem::zeroed() },
            from_client: Direction::new(true),
            from_upstream: Direction::new(false),
            clock: clock::Clock::new(settings),
            closing: None,
            first_close: None,
            end: None,
        }
    }

    fn settings(&self) -> &'static LocationConf {
        // SAFETY: a location's configuration outlives its requests.
        unsafe { &*self.settings }
    }

    /// The client's connection and the upstream's.
    fn connections(&self) -> Option<(*mut ngx_connection_t, *mut ngx_connection_t)> {
        // SAFETY: the request is alive while it has a tunnel that is not over.
        let client = unsafe { (*self.r).connection };
        let upstream = unsafe { (*self.r).upstream.as_mut() }?.peer.connection;
        (!upstream.is_null() && !client.is_null()).then_some((client, upstream))
    }

    /// Whether all can wait for an event: nothing is to be moved, and the timer that nginx is about
    /// to set fires no later than ours would. The clock takes over from it when it does.
    fn is_at_rest(
        &mut self,
        client: *mut ngx_connection_t,
        upstream: *mut ngx_connection_t,
        read_timeout: ngx_msec_t,
    ) -> bool {
        // SAFETY: both connections are open, and have their events.
        let (reads, writes) = unsafe {
            (
                [&*(*client).read, &*(*upstream).read],
                [&*(*client).write, &*(*upstream).write],
            )
        };
        self.from_client.is_empty()
            && self.from_upstream.is_empty()
            && reads
                .iter()
                .all(|read| read.ready() == 0 && read.eof() == 0)
            && writes.iter().all(|write| write.ready() != 0)
            && read_timeout <= self.until_due()
    }

    /// nginx is through with its own beginning. `false`: the tunnel is to end.
    fn begin(&mut self) -> bool {
        self.begins = false;
        let Some((client, upstream)) = self.connections() else {
            return true;
        };
        // SAFETY: both connections are open, and have their events.
        unsafe {
            for event in [(*client).write, (*upstream).write] {
                if (*event).timer_set() != 0 {
                    ngx_del_timer(event);
                }
            }
        }
        let goes_on = self.carry(Side::Client) && self.carry(Side::Upstream);
        if goes_on {
            self.set_clock();
        }
        goes_on
    }

    /// Something can be read from a side, or what it sent can be written. A part of each handler, as
    /// half the time there is nothing more to it.
    #[inline(always)]
    fn carry(&mut self, from: Side) -> bool {
        let Some((client, upstream)) = self.connections() else {
            return false;
        };
        let (direction, source, sink) = match from {
            Side::Client => (&self.from_client, client, upstream),
            Side::Upstream => (&self.from_upstream, upstream, client),
        };
        // epoll tells that a socket can be written whenever it can be read, so that half the time
        // there is nothing to do.
        // SAFETY: both connections are open, and have their events.
        let read = unsafe { &*(*source).read };
        if direction.is_empty() && read.ready() == 0 && read.eof() == 0 {
            return self.wait(source, sink);
        }
        let goes_on = self.pump_between(client, upstream, from);
        if goes_on && self.clock.is_late() {
            self.set_clock();
        }
        goes_on
    }

    /// Moves what there is in one direction. `false`: the tunnel is to end.
    fn pump(&mut self, from: Side) -> bool {
        self.connections()
            .is_some_and(|(client, upstream)| self.pump_between(client, upstream, from))
    }

    fn pump_between(
        &mut self,
        client: *mut ngx_connection_t,
        upstream: *mut ngx_connection_t,
        from: Side,
    ) -> bool {
        let settings = self.settings();
        let (direction, source, sink) = match from {
            Side::Client => (&mut self.from_client, client, upstream),
            Side::Upstream => (&mut self.from_upstream, upstream, client),
        };
        let before = direction.bytes;
        // SAFETY: both connections are open.
        let stop = unsafe { direction.pump(source, sink, settings) };
        let read = direction.bytes.wrapping_sub(before);

        if from == Side::Upstream && read > 0 {
            unsafe {
                if let Some(state) = (*self.r).upstream.as_mut().and_then(|u| u.state.as_mut()) {
                    state.bytes_received += read as i64;
                }
            }
        }
        if direction.close.is_some() {
            self.first_close.get_or_insert(from);
        }
        if core::mem::take(&mut direction.not_frames) {}
        if settings.ping().is_some() {
            self.note_beats(from);
        }
        match stop {
            Stop::Broken => return false,
            Stop::Busy => {
                // SAFETY: a connection has its events, and they are taken from the queue when it
                // is closed.
                unsafe { ngx_post_event((*source).read, &raw mut ngx_posted_events) };
            }
            Stop::Paused(until) => self.clock.resume_at(until),
            Stop::Waiting => {}
        }
        if self.from_client.too_big && self.closing.is_none() {
            return self.close(Reason::MessageTooBig, 1009);
        }
        !self.has_ended(client, upstream) && self.wait(source, sink)
    }

    /// Whether a side is through and all that it sent has been passed on; nginx's own rule.
    fn has_ended(&self, client: *mut ngx_connection_t, upstream: *mut ngx_connection_t) -> bool {
        // SAFETY: both connections are open, and have their events.
        let (client, upstream) =
            unsafe { ((*(*client).read).eof() != 0, (*(*upstream).read).eof() != 0) };
        let drained = (
            self.from_client.is_drained(client),
            self.from_upstream.is_drained(upstream),
        );
        if client && upstream {
            return true;
        }
        if self.closing.is_some() {
            // A side that could not be asked is not waited for.
            let answered = |from: &Direction, to: &Direction, eof| {
                eof || from.close.is_some() || !to.takes_frames()
            };
            return drained == (true, true)
                && answered(&self.from_client, &self.from_upstream, client)
                && answered(&self.from_upstream, &self.from_client, upstream);
        }
        (client && drained.0) || (upstream && drained.1)
    }

    /// Lets nginx's event method wait for both ends of a direction.
    fn wait(&self, source: *mut ngx_connection_t, sink: *mut ngx_connection_t) -> bool {
        // SAFETY: both connections are open, and have their events.
        unsafe {
            let read = (*source).read;
            let flags = if (*read).eof() != 0 || (*read).error() != 0 {
                NGX_CLOSE_EVENT
            } else {
                0
            };
            ngx_handle_read_event(read, flags as ngx_uint_t) != NGX_ERROR as isize
                && ngx_handle_write_event((*sink).write, 0) != NGX_ERROR as isize
        }
    }

    /// Sends both sides a Close, unless what goes to one is no frames, and ends the tunnel when they
    /// have answered or time is up.
    /// `false`: the tunnel is to end.
    fn close(&mut self, reason: Reason, code: u16) -> bool {
        if self.closing.is_some() {
            return true;
        }
        self.closing = Some(Closing {
            reason,
            code,
            deadline: now().wrapping_add(CLOSE_TIMEOUT),
            silent: (self.from_client.silence(), self.from_upstream.silence()),
        });
        if !self.from_client.takes_frames() && !self.from_upstream.takes_frames() {
            // There is no telling where a frame would fit.
            return false;
        }
        self.from_upstream.send_close(ControlFrame::close(code, ""));
        self.from_client
            .send_close(ControlFrame::close(code, "").masked(mask()));
        if !self.pump(Side::Upstream) || !self.pump(Side::Client) {
            return false;
        }
        self.set_clock();
        true
    }

    /// What nginx needs to go on from here: its functions, and the connections.
    fn hand_back(&mut self) -> Option<(Handlers, *mut ngx_connection_t, *mut ngx_connection_t)> {
        let (client, upstream) = self.connections()?;
        self.leave();
        Some((self.original, client, upstream))
    }

    /// Notes how the tunnel ended, and gives back what it holds. Called on every way a request
    /// ends, while its connections are still there.
    pub fn leave(&mut self) {
        if self.is_over() {
            return;
        }
        self.end = Some(self.judge());
        let settings = self.settings();
        self.from_client.release(settings);
        self.from_upstream.release(settings);
        drain::leave(self);
    }

    /// Sets the timer to what comes next. nginx takes it out when it closes the connection.
    fn set_clock(&mut self) {
        let delay = self.until_due();
        let Some((_, upstream)) = self.connections() else {
            return;
        };
        // SAFETY: the upstream's connection is open, and has its events.
        unsafe {
            let clock = (*upstream).read;
            // nginx leaves a timer where it is when it is to move by less than 300 ms.
            if (*clock).timer_set() != 0 {
                ngx_del_timer(clock);
            }
            ngx_add_timer(clock, delay);
        }
    }

    fn until_due(&mut self) -> ngx_msec_t {
        let settings = self.settings();
        self.clock.next(
            settings,
            &self.from_client,
            &self.from_upstream,
            self.closing,
        )
    }

    /// Does what is due when the timer has fired. `false`: the tunnel is to end.
    fn look_at_clock(&mut self) -> bool {
        let Some((_, upstream)) = self.connections() else {
            return false;
        };
        // SAFETY: the upstream's connection is open, and has its events.
        let clock = unsafe { &mut *(*upstream).read };
        if clock.timedout() == 0 {
            return true;
        }
        clock.set_timedout(0);
        self.tick()
    }

    pub fn let_go(&mut self) {
        if !self.is_over() {
            self.leave();
        }
    }

    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }
}

/// A mask for a frame to the upstream (RFC 6455 section 5.3).
fn mask() -> [u8; 4] {
    (ngx_random() as u32).to_ne_bytes()
}
