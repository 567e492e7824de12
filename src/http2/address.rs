//! The addresses of listening sockets, which a client is told by: it names its server later.

use core::{mem, ptr, slice};

use nginx_sys::{
    ngx_conf_t, ngx_connection_t, ngx_http_addr_conf_t, ngx_http_connection_t, ngx_http_in_addr_t,
    ngx_http_in6_addr_t, ngx_http_port_t, ngx_listening_t,
};

use crate::conf::{LocationConf, MainConf};
use crate::nginx::listen;

/// Notes the addresses of which a server has `websocket_http2 on`: nginx is about to forget which servers an address
/// has. `None` without memory.
///
/// # Safety
/// `cf` must be in the http context, with all levels merged.
pub unsafe fn arrange(cf: *mut ngx_conf_t, main: &MainConf) -> Option<()> {
    // SAFETY: the caller vouches for cf.
    for address in unsafe { listen::addresses(cf) } {
        let is_on = listen::servers(address)
            .iter()
            // SAFETY: a server of this configuration.
            .any(|&server| unsafe { LocationConf::of_server(server) }.is_http2());
        if is_on {
            let length = address.opt.socklen as usize;
            // SAFETY: it is in the configuration's memory.
            unsafe { main.note_http2(address.opt.sockaddr.cast(), length)? };
        }
    }
    Some(())
}

/// Whether that is on for a connection.
///
/// # Safety
/// Both must be those of a connection that has just come.
pub unsafe fn is_wanted(c: *const ngx_connection_t, hc: *const ngx_http_connection_t) -> bool {
    // SAFETY: the caller vouches for the connection, which has come by a socket, and at an address with its default
    // server. What nginx has of that begins with the part in which the addresses of a socket differ.
    unsafe {
        let socket = &*(*c).listening;
        let of_address = (*hc).addr_conf.cast_const().cast::<u8>();
        let mut address: libc::sockaddr_storage = mem::zeroed();
        let length = (socket.socklen as usize).min(size_of_val(&address));
        let place = &raw mut address;
        place
            .cast::<u8>()
            .copy_from_nonoverlapping(socket.sockaddr.cast(), length);
        // A socket for all addresses has those of some beside its own.
        match i32::from(address.ss_family) {
            libc::AF_INET => {
                let known = of_address.sub(mem::offset_of!(ngx_http_in_addr_t, conf));
                (*place.cast::<libc::sockaddr_in>()).sin_addr = ptr::read(known.cast());
            }
            libc::AF_INET6 => {
                let known = of_address.sub(mem::offset_of!(ngx_http_in6_addr_t, conf));
                (*place.cast::<libc::sockaddr_in6>()).sin6_addr = ptr::read(known.cast());
            }
            _ => {}
        }
        let server = (*(*hc).addr_conf).default_server;
        MainConf::of_server(server).wants_http2(slice::from_raw_parts(place.cast(), length))
    }
}

/// An address of a listening socket.
///
/// # Safety
/// It must be one of nginx's http module.
pub unsafe fn first(socket: &ngx_listening_t) -> Option<*mut ngx_http_addr_conf_t> {
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
