//! The state of a tunnel, and what can be asked of it.

use super::clock::Clock;
use super::close::{Closing, Known};
use super::delivery::Patience;
use super::direction::Direction;
use super::farewell::Farewell;
use super::guard::Guard;
use super::limits::{Limits, Side, Sides};
use super::pair::Pair;
use super::summary::{Delays, End, Reason, Summary};
use super::time::{Time, later};
use super::traffic::Traffic;

/// What a tunnel between a client and an upstream decides: whose bytes go to whom and how many at a
/// time, where a Ping or a Close fits, what limits and time do to it, when it is over and why.
///
/// The bytes of each direction wait in a buffer of the caller's, from the first that the receiver has
/// not accepted on: the *unsent* bytes. The stream is never altered: what a peer sent arrives as it was,
/// with whole frames of the tunnel's own between its frames. Only the answers to those are kept back: a
/// Pong to a Ping of the tunnel's own is dropped, and after a Close of its own all the rest is.
///
/// There are four kinds of methods:
///
/// - *What happened* is told by [`received`](Self::received), [`sent`](Self::sent),
///   [`sent_ours`](Self::sent_ours), [`dropped`](Self::dropped), [`refused`](Self::refused),
///   [`blocked`](Self::blocked), [`leaves`](Self::leaves), [`ended`](Self::ended), [`reset`](Self::reset),
///   [`unreachable`](Self::unreachable), [`lost`](Self::lost), [`holds`](Self::holds) and [`tick`](Self::tick).
/// - *What is wanted* is told by [`drain`](Self::drain), [`drain_upstream`](Self::drain_upstream),
///   [`depart`](Self::depart) and [`finish`](Self::finish).
/// - *What to do next* is said by [`next_write`](Self::next_write), [`next_read`](Self::next_read),
///   [`next`](Self::next), [`timeout`](Self::timeout) and [`has_doubts`](Self::has_doubts).
/// - *What can be asked* at any time: [`ours`](Self::ours), [`is_empty`](Self::is_empty),
///   [`summary`](Self::summary) and the like.
///
/// A turn of a direction writes until there is nothing to write, then reads once, and begins anew; it
/// ends when either socket has to be waited for. Behind it come `next` and `timeout`:
///
/// ```
/// use websocket_protocol::tunnel::{Limits, Next, Side, Tunnel, Write};
///
/// let mut tunnel = Tunnel::new(Limits::default(), 0, 0, [1, 2, 3, 4]);
/// let mut unsent = b"\x81\x05Hello".to_vec();
/// tunnel.received(Side::Upstream, unsent.len(), 10);
/// assert_eq!(tunnel.next_write(Side::Upstream, &unsent, || 10), Write::Theirs(7));
/// // The client's socket takes three bytes, and then no more.
/// tunnel.sent(Side::Upstream, &unsent[..3], 10);
/// unsent.drain(..3);
/// assert_eq!(tunnel.next_write(Side::Upstream, &unsent, || 10), Write::Theirs(4));
/// tunnel.refused(Side::Upstream, Write::Theirs(4), 10);
/// assert_eq!(tunnel.next_read(Side::Upstream, 10), 0);
/// assert_eq!(tunnel.next(10), Next::Wait);
/// ```
#[derive(Debug)]
pub struct Tunnel<'a> {
    pub(super) limits: Limits,
    /// What holds its messages to their bounds, where they have some.
    pub(super) guard: Option<&'a mut Guard>,
    pub(super) by: Pair,
    pub(super) clock: Clock,
    pub(super) closing: Option<Closing>,
    /// The mask of the one Close that an upstream is sent.
    pub(super) close_mask: [u8; 4],
    /// Who sent a Close first.
    pub(super) first_close: Option<Side>,
    /// Whose connection broke.
    pub(super) broken: Option<Side>,
    /// Something has happened that [`next`](Self::next) has to look at.
    pub(super) is_eventful: bool,
    /// Directions that have something to do, whatever their sockets say.
    pub(super) turns: Sides,
    pub(super) is_over: bool,
    pub(super) end: Option<End>,
}

impl<'a> Tunnel<'a> {
    /// A tunnel that begins. `random` is any number that other tunnels don't have, `close_mask` a mask that those whose bytes go by
    /// don't know (RFC 6455 section 5.3).
    pub fn new(limits: Limits, now: Time, random: usize, close_mask: [u8; 4]) -> Self {
        Self {
            by: Pair {
                client: Direction::new(Side::Client, now),
                upstream: Direction::new(Side::Upstream, now),
            },
            clock: Clock::new(now, random),
            limits,
            guard: None,
            closing: None,
            close_mask,
            first_close: None,
            broken: None,
            is_eventful: false,
            turns: Sides::NONE,
            is_over: false,
            end: None,
        }
    }

    /// The messages of the tunnel, which has just begun, have bounds.
    pub fn hold_to(&mut self, guard: &'a mut Guard) {
        self.guard = Some(guard);
    }
}

/// What can be asked.
impl Tunnel<'_> {
    /// What [`Write::Ours`] is, in the direction that comes from a side. `farewell` is the one that the
    /// tunnel [departs](Self::depart) with, if it does.
    pub fn ours<'b>(&'b self, from: Side, farewell: Option<&'b Farewell>) -> &'b [u8] {
        let to = from.other();
        let farewell = farewell.map_or(&[] as &[u8], |farewell| farewell.to(to));
        self.by.of(from).ours(farewell)
    }

    /// Whether nothing of what comes from a side is waiting to be written.
    #[inline]
    pub fn is_empty(&self, from: Side) -> bool {
        self.by.of(from).is_empty()
    }

    /// Whether what comes from a side waits for the other to take some, or for its time.
    pub fn is_stuck(&self, from: Side) -> bool {
        self.by.of(from).stuck().is_some()
    }

    /// Whether that is for the other side to change, by taking some of them.
    pub fn waits_for_receiver(&self, from: Side) -> bool {
        self.is_stuck(from) && !(from == Side::Client && self.is_holding())
    }

    /// Whether nothing is read from a side for now, whatever there is.
    pub fn is_held_back(&self, from: Side) -> bool {
        self.is_stuck(from) || (from == Side::Client && self.holds_back().is_some())
    }

    /// Whether a side has been found dead, so that nothing is owed to it.
    pub fn has_given_up(&self, side: Side) -> bool {
        self.closing.is_some_and(|closing| closing.dead.has(side))
    }

    /// Whether the end has been noted.
    pub fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// How it ended; of one that goes on, how it would if it were cut off now.
    pub fn end(&self) -> End {
        self.end.unwrap_or_else(|| self.judge(false))
    }

    /// How it is, or how it ended. `text` is what has been gathered of the first Close.
    pub fn summary<'b>(&self, text: &'b [u8]) -> Summary<'b> {
        let end = self.end();
        let is_theirs = self.closing.is_none() && end.code.is_some();
        Summary {
            end,
            text: if is_theirs { text } else { &[] },
            from_client: self.by.client.count(),
            from_upstream: self.by.upstream.count(),
            ping_rtt: self.clock.rtt(),
            silent: self.closing.map_or((0, 0), |closing| closing.silent),
            delays: self
                .guard
                .as_ref()
                .map_or(Delays::NONE, |guard| guard.delays()),
        }
    }

    /// What has gone by so far.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        let Pair { client, upstream } = &self.by;
        Traffic {
            from_client: client.count(),
            from_upstream: upstream.count(),
            pings_sent: self.clock.pings,
            pongs: self.clock.pongs,
            ping_rtt: self.clock.rtt(),
            waiting_for_upstream: client.unsent(),
            waiting_for_client: upstream.unsent(),
            moved_at: later(client.moved(), upstream.moved()),
        }
    }

    /// Whether a message of the client's waits for its time.
    pub(super) fn is_holding(&self) -> bool {
        let guard = self.guard.as_ref();
        guard.is_some_and(|guard| guard.holds_until().is_some())
    }

    /// What holds the client's bytes back, if anything does.
    pub(super) fn holds_back(&self) -> Option<Reason> {
        self.guard.as_ref().and_then(|guard| guard.holds_back())
    }

    /// The time in which a message has to go by, where there is one.
    pub(super) fn silence(&self) -> Option<Patience> {
        self.guard.as_ref().and_then(|guard| guard.patience())
    }

    /// That time as a side has it, which may have some of a message to take.
    pub(super) fn silence_of(&self, side: Side) -> Option<Patience> {
        self.silence().filter(|_| self.by.towards(side).bytes() > 0)
    }

    /// Why the message that must not pass is too much.
    pub(super) fn excess(&self) -> Reason {
        let guard = self.guard.as_ref();
        guard.map_or(Reason::MessageTooBig, |guard| guard.excess)
    }

    pub(super) fn judge(&self, is_cut_off: bool) -> End {
        let known = Known {
            closing: self.closing,
            is_cut_off,
            first_close: self.first_close,
            broken: self.broken,
            client: &self.by.client,
            upstream: &self.by.upstream,
        };
        known.judge()
    }
}
