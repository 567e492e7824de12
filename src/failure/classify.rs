//! Why an attempt failed, from what nginx was doing and what it says of it.
//!
//! Its words count only where nginx writes them, as lines may quote the upstream, and other modules
//! log for the request, too.

use core::ffi::c_int;

use libc::{
    EACCES, EADDRINUSE, EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, ECONNRESET, EMFILE, ENFILE, EPERM,
};
use memchr::memmem;
use websocket_protocol::Cause;

/// The cause that a line of nginx's names. `is_bound`: `proxy_bind` has given the connection its local
/// address.
pub fn classify(action: &[u8], said: &[u8], is_bound: bool) -> Option<Cause> {
    if is_unresolved(said) {
        return Some(Cause::UpstreamUnresolved);
    }
    match action {
        b"connecting to upstream" => connecting(said, is_bound),
        b"SSL handshaking to upstream" => begins(
            said,
            &[
                b"SSL_",
                b"peer closed connection in SSL handshake",
                b"upstream SSL certificate ",
                b"upstream timed out (",
            ],
        )
        .then_some(Cause::UpstreamTlsFailed),
        b"sending request to upstream" | b"reading response header from upstream" => {
            answering(said)
        }
        _ => None,
    }
}

/// The two lines on a name, for which nginx has no action of its own: `no resolver defined to resolve
/// NAME` and `NAME could not be resolved (NUMBER: TEXT)`.
fn is_unresolved(said: &[u8]) -> bool {
    let name = memmem::find(said, b" could not be resolved (").and_then(|end| said.get(..end));
    said.starts_with(b"no resolver defined to resolve ")
        || (said.ends_with(b")") && name.is_some_and(|name| !name.contains(&b' ')))
}

fn connecting(said: &[u8], is_bound: bool) -> Option<Cause> {
    const CONNECT: [&[u8]; 2] = [b"connect() ", b"kevent() reported that connect() "];
    if said == b"no live upstreams" {
        Some(Cause::UpstreamNoneLive)
    } else if said.ends_with(b" worker_connections are not enough") {
        Some(Cause::WorkerConnectionsExhausted)
    } else if begins(said, &[b"upstream timed out ("]) {
        Some(Cause::UpstreamConnectTimeout)
    } else if begins(said, &CONNECT) {
        Some(match errno(said) {
            // EAGAIN is a unix socket's.
            Some(ECONNREFUSED | ECONNRESET | EAGAIN) => Cause::UpstreamRefused,
            // Of a unix socket its file says who may.
            Some(EACCES | EPERM) if !said.starts_with(b"connect() to unix:") => {
                Cause::ConnectForbidden
            }
            // Where IPv6 is off, it is the address that is missing.
            Some(EADDRNOTAVAIL) if is_bound || !said.starts_with(b"connect() to [") => {
                Cause::LocalPortsExhausted
            }
            // All else is on the way there.
            _ => Cause::UpstreamUnreachable,
        })
    } else if begins(said, &[b"socket() failed ("]) {
        Some(match errno(said) {
            Some(EMFILE | ENFILE) => Cause::TooManyOpenFiles,
            Some(EACCES | EPERM) => Cause::ConnectForbidden,
            _ => Cause::UpstreamUnreachable,
        })
    } else if begins(said, &[b"bind("]) {
        // proxy_bind
        Some(match errno(said) {
            Some(EADDRINUSE) => Cause::LocalPortsExhausted,
            _ => Cause::UpstreamUnreachable,
        })
    } else {
        None
    }
}

fn answering(said: &[u8]) -> Option<Cause> {
    if begins(said, &[b"upstream timed out ("]) {
        Some(Cause::UpstreamResponseTimeout)
    } else if begins(said, &[b"upstream sent too big header"]) {
        Some(Cause::UpstreamHeaderTooBig)
    } else if begins(
        said,
        &[b"upstream sent no valid ", b"upstream sent invalid "],
    ) {
        Some(Cause::UpstreamResponseInvalid)
    } else if begins(
        said,
        &[
            b"upstream prematurely closed ",
            b"recv() failed (",
            b"send() failed (",
            b"writev() failed (",
            b"sendfile() failed (",
            b"SSL_read() failed (",
            b"SSL_write() failed (",
            b"kevent() reported ",
        ],
    ) {
        Some(Cause::UpstreamClosed)
    } else {
        None
    }
}

fn begins(said: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|words| said.starts_with(words))
}

/// The system's error in ` failed (NUMBER: TEXT)`, which is how nginx ends such a line.
fn errno(said: &[u8]) -> Option<c_int> {
    let number = said.get(memmem::find(said, b" failed (")? + b" failed (".len()..)?;
    let number = number.get(..memchr::memchr(b':', number)?)?;
    core::str::from_utf8(number).ok()?.parse().ok()
}
