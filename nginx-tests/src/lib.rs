//! Harness for end-to-end tests through a real nginx.
//!
//! A test starts the backends it needs ([`backend`]), an nginx in a directory of its own
//! ([`nginx`]), and talks to it ([`client`], [`http2`]):
//!
//! ```no_run
//! use nginx_tests::{Client, Nginx, ScriptedBackend};
//!
//! let backend = ScriptedBackend::standard();
//! let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
//!     .set("BACKEND", backend.address())
//!     .start();
//! let mut client = Client::connect(nginx.port());
//! client.establish("/chat");
//! client.echo("hello");
//! assert_eq!(backend.request(0).head.header("Upgrade"), Some("websocket"));
//! ```
//!
//! Everything is asserted on what really passed: a [`wire::Wire`] gives and records bytes.
//! Every wait is for a condition with a deadline ([`wait`]).

#![forbid(unsafe_code)]

pub mod backend;
pub mod browser;
pub mod client;
pub mod daemon;
pub mod environment;
pub mod faults;
pub mod frame;
mod gateway;
pub mod http;
pub mod http2;
mod memory;
pub mod nginx;
pub mod project;
pub mod resolver;
pub mod schema;
mod skipped;
pub mod tls;
pub mod tunnels;
pub mod wait;
pub mod wire;
pub mod workers;

pub use backend::{EchoBackend, Listen, ScriptedBackend};
pub use client::{Client, Handshake};
pub use faults::Faults;
pub use frame::Frame;
pub use memory::memory;
pub use nginx::Nginx;
pub use skipped::skipped;
pub use tls::Certificate;
pub use wait::{DEADLINE, patient, wait_for, wait_until};
