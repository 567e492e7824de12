//! A tunnel's timer: what is done when it fires, and how it is set.

use websocket_protocol::tunnel::Side;

use super::carry::{Tunnel, mask};
use super::socket::Socket;
use crate::nginx::clock::now;

impl Tunnel {
    /// The timer has fired.
    #[cold]
    pub(super) fn tick(&mut self, client: Socket, upstream: Socket) {
        for (side, socket) in [(Side::Client, client), (Side::Upstream, upstream)] {
            if self.rules.has_doubts(side, now()) {
                let queue = socket.queue(&mut self.share);
                self.rules.holds(side, queue, now());
            }
        }
        self.rules.tick(now(), mask());
    }

    /// Sets the timer anew, if that is late.
    #[inline]
    pub(super) fn set_timer_of(&mut self, upstream: Socket) {
        if let Some(delay) = self.rules.timeout(now()) {
            upstream.set_timer(delay);
        }
    }

    pub(super) fn set_timer(&mut self) {
        if let Some((_, upstream)) = self.sockets() {
            self.set_timer_of(upstream);
        }
    }
}
