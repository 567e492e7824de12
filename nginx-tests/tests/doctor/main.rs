//! The doctor: `check-websocket` before real servers, through a real nginx and directly.

mod address;
mod causes;
mod compare;
mod configuration;
mod foreign;
mod forgotten;
mod json;
mod probes;
mod program;
mod schema;
mod script;
mod script_nginx;
mod subprotocol;
mod tls;
mod tunnel;
