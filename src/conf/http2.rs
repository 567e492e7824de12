//! `websocket_http2`, which is about addresses: what a client is told, it is told before it names a server.

use core::mem::offset_of;
use core::slice;

use nginx_sys::ngx_http_core_srv_conf_t;

use super::main::Http2;
use super::note::Note;
use super::{LocationConf, MainConf};
use crate::nginx::{module, pool};

impl LocationConf {
    /// `websocket_http2`
    pub fn is_http2(&self) -> bool {
        self.http2 == 1
    }

    /// Where that is written.
    pub fn http2_written(&self) -> Option<&Note> {
        self.note(offset_of!(Self, http2))
    }

    /// Whether it is of `websocket_http2`.
    pub fn is_of_http2(note: &Note) -> bool {
        note.field == offset_of!(Self, http2)
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

    /// Whether it is at the address with this `sockaddr`.
    pub fn wants_http2(&self, address: &[u8]) -> bool {
        self.http2().iter().any(|known| {
            // SAFETY: note_http2() was told that there are so many bytes.
            let known = unsafe { slice::from_raw_parts(known.address, known.length) };
            known == address
        })
    }

    /// It is, at the address of so many bytes. `None` when there is no memory.
    ///
    /// # Safety
    /// The address must live as long as the configuration.
    pub unsafe fn note_http2(&self, address: *const u8, length: usize) -> Option<()> {
        let address = Http2 { address, length };
        // SAFETY: an array of these, made by create().
        unsafe { pool::push(self.http2, address) }.map(|_| ())
    }
}
