//! nginx's structures, as far as this module needs them.
//!
//! What nginx hands to a callback is wrapped at once in a handle ([`Request`], [`Upstream`]) that
//! lives as long as the callback. Handles are copied freely and give out values and shared
//! references only, so that nothing here stands in the way of nginx calling back.

pub mod age;
pub mod block;
pub mod certificate;
mod client;
pub mod clock;
pub mod conf;
pub mod counters;
pub mod events;
pub mod fit;
pub mod headers;
pub mod inherit;
pub mod kept;
mod layout;
pub mod listen;
pub mod log;
pub mod module;
pub mod pool;
pub mod request;
pub mod response;
pub mod string;
pub mod tls;
pub mod upstream;
pub mod value;
pub mod variables;

pub use request::Request;
pub use upstream::Upstream;
