//! `websocket_http2`, which is about addresses: what a client is told, it is told before it names a server.

use nginx_sys::ngx_http_core_srv_conf_t;

use super::main::Http2;
use super::{LocationConf, MainConf};
use crate::nginx::{module, pool};

impl LocationConf {
    /// `websocket_http2`
    pub fn is_http2(&self) -> bool {
        self.http2 == 1
    }

    /// That of a server.
    ///
    /// # Safety
    /// It must be a server of a configuration that has been read and merged.
    pub unsafe fn of_server<'a>(server: *const ngx_http_core_srv_conf_t) -> &'a Self {
        // SAFETY: create() made it; a server has a structure for each module.
        unsafe { &*(*(*(*server).ctx).loc_conf.add(module::index())).cast::<Self>() }
    }
}

impl MainConf {
    /// That of a server's configuration.
    ///
    /// # Safety
    /// It must be a server of a configuration that has been read.
    pub unsafe fn of_server<'a>(server: *const ngx_http_core_srv_conf_t) -> &'a Self {
        // SAFETY: create() made it; a server has the structures of the whole.
        unsafe { &*(*(*(*server).ctx).main_conf.add(module::index())).cast::<Self>() }
    }

    fn http2(&self) -> &[Http2] {
        // SAFETY: an array of these, filled by note_http2().
        unsafe { pool::elements(self.http2) }
    }

    /// Whether `websocket_http2` is on anywhere.
    pub fn has_http2(&self) -> bool {
        !self.http2().is_empty()
    }

    /// Whether it is for a server of the address with this default server and port.
    pub fn wants_http2(&self, default_server: *const ngx_http_core_srv_conf_t, port: u16) -> bool {
        self.http2().contains(&Http2 {
            default_server,
            port,
        })
    }

    /// It is. `None` when there is no memory.
    pub fn note_http2(
        &self,
        default_server: *const ngx_http_core_srv_conf_t,
        port: u16,
    ) -> Option<()> {
        let address = Http2 {
            default_server,
            port,
        };
        // SAFETY: an array of these, made by create().
        unsafe { pool::push(self.http2, address) }.map(|_| ())
    }
}
