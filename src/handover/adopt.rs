//! Takes in a tunnel: makes a client's connection of its socket, as nginx does of one that it accepts, and has nginx
//! read its request.

use core::ptr;

use nginx_sys::{
    NGX_LOG_WARN, ngx_connection_t, ngx_create_pool, ngx_destroy_pool, ngx_get_connection,
    ngx_http_close_connection, ngx_http_connection_t, ngx_listening_t, ngx_log_t, ngx_msec_t,
    ngx_palloc, ngx_pnalloc, ngx_pool_t, ngx_sock_ntop, sockaddr, socklen_t,
};
use websocket_protocol::handover::{Account, Message};

use super::arrival::{self, Arrival};
use super::parcel::{Parcel, Sockets};
use super::{listening, replay, turn_away};
use crate::nginx::{age, counters, log};

/// An address as large as there are.
#[repr(C)]
struct Place {
    address: libc::sockaddr_storage,
    length: libc::socklen_t,
}

pub fn adopt(parcel: Parcel, log: *mut ngx_log_t) {
    let Parcel {
        message: bytes,
        sockets,
    } = parcel;
    let message = match Message::read(bytes.bytes()) {
        Ok(message) => message,
        Err(fault) => {
            return log::cycle(
                log,
                NGX_LOG_WARN,
                format_args!(
                    "websocket handover: a tunnel is lost: its message is wrong: {fault:?}"
                ),
            );
        }
    };
    let client = sockets.client.get();
    let (Some(mut peer), Some(mut local)) = (place(client, Which::Peer), place(client, Which::Own))
    else {
        return turn_away::sockets(sockets, &message, log, "the client is gone");
    };
    // SAFETY: the kernel has written both addresses.
    let found = unsafe { listening::find((&raw mut local.address).cast(), local.length) };
    let Some(listening) = found else {
        return turn_away::sockets(
            sockets,
            &message,
            log,
            "nothing listens where its client is connected",
        );
    };
    // SAFETY: the addresses are the socket's, and the listening one is of this worker's.
    let made = unsafe { connect(listening, client, &mut peer, &message.account, log) };
    let Some(connection) = made else {
        return turn_away::sockets(sockets, &message, log, "there are no more connections");
    };
    let Sockets { client, upstream } = sockets;
    // It is the connection's.
    client.give();
    // SAFETY: the connection is open, and has all that nginx gives one.
    unsafe {
        match Arrival::keep(connection, upstream, bytes, log) {
            Some(_) => begin(listening, connection),
            None => ngx_http_close_connection(connection),
        }
    }
}

#[derive(Clone, Copy)]
enum Which {
    Peer,
    Own,
}

fn place(socket: libc::c_int, which: Which) -> Option<Place> {
    // SAFETY: zeros are an address of no family.
    let mut place: Place = unsafe { core::mem::zeroed() };
    place.length = size_of_val(&place.address) as libc::socklen_t;
    let address = (&raw mut place.address).cast::<libc::sockaddr>();
    // SAFETY: the kernel writes no more than there is room for.
    let status = unsafe {
        match which {
            Which::Peer => libc::getpeername(socket, address, &raw mut place.length),
            Which::Own => libc::getsockname(socket, address, &raw mut place.length),
        }
    };
    (status == 0).then_some(place)
}

/// As `ngx_event_accept()`, but that nginx's event method knows nothing of the connection yet. `None`: there are no
/// more, or there is no memory; the socket is the caller's then.
///
/// # Safety
/// The listening one must be of this worker's.
unsafe fn connect(
    listening: *mut ngx_listening_t,
    socket: libc::c_int,
    peer: &mut Place,
    account: &Account,
    log: *mut ngx_log_t,
) -> Option<*mut ngx_connection_t> {
    // SAFETY: the caller vouches for the listening one; nginx gives a connection of which nothing is set but its
    // events, and memory that lives as long as the connection.
    unsafe {
        let pool = ngx_create_pool((*listening).pool_size, log);
        if pool.is_null() {
            return None;
        }
        let made = fill(listening, socket, peer, account, pool, log);
        if made.is_none() {
            ngx_destroy_pool(pool);
        }
        made
    }
}

/// # Safety
/// As [`connect`]; the pool must be valid.
unsafe fn fill(
    listening: *mut ngx_listening_t,
    socket: libc::c_int,
    peer: &mut Place,
    account: &Account,
    pool: *mut ngx_pool_t,
    log: *mut ngx_log_t,
) -> Option<*mut ngx_connection_t> {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        // A unix socket's peer has no name, but a family.
        let length = (peer.length as usize).max(size_of::<libc::sa_family_t>());
        let address = ngx_palloc(pool, length).cast::<u8>();
        let own_log = ngx_palloc(pool, size_of::<ngx_log_t>()).cast::<ngx_log_t>();
        let text = ngx_pnalloc(pool, (*listening).addr_text_max_len.max(1)).cast::<u8>();
        if address.is_null() || own_log.is_null() || text.is_null() {
            return None;
        }
        ptr::copy_nonoverlapping((&raw const peer.address).cast::<u8>(), address, length);
        own_log.write((*listening).log);
        (*own_log).data = ptr::null_mut();
        (*own_log).handler = None;
        let connection = ngx_get_connection(socket, log);
        let c = connection.as_mut()?;
        c.type_ = libc::SOCK_STREAM;
        c.pool = pool;
        (*pool).log = own_log;
        c.log = own_log;
        c.sockaddr = address.cast::<sockaddr>();
        c.socklen = length as socklen_t;
        c.listening = listening;
        c.local_sockaddr = (*listening).sockaddr;
        c.local_socklen = (*listening).socklen;
        if (*c.sockaddr).sa_family as libc::c_int == libc::AF_UNIX {
            c.set_tcp_nopush(nginx_sys::ngx_connection_tcp_nopush_e_NGX_TCP_NOPUSH_DISABLED);
            c.set_tcp_nodelay(nginx_sys::ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);
        }
        (*c.read).log = own_log;
        (*c.write).log = own_log;
        (*c.write).set_ready(1);
        c.number = account.connection as nginx_sys::ngx_atomic_uint_t;
        age::set(c, account.connection_age as ngx_msec_t);
        if (*listening).addr_ntop() != 0 {
            c.addr_text.data = text;
            c.addr_text.len = ngx_sock_ntop(
                c.sockaddr,
                c.socklen,
                text,
                (*listening).addr_text_max_len,
                0,
            );
        }
        replay::stand_in(c);
        counters::is_active();
        Some(connection)
    }
}

/// nginx reads the request, and has it go through its phases.
///
/// # Safety
/// The connection must be one that has been made for this listening one, with its arrival.
unsafe fn begin(listening: *mut ngx_listening_t, connection: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for both. nginx closes the connection where it can't go on with it, and says so in
    // `destroyed`, which nothing else writes before it is used again.
    unsafe {
        let c = &*connection;
        // It has been told of already, as far as nginx knows.
        (*c.read).set_active(1);
        (*c.write).set_active(1);
        let Some(handler) = (*listening).handler else {
            return ngx_http_close_connection(connection);
        };
        handler(connection);
        if (*connection).destroyed() != 0 || (*connection).fd == -1 {
            return;
        }
        let Some(arrival) = arrival::of_connection(connection) else {
            return;
        };
        let http = (*connection).data.cast::<ngx_http_connection_t>();
        let asks_for_proxy = (*http).proxy_protocol() != 0;
        let why = if is_tls(http) {
            Some("TLS is spoken where its client is connected")
        } else if asks_for_proxy && arrival.message.proxy.is_empty() {
            Some("the PROXY protocol is spoken where its client is connected")
        } else {
            None
        };
        if let Some(why) = why {
            return turn_away_from(connection, arrival, why);
        }
        if !asks_for_proxy {
            arrival.proxy_read.set(arrival.message.proxy.len());
        }
        // It was counted when it came.
        counters::was_counted();
        let read = (*connection).read;
        (*read).set_ready(1);
        if let Some(handler) = (*read).handler {
            handler(read);
        }
    }
}

/// # Safety
/// The connection must be open, with this arrival, and no request.
unsafe fn turn_away_from(connection: *mut ngx_connection_t, arrival: &Arrival, why: &str) {
    // SAFETY: the caller vouches for the connection.
    unsafe {
        let log = (*connection).log;
        let client = super::parcel::Descriptor::copy((*connection).fd);
        if let (Some(client), Some(upstream)) = (client, arrival.socket.take()) {
            turn_away::sockets(Sockets { client, upstream }, &arrival.message, log, why);
        }
        arrival::forget(connection);
        ngx_http_close_connection(connection);
    }
}

#[cfg(ngx_feature = "http_ssl")]
unsafe fn is_tls(http: *const ngx_http_connection_t) -> bool {
    // SAFETY: the caller has it from nginx.
    unsafe { (*http).ssl() != 0 }
}

#[cfg(not(ngx_feature = "http_ssl"))]
unsafe fn is_tls(_: *const ngx_http_connection_t) -> bool {
    false
}
