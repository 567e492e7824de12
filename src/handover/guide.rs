//! Brings the request of a tunnel that was handed over to the upstream server that it had, on the socket that it
//! had.
//!
//! The balancer of the new configuration is asked for a server until it names that one, so that it counts the tunnel
//! where it is. For that, the request gets settings of its own for a moment, with an upstream that is ours: so its
//! address is not looked up either, where a variable gives it.

use core::ffi::c_void;
use core::ptr;

use nginx_sys::{
    NGX_DONE, NGX_ERROR, NGX_OK, ngx_connection_t, ngx_get_connection, ngx_http_request_t,
    ngx_http_upstream_main_conf_t, ngx_http_upstream_module, ngx_http_upstream_resolved_t,
    ngx_http_upstream_srv_conf_t, ngx_http_upstream_t, ngx_int_t, ngx_palloc,
    ngx_peer_connection_t, ngx_sock_ntop, ngx_str_t, ngx_uint_t, sockaddr, socklen_t,
};

use super::arrival::{self, Arrival, Way};
use super::choose::{Choice, choose};
use super::parcel::Descriptor;
use super::replay;
use crate::nginx::{Request, Upstream, age, pool, string};

const OK: ngx_int_t = NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;

/// nginx is making the request to the upstream.
pub fn guide(r: Request<'_>, u: Upstream<'_>) {
    let Some(arrival) = arrival::of(r).filter(|arrival| !arrival.is_met.get()) else {
        return;
    };
    // SAFETY: the request and its upstream are alive; all zeros is an upstream of which nothing is known, and what
    // is placed lives as long as the request.
    unsafe {
        let upstream = u.as_ptr();
        let mut ours: ngx_http_upstream_srv_conf_t = core::mem::zeroed();
        ours.peer.init = Some(init);
        ours.host = string::borrowed(arrival.message.host);
        let mut settings = *(*upstream).conf;
        let Some(ours) = pool::place(r.pool(), ours) else {
            return arrival.refuse("there is no memory");
        };
        settings.upstream = ours.as_ptr();
        let Some(settings) = pool::place(r.pool(), settings) else {
            return arrival.refuse("there is no memory");
        };
        arrival.way.set(Way {
            conf: (*upstream).conf,
            resolved: (*upstream).resolved,
            ..arrival.way.get()
        });
        (*upstream).conf = settings.as_ptr();
        (*upstream).resolved = ptr::null_mut();
    }
}

/// nginx would choose a server by the block that was written.
unsafe extern "C" fn init(
    r: *mut ngx_http_request_t,
    _: *mut ngx_http_upstream_srv_conf_t,
) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive, with the upstream to which guide() gave this.
    unsafe {
        let Some(arrival) = arrival::of(Request::new(r)) else {
            return ERROR;
        };
        let u = &mut *(*r).upstream;
        let way = arrival.way.get();
        (u.conf, u.resolved) = (way.conf, way.resolved);
        u.upstream = block(r, u);
        if let Some(block) = u.upstream.as_mut() {
            let init = block.peer.init;
            if init.is_none_or(|init| init(r, block) != OK) {
                return ERROR;
            }
        } else if let Some(resolved) = u.resolved.as_ref() {
            if !is_same_name(resolved, arrival) {
                arrival.refuse("its location leads to another server");
            }
        }
        arrival.way.set(Way {
            get: u.peer.get,
            free: u.peer.free,
            data: u.peer.data,
            tries: u.peer.tries,
            ..way
        });
        u.peer.get = Some(get);
        u.peer.free = Some(free);
        u.peer.data = ptr::from_ref(arrival).cast_mut().cast();
        u.peer.tries = 1;
    }
    OK
}

/// The upstream block that the request goes to; NULL where a variable has given an address.
///
/// # Safety
/// The request must be alive, with this upstream.
unsafe fn block(
    r: *mut ngx_http_request_t,
    u: &ngx_http_upstream_t,
) -> *mut ngx_http_upstream_srv_conf_t {
    // SAFETY: the caller vouches for the request; an upstream has settings, and the upstream module an array of
    // blocks.
    unsafe {
        let Some(resolved) = u.resolved.as_ref() else {
            return (*u.conf).upstream;
        };
        let main = *(*r).main_conf.add(ngx_http_upstream_module.ctx_index);
        let main = &raw const (*main.cast::<ngx_http_upstream_main_conf_t>()).upstreams;
        let is_it = |block: &*mut ngx_http_upstream_srv_conf_t| {
            let (host, port) = (string::bytes(&(**block).host), (**block).port);
            let is_port = (port == 0 && resolved.no_port != 0) || port == resolved.port;
            is_port && host.eq_ignore_ascii_case(string::bytes(&resolved.host))
        };
        let mut blocks = pool::elements::<*mut ngx_http_upstream_srv_conf_t>(main).iter();
        blocks
            .find(|block| is_it(block))
            .copied()
            .unwrap_or(ptr::null_mut())
    }
}

/// Whether a variable's address is the one that it was.
///
/// # Safety
/// It must be one that nginx has made.
unsafe fn is_same_name(resolved: &ngx_http_upstream_resolved_t, arrival: &Arrival) -> bool {
    // SAFETY: the caller vouches for it.
    let host = unsafe { string::bytes(&resolved.host) };
    host.eq_ignore_ascii_case(arrival.message.host)
}

/// An address as large as there are.
struct Place {
    address: libc::sockaddr_storage,
    length: socklen_t,
}

/// nginx wants a connection to a server.
unsafe extern "C" fn get(peer: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx gives what init() put there, with the peer that it belongs to. The request has its upstream, in
    // which the peer lies.
    unsafe {
        let arrival = &*data.cast::<Arrival>();
        let upstream = peer
            .byte_sub(core::mem::offset_of!(ngx_http_upstream_t, peer))
            .cast::<ngx_http_upstream_t>();
        let client = arrival.client;
        if name(peer, (*client).pool, arrival).is_none() {
            arrival.refuse("the upstream server is gone");
        }
        if is_tls(upstream) {
            arrival.refuse("its location speaks TLS to the server");
        }
        if arrival.refusal.get().is_some() {
            return ERROR;
        }
        match choose(peer, upstream, arrival) {
            Choice::Counted => {}
            // Its balancer knows nothing of it, and is not to be told of its end.
            Choice::Uncounted => arrival.way.set(Way {
                free: None,
                ..arrival.way.get()
            }),
            Choice::None => {
                arrival.refuse("its upstream server is in the configuration no more");
                return ERROR;
            }
        }
        match connection(peer, arrival) {
            Some(connection) => {
                (*peer).connection = connection;
                arrival.is_met.set(true);
                let way = arrival.way.get();
                (*peer).tries = 1;
                if way.free.is_some() {
                    (*peer).get = way.get;
                    (*peer).free = way.free;
                    (*peer).data = way.data;
                } else {
                    (*peer).data = ptr::null_mut();
                    (*peer).get = Some(no_other);
                    (*peer).free = Some(no_more);
                    // It would look for the balancer's data.
                    (*peer).notify = None;
                }
                NGX_DONE as ngx_int_t
            }
            None => {
                let way = arrival.way.get();
                if let Some(free) = way.free {
                    free(peer, way.data, 0);
                }
                arrival.refuse("there are no more connections");
                ERROR
            }
        }
    }
}

/// nginx ends a peer that never came to its connection.
unsafe extern "C" fn free(peer: *mut ngx_peer_connection_t, _: *mut c_void, _: ngx_uint_t) {
    // SAFETY: nginx gives the peer.
    unsafe { (*peer).tries = 0 };
}

unsafe extern "C" fn no_other(_: *mut ngx_peer_connection_t, _: *mut c_void) -> ngx_int_t {
    ERROR
}

unsafe extern "C" fn no_more(peer: *mut ngx_peer_connection_t, _: *mut c_void, _: ngx_uint_t) {
    // SAFETY: nginx gives the peer.
    unsafe { (*peer).tries = 0 };
}

/// Gives the peer the address of the server that the tunnel has, and its name.
///
/// # Safety
/// The peer and the pool must be valid, as long as the client's connection.
unsafe fn name(
    peer: *mut ngx_peer_connection_t,
    pool: *mut nginx_sys::ngx_pool_t,
    arrival: &Arrival,
) -> Option<()> {
    const LONGEST: usize = 128;
    // SAFETY: zeros are an address of no family, of which the kernel writes no more than there is room for; the
    // caller vouches for the rest.
    unsafe {
        let mut place = Place {
            address: core::mem::zeroed(),
            length: size_of::<libc::sockaddr_storage>() as socklen_t,
        };
        let socket = arrival.socket.take()?;
        let status = libc::getpeername(
            socket.get(),
            (&raw mut place.address).cast(),
            &raw mut place.length,
        );
        arrival.socket.set(Some(socket));
        if status != 0 {
            return None;
        }
        place_unix(&mut place, arrival.message.server);
        let address = ngx_palloc(pool, place.length as usize).cast::<u8>();
        let text = ngx_palloc(pool, LONGEST).cast::<u8>();
        if address.is_null() || text.is_null() {
            return None;
        }
        ptr::copy_nonoverlapping(
            (&raw const place.address).cast(),
            address,
            place.length as usize,
        );
        let address = address.cast::<sockaddr>();
        let len = ngx_sock_ntop(address, place.length, text, LONGEST, 1);
        let name = pool::place(pool, ngx_str_t { len, data: text })?;
        (*peer).sockaddr = address;
        (*peer).socklen = place.length;
        (*peer).name = name.as_ptr();
        Some(())
    }
}

/// A unix socket is called what its server called it, which may see another directory there than nginx does.
fn place_unix(place: &mut Place, server: &[u8]) {
    let path = server.strip_prefix(b"unix:").unwrap_or_default();
    let is_unix = libc::c_int::from(place.address.ss_family) == libc::AF_UNIX;
    // SAFETY: all zeros is an address of no family.
    let mut address: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    if !is_unix || path.is_empty() || path.len() >= address.sun_path.len() {
        return;
    }
    address.sun_family = place.address.ss_family;
    for (to, byte) in address.sun_path.iter_mut().zip(path) {
        *to = *byte as libc::c_char;
    }
    // SAFETY: there is room for an address of any family.
    unsafe {
        (&raw mut place.address)
            .cast::<libc::sockaddr_un>()
            .write(address)
    };
    place.length = size_of::<libc::sockaddr_un>() as socklen_t;
}

/// A connection of nginx's on the upstream's socket, of which its event method knows nothing yet.
///
/// # Safety
/// The peer must be the upstream's.
unsafe fn connection(
    peer: *mut ngx_peer_connection_t,
    arrival: &Arrival,
) -> Option<*mut ngx_connection_t> {
    // SAFETY: the caller vouches for the peer; the socket is the connection's from here on.
    unsafe {
        let socket: Descriptor = arrival.socket.take()?;
        let connection = ngx_get_connection(socket.get(), (*peer).log);
        let Some(c) = connection.as_mut() else {
            arrival.socket.set(Some(socket));
            return None;
        };
        socket.give();
        c.type_ = libc::SOCK_STREAM;
        replay::stand_in_for_upstream(c);
        c.set_log_error((*peer).log_error());
        c.number = next_number();
        age::set(c, 0);
        let family = (*(*peer).sockaddr).sa_family;
        if family as libc::c_int == libc::AF_UNIX {
            c.set_tcp_nopush(nginx_sys::ngx_connection_tcp_nopush_e_NGX_TCP_NOPUSH_DISABLED);
            c.set_tcp_nodelay(nginx_sys::ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);
        }
        (*c.read).log = (*peer).log;
        (*c.write).log = (*peer).log;
        // It has been told of, and can be read and written, as far as nginx knows.
        for event in [c.read, c.write] {
            (*event).set_active(1);
            (*event).set_ready(1);
        }
        Some(connection)
    }
}

fn next_number() -> nginx_sys::ngx_atomic_uint_t {
    use core::sync::atomic::{AtomicUsize, Ordering};
    // SAFETY: nginx's counter of connections, to which all workers write by atomics.
    let counter = unsafe { AtomicUsize::from_ptr(nginx_sys::ngx_connection_counter.cast()) };
    counter.fetch_add(1, Ordering::Relaxed) as nginx_sys::ngx_atomic_uint_t
}

#[cfg(ngx_feature = "http_ssl")]
unsafe fn is_tls(upstream: *const ngx_http_upstream_t) -> bool {
    // SAFETY: the caller has it from nginx.
    unsafe { (*upstream).ssl() != 0 }
}

#[cfg(not(ngx_feature = "http_ssl"))]
unsafe fn is_tls(_: *const ngx_http_upstream_t) -> bool {
    false
}
