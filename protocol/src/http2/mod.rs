//! WebSocket over HTTP/2 (RFC 8441), in front of a server that does not know it: which bytes of a client's
//! connection the server gets as they came, which header blocks it gets as those of a plain GET, and which DATA
//! frames are a tunnel's.
//!
//! Nothing here keeps bytes. What the [`Cutter`] can't tell yet is to be shown to it again, with more behind it.

mod block;
mod connect;
mod cut;
mod frame;
mod glance;
mod hpack;
mod window;

pub use block::Block;
pub use connect::{BROKEN_BLOCK, KEY_SIZE, Table, asks_for_websocket, rewrite, rewritten_size};
pub use cut::{Cut, Cutter, Data};
pub use frame::{
    Error, FrameHeader, Kind, go_away, header_frame, nothing, reset, settings, window_update,
};
pub use window::{Overrun, ReceiveWindow};
