//! `websocket_zone`: the memory in which all workers count, and this worker's pen for it.
//!
//! What is counted and how is [`websocket_zone`]'s; here it gets memory, learns who is alive, and is
//! called a few times a second.

mod clock;
mod labels;
mod memory;
mod owners;
mod worker;

pub use clock::{monotonic, wall};
pub use worker::{act, exit_process, in_force, init_process, writer};
