//! What a location makes of its tunnels, as the rules want it.

use core::num::{NonZeroU32, NonZeroU64};

use nginx_sys::{ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_request_t, ngx_msec_t};
use websocket_protocol::tunnel::{Bounds, Limits, Ping, PingTo};

use crate::conf::LocationConf;
use crate::types::{TO_CLIENT, TO_UPSTREAM};

/// The limits of a request's tunnel. What bounds a blocked write is what nginx has for that.
///
/// # Safety
/// The request must be alive.
pub unsafe fn limits(r: *mut ngx_http_request_t, conf: &LocationConf) -> Limits {
    // SAFETY: a request has its location's structures, and an upstream its settings.
    let (send_to_client, send_to_upstream) = unsafe {
        let core = *(*r).loc_conf.add(ngx_http_core_module.ctx_index);
        let core = core.cast::<ngx_http_core_loc_conf_t>();
        let upstream = (*r).upstream.as_ref().and_then(|u| u.conf.as_ref());
        (
            Some((*core).send_timeout),
            upstream.map(|settings| settings.send_timeout),
        )
    };
    Limits {
        idle: time(conf.tunnel_timeout()),
        send_to_client: time(send_to_client),
        send_to_upstream: time(send_to_upstream),
        ping: conf.ping().and_then(|ping| {
            Some(Ping {
                interval: time(Some(ping.interval))?,
                timeout: time(Some(ping.timeout))?,
                to: match ping.to {
                    TO_CLIENT => PingTo::Client,
                    TO_UPSTREAM => PingTo::Upstream,
                    _ => PingTo::Both,
                },
            })
        }),
        drain_code: conf.drain_code(),
    }
}

/// The bounds of a location's messages.
pub fn bounds(conf: &LocationConf) -> Bounds {
    Bounds {
        message: conf.max_message_size().and_then(NonZeroU64::new),
        rate: conf.rate().and_then(|rate| NonZeroU64::new(rate as u64)),
        message_rate: conf.message_rate(),
        message_timeout: time(conf.message_timeout()),
    }
}

/// nginx's timers are no longer than an `int` of milliseconds; none of them is off when it is 0.
fn time(time: Option<ngx_msec_t>) -> Option<NonZeroU32> {
    let longest = i32::MAX as u32;
    time.and_then(|time| NonZeroU32::new(u32::try_from(time).map_or(longest, |time| time.max(1))))
}
