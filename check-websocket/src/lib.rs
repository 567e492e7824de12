//! Tries a WebSocket address the way a browser would, and names what is wrong.

#![forbid(unsafe_code)]

mod answer;
mod answered;
mod certificate;
mod compare;
mod conf;
mod deadline;
mod failure;
mod forgotten;
mod handshake;
mod http2;
mod json;
mod look;
mod lookup;
mod mask;
mod options;
pub mod outside;
mod page;
mod paint;
mod print;
mod print_conf;
mod probes;
mod program;
mod random;
mod report;
mod request;
mod steps;
mod stream;
mod target;
mod tls;
mod trace;
mod tunnel;
mod waiting;
mod walk;

pub use program::run;
