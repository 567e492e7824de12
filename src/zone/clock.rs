//! The two clocks of what is shared.

use nginx_sys::ngx_timeofday;

use crate::nginx::clock;

/// Milliseconds since 1970.
pub fn wall() -> u64 {
    let now = ngx_timeofday();
    let seconds = u64::try_from(now.sec).unwrap_or_default();
    seconds.wrapping_mul(1000).wrapping_add(now.msec as u64)
}

/// Milliseconds of a clock that never goes back and is the same for all processes.
pub fn monotonic() -> u64 {
    clock::now() as u64
}
