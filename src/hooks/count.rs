//! What becomes of handshakes and tunnels, told to the zone.

use core::ptr::NonNull;
use core::str;

use nginx_sys::{ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_msec_t};
use websocket_protocol::handover::Account;
use websocket_protocol::tunnel::{Count, Traffic};
use websocket_protocol::{Cause, Fault};
use websocket_zone::{Action, Facts, Failed, Over, Place, Writer};

use crate::conf::LocationConf;
use crate::failure::tries;
use crate::nginx::{Request, string};
use crate::request::{self, Attempt, Carrier, Counted, Ending};
use crate::tunnel::{self, Tunnel};
use crate::zone;

/// A request was judged. `asks`: whether a WebSocket may come of it. It is an attempt when it is known what becomes
/// of it, as both count under one label: where it fails, that of the location in which it was refused or an upstream
/// was asked, whatever `error_page` makes of that.
pub fn judged(r: Request<'_>, attempt: &Attempt, conf: &LocationConf, asks: bool) {
    if let Some(counted) = attempt.counted() {
        if attempt.access.refused().is_none() && r.upstream_states().is_empty() {
            counted.label.set(conf.label.get());
        }
        counted.asks.set(counted.asks.get() || asks);
    }
}

/// A handshake has succeeded.
pub fn established(r: Request<'_>, attempt: &Attempt) {
    let Some((writer, counted)) = pen(attempt) else {
        return;
    };
    counted.label.set(LocationConf::of(r).label.get());
    writer.attempt(counted.label.get());
    if attempt.states(r).len() > 1 {
        upstreams_failed(r, writer, attempt, None);
    }
    let handshake = attempt.handshake_time().unwrap_or_default() as u64;
    let meter = writer.established(
        counted.label.get(),
        &place(r, attempt),
        handshake,
        zone::wall(),
        zone::monotonic(),
    );
    counted.meter.set(Some(meter));
}

/// A tunnel has come from another worker.
pub fn adopted(r: Request<'_>, attempt: &Attempt, account: &Account) {
    let Some((writer, counted)) = pen(attempt) else {
        return;
    };
    let begun_at = account.written_at.saturating_sub(account.age);
    let meter = writer.adopted(
        counted.label.get(),
        &place(r, attempt),
        account.id,
        [account.begun, begun_at],
    );
    counted.meter.set(Some(meter));
}

/// What had gone by of it was counted there.
pub fn resumed(attempt: &Attempt, tunnel: &Tunnel) {
    if let Some((writer, counted)) = pen(attempt) {
        if let Some(meter) = counted.meter.get() {
            writer.resumed(&meter, &counted.noted, &tunnel.traffic());
        }
    }
}

/// nginx's own loop carries the connection.
pub fn carried_by_nginx(attempt: &Attempt) {
    if let Some((writer, counted)) = pen(attempt) {
        if let Some(meter) = counted.meter.get() {
            writer.own_loop(&meter);
        }
    }
}

/// Something has happened to a tunnel.
#[inline]
pub fn moved(attempt: &Attempt, tunnel: &Tunnel) {
    if let Some(counted) = attempt.counted() {
        note(counted, tunnel);
    }
}

#[inline(never)]
fn note(counted: &Counted, tunnel: &Tunnel) {
    if let (Some(writer), Some(meter)) = (zone::writer(), counted.meter.get()) {
        writer.moved(&meter, &counted.noted, &tunnel.traffic());
    }
}

/// A request is over.
pub fn over(r: Request<'_>, attempt: &Attempt) {
    let Some((writer, counted)) = pen(attempt) else {
        return;
    };
    match attempt.ending() {
        Some(Ending::Closed(carrier)) => ended(r, attempt, writer, counted, carrier),
        Some(Ending::Rejected(cause)) => failed(r, attempt, writer, counted, cause, true),
        Some(Ending::Failed(cause)) => {
            upstreams_failed(r, writer, attempt, Some(cause));
            failed(r, attempt, writer, counted, cause, false);
        }
        Some(Ending::Unknown) | None if counted.asks.get() => writer.attempt(counted.label.get()),
        Some(Ending::Unknown) | None => {}
    }
}

/// What a worker does a few times a second: it notes how many buffers are in use, and closes those of
/// its tunnels that somebody wants to be closed.
pub fn act(writer: &Writer<'static>) {
    writer.lent(tunnel::buffers::lent());
    for (id, action) in writer.news() {
        let mut count = 0;
        tunnel::each(|tunnel| count += u64::from(close_if_meant(writer, id, &action, tunnel)));
        writer.matched(id, count);
    }
}

/// A tunnel has come that was on its way when this worker last looked whom somebody wants to be closed. Where it
/// comes from, that was looked at just before it was written down.
///
/// # Safety
/// The tunnel's request must be alive, and none of its turns under way.
pub unsafe fn act_late(tunnel: NonNull<Tunnel>, account: &Account) {
    /// What is posted is known a moment later, milliseconds.
    const MOMENT: u64 = 1000;
    let Some(writer) = zone::writer() else {
        return;
    };
    for (id, action) in writer.looked_at_since(account.written_at.saturating_sub(MOMENT)) {
        if close_if_meant(writer, id, &action, tunnel) {
            writer.matched_late(id);
        }
    }
}

/// Whether it was meant.
fn close_if_meant(
    writer: &Writer<'_>,
    id: u64,
    action: &Action,
    mut tunnel: NonNull<Tunnel>,
) -> bool {
    // SAFETY: a tunnel of the worker's queue has a request that is alive, and none of its turns is under
    // way while a timer of this module's has fired; for another one act_late() vouches.
    let (r, tunnel) = unsafe { (Request::new(tunnel.as_ref().request()), tunnel.as_mut()) };
    let Some(counted) = request::of(r).and_then(Attempt::counted) else {
        return false;
    };
    let Some(mut meter) = counted.meter.get() else {
        return false;
    };
    let attempt = request::of(r);
    let place = attempt.map(|attempt| place(r, attempt)).unwrap_or_default();
    let now = zone::monotonic();
    let facts = Facts {
        id: meter.id,
        label: meter.label(),
        client: place.client,
        upstream: place.upstream,
        subprotocol: place.subprotocol,
        begun_at: meter.begun_at,
        moved_at: tunnel.traffic().moved_at as u64,
    };
    if !action.means(&writer.zone(), &facts, now) {
        return false;
    }
    let reason = str::from_utf8(&action.reason).unwrap_or_default();
    let within = ngx_msec_t::try_from(action.over_ms).unwrap_or(ngx_msec_t::MAX);
    // One that is due to end before is meant all the same; one that another action closes, is not.
    let is_first = tunnel.depart(action.code, reason, within) || meter.action == 0;
    if is_first {
        writer.act(&mut meter, id);
        counted.meter.set(Some(meter));
    }
    is_first
}

fn pen(attempt: &Attempt) -> Option<(&'static Writer<'static>, &Counted)> {
    Some((zone::writer()?, attempt.counted()?))
}

fn failed(
    r: Request<'_>,
    attempt: &Attempt,
    writer: &Writer<'_>,
    counted: &Counted,
    cause: Cause,
    is_rejected: bool,
) {
    writer.attempt(counted.label.get());
    // SAFETY: what was seen lives as long as the request.
    let seen = unsafe { string::bytes(&attempt.seen.get()) };
    let failed = Failed {
        cause,
        advice: attempt.advice.get().text(cause),
        is_rejected,
        seen,
        time: zone::wall(),
    };
    writer.failed(counted.label.get(), &place(r, attempt), &failed);
}

fn ended(
    r: Request<'_>,
    attempt: &Attempt,
    writer: &Writer<'_>,
    counted: &Counted,
    carrier: Carrier,
) {
    let Some(meter) = counted.meter.take() else {
        return;
    };
    let over = match carrier {
        Carrier::Module(tunnel) => {
            // SAFETY: a tunnel lives as long as its request, and this one is over.
            let tunnel = unsafe { tunnel.as_ref() };
            let (end, traffic) = (tunnel.end(), tunnel.traffic());
            Over {
                by: end.by,
                reason: Some(end.reason),
                code: end.code,
                from_client: traffic.from_client,
                from_upstream: traffic.from_upstream,
                ping_rtt: traffic.ping_rtt,
                ..over_now(attempt)
            }
        }
        Carrier::Nginx(by) => {
            let traffic = traffic_of_nginx(r, attempt);
            writer.moved(&meter, &counted.noted, &traffic);
            Over {
                by,
                from_client: traffic.from_client,
                from_upstream: traffic.from_upstream,
                ..over_now(attempt)
            }
        }
    };
    writer.ended(&meter, || place(r, attempt), &over);
}

fn over_now(attempt: &Attempt) -> Over {
    Over {
        by: None,
        reason: None,
        code: None,
        duration_ms: attempt.duration() as u64,
        from_client: Count::NONE,
        from_upstream: Count::NONE,
        ping_rtt: None,
        time: zone::wall(),
    }
}

/// What nginx says of a tunnel that it carried: bytes alone.
fn traffic_of_nginx(r: Request<'_>, attempt: &Attempt) -> Traffic {
    let bytes = |bytes: i64| Count {
        bytes: u64::try_from(bytes).unwrap_or_default(),
        ..Count::NONE
    };
    let state = attempt.states(r).last();
    Traffic {
        from_client: state.map_or(Count::NONE, |state| bytes(state.bytes_sent)),
        from_upstream: state.map_or(Count::NONE, |state| bytes(state.bytes_received)),
        ..Traffic::NONE
    }
}

/// Counts how servers failed that were tried. `cause` is why the handshake did; without one the last of
/// them has succeeded. What is the client's fault, or a proxy's in front, is none of a server's.
#[cold]
fn upstreams_failed(r: Request<'_>, writer: &Writer<'_>, attempt: &Attempt, cause: Option<Cause>) {
    let states = attempt.states(r);
    let mut tries = tries::each(states, &attempt.tries).peekable();
    while let Some((peer, heard)) = tries.next() {
        let is_last = tries.peek().is_none();
        let cause = match cause {
            None if is_last => None,
            Some(cause) if is_last => Some(cause),
            _ => heard,
        };
        let is_servers =
            |cause: &Cause| matches!(cause.fault(), Fault::NginxConfiguration | Fault::Upstream);
        if let Some(cause) = cause.filter(is_servers) {
            writer.upstream_failed(peer, cause);
        }
    }
}

/// Whose connection it is, and where it goes.
fn place<'r>(r: Request<'r>, attempt: &Attempt) -> Place<'r> {
    let version = r.http_version();
    // SAFETY: a request has a connection and a server, whose texts live as long as it; what the
    // upstream chose is in its answer.
    unsafe {
        let request = r.as_ptr();
        let core = *(*request).srv_conf.add(ngx_http_core_module.ctx_index);
        let core = core.cast::<ngx_http_core_srv_conf_t>();
        let peer = attempt
            .states(r)
            .last()
            .and_then(|state| state.peer.as_ref());
        Place {
            client: string::bytes(&(*(*request).connection).addr_text),
            server: string::bytes(&(*core).server_name),
            uri: string::bytes(&(*request).unparsed_uri),
            upstream: peer.map_or(&[], |peer| string::bytes(peer)),
            subprotocol: string::bytes(&attempt.protocol.get()),
            is_tls: r.is_secure(),
            http: ((version / 1000) as u8, (version % 1000) as u8),
        }
    }
}
