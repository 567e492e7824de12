//! The tunnel: carries the bytes of an established connection in place of nginx's own loop, which
//! keeps two buffers for each tunnel's life and moves a page at a time.
//!
//! What is to be done is decided by [`websocket_protocol::tunnel`]; here it is done: bytes are read and
//! written, and the timer is set.
//!
//! nginx still owns the request, both connections and their end: this module only takes the place
//! of the four functions that nginx calls when one of the sockets can be read or written. To end a
//! tunnel it puts them back and lets nginx find the end of a stream, so that nginx closes
//! everything its own way.

pub mod buffers;
mod carry;
pub mod drain;
mod hand_over;
mod lifetime;
mod pump;
pub mod roster;
mod settings;
mod socket;
pub mod stock;
mod take_over;
mod timer;

pub use carry::{Event, Handlers, Tunnel, each, hand_back, tunnel_of};
pub use hand_over::turn_away;
pub use take_over::{size, take_over};
pub use websocket_protocol::tunnel::{Side, Summary};
