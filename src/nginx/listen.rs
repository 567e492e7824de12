//! The addresses that a configuration listens at, while it is read.

use nginx_sys::{
    ngx_array_t, ngx_conf_t, ngx_http_conf_addr_t, ngx_http_conf_port_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t,
};

use super::{conf, pool};

/// All of them.
///
/// # Safety
/// `cf` must be in the http context.
pub unsafe fn addresses<'a>(
    cf: *const ngx_conf_t,
) -> impl Iterator<Item = &'a ngx_http_conf_addr_t> {
    // SAFETY: the caller vouches for cf; `ports` is NULL or an array of ports, each with its addresses.
    let ports = unsafe {
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        pool::elements::<ngx_http_conf_port_t>((*core.cast::<ngx_http_core_main_conf_t>()).ports)
    };
    ports.iter().flat_map(|port| {
        let addresses: *const ngx_array_t = &raw const port.addrs;
        // SAFETY: see above.
        unsafe { pool::elements::<ngx_http_conf_addr_t>(addresses) }
    })
}

/// The servers of an address.
pub fn servers(address: &ngx_http_conf_addr_t) -> &[*const ngx_http_core_srv_conf_t] {
    let servers: *const ngx_array_t = &raw const address.servers;
    // SAFETY: an array of pointers to them.
    unsafe { pool::elements(servers) }
}
