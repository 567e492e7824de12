//! nginx's notes on each attempt to reach an upstream, from which `$upstream_status` and the like
//! are made.

use nginx_sys::{NGX_HTTP_GATEWAY_TIME_OUT, ngx_http_upstream_state_t, ngx_msec_t, ngx_uint_t};
use websocket_protocol::Cause;

/// What the notes on the last attempt tell when its line could not be heard.
pub fn noted(states: &[ngx_http_upstream_state_t]) -> Option<Cause> {
    let state = states.last()?;
    let timed_out = state.status == NGX_HTTP_GATEWAY_TIME_OUT as ngx_uint_t;
    let connected = state.connect_time != ngx_msec_t::MAX;
    if state.peer.is_null() {
        return Some(if connected {
            // The note that nginx makes before it looks for a second upstream's address.
            Cause::UpstreamUnresolved
        } else {
            Cause::UpstreamUnreachable
        });
    }
    Some(match (connected, timed_out) {
        (false, true) => Cause::UpstreamConnectTimeout,
        (false, false) => Cause::UpstreamRefused,
        (true, true) => Cause::UpstreamResponseTimeout,
        (true, false) => Cause::UpstreamClosed,
    })
}
