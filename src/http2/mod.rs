//! WebSocket over HTTP/2 (RFC 8441), on an nginx that does not know it: from here a connection is read, and its
//! extended CONNECTs are requests of HTTP/1.1 to all that comes behind.
//!
//! [`doorway`] finds the connections, [`connection`] stands between one and nginx, [`stream`] is a tunnel's end
//! of it.

mod address;
mod bytes;
mod connection;
mod doorway;
mod frames;
mod functions;
mod hpack;
mod parser;
mod patience;
mod replace;
mod request;
mod send;
mod stream;

pub use address::arrange;
pub use doorway::{init_process, stands_at};
pub use request::{Answer, answer, flush, is_connect, is_tunnel, post_read, refuse, refused};
pub use stream::Off;
