//! What a location that is on is given beside its own configuration, which stays as it was written.

pub mod fields;
pub mod lines;
pub mod probe;
pub mod twin;

/// The variable whose evaluation joins a request to its upstream. It stands in what only the
/// configurations made here send, and its value is empty.
pub const JOINING_VARIABLE: &core::ffi::CStr = c"websocket_injected_seam";
