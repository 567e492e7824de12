//! What becomes of handshakes and tunnels, told to the zone.

use nginx_sys::{ngx_http_core_module, ngx_http_core_srv_conf_t};
use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Side, Traffic};
use websocket_zone::{Failed, Meter, Over, Place};

use crate::failure::tries;
use crate::nginx::{Request, string};
use crate::request::{Attempt, Carrier};
use crate::tunnel::Tunnel;
use crate::zone;

/// A handshake has succeeded.
pub fn established(r: Request<'_>, attempt: &Attempt) {
    let (Some(writer), Some(meter)) = (zone::writer(), attempt.meter()) else {
        return;
    };
    let states = attempt.states(r);
    let before = states.len().saturating_sub(1);
    for (peer, cause) in tries::failed(states, &attempt.tries).take_while(|try_| try_.0 < before) {
        let _ = (peer, cause);
    }
    let place = place(r, attempt);
    let time = attempt.handshake_time.get().unwrap_or_default() as u64;
    let begun = writer.established(attempt.label(), &place, time, zone::wall(), zone::monotonic());
    meter.set(Some(begun));
}
