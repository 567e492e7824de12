//! The end of a tunnel that has been handed over and may not go on, where no request of it is there: it gets a Close,
//! 1012, at both ends.

use core::fmt;
use core::ptr;

use nginx_sys::{NGX_LOG_NOTICE, ngx_log_t};
use websocket_protocol::Address;
use websocket_protocol::handover::Message;
use websocket_protocol::tunnel::{self as rules, Reason};

use super::parcel::{Descriptor, Sockets};
use super::tally;
use crate::nginx::log;
use crate::tunnel::turn_away;
use crate::zone;

/// The code of the Close: the service restarts (IANA's registry).
pub const CODE: u16 = 1012;

/// Nothing of nginx's has its sockets.
pub fn sockets(sockets: Sockets, message: &Message<'_>, log: *mut ngx_log_t, why: &str) {
    let (client, upstream) = (sockets.client.get(), sockets.upstream.get());
    let rules = close(message, client, upstream);
    shut(client);
    shut(upstream);
    count();
    tally::note(false);
    let path = Path(message.request);
    let summary = Account(&rules);
    log::cycle(
        log,
        NGX_LOG_NOTICE,
        format_args!("websocket handover refused: {why}; {path}{summary}"),
    );
}

/// nginx has closed the client's socket already.
pub fn without_client(
    message: &Message<'_>,
    upstream: Option<Descriptor>,
) -> impl fmt::Display + use<> {
    let socket = upstream.as_ref().map_or(-1, Descriptor::get);
    let rules = close(message, -1, socket);
    shut(socket);
    count();
    Owned(rules)
}

/// Both sides get what waits for them and a Close.
pub fn close(
    message: &Message<'_>,
    client: libc::c_int,
    upstream: libc::c_int,
) -> rules::Tunnel<'static> {
    let waiting = (message.from_client, message.from_upstream);
    turn_away(message.tunnel, waiting, (client, upstream))
}

/// Nothing more is sent, and what has come is read: a socket that is closed with something to read tells the other
/// side to throw away what it was sent.
pub fn shut(socket: libc::c_int) {
    const MOST: usize = 1024;
    let mut room = [0_u8; 4096];
    // SAFETY: a descriptor of ours, or none, which is an error; there is room for as many bytes.
    unsafe {
        libc::shutdown(socket, libc::SHUT_WR);
        for _ in 0..MOST {
            let flags = libc::MSG_DONTWAIT;
            if libc::recv(socket, ptr::from_mut(&mut room).cast(), room.len(), flags) <= 0 {
                return;
            }
        }
    }
}

fn count() {
    if let Some(writer) = zone::writer() {
        writer.turned_away(Reason::HandoverRefused, CODE);
    }
}

/// What the request was for.
struct Path<'a>(&'a [u8]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self
            .0
            .split(|byte| *byte == b' ')
            .nth(1)
            .unwrap_or_default();
        write!(f, "\"{}\" ", Address(path))
    }
}

struct Account<'a>(&'a rules::Tunnel<'static>);

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closed {}", self.0.summary(&[]))
    }
}

struct Owned(rules::Tunnel<'static>);

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Account(&self.0).fmt(f)
    }
}
