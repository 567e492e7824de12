//! The configuration: what directives say, level by level. Plain data; what is made of it at the
//! end of the configuration is `inject`'s and `advice`'s.

mod buffers;
pub mod directives;
mod handover;
mod http2;
mod leave;
pub mod lifetime;
pub mod location;
pub mod main;
pub mod merge;
pub mod message_rate;
pub mod note;
mod once;
pub mod origin;
pub mod peer;
mod refuse;
pub mod send_lowat;
mod status;
pub mod twins;
mod words;
pub mod zone;

pub use location::LocationConf;
pub use main::{MainConf, ZoneConf};
pub use peer::PeerConf;
