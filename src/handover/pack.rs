//! A tunnel, written down as a message.

use nginx_sys::ngx_msec_t;
use websocket_protocol::handover::{Account, Message};
use websocket_protocol::tunnel::Saved;

use super::arrival;
use super::heads;
use super::memory::Memory;
use crate::nginx::clock::now;
use crate::nginx::{Request, Upstream, age, string};
use crate::request::{self, Attempt};
use crate::tunnel::{Side, Tunnel};
use crate::zone;

/// What a tunnel has come to takes no more.
const LONGEST_STATE: usize = 512;

/// Writes a tunnel down. `None`: it can't be handed over, or there is no memory.
///
/// # Safety
/// The tunnel's request must be alive, and none of its turns under way.
pub unsafe fn pack(tunnel: &Tunnel, r: Request<'_>, u: Upstream<'_>) -> Option<Memory> {
    let log = r.log();
    let mut state = [0; LONGEST_STATE];
    let length = tunnel.save(&mut state)?;
    let attempt = request::of(r)?;
    let proxy = heads::proxy(r, log)?;
    let (head, answer) = (heads::request(r, log)?, heads::answer(u, log)?);
    let message = Message {
        account: account(r, u, attempt),
        tunnel: Saved::read(state.get(..length)?)?,
        proxy: proxy.bytes(),
        request: head.bytes(),
        answer: answer.bytes(),
        host: host(u),
        server: server(u),
        from_client: tunnel.waiting(Side::Client),
        from_upstream: tunnel.waiting(Side::Upstream),
    };
    let mut written = Memory::new(message.room(), log)?;
    let length = message.write(written.bytes_mut())?;
    written.shorten(length);
    // Whoever gets it looks through it likewise: what would be lost there stays here.
    Message::read(written.bytes()).ok()?;
    Some(written)
}

fn account(r: Request<'_>, u: Upstream<'_>, attempt: &Attempt) -> Account {
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    // What is not known of a time is -1.
    let known = |time: ngx_msec_t| (time != ngx_msec_t::MAX).then_some(time as u64);
    let meter = attempt.counted().and_then(|counted| counted.meter.get());
    let handshake_time = attempt.handshake_time().unwrap_or_default();
    // SAFETY: the request is alive, and its client's and its upstream's connection are open; NULL, or what
    // nginx notes of the server in use.
    unsafe {
        let request = &*r.as_ptr();
        let (client, upstream) = (&*request.connection, &*u.as_ptr());
        let peer = upstream.peer.connection.as_ref();
        let state = upstream.state.as_ref();
        let start_sec = number(request.start_sec);
        let begun = start_sec
            .saturating_mul(1000)
            .saturating_add(request.start_msec as u64)
            .saturating_add(handshake_time as u64);
        Account {
            connection: client.number,
            requests: client.requests as u64,
            connection_age: age::of(client).unwrap_or_default() as u64,
            start_sec,
            start_msec: u16::try_from(request.start_msec).unwrap_or_default(),
            request_length: number(request.request_length),
            handshake_time: handshake_time as u64,
            client_sent: number(client.sent),
            upstream_sent: peer.map_or(0, |peer| number(peer.sent)),
            upstream_received: state.map_or(0, |state| number(state.bytes_received)),
            upstream_age: now().wrapping_sub(upstream.start_time) as u64,
            connect_time: state.and_then(|state| known(state.connect_time)),
            header_time: state.and_then(|state| known(state.header_time)),
            id: meter.map_or(0, |meter| meter.id),
            begun,
            age: attempt.duration() as u64,
            handovers: arrival::handovers(r),
            written_at: zone::monotonic(),
        }
    }
}

/// The server's address, as the balancer has named it.
fn server(u: Upstream<'_>) -> &[u8] {
    // SAFETY: NULL, or what lives as long as the request.
    unsafe {
        (*u.as_ptr())
            .peer
            .name
            .as_ref()
            .map_or(&[], |name| string::bytes(name))
    }
}

/// The name that the server's address came from: of an upstream block, or of whatever a variable has said.
fn host(u: Upstream<'_>) -> &[u8] {
    // SAFETY: NULL, or what lives as long as the request.
    unsafe {
        let upstream = &*u.as_ptr();
        match (upstream.resolved.as_ref(), upstream.upstream.as_ref()) {
            (Some(resolved), _) => string::bytes(&resolved.host),
            (None, Some(block)) => string::bytes(&block.host),
            (None, None) => &[],
        }
    }
}
