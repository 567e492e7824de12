//! What directives can say, in types that every layer above uses.

use nginx_sys::{ngx_msec_t, ngx_uint_t};
use websocket_protocol::tunnel::MessageRate;

use crate::nginx::conf;
use crate::nginx::value::Value;

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

/// `websocket_handover on`: what a tunnel has to pass once more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// All phases of the new configuration.
    Recheck,
    /// All but `auth_request`.
    Trust,
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

/// `websocket_max_lifetime`
#[derive(Clone, Copy, PartialEq)]
pub struct MaxLifetime {
    pub age: Age,
    /// The code of the Close.
    pub code: u16,
}

impl MaxLifetime {
    pub const OFF: Option<Self> = Some(Self {
        age: Age::Any,
        code: GOING_AWAY,
    });
}

/// How old a tunnel may become.
#[derive(Clone, Copy, PartialEq)]
pub enum Age {
    /// `off`
    Any,
    /// Milliseconds.
    Fixed(ngx_msec_t),
    /// What each request's value says.
    Of(Value),
}

/// `websocket_message_rate`, where it is written.
#[derive(Clone, Copy, PartialEq)]
pub struct MaxMessageRate(pub Option<MessageRate>);

impl MaxMessageRate {
    pub const OFF: Option<Self> = Some(Self(None));
}

/// `websocket_large_buffers`
#[derive(Clone, Copy, PartialEq)]
pub struct LargeBuffers {
    /// How many a worker lends.
    pub number: usize,
    /// How much each holds.
    pub size: usize,
}

impl LargeBuffers {
    pub const OFF: Self = Self { number: 0, size: 0 };
    pub const UNSET: Self = Self {
        number: conf::UNSET,
        size: conf::UNSET,
    };
}

pub const TO_CLIENT: ngx_uint_t = 1;
pub const TO_UPSTREAM: ngx_uint_t = 2;

/// Close codes (RFC 6455 section 7.4, IANA's registry).
pub const GOING_AWAY: u16 = 1001;
pub const POLICY_VIOLATION: u16 = 1008;
pub const SERVICE_RESTART: u16 = 1012;

/// nginx hands the nearest timer to the kernel as an `int` of milliseconds: more would wrap.
pub const LONGEST_TIMEOUT: ngx_msec_t = i32::MAX as ngx_msec_t;
