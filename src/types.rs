//! What directives can say, in types that every layer above uses.

use nginx_sys::{ngx_msec_t, ngx_uint_t};

/// `websocket_other_upgrades`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OtherUpgrades {
    Strip,
    Pass,
    Reject,
}

/// `websocket_verify`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    On,
    Off,
    Log,
}

/// `websocket_status`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Whatever the client asks for.
    Any,
    Html,
    Json,
    Prometheus,
}

/// `websocket_ping`
#[derive(Clone, Copy)]
pub struct Ping {
    /// Milliseconds.
    pub interval: ngx_msec_t,
    /// Milliseconds.
    pub timeout: ngx_msec_t,
    /// Bits of `TO_…`.
    pub to: ngx_uint_t,
}

/// `websocket_upstream_drain`
#[derive(Clone, Copy)]
pub struct UpstreamDrain {
    /// Milliseconds.
    pub within: ngx_msec_t,
    /// The code of the Close.
    pub code: u16,
}

pub const TO_CLIENT: ngx_uint_t = 1;
pub const TO_UPSTREAM: ngx_uint_t = 2;

/// Close codes (RFC 6455 section 7.4, IANA's registry).
pub const GOING_AWAY: u16 = 1001;
pub const SERVICE_RESTART: u16 = 1012;

/// nginx hands the nearest timer to the kernel as an `int` of milliseconds: more would wrap.
pub const LONGEST_TIMEOUT: ngx_msec_t = i32::MAX as ngx_msec_t;
