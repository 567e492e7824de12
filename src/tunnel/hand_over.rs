//! A tunnel that goes to another process, or has come from one. What is to be kept of it the rules say; here
//! are its bytes, and the end of one that may not go on.

use core::ptr;

use nginx_sys::{ngx_http_request_t, ngx_post_event, ngx_posted_events};
use websocket_protocol::tunnel::{self as rules, Flood, Limits, Saved, Share, Side, Write};

use super::buffers::Buffer;
use super::carry::{Handlers, Tunnel, mask, random, told};
use super::drain::Link;
use crate::conf::LocationConf;
use crate::nginx::clock::now;

impl Tunnel {
    /// Writes down what it has come to. `None`: it is to end where it is, or there is no room.
    pub fn save(&self, room: &mut [u8]) -> Option<usize> {
        self.rules.save(room, now())
    }

    /// What came from a side and waits to be written.
    pub fn waiting(&self, from: Side) -> &[u8] {
        let buffer = match from {
            Side::Client => &self.from_client,
            Side::Upstream => &self.from_upstream,
        };
        buffer.as_ref().map_or(&[], Buffer::bytes)
    }

    /// Goes on as the one that was saved, in place of beginning, with what waits of the client's bytes and of
    /// the upstream's. Without memory it is over.
    pub fn resume(&mut self, saved: Saved<'_>, from_client: &[u8], from_upstream: &[u8]) {
        let unsent = (from_client.len(), from_upstream.len());
        let is_resumed = self.rules.resume(saved, unsent, now());
        if !is_resumed
            || !self.hold(Side::Client, from_client)
            || !self.hold(Side::Upstream, from_upstream)
        {
            self.rules.give_up();
        }
        // nginx is not through with its own beginning.
        self.begins = true;
        // SAFETY: the request is alive, and has an upstream that is connected.
        unsafe {
            let upstream = (*(*self.r).upstream).peer.connection;
            ngx_post_event((*upstream).read, &raw mut ngx_posted_events);
        }
    }

    /// It can't go on.
    pub fn give_up(&mut self) {
        self.rules.give_up();
    }

    /// One that has been [turned away](turn_away): only its account is left.
    pub fn turned_away(
        r: *mut ngx_http_request_t,
        conf: &LocationConf,
        rules: rules::Tunnel<'static>,
    ) -> Self {
        Self {
            r,
            rules,
            from_client: None,
            from_upstream: None,
            close_text: None,
            farewell: None,
            conf: ptr::from_ref(conf),
            original: Handlers {
                client_read: None,
                client_write: None,
                upstream_read: None,
                upstream_write: None,
            },
            begins: false,
            client_flood: Flood::default(),
            upstream_flood: Flood::default(),
            share: Share::default(),
            link: Link::new(told),
        }
    }
}

/// Ends a tunnel that may not go on: each side gets what waits for it and a Close, as far as its socket takes
/// that at once. What is left is its account.
pub fn turn_away(
    saved: Saved<'_>,
    (from_client, from_upstream): (&[u8], &[u8]),
    (client, upstream): (libc::c_int, libc::c_int),
) -> rules::Tunnel<'static> {
    let mut rules = rules::Tunnel::new(Limits::default(), now(), random(), mask());
    rules.resume(saved, (from_client.len(), from_upstream.len()), now());
    rules.refuse(now());
    write_to(&mut rules, Side::Client, from_client, upstream);
    write_to(&mut rules, Side::Upstream, from_upstream, client);
    rules.finish(false);
    rules
}

fn write_to(
    rules: &mut rules::Tunnel<'static>,
    from: Side,
    mut waiting: &[u8],
    socket: libc::c_int,
) {
    let past = |bytes: &[u8], count: usize| bytes.len().min(count);
    loop {
        match rules.next_write(from, waiting, now) {
            Write::Nothing => return,
            Write::Drop(count) => {
                let (gone, rest) = waiting.split_at(past(waiting, count));
                rules.dropped(from, gone, now());
                waiting = rest;
            }
            Write::Theirs(count) => {
                let offered = waiting.get(..count).unwrap_or(waiting);
                let Some(sent) = send(socket, offered) else {
                    return;
                };
                let (gone, rest) = waiting.split_at(past(waiting, sent));
                rules.sent_last(from, gone, now());
                waiting = rest;
            }
            Write::Ours => {
                let Some(sent) = send(socket, rules.ours(from, None)) else {
                    return;
                };
                rules.sent_ours(from, sent, now());
            }
        }
    }
}

/// How much the socket has taken; `None` if it takes nothing.
fn send(socket: libc::c_int, bytes: &[u8]) -> Option<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the bytes are as many; a descriptor that is none is an error.
    let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).ok().filter(|sent| *sent > 0)
}
