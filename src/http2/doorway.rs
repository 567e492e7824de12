//! Where a connection comes by on its way from nginx's listening socket to its HTTP/2.

use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::{
    NGX_ERROR, NGX_LOG_WARN, NGX_OK, NGX_USE_CLEAR_EVENT, ngx_array_t, ngx_conf_t,
    ngx_connection_t, ngx_cycle_t, ngx_event_flags, ngx_event_t, ngx_http_addr_conf_t,
    ngx_http_conf_addr_t, ngx_http_conf_port_t, ngx_http_connection_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_in_addr_t, ngx_http_in6_addr_t,
    ngx_http_init_connection, ngx_http_port_t, ngx_http_v2_connection_t, ngx_int_t,
    ngx_listening_t, u_char,
};

use super::connection::Connection;
use super::frames;
use super::functions::{self, Recv};
use super::parser::{self, Place};
use crate::conf::{LocationConf, MainConf};
use crate::nginx::{conf, log, pool};

/// nginx's function for the first bytes of a connection with TLS, and for the end of its handshake. It has one of each.
static READ: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static HANDSHAKEN: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

type ReadHandler = unsafe extern "C" fn(*mut ngx_event_t);
type ConnectionHandler = unsafe extern "C" fn(*mut ngx_connection_t);

/// Notes which default servers stand for addresses of which a server has `websocket_http2 on`: nginx is about to forget
/// which servers an address has. `None` without memory.
///
/// # Safety
/// `cf` must be in the http context, with all levels merged.
pub unsafe fn arrange(cf: *mut ngx_conf_t, main: &MainConf) -> Option<()> {
    // SAFETY: the caller vouches for cf; `ports` is NULL or an array of ports, each with its addresses and theirs with
    // servers.
    unsafe {
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let ports = (*core.cast::<ngx_http_core_main_conf_t>()).ports;
        for port in pool::elements::<ngx_http_conf_port_t>(ports) {
            let addresses: *const ngx_array_t = &raw const port.addrs;
            for address in pool::elements::<ngx_http_conf_addr_t>(addresses.cast_mut()) {
                let servers: *const ngx_array_t = &raw const address.servers;
                let servers = pool::elements::<*const ngx_http_core_srv_conf_t>(servers.cast_mut());
                if servers
                    .iter()
                    .any(|&server| LocationConf::of_server(server).is_http2())
                {
                    main.note_http2(address.default_server, port.port)?;
                }
            }
        }
    }
    Some(())
}

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
                if let Some(address) = address(socket) {
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

/// An address of a listening socket.
///
/// # Safety
/// It must be one of nginx's http module.
unsafe fn address(socket: &ngx_listening_t) -> Option<*mut ngx_http_addr_conf_t> {
    // SAFETY: the caller vouches for the socket, which has one address at least.
    unsafe {
        let port = socket.servers.cast::<ngx_http_port_t>().as_ref()?;
        let is_inet6 =
            i32::from((*socket.sockaddr.cast::<libc::sockaddr>()).sa_family) == libc::AF_INET6;
        Some(if is_inet6 {
            &raw mut (*port.addrs.cast::<ngx_http_in6_addr_t>()).conf
        } else {
            &raw mut (*port.addrs.cast::<ngx_http_in_addr_t>()).conf
        })
    }
}

/// A connection has come.
unsafe extern "C" fn accepted(c: *mut ngx_connection_t) {
    // SAFETY: nginx gives a connection that is open.
    unsafe {
        ngx_http_init_connection(c);
        if is_closed(c) {
            return;
        }
        let Some(hc) = http_connection(c).filter(|&hc| is_wanted(c, hc)) else {
            return;
        };
        if !(*c).ssl.is_null() {
            // Its first bytes had come with it.
            look(c);
        } else if (*hc).ssl() != 0 {
            stand_before_tls(c);
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
        let is_through = (*c).ssl.as_ref().is_some_and(|tls| tls.handshaked() != 0);
        (!is_through).then(|| (*c).data.cast())
    }
}

/// # Safety
/// Both must be those of a connection that has just come.
unsafe fn is_wanted(c: *const ngx_connection_t, hc: *const ngx_http_connection_t) -> bool {
    // SAFETY: the caller vouches for the connection, which has an address with its default server, and the socket
    // that it came by with its own.
    unsafe {
        let server = (*(*hc).addr_conf).default_server;
        let socket = (*(*c).listening).sockaddr.cast::<libc::sockaddr>();
        let port = match i32::from((*socket).sa_family) {
            libc::AF_INET => (*socket.cast::<libc::sockaddr_in>()).sin_port,
            libc::AF_INET6 => (*socket.cast::<libc::sockaddr_in6>()).sin6_port,
            _ => 0,
        };
        MainConf::of_server(server).wants_http2(server, u16::from_be(port))
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
        if (*c).ssl.is_null() {
            // They have not all come.
            (*event).handler = Some(first_bytes);
        } else {
            look(c);
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

/// Its handshake was over at once, and nginx has read what came with it: it is joined where nginx's parser stands at a
/// place from which that can be done.
///
/// # Safety
/// The connection must be open, and have TLS.
unsafe fn join_late(c: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        let is_read = is_read_by(c, tls_recv());
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
/// It must be an open connection of HTTP/2 with TLS.
unsafe fn join_here(c: *mut ngx_connection_t, room: usize) -> bool {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        match (tls_recv(), parser::place((*c).data.cast())) {
            (Some(original), Some(place)) => Connection::join(c, original, place, room),
            _ => false,
        }
    }
}

/// Further bytes of such a connection.
unsafe extern "C" fn late_recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    // SAFETY: nginx reads an open connection, into room of this size.
    unsafe {
        let recv = if join_here(c, size) {
            (*c).recv
        } else {
            tls_recv()
        };
        recv.map_or(NGX_ERROR as isize, |recv| recv(c, room, size))
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
        if is_read_by(c, tls_recv()) {
            (*c).recv = Some(first_recv);
        }
        original(c);
    }
}

/// The first bytes behind a handshake.
unsafe extern "C" fn first_recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    let Some(original) = tls_recv() else {
        return NGX_ERROR as isize;
    };
    // SAFETY: nginx reads an open connection, into room of this size.
    unsafe {
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

fn tls_recv() -> Option<Recv> {
    functions::get()?.ssl_recv
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
