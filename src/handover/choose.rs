//! Which of an upstream block's servers a tunnel goes on with: the one that it has, if the block still has it.

use nginx_sys::{
    NGX_DONE, NGX_OK, NGX_PEER_NEXT, ngx_cmp_sockaddr, ngx_http_upstream_resolved_t,
    ngx_http_upstream_server_t, ngx_http_upstream_srv_conf_t, ngx_http_upstream_t,
    ngx_inet_get_port, ngx_int_t, ngx_peer_connection_t, ngx_uint_t, sockaddr, socklen_t,
};

use super::arrival::Arrival;
use crate::nginx::{kept, pool};

const OK: ngx_int_t = NGX_OK as ngx_int_t;

pub enum Choice {
    /// The balancer has chosen it.
    Counted,
    /// It is one of the block's, and the balancer does not choose it now; or there is no balancer.
    Uncounted,
    None,
}

/// Has the balancer choose until it chooses the server that the tunnel has.
///
/// # Safety
/// The peer must be the upstream's, named by [`name`].
pub unsafe fn choose(
    peer: *mut ngx_peer_connection_t,
    upstream: *mut ngx_http_upstream_t,
    arrival: &Arrival,
) -> Choice {
    /// Those that choose by a key do so for a while before they take the others in turn.
    const BY_KEY: usize = 24;
    let way = arrival.way.get();
    // SAFETY: the caller vouches for the peer, whose name and address are the server's.
    unsafe {
        let server = ((*peer).sockaddr, (*peer).socklen, (*peer).name);
        let Some(block) = (*upstream).upstream.as_ref() else {
            return if leads_there((*upstream).resolved, server.0, server.1) {
                Choice::Uncounted
            } else {
                Choice::None
            };
        };
        let (Some(get), Some(free)) = (way.get, way.free) else {
            return Choice::None;
        };
        for _ in 0..way.tries.saturating_add(BY_KEY) {
            // What it looks at, it finds as it left it.
            (*peer).data = way.data;
            let rc = get(peer, way.data);
            let is_kept = rc == NGX_DONE as ngx_int_t;
            if is_kept {
                // It is another one than the tunnel's.
                kept::close(peer);
            }
            if rc != OK && !is_kept {
                break;
            }
            let (address, length) = ((*peer).sockaddr, (*peer).socklen);
            if ngx_cmp_sockaddr(address, length, server.0, server.1, 1) == OK {
                return Choice::Counted;
            }
            // It has neither failed nor answered. (A balancer that has just put it on trial takes it for alive, as for
            // any server whose request came to nothing.)
            free(peer, way.data, NGX_PEER_NEXT as ngx_uint_t);
            (*peer).tries = (*peer).tries.max(1);
        }
        ((*peer).sockaddr, (*peer).socklen, (*peer).name) = server;
        if has_server(block, server.0, server.1) {
            Choice::Uncounted
        } else {
            Choice::None
        }
    }
}

/// Whether one of a block's lines names this server, and does not say that it is down. What is resolved while nginx
/// runs is only known to the balancer.
///
/// # Safety
/// The block must be one of the configuration's.
unsafe fn has_server(
    block: &ngx_http_upstream_srv_conf_t,
    address: *mut sockaddr,
    length: socklen_t,
) -> bool {
    // SAFETY: the caller vouches for the block, whose servers are an array, each with an array of addresses.
    unsafe {
        let servers = pool::elements::<ngx_http_upstream_server_t>(block.servers);
        servers
            .iter()
            .filter(|server| server.down == 0)
            .any(|server| {
                (0..server.naddrs).any(|at| {
                    let one = &*server.addrs.add(at);
                    ngx_cmp_sockaddr(one.sockaddr, one.socklen, address, length, 1) == OK
                })
            })
    }
}

/// Whether what a variable has given is this server: its address, or its name with its port.
///
/// # Safety
/// NULL, or what nginx has made.
unsafe fn leads_there(
    resolved: *const ngx_http_upstream_resolved_t,
    address: *mut sockaddr,
    length: socklen_t,
) -> bool {
    // SAFETY: the caller vouches for it.
    unsafe {
        let Some(resolved) = resolved.as_ref() else {
            return false;
        };
        if resolved.sockaddr.is_null() {
            return resolved.port == ngx_inet_get_port(address);
        }
        ngx_cmp_sockaddr(resolved.sockaddr, resolved.socklen, address, length, 1) == OK
    }
}
