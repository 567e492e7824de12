//! A tunnel that was handed over to this worker: its request has come to its upstream and goes on as a tunnel, or the
//! configuration does not let it through.

use core::fmt;
use core::mem;
use core::ptr::NonNull;

use nginx_sys::{NGX_HTTP_SWITCHING_PROTOCOLS, NGX_LOG_NOTICE, ngx_msec_t, ngx_uint_t};
use websocket_protocol::handover::Account;

use super::{count, seam};
use crate::conf::LocationConf;
use crate::handover::{self, Arrival};
use crate::nginx::{Request, log};
use crate::request::{self, Attempt, Carrier, Stage};
use crate::tunnel::Tunnel;
use crate::zone;

/// That of a request which is its connection's own.
pub fn of_main<'r>(r: Request<'r>) -> Option<&'r Arrival> {
    if r.is_main() && handover::is_arriving(r) {
        handover::of(r)
    } else {
        None
    }
}

/// A response is about to be sent: whether it is one that ends a tunnel which was handed over. Then both its sides
/// have got a Close.
pub fn is_refused(r: Request<'_>) -> bool {
    let Some(arrival) = of_main(r) else {
        return false;
    };
    if arrival.refusal.get().is_none() && is_welcome(r, arrival) {
        return false;
    }
    match arrival.refusal.get() {
        Some(why) => refuse(r, arrival, format_args!("{why}")),
        None => {
            let status = r.status();
            refuse(
                r,
                arrival,
                format_args!("its request is answered {status} now"),
            );
        }
    }
    // It is the last on its connection.
    r.end_connection();
    true
}

/// Whether the tunnel can go on here.
fn is_welcome(r: Request<'_>, arrival: &Arrival) -> bool {
    let is_switching = r.status() == NGX_HTTP_SWITCHING_PROTOCOLS as ngx_uint_t
        && r.upstream().is_some_and(|u| u.is_upgraded());
    let is_joined = request::of(r)
        .and_then(Attempt::joined)
        .is_some_and(|joined| matches!(joined.stage, Stage::Asked) && joined.upstream(r).is_some());
    is_switching && is_joined && arrival.is_met.get() && LocationConf::of(r).has_tunnel()
}

/// A request is over that was never answered.
pub fn ended(r: Request<'_>) {
    if let Some(arrival) = of_main(r) {
        refuse(r, arrival, format_args!("nginx has ended its request"));
    }
}

/// Ends a tunnel that may not go on: what its sides are sent is the tunnel's own, and what is answered to its request
/// goes nowhere.
fn refuse(r: Request<'_>, arrival: &Arrival, why: fmt::Arguments<'_>) {
    log::request(
        r,
        NGX_LOG_NOTICE as ngx_uint_t,
        format_args!("websocket handover refused: {why}"),
    );
    let socket = arrival.socket.take();
    // SAFETY: a request has a connection, and an upstream's is open where it is there.
    let (connection, client, upstream) = unsafe {
        let connection = (*r.as_ptr()).connection;
        let peer = r.upstream().and_then(|u| u.connection());
        let upstream = match (&socket, peer) {
            (Some(socket), _) => socket.get(),
            (None, Some(peer)) => peer.as_ref().fd,
            (None, None) => -1,
        };
        (connection, (*connection).fd, upstream)
    };
    let rules = handover::close(&arrival.message, client, upstream);
    handover::shut(upstream);
    let account = arrival.message.account;
    // SAFETY: the request is alive, and its response has not been sent.
    unsafe { handover::end_replay(r, arrival) };
    if let Some(attempt) = request::of(r).or_else(|| request::begin(r)) {
        if let Some(joined) = attempt.joined() {
            seam::step_aside(r, joined);
        }
        came(attempt, &account);
        if let Some(place) = attempt.make_room(r, mem::size_of::<Tunnel>()) {
            // SAFETY: there is room for it, as long as the request lives.
            unsafe { place.write(Tunnel::turned_away(r.as_ptr(), LocationConf::of(r), rules)) };
            attempt.turn_away(Carrier::Module(place));
            count::adopted(r, attempt, &account);
        }
    }
    handover::note(false);
    // SAFETY: no reference to the arrival is left.
    unsafe { handover::forget(connection) };
}

/// It is as old as it is, the time on its way included.
fn came(attempt: &Attempt, account: &Account) {
    let on_its_way = zone::monotonic().saturating_sub(account.written_at);
    attempt.came(
        account.age.saturating_add(on_its_way) as ngx_msec_t,
        account.handshake_time as ngx_msec_t,
    );
}

/// A tunnel has begun: if it is one that was handed over, it goes on where it stopped.
pub fn go_on(r: Request<'_>, attempt: &Attempt, mut tunnel: NonNull<Tunnel>) {
    let Some(arrival) = of_main(r) else {
        return;
    };
    let message = &arrival.message;
    let account = &message.account;
    came(attempt, account);
    // SAFETY: the request is upgraded, and its tunnel has begun, with none of its turns under way. No reference to the
    // arrival is left when it is forgotten.
    unsafe {
        let is_able = handover::land(r, arrival);
        tunnel
            .as_mut()
            .resume(message.tunnel, message.from_client, message.from_upstream);
        if !is_able {
            tunnel.as_mut().give_up();
        }
        count::adopted(r, attempt, account);
        count::resumed(attempt, tunnel.as_ref());
        count::act_late(tunnel, account);
        handover::note(true);
        handover::forget((*r.as_ptr()).connection);
    }
}
