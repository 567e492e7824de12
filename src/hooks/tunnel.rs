//! A tunnel's beginning, the four handlers that take the place of nginx's, and its end.

use nginx_sys::{NGX_OK, ngx_cycle_t, ngx_http_request_t, ngx_http_upstream_t, ngx_int_t};

use super::{arrive, count, cycle, report};
use crate::conf::{LocationConf, MainConf};
use crate::handover;
use crate::nginx::Request;
use crate::request::{self, Attempt, Carrier};
use crate::tunnel::{self, Event, Handlers, Side};
use crate::{http2, zone};

const OK: ngx_int_t = NGX_OK as ngx_int_t;

const HANDLERS: Handlers = Handlers {
    client_read: Some(client_read),
    client_write: Some(client_write),
    upstream_read: Some(upstream_read),
    upstream_write: Some(upstream_write),
};

/// `init_process`
pub unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    cycle::init_process(cycle);
    // SAFETY: nginx gives the worker's cycle.
    unsafe {
        let heeds = tunnel::drain::Heeds {
            exit: is_anywhere(cycle, LocationConf::heeds_exit),
            servers: drains_upstreams(cycle),
        };
        zone::init_process(cycle, count::act);
        let heir = handover::init_process(cycle);
        match http2::init_process(cycle) {
            OK => tunnel::drain::init_process(cycle, heeds, heir),
            rc => rc,
        }
    }
}

/// A configuration is in force: tells those before it which servers it has.
///
/// # Safety
/// As nginx calls `init_module`.
pub unsafe fn in_force(cycle: *mut ngx_cycle_t) {
    // SAFETY: the caller vouches for the cycle.
    unsafe { tunnel::roster::publish(cycle, drains_upstreams(cycle)) };
}

/// # Safety
/// The cycle's configuration must have been read.
unsafe fn drains_upstreams(cycle: *const ngx_cycle_t) -> bool {
    // SAFETY: the caller vouches for the cycle.
    unsafe { is_anywhere(cycle, |level| level.upstream_drain().is_some()) }
}

/// # Safety
/// The cycle's configuration must have been read.
unsafe fn is_anywhere(cycle: *const ngx_cycle_t, is: impl Fn(&LocationConf) -> bool) -> bool {
    // SAFETY: the caller vouches for the cycle.
    unsafe { MainConf::of_cycle(cycle) }
        .is_some_and(|main| main.levels().any(|level| level.is_on() && is(level)))
}

/// `exit_process`
pub unsafe extern "C" fn exit_process(_cycle: *mut ngx_cycle_t) {
    zone::exit_process();
    tunnel::stock::exit_process();
    tunnel::roster::exit_process();
}

/// nginx's own loop is about to begin: takes its place, where the location wants it. Whether it has.
pub fn begin(r: Request<'_>, attempt: &Attempt) -> bool {
    let conf = LocationConf::of(r);
    if !conf.has_tunnel() {
        return false;
    }
    let Some(place) = attempt.make_room(r, tunnel::size(conf)) else {
        return false;
    };
    // SAFETY: the request is alive and upgraded, and its state has the tunnel for the handlers; what
    // it holds is let go of when the upstream is finalized, and when the request's memory goes at the
    // latest.
    match unsafe { tunnel::take_over(r.as_ptr(), conf, attempt.elapsed(), HANDLERS, place) } {
        Some(tunnel) => {
            attempt.carry(Carrier::Module(tunnel));
            arrive::go_on(r, attempt, tunnel);
            true
        }
        None => false,
    }
}

unsafe extern "C" fn client_read(r: *mut ngx_http_request_t) {
    // SAFETY: nginx gives a request that is alive.
    run(unsafe { Request::new(r) }, Event::ClientRead);
}

unsafe extern "C" fn client_write(r: *mut ngx_http_request_t) {
    // SAFETY: nginx gives a request that is alive.
    run(unsafe { Request::new(r) }, Event::ClientWrite);
}

unsafe extern "C" fn upstream_read(r: *mut ngx_http_request_t, _u: *mut ngx_http_upstream_t) {
    // SAFETY: nginx gives a request that is alive.
    run(unsafe { Request::new(r) }, Event::UpstreamRead);
}

unsafe extern "C" fn upstream_write(r: *mut ngx_http_request_t, _u: *mut ngx_http_upstream_t) {
    // SAFETY: nginx gives a request that is alive.
    run(unsafe { Request::new(r) }, Event::UpstreamWrite);
}

#[inline(always)]
fn run(r: Request<'_>, event: Event) {
    let Some(attempt) = request::of(r) else {
        return;
    };
    let Some(mut tunnel) = attempt.tunnel() else {
        return;
    };
    // SAFETY: the request is alive, and nothing else looks at its tunnel during a turn: nginx calls
    // back to write log lines, and to keep a TLS session, and neither looks at tunnels.
    let outcome = unsafe { tunnel.as_mut().turn(event) };
    if outcome.is_worked {
        // SAFETY: the turn is over.
        count::moved(attempt, unsafe { tunnel.as_ref() });
    }
    if outcome.client_not_frames {
        report::not_frames(r, Side::Client);
    }
    if outcome.upstream_not_frames {
        report::not_frames(r, Side::Upstream);
    }
    if outcome.is_over {
        // SAFETY: the request is alive, and no reference to its tunnel is left.
        unsafe { tunnel::hand_back(tunnel) };
    }
}
