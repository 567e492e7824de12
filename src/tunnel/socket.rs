//! One end of a tunnel: nginx's connection, as far as bytes go.

use core::ptr::NonNull;

use nginx_sys::{
    NGX_AGAIN, NGX_CLOSE_EVENT, NGX_ERROR, ngx_add_timer, ngx_connection_t, ngx_del_timer,
    ngx_event_t, ngx_handle_read_event, ngx_handle_write_event, ngx_http_request_t, ngx_log_t,
    ngx_msec_t, ngx_post_event, ngx_posted_next_events, ngx_uint_t,
};
use websocket_protocol::tunnel::{Queue, Share};

use crate::nginx::tls;

/// A connection that is open, with its events, for as long as this is used.
#[derive(Clone, Copy)]
pub struct Socket(NonNull<ngx_connection_t>);

/// How many numbers of `SO_MEMINFO` are asked for, up to what is queued.
const SOCKET_INFO: usize = libc::SK_MEMINFO_WMEM_QUEUED as usize + 1;

/// Asks a TCP socket how many bytes it has not sent yet; Linux has it for no other.
const SIOCOUTQNSD: libc::Ioctl = 0x894B;

/// What became of a read or a write.
pub enum Moved {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None for now.
    Again,
    /// Reading only: the other end has sent all.
    End,
    /// The connection is broken.
    Error,
}

impl Socket {
    /// # Safety
    /// The connection must be open, and stay so as long as this is used.
    pub unsafe fn new(connection: *mut ngx_connection_t) -> Option<Self> {
        NonNull::new(connection).map(Self)
    }

    fn read(self) -> *mut ngx_event_t {
        // SAFETY: the connection is open, see new().
        unsafe { (*self.0.as_ptr()).read }
    }

    fn write(self) -> *mut ngx_event_t {
        // SAFETY: the connection is open, see new().
        unsafe { (*self.0.as_ptr()).write }
    }

    pub fn log(self) -> *mut ngx_log_t {
        // SAFETY: the connection is open, see new().
        unsafe { (*self.0.as_ptr()).log }
    }

    /// Whether it is a stream of HTTP/2: its descriptor is one that others share, and it is closed by halves.
    pub fn is_stream(self) -> bool {
        // SAFETY: the connection is open, and has its request; an upstream's has that of the client.
        unsafe {
            let connection = self.0.as_ptr();
            let r = (*connection).data.cast::<ngx_http_request_t>();
            (*r).connection == connection && !(*r).stream.is_null()
        }
    }

    /// Whether there may be something to read.
    #[inline]
    pub fn is_readable(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).ready() != 0 }
    }

    #[inline]
    pub fn is_writable(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.write()).ready() != 0 }
    }

    /// Whether its stream has been read to the end.
    #[inline]
    pub fn has_ended(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).eof() != 0 }
    }

    /// Makes nginx find the end of the stream.
    pub fn end(self) {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).set_eof(1) };
    }

    /// Has nginx close it as a connection that has timed out: without waiting until what the peer may
    /// still send is read, and by a reset where `reset_timedout_connection` asks for one.
    pub fn give_up(self) {
        self.end();
        // nginx would have the connection reset that a stream shares with others.
        if !self.is_stream() {
            // SAFETY: the connection is open, see new().
            unsafe { (*self.0.as_ptr()).set_timedout(1) };
        }
    }

    /// Has nginx close it without TLS's goodbye, which OpenSSL sends behind all that it was given: what its peer does not
    /// take would be lost with it, or be logged as an error of OpenSSL's. A stream's goodbye is not TLS's.
    pub fn say_no_goodbye(self) {
        if !self.is_stream() {
            // SAFETY: the connection is open, see new(), and no stream.
            unsafe { tls::leave_at_once(self.0.as_ptr()) };
        }
    }

    /// Whether the read handler is about to be called again.
    #[inline]
    pub fn is_posted(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).posted() != 0 }
    }

    /// Has the read handler called when all others have had their turn: nginx's other queue is emptied
    /// before it looks at any socket or timer.
    pub fn post(self) {
        // SAFETY: an open connection has its events; nginx takes them out of the queue when it closes
        // it.
        unsafe { ngx_post_event(self.read(), &raw mut ngx_posted_next_events) };
    }

    /// Whether the kernel has reported an end behind what can still be read.
    pub fn has_left(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).pending_eof() != 0 && !self.has_ended() }
    }

    /// Whether the connection is broken, of a side that [has left](Self::has_left).
    pub fn is_broken(self) -> bool {
        if self.is_stream() {
            // SAFETY: the connection is open, see new().
            return unsafe { (*self.0.as_ptr()).error() } != 0;
        }
        // SAFETY: an open connection has its events.
        if unsafe { (*self.write()).error() } != 0 {
            return true;
        }
        let mut error: libc::c_int = 0;
        let mut size = size_of_val(&error) as libc::socklen_t;
        // SAFETY: the descriptor is that of an open connection; the kernel writes an int.
        let status = unsafe {
            libc::getsockopt(
                (*self.0.as_ptr()).fd,
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &raw mut size,
            )
        };
        status != 0 || error != 0
    }

    /// Whether reading has failed: nothing that came before counts.
    pub fn has_failed(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { (*self.read()).error() != 0 }
    }

    /// Whether a connection is closed both ways, be it that nginx has been told or not. What came before is kept.
    pub fn is_closed(self) -> bool {
        if self.is_stream() {
            return self.is_broken();
        }
        self.polled(0) & libc::POLLHUP != 0
    }

    /// Has it take more only when the kernel has less than this still to send. A unix socket has no such
    /// bound, and goes without; a stream has a window.
    pub fn set_send_lowat(self, size: usize) {
        if self.is_stream() {
            return;
        }
        let size = libc::c_int::try_from(size).unwrap_or(libc::c_int::MAX);
        // SAFETY: the descriptor is that of an open connection; the kernel reads an int.
        unsafe {
            libc::setsockopt(
                (*self.0.as_ptr()).fd,
                libc::IPPROTO_TCP,
                libc::TCP_NOTSENT_LOWAT,
                (&raw const size).cast(),
                size_of_val(&size) as libc::socklen_t,
            )
        };
    }

    /// What it holds of what was sent, as the peer has not acknowledged it; of a stream, what the connection that it
    /// shares holds of it. `None` where the kernel does not tell.
    pub fn queue(self, share: &mut Share) -> Option<Queue> {
        let connection = self.0.as_ptr();
        if !self.is_stream() {
            // SAFETY: the connection is open, see new().
            return unsafe { queue_of(&*connection) };
        }
        // SAFETY: a stream's connection has its request, and that its stream; the one that it shares outlives it.
        unsafe {
            let stream = &*(*(*connection).data.cast::<ngx_http_request_t>()).stream;
            let all = queue_of(&*(*stream.connection).connection)?;
            // nginx counts a stream's frames when the connection has accepted them.
            Some(share.of(all, (*connection).sent as usize, stream.queued > 0))
        }
    }

    /// Whether what is written to it has to stay where it is until all of it is taken.
    pub fn is_tls(self) -> bool {
        #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
        // SAFETY: the connection is open, see new().
        return unsafe { !(*self.0.as_ptr()).ssl.is_null() };
        #[cfg(not(any(ngx_feature = "ssl", ngx_feature = "compat")))]
        false
    }

    /// How much it takes at once, more or less. `None` where the kernel doesn't tell.
    pub fn send_room(self) -> Option<usize> {
        if self.is_stream() {
            return None;
        }
        let mut info = [0_u32; SOCKET_INFO];
        let mut size = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the descriptor is that of an open connection; the kernel writes no more than it has
        // room for.
        let status = unsafe {
            libc::getsockopt(
                (*self.0.as_ptr()).fd,
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                (&raw mut info).cast(),
                &raw mut size,
            )
        };
        if status != 0 || size_of_val(&info) != size as usize {
            return None;
        }
        let of = |kind: libc::c_int| info.get(kind as usize).copied().unwrap_or(0);
        // TCP queues what it has not been told the arrival of; other sockets allocate.
        let used = of(libc::SK_MEMINFO_WMEM_QUEUED).max(of(libc::SK_MEMINFO_WMEM_ALLOC));
        Some(of(libc::SK_MEMINFO_SNDBUF).saturating_sub(used) as usize)
    }

    /// Whether it takes nothing now, be it that the last write has found out or not.
    pub fn is_full(self) -> bool {
        !self.is_writable() || self.polled(libc::POLLOUT) == 0
    }

    /// Which of these the kernel says of it now; an error and an end it says unasked.
    fn polled(self, events: libc::c_short) -> libc::c_short {
        let mut asked = libc::pollfd {
            // SAFETY: the connection is open, see new().
            fd: unsafe { (*self.0.as_ptr()).fd },
            events,
            revents: 0,
        };
        // SAFETY: this is one descriptor, and there is no wait for it.
        unsafe { libc::poll(&raw mut asked, 1, 0) };
        asked.revents
    }

    /// # Safety
    /// `room` must have room for so many bytes.
    pub unsafe fn recv(self, room: *mut u8, size: usize) -> Moved {
        let connection = self.0.as_ptr();
        // SAFETY: the connection is open, and the caller vouches for the room.
        let count = unsafe {
            match (*connection).recv {
                Some(recv) => recv(connection, room, size),
                None => NGX_ERROR as isize,
            }
        };
        match usize::try_from(count) {
            Ok(0) => Moved::End,
            Ok(count) => Moved::Bytes(count),
            Err(_) if count == NGX_AGAIN as isize => Moved::Again,
            Err(_) => Moved::Error,
        }
    }

    pub fn send(self, bytes: &[u8]) -> Moved {
        let connection = self.0.as_ptr();
        // SAFETY: the connection is open, and nginx only reads the bytes.
        let count = unsafe {
            match (*connection).send {
                Some(send) => send(connection, bytes.as_ptr().cast_mut(), bytes.len()),
                None => NGX_ERROR as isize,
            }
        };
        match usize::try_from(count) {
            Ok(0) => Moved::Again,
            Ok(count) => Moved::Bytes(count),
            Err(_) if count == NGX_AGAIN as isize => Moved::Again,
            Err(_) => Moved::Error,
        }
    }

    /// Lets nginx's event method wait until there is something to read, if there isn't. `false`: it
    /// cannot.
    #[inline]
    pub fn await_read(self) -> bool {
        let read = self.read();
        // SAFETY: an open connection has its events.
        unsafe {
            let is_through = (*read).eof() != 0 || (*read).error() != 0;
            let flags = if is_through { NGX_CLOSE_EVENT } else { 0 };
            ngx_handle_read_event(read, flags as ngx_uint_t) != NGX_ERROR as isize
        }
    }

    /// Likewise, until it can be written.
    #[inline]
    pub fn await_write(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe { ngx_handle_write_event(self.write(), 0) != NGX_ERROR as isize }
    }

    /// Sets the timer of its read event. nginx takes it out when it closes the connection.
    pub fn set_timer(self, delay: ngx_msec_t) {
        let read = self.read();
        // SAFETY: an open connection has its events.
        unsafe {
            // nginx leaves a timer where it is when it is to move by less than 300 ms.
            if (*read).timer_set() != 0 {
                ngx_del_timer(read);
            }
            ngx_add_timer(read, delay);
        }
    }

    /// Whether that timer has fired, since this was asked last.
    #[inline]
    pub fn take_timer(self) -> bool {
        // SAFETY: an open connection has its events.
        unsafe {
            let read = &mut *self.read();
            let has_fired = read.timedout() != 0;
            if has_fired {
                read.set_timedout(0);
            }
            has_fired
        }
    }

    /// Takes out the timer of its write event, if there is one.
    pub fn clear_write_timer(self) {
        let write = self.write();
        // SAFETY: an open connection has its events.
        unsafe {
            if (*write).timer_set() != 0 {
                ngx_del_timer(write);
            }
            (*write).set_timedout(0);
        }
    }
}

/// What a connection holds that is open.
fn queue_of(connection: &ngx_connection_t) -> Option<Queue> {
    let (mut held, mut waiting): (libc::c_int, libc::c_int) = (0, 0);
    // SAFETY: the descriptor is that of an open connection; the kernel writes an int. Linux calls this
    // request of sockets SIOCOUTQ: of a TCP socket it counts bytes, of a unix socket the memory of what
    // the peer has not read.
    let status = unsafe { libc::ioctl(connection.fd, libc::TIOCOUTQ, &raw mut held) };
    // SAFETY: as above.
    let tells = unsafe { libc::ioctl(connection.fd, SIOCOUTQNSD, &raw mut waiting) } == 0;
    let waiting = if tells { waiting } else { held };
    (status == 0).then_some(Queue {
        // Over TLS nginx counts what was encrypted.
        accepted: connection.sent as usize,
        held: usize::try_from(held).unwrap_or_default(),
        waiting: usize::try_from(waiting).unwrap_or_default(),
    })
}
