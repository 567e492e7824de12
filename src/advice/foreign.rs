//! The directives that pass requests on by a protocol that knows no WebSocket.

use core::ffi::CStr;

use nginx_sys::{ngx_conf_t, ngx_http_handler_pt};

use crate::inject::probe;
use crate::nginx::conf;
use crate::nginx::string::Text;

struct Known {
    module: &'static CStr,
    directive: &'static CStr,
    /// A word that the directive takes.
    address: &'static CStr,
}

const KNOWN: [Known; 3] = [
    Known {
        module: c"ngx_http_fastcgi_module",
        directive: c"fastcgi_pass",
        address: c"127.0.0.1:1",
    },
    Known {
        module: c"ngx_http_grpc_module",
        directive: c"grpc_pass",
        address: c"grpc://127.0.0.1:1",
    },
    Known {
        module: c"ngx_http_memcached_module",
        directive: c"memcached_pass",
        address: c"127.0.0.1:1",
    },
];

/// The handlers that these directives give a location, where this nginx has them.
pub struct Foreign([ngx_http_handler_pt; 3]);

impl Foreign {
    /// # Safety
    /// `cf` must be in the http context.
    pub unsafe fn find(cf: *mut ngx_conf_t) -> Self {
        Self(KNOWN.map(|known| {
            // SAFETY: the caller vouches for cf.
            let probed = unsafe {
                let module = conf::module((*cf).cycle, known.module)?;
                probe::run(cf, module, known.directive.to_bytes(), known.address)?
            };
            probed.handler
        }))
    }

    /// The directive that has given a location this handler, if it is one of these.
    pub fn directive(&self, handler: ngx_http_handler_pt) -> Option<Text<'static>> {
        let handler = handler?;
        let mut all = self.0.into_iter().zip(KNOWN);
        let (_, known) =
            all.find(|(ours, _)| ours.is_some_and(|ours| core::ptr::fn_addr_eq(ours, handler)))?;
        Some(Text(known.directive.to_bytes()))
    }
}
