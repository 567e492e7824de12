//! Where a connection comes by on its way from nginx's listening socket to its HTTP/2.

use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::{
    NGX_ERROR, NGX_LOG_WARN, NGX_OK, NGX_USE_CLEAR_EVENT, ngx_connection_t, ngx_cycle_t,
    ngx_event_flags, ngx_event_t, ngx_http_connection_t, ngx_http_init_connection,
    ngx_http_v2_connection_t, ngx_int_t, ngx_io, ngx_listening_t, u_char,
};

use super::connection::Connection;
use super::functions::{self, Recv};
use super::parser::{self, Place};
use super::{address, frames};
use crate::conf::MainConf;
use crate::nginx::log;

/// nginx's function for the first bytes of a connection with TLS, and for the end of its handshake. It has one of each.
static READ: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static HANDSHAKEN: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

type ReadHandler = unsafe extern "C" fn(*mut ngx_event_t);
type ConnectionHandler = unsafe extern "C" fn(*mut ngx_connection_t);

/// `init_process`: stands at the listening sockets where a server wants it.
///
/// # Safety
/// `cycle` must be the worker's.
pub unsafe fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: the caller vouches for the cycle; its sockets are an array.
    unsafe {
        let wanted = MainConf::of_cycle(cycle).is_some_and(MainConf::has_http2);
        if !wanted {
            return NGX_OK as ngx_int_t;
        }
        let has_edges = ngx_event_flags & NGX_USE_CLEAR_EVENT as usize != 0;
        let Some(functions) = functions::find().filter(|_| has_edges) else {
            log::cycle(
                (*cycle).log,
                NGX_LOG_WARN,
                format_args!(
                    "\"websocket_http2\" is ignored: this nginx has no HTTP/2, or no epoll"
                ),
            );
            return NGX_OK as ngx_int_t;
        };
        let count = (*cycle).listening.nelts;
        let sockets = (*cycle).listening.elts.cast::<ngx_listening_t>();
        for socket in (0..count).map(|index| &mut *sockets.add(index)) {
            let init: ConnectionHandler = ngx_http_init_connection;
            // QUIC has datagrams.
            if socket.type_ == libc::SOCK_STREAM
                && socket
                    .handler
                    .is_some_and(|handler| ptr::fn_addr_eq(handler, init))
            {
                socket.handler = Some(accepted);
                if let Some(address) = address::first(socket) {
                    parser::learn(cycle, functions, address);
                }
            }
        }
    }
    NGX_OK as ngx_int_t
}

/// Whether the module stands at a listening socket, in front of nginx's http module.
pub fn stands_at(socket: &ngx_listening_t) -> bool {
    let ours: ConnectionHandler = accepted;
    socket
        .handler
        .is_some_and(|handler| ptr::fn_addr_eq(handler, ours))
}

/// A connection has come.
unsafe extern "C" fn accepted(c: *mut ngx_connection_t) {
    // SAFETY: nginx gives a connection that is open.
    unsafe {
        ngx_http_init_connection(c);
        if is_closed(c) {
            return;
        }
        let Some(hc) = http_connection(c).filter(|&hc| address::is_wanted(c, hc)) else {
            return;
        };
        if !(*c).ssl.is_null() {
            // Its first bytes had come with it.
            look(c);
        } else if (*hc).ssl() != 0 {
            stand_before_tls(c);
        } else if is_http2(c) {
            join_late(c);
        } else if is_read_by(c, usual_recv(c)) {
            (*c).recv = Some(plain_recv);
        }
    }
}

/// What nginx keeps of a connection that has just come. `None`: it has gone on to HTTP/1.1.
///
/// # Safety
/// The connection must be open, and one of nginx's http module.
unsafe fn http_connection(c: *mut ngx_connection_t) -> Option<*mut ngx_http_connection_t> {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        if is_http2(c) {
            return Some((*(*c).data.cast::<ngx_http_v2_connection_t>()).http_connection);
        }
        ((*c).requests == 0).then(|| (*c).data.cast())
    }
}

/// Whether a function is the one that always stands there; the first one is. Where somebody else has put up another,
/// a connection is left alone.
fn is_known(place: &AtomicPtr<u8>, function: *mut u8) -> bool {
    let known = place.load(Ordering::Relaxed);
    if known.is_null() {
        place.store(function, Ordering::Relaxed);
    }
    known.is_null() || known == function
}

/// # Safety
/// The connection must be open, and wait for its first bytes.
unsafe fn stand_before_tls(c: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection, which has its events.
    unsafe {
        let read = (*c).read;
        if let Some(handler) = (*read).handler {
            if is_known(&READ, handler as *mut u8) {
                (*read).handler = Some(first_bytes);
            }
        }
    }
}

/// The first bytes of a connection with TLS can be read.
unsafe extern "C" fn first_bytes(event: *mut ngx_event_t) {
    // SAFETY: nginx calls the handler of an open connection, and what stood there was a handler.
    unsafe {
        let c = (*event).data.cast::<ngx_connection_t>();
        let original: ReadHandler = mem::transmute(READ.load(Ordering::Relaxed));
        (*event).handler = Some(original);
        original(event);
        if is_closed(c) {
            return;
        }
        if !(*c).ssl.is_null() {
            look(c);
        } else if (*event)
            .handler
            .is_some_and(|handler| ptr::fn_addr_eq(handler, original))
        {
            // They have not all come. Otherwise it is a request without TLS, which nginx answers 400.
            (*event).handler = Some(first_bytes);
        }
    }
}

/// A handshake has begun, or is over.
///
/// # Safety
/// The connection must be open, and have TLS.
unsafe fn look(c: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        let tls = &mut *(*c).ssl;
        if tls.handshaked() != 0 {
            join_late(c);
            return;
        }
        if let Some(handler) = tls.handler {
            if is_known(&HANDSHAKEN, handler as *mut u8) {
                tls.handler = Some(handshaken);
            }
        }
    }
}

/// nginx has read what came with it: it is joined where nginx's parser stands at a place from which that can be done.
///
/// # Safety
/// The connection must be open. If it has TLS, the handshake must be over.
unsafe fn join_late(c: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        let is_read = is_read_by(c, usual_recv(c));
        if is_read && is_http2(c) {
            (*c).recv = Some(late_recv);
            if join_here(c, usize::MAX) {
                frames::send((*c).data.cast());
            }
        }
    }
}

/// Joins a connection if nginx stands at such a place.
///
/// # Safety
/// It must be an open connection of HTTP/2.
unsafe fn join_here(c: *mut ngx_connection_t, room: usize) -> bool {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        match (usual_recv(c), parser::place((*c).data.cast())) {
            (Some(original), Some(place)) => Connection::join(c, original, place, room),
            _ => false,
        }
    }
}

/// Further bytes of such a connection.
unsafe extern "C" fn late_recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads an open connection, into room of this size.
    unsafe {
        let usual = usual_recv(c);
        if size < LEAST {
            (*c).recv = usual;
        }
        let is_joined = size >= LEAST && join_here(c, size);
        let recv = if is_joined { (*c).recv } else { usual };
        recv.map_or(NGX_ERROR as isize, |recv| recv(c, room, size))
    }
}

/// The first bytes of a connection without TLS. nginx itself looks whether they are HTTP/2 (prior knowledge, RFC 9113
/// section 3.3), and from 1.25.1 on it has read some of that then.
unsafe extern "C" fn plain_recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads an open connection, into room of this size.
    unsafe {
        if is_http2(c) {
            (*c).recv = Some(late_recv);
            return late_recv(c, room, size);
        }
        let usual = usual_recv(c);
        if (*c).requests > 0 {
            (*c).recv = usual;
        }
        usual.map_or(NGX_ERROR as isize, |recv| recv(c, room, size))
    }
}

/// What HTTP/2 keeps of a connection begins with it; what HTTP/1.1 does, doesn't.
///
/// # Safety
/// The connection must be open, and one of nginx's http module.
unsafe fn is_http2(c: *mut ngx_connection_t) -> bool {
    // SAFETY: the caller vouches for the connection.
    unsafe { *(*c).data.cast::<*mut ngx_connection_t>() == c }
}

/// A handshake is over. What comes next is HTTP/2 or not.
unsafe extern "C" fn handshaken(c: *mut ngx_connection_t) {
    // SAFETY: nginx gives a connection that is open, and what stood there was such a handler.
    unsafe {
        let original: ConnectionHandler = mem::transmute(HANDSHAKEN.load(Ordering::Relaxed));
        if is_read_by(c, usual_recv(c)) {
            (*c).recv = Some(first_recv);
        }
        original(c);
    }
}

/// The first bytes behind a handshake.
unsafe extern "C" fn first_recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads an open connection, into room of this size.
    unsafe {
        let Some(original) = usual_recv(c) else {
            return NGX_ERROR as isize;
        };
        (*c).recv = Some(original);
        if is_http2(c) && size >= LEAST {
            Connection::join(c, original, Place::Start, size);
        }
        (*c).recv
            .map_or(NGX_ERROR as isize, |recv| recv(c, room, size))
    }
}

/// With less room than this (`http2_recv_buffer_size`) a connection is left alone.
const LEAST: usize = 4 << 10;

/// How nginx reads it.
///
/// # Safety
/// The connection must be open.
unsafe fn usual_recv(c: *const ngx_connection_t) -> Option<Recv> {
    // SAFETY: the caller vouches for the connection; nginx has chosen its functions before there is one.
    unsafe {
        if (*c).ssl.is_null() {
            ngx_io.recv
        } else {
            functions::get()?.ssl_recv
        }
    }
}

/// # Safety
/// The connection must be open.
unsafe fn is_read_by(c: *const ngx_connection_t, recv: Option<Recv>) -> bool {
    // SAFETY: the caller vouches for the connection.
    match (unsafe { (*c).recv }, recv) {
        (Some(is), Some(recv)) => ptr::fn_addr_eq(is, recv),
        _ => false,
    }
}

/// Whether nginx has closed it. What it had is still there.
///
/// # Safety
/// It must be one of the worker's.
unsafe fn is_closed(c: *const ngx_connection_t) -> bool {
    // SAFETY: the caller vouches for the connection.
    unsafe { (*c).fd == -1 }
}
