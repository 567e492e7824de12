//! The upstream blocks of a configuration, and the servers that are written in them.

use core::{ptr, slice};

use nginx_sys::{
    ngx_addr_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module, ngx_http_upstream_main_conf_t,
    ngx_http_upstream_module, ngx_http_upstream_server_t, ngx_http_upstream_srv_conf_t, ngx_uint_t,
};

use super::{pool, string};

#[derive(Clone, Copy)]
pub struct Block<'a>(&'a ngx_http_upstream_srv_conf_t);

/// A line `server` of a block.
#[derive(Clone, Copy)]
pub struct Server<'a>(&'a ngx_http_upstream_server_t);

/// The blocks of a cycle's configuration; none where it has no `http` block.
///
/// # Safety
/// `cycle` must be valid for `'a`, with its configuration read.
pub unsafe fn blocks<'a>(cycle: *const ngx_cycle_t) -> impl Iterator<Item = Block<'a>> + Clone {
    // SAFETY: NULL where there is no http block, else a context with a slot for each module; the upstream
    // module keeps pointers to its blocks in an array.
    let upstreams = unsafe {
        let http = *(*cycle).conf_ctx.add(ngx_http_module.index);
        match http.cast::<ngx_http_conf_ctx_t>().as_ref() {
            None => ptr::null(),
            Some(http) => {
                let main = *http.main_conf.add(ngx_http_upstream_module.ctx_index);
                &raw const (*main.cast::<ngx_http_upstream_main_conf_t>()).upstreams
            }
        }
    };
    // SAFETY: as above.
    unsafe { pool::elements::<*const ngx_http_upstream_srv_conf_t>(upstreams) }
        .iter()
        .filter_map(|&block| unsafe { Block::new(block) })
}

impl<'a> Block<'a> {
    /// `None` for what was written as an address, without a block.
    ///
    /// # Safety
    /// `block` must be NULL or one of a configuration that lives as long as `'a`.
    pub unsafe fn new(block: *const ngx_http_upstream_srv_conf_t) -> Option<Self> {
        // SAFETY: the caller vouches for the block.
        let block = unsafe { block.as_ref() }?;
        // Only a block has the modules' structures.
        (!block.srv_conf.is_null()).then_some(Self(block))
    }

    pub fn name(self) -> &'a [u8] {
        // SAFETY: a word of the configuration.
        unsafe { string::bytes(&self.0.host) }
    }

    pub fn servers(self) -> impl Iterator<Item = Server<'a>> + Clone {
        // SAFETY: a block's servers are an array of these.
        unsafe { pool::elements(self.0.servers) }.iter().map(Server)
    }
}

/// nginx's `NGX_HTTP_UPSTREAM_DRAINING`, which older versions don't have.
const DRAINING: ngx_uint_t = 8;

impl<'a> Server<'a> {
    /// As it is written.
    pub fn name(self) -> &'a [u8] {
        // SAFETY: a word of the configuration.
        unsafe { string::bytes(&self.0.name) }
    }

    /// Whether it is marked as permanently unavailable. One that drains goes on serving those that it has.
    pub fn is_down(self) -> bool {
        !matches!(self.0.down, 0 | DRAINING)
    }

    /// Whether its name is resolved while nginx runs.
    pub fn is_resolved(self) -> bool {
        // Its one address is a place for the port, and has no name.
        self.addresses().next().is_none()
    }

    /// The addresses that its name had when the configuration was read, as nginx writes them.
    pub fn addresses(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let addresses: &[ngx_addr_t] = match self.0.naddrs {
            0 => &[],
            // SAFETY: a server has so many addresses.
            count => unsafe { slice::from_raw_parts(self.0.addrs, count) },
        };
        addresses
            .iter()
            // SAFETY: their names live as long as the configuration.
            .map(|address| unsafe { string::bytes(&address.name) })
            .filter(|name| !name.is_empty())
    }
}
