//! `websocket_http2 on` where there is no HTTP/2, and servers that it makes browsers come to over HTTP/2.

use nginx_sys::{ngx_conf_t, ngx_flag_t, ngx_http_core_srv_conf_t};

use super::headers;
use super::set::Set;
use super::warnings::Advice;
use crate::conf::LocationConf;
use crate::nginx::{conf, listen};

pub fn warn(advice: &Advice<'_>) {
    // SAFETY: advice is given in the http context, after the merges.
    let switch = unsafe { Switch::find(advice.cf) };
    let turns_on = |server: *const ngx_http_core_srv_conf_t| {
        switch
            .as_ref()
            // SAFETY: a server of this configuration.
            .is_some_and(|switch| unsafe { switch.is_on(server) })
    };
    let mut asked = advice.no_set();
    // SAFETY: as above.
    for address in unsafe { listen::addresses(advice.cf) } {
        // The default server's word holds for the connection, until a name is known.
        let speaks = address.opt.http2() != 0 || turns_on(address.default_server);
        let mut offered = false;
        for &server in listen::servers(address) {
            // SAFETY: as above.
            let level = unsafe { LocationConf::of_server(server) };
            if level.is_http2() && (speaks || turns_on(server)) {
                if let Some(note) = level.http2_written() {
                    note.is_used.set(true);
                }
                offered = true;
            }
        }
        for &server in listen::servers(address).iter().filter(|_| offered) {
            if address.opt.http2() != 0 || turns_on(server) {
                asked.add(server);
            }
        }
    }
    warn_of_refusing(advice, &asked);
    for note in advice
        .levels()
        .filter(|level| level.is_http2())
        .filter_map(LocationConf::http2_written)
    {
        if !note.is_used.get() && note.is_news() {
            let missing = match switch {
                Some(_) => "http2 on",
                None => "listen ... http2",
            };
            advice.warn_at(
                note.place,
                format_args!(
                    "\"websocket_http2 on\" has no effect: no server that it applies to has \"{missing}\""
                ),
            );
        }
    }
}

/// Servers without it, to which browsers come over HTTP/2 since another one of their address has it.
fn warn_of_refusing(advice: &Advice<'_>, asked: &Set) {
    for level in advice.levels().filter(|level| !level.is_http2()) {
        let server = level.server();
        if asked.has(server) && headers::carries(advice, level) && advice.is_news(server) {
            let text = "\"websocket_http2\" is off in this server, and on in another one of its address: browsers come \
                        over HTTP/2 to both, and here they are answered 501";
            advice.warn_at(headers::server(level), format_args!("{text}"));
        }
    }
}

/// `http2`, which nginx has as a directive from 1.25.1 on.
struct Switch {
    /// Of its module's structures.
    index: usize,
    offset: usize,
}

impl Switch {
    /// # Safety
    /// `cf` must be in the http context.
    unsafe fn find(cf: *const ngx_conf_t) -> Option<Self> {
        // SAFETY: the caller vouches for cf, whose cycle has its modules.
        unsafe {
            let module = conf::module((*cf).cycle, c"ngx_http_v2_module")?;
            Some(Self {
                index: module.ctx_index,
                offset: conf::command(module, b"http2")?.offset,
            })
        }
    }

    /// # Safety
    /// It must be a server of a configuration that has been read.
    unsafe fn is_on(&self, server: *const ngx_http_core_srv_conf_t) -> bool {
        // SAFETY: the caller vouches for the server, which has a structure for each module, and this one such a field.
        unsafe {
            let of_module = *(*(*server).ctx).srv_conf.add(self.index);
            *of_module.byte_add(self.offset).cast::<ngx_flag_t>() == 1
        }
    }
}
