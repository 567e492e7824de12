//! A client's connection of HTTP/2 (RFC 9113) with any number of streams, of which each is read and written as a
//! connection of HTTP/1.1 would be: requests are given as their text, and answers come as theirs. So every load
//! works over both.

mod block;
mod connection;
mod end;
mod stream;

pub use connection::{ALPN, Connection};
pub use stream::Stream;
