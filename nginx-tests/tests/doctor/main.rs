//! The doctor: `check-websocket` before real servers, through a real nginx and directly.

mod causes;
mod compare;
mod configuration;
mod foreign;
mod json;
mod probes;
mod program;
mod schema;
mod script;
mod tls;
mod tunnel;
