//! Requests that the module answers by itself: `websocket_status` and `websocket_control`.
//!
//! What is answered is [`websocket_status`]'s; here it gets requests, memory and time. An answer is made in
//! pieces, each when nginx has taken the one before, with all other events of the worker in between.

mod arrange;
mod control;
mod handler;
mod reply;
mod serve;
mod task;

pub use arrange::arrange;
