//! The doctor: `check-websocket` before real servers, through a real nginx and directly.

mod address;
mod bounds;
mod causes;
mod compare;
mod configuration;
mod foreign;
mod forgotten;
mod held;
mod hostile;
mod http2;
mod json;
mod probes;
mod program;
mod schema;
mod script;
mod script_hostile;
mod script_nginx;
mod subprotocol;
mod tls;
mod tls_beyond;
mod tunnel;
