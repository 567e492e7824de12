//! The end of a tunnel: the closing handshake (RFC 6455 section 7.1), and who ended it why.

use core::num::NonZeroU32;

use super::direction::Direction;
use super::limits::{Limits, Side, Sides};
use super::pair::Pair;
use super::summary::{End, Reason};
use super::time::{Time, after};

/// How long the peers have to answer our Close, milliseconds.
pub const CLOSE_TIMEOUT: NonZeroU32 = NonZeroU32::new(5000).unwrap();

/// The tunnel closes itself: sides have been sent a Close and have until `deadline` to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub by: Option<Side>,
    pub reason: Reason,
    pub code: u16,
    pub deadline: Time,
    /// Which sides have been found dead.
    pub dead: Sides,
    /// How long the client and the upstream had been silent.
    pub silent: (Time, Time),
}

/// Whether a tunnel is through.
///
/// One that closes itself is when all has gone by and the sides have answered. A side is not waited for
/// that could not be asked, or whose answer could not be told from what else it sends; one that is dead
/// has ended. Any other is when a side has ended and what it sent is passed on, which is nginx's own rule; one that can
/// still be given the answer to its Close gets it before.
pub(super) fn is_through(is_closing: bool, client: &Direction, upstream: &Direction) -> bool {
    if client.ended && upstream.ended {
        return true;
    }
    if is_closing {
        let is_done = |from: &Direction, to: &Direction| {
            let has_answered = from.ended || from.close.is_some() || !from.are_frames();
            to.is_drained() && (has_answered || !to.asks_to_close())
        };
        return is_done(client, upstream) && is_done(upstream, client);
    }
    let is_done = |from: &Direction, to: &Direction| {
        from.ended && from.is_drained() && !awaits_close(from, to)
    };
    is_done(client, upstream) || is_done(upstream, client)
}

/// Until when a side that has ended behind its Close is still to get the other's, if so.
pub(super) fn answer_due(by: &Pair) -> Option<Time> {
    Side::BOTH
        .into_iter()
        .find(|&side| awaits_close(by.of(side), by.towards(side)))
        .map(|side| after(by.of(side).heard(), CLOSE_TIMEOUT))
}

fn awaits_close(from: &Direction, to: &Direction) -> bool {
    from.awaits_close && !(to.close.is_some() && to.is_drained())
}

/// The status code of the Close that says so (RFC 6455 section 7.4).
pub(super) fn code(reason: Reason, limits: &Limits) -> u16 {
    match reason {
        Reason::Drain => limits.drain_code,
        Reason::MessageTooBig => 1009,
        Reason::MessageRate | Reason::Rate => 1008,
        Reason::HandoverRefused => 1012,
        _ => 1001,
    }
}

/// What is known of a tunnel's end when it is there.
pub(super) struct Known<'a> {
    pub closing: Option<Closing>,
    pub is_cut_off: bool,
    /// Who sent a Close first.
    pub first_close: Option<Side>,
    /// Whose connection broke.
    pub broken: Option<Side>,
    pub client: &'a Direction,
    pub upstream: &'a Direction,
}

impl Known<'_> {
    /// Who ended it, and why.
    pub fn judge(&self) -> End {
        let end = |by, reason, code| End { by, reason, code };
        if let Some(closing) = self.closing {
            return end(closing.by, closing.reason, Some(closing.code));
        }
        if self.is_cut_off {
            return end(None, Reason::WorkerShutdown, None);
        }
        let close = match self.first_close {
            Some(Side::Client) => self.client.close,
            Some(Side::Upstream) => self.upstream.close,
            None => None,
        };
        if let Some(close) = close {
            return end(self.first_close, Reason::of_close(close.code), close.code);
        }
        if self.broken.is_some() {
            return end(self.broken, Reason::Reset, None);
        }
        if self.client.ended {
            end(Some(Side::Client), Reason::NoCloseFrame, None)
        } else if self.upstream.ended {
            end(Some(Side::Upstream), Reason::NoCloseFrame, None)
        } else {
            end(None, Reason::Error, None)
        }
    }
}
