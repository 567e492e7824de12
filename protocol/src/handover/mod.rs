//! A tunnel on its way from one process to another, as one message.
//!
//! Beside it go the two sockets. What the message holds is enough to go on: the handshake, which the other
//! process runs through its own configuration, the bytes that have been read and not been written, and what
//! the tunnel has come to. It comes from a process of the same kind, and is still looked through, field by
//! field: one that can't be is no message.
//!
//! All numbers are little-endian. In front stand [`MAGIC`], the [`VERSION`] and the length of all; then the
//! numbers of an [`Account`], and texts, each behind its length.

mod head;
mod message;

pub use message::{Account, Fault, MAGIC, MOST, Message, VERSION};

#[cfg(test)]
mod tests;
