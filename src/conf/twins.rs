//! Beside what is written in a location: the configurations for its handshakes.

use core::ffi::c_void;

/// The configurations that a location has beside its own, NULL where it has none.
#[derive(Clone, Copy)]
pub struct Twins {
    /// For handshakes: HTTP/1.1, with the headers that upgrade.
    pub handshake: *mut *mut c_void,
    /// For requests whose upgrade is taken away, where the location would send one.
    pub stripped: *mut *mut c_void,
    /// The location itself speaks HTTP/2 to its upstream, so that handshakes can't share
    /// connections with it.
    pub apart: bool,
    /// Its lines have a Sec-WebSocket-Key or a Sec-WebSocket-Protocol of their own, so that the upstream may be sent
    /// another key and offered other subprotocols than the client has.
    pub sets_handshake: bool,
}
