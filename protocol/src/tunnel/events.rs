//! What happens to a tunnel, and what is wanted of it.

use super::clock::{self, Beat, Ending};
use super::close::{self, CLOSE_TIMEOUT, Closing};
use super::delivery::{Patience, Queue};
use super::direction::{Direction, Seen};
use super::farewell::{Farewell, Parting};
use super::limits::{Side, Sides};
use super::state::Tunnel;
use super::summary::Reason;
use super::text::Piece;
use super::time::{Time, after, is_due, left};
use super::write::Write;
use crate::ControlFrame;

/// What happened.
impl Tunnel<'_> {
    /// So many bytes have come from a side, and are behind the unsent ones now.
    #[inline]
    pub fn received(&mut self, from: Side, count: usize, now: Time) {
        self.by.of_mut(from).received(count, now);
    }

    /// The receiver has accepted these, the first of the unsent bytes. They are gone. What is returned is
    /// a piece of the text of the first Close, for [`CloseText`](super::CloseText).
    #[inline]
    pub fn sent<'b>(&mut self, from: Side, bytes: &'b [u8], now: Time) -> Option<Piece<'b>> {
        if self.guard.is_some() {
            self.watch(from, bytes, now);
        }
        let seen = self.by.of_mut(from).sent(bytes, now)?;
        self.look_at(from, &seen, now);
        seen.text.filter(|_| self.first_close == Some(from))
    }

    /// These, the first of the unsent bytes, were dropped as [`Write::Drop`] said. They are gone.
    pub fn dropped(&mut self, from: Side, bytes: &[u8], now: Time) {
        self.left(from, bytes, false, now);
    }

    /// These were sent although it was [refused](Self::refuse): as [`sent`](Self::sent), which is a part of the way of
    /// each message and of nothing else.
    pub fn sent_last(&mut self, from: Side, bytes: &[u8], now: Time) {
        self.left(from, bytes, true, now);
    }

    fn left(&mut self, from: Side, bytes: &[u8], are_last: bool, now: Time) {
        if let Some(seen) = self.by.of_mut(from).dropped(bytes, are_last) {
            self.look_at(from, &seen, now);
        }
    }

    /// The receiver has accepted so many bytes of [`ours`](Self::ours).
    pub fn sent_ours(&mut self, from: Side, count: usize, now: Time) {
        let to = from.other();
        let farewell = self.parting().length(to);
        if let Some(gone) = self.by.of_mut(from).sent_ours(count, farewell) {
            if gone.is_ping() {
                self.clock.pings = self.clock.pings.wrapping_add(1);
            }
            self.clock.has_asked(to, self.by.of(to), now);
        }
    }

    /// The receiver's socket was offered what this write said, and took nothing of it for now. It is
    /// offered the same bytes again, as TLS wants it, even if more have come.
    pub fn refused(&mut self, from: Side, write: Write, now: Time) {
        self.by.of_mut(from).refused(write, now);
        self.wait_for(from.other());
    }

    /// There is something to write, and the receiver's socket takes nothing: it was not even asked.
    pub fn blocked(&mut self, from: Side, now: Time) {
        self.by.of_mut(from).blocked(now);
        self.wait_for(from.other());
    }

    /// Nothing more comes from a side, and it takes nothing more: its stream has ended.
    pub fn ended(&mut self, side: Side) {
        self.by.of_mut(side).awaits_close = false;
        if self.by.of_mut(side).ends() {
            self.give_turn(side);
        }
        self.is_eventful = true;
    }

    /// Likewise, of a side that still takes what comes (a stream of HTTP/2, RFC 9113 section 5.1). If it has sent a Close,
    /// it is given time for the answer.
    pub fn half_ended(&mut self, side: Side) {
        let direction = self.by.of(side);
        let awaits_close = direction.awaits_close || direction.close.is_some() && !direction.ended;
        self.ended(side);
        self.by.of_mut(side).awaits_close = awaits_close;
        if let Some(due) = close::answer_due(&self.by) {
            self.clock.wake_by(due);
        }
    }

    /// A side has closed its connection, and more of what it sent is to be read. Where a rate holds that back,
    /// it goes on for no longer than a silent tunnel would: at a low one it may be days.
    pub fn leaves(&mut self, side: Side, now: Time) {
        if let (Side::Client, Some(idle), Some(reason)) =
            (side, self.limits.idle, self.holds_back())
        {
            // It may be told more than once: the first moment stands.
            self.end_by(Ending {
                at: after(now, idle),
                reason,
                parting: Parting::default(),
            });
        }
    }

    /// Reading from a side has failed: nothing more comes from it.
    pub fn reset(&mut self, side: Side) {
        self.broken.get_or_insert(side);
        self.ended(side);
    }

    /// Writing to a side has failed: it gets nothing any more. What it sent before is still the other's.
    pub fn unreachable(&mut self, side: Side) {
        self.broken.get_or_insert(side);
        self.by.towards_mut(side).cut();
        self.give_turn(side.other());
        self.give_turn(side);
    }

    /// A side's connection is no more, and nothing that came from it is due to the other. The tunnel is over.
    pub fn lost(&mut self, side: Side) {
        self.broken.get_or_insert(side);
        self.give_up();
    }

    /// The caller cannot go on, without memory for example. The tunnel is over.
    pub fn give_up(&mut self) {
        self.is_over = true;
        self.is_eventful = true;
    }

    /// What a side's socket holds, where [`has_doubts`](Self::has_doubts) asks; `None` if that can't be
    /// told.
    pub fn holds(&mut self, side: Side, queue: Option<Queue>, now: Time) {
        let [sends, answers, moves] = self.clock.patience(&self.limits, &self.by, side);
        let messages = self.silence_of(side);
        let way = self.by.towards_mut(side);
        let look = way.look(queue, now);
        let sends = sends.and_then(|time| time.renewed(look));
        let answers = answers.and_then(|time| time.renewed(look.of_backlog()));
        let moves = moves.and_then(|time| time.renewed(look));
        way.stuck = sends.unwrap_or(way.stuck);
        way.taken = moves.unwrap_or(way.taken);
        if let Some(since) = answers {
            self.clock.excuse(side, since);
        }
        let messages = messages.and_then(|time| time.renewed(look.of_backlog()));
        if let (Some(guard), Some(since)) = (&mut self.guard, messages) {
            guard.renew(since);
        }
    }

    /// The timer has fired, and [`has_doubts`](Self::has_doubts) has been asked of both sides. `mask` is for
    /// a Ping to the upstream.
    pub fn tick(&mut self, now: Time, mask: [u8; 4]) {
        self.clock.fired();
        if is_due(self.clock.resume_at, now) {
            self.clock.resume_at = None;
            self.give_turn(Side::Client);
        }
        if self.is_holding() {
            self.by.client.excuse(now);
        }
        if let Some(closing) = self.closing {
            if left(closing.deadline, now) == 0 {
                self.give_up();
            }
            return;
        }
        if let Some(due) = close::answer_due(&self.by) {
            // That is soon enough for whatever else would end it.
            if left(due, now) == 0 {
                self.give_up();
            }
            return;
        }
        if let Some(ending) = self.clock.ends.filter(|ending| left(ending.at, now) == 0) {
            self.close(None, ending.reason, Sides::NONE, now);
            return;
        }
        let mut dead = Sides::NONE;
        for side in Side::BOTH {
            if clock::takes_nothing(&self.limits, &self.by, side, now) {
                dead.add(side);
            }
        }
        if let Some(first) = dead.first() {
            return self.close(Some(first), Reason::SendTimeout, dead, now);
        }
        if clock::is_idle(&self.limits, &self.by, now) {
            return self.close(None, Reason::IdleTimeout, Sides::NONE, now);
        }
        if is_due(self.silence().map(Patience::ends), now) {
            self.close(None, Reason::MessageTimeout, Sides::NONE, now);
            return;
        }
        for side in Side::BOTH {
            match self.clock.beat(&self.limits, &self.by, side, now) {
                Beat::Wait => {}
                Beat::Send => self.ping(side, mask, now),
                Beat::Dead => dead.add(side),
            }
        }
        if dead.first().is_some() {
            self.close(None, Reason::PingTimeout, dead, now);
        }
    }
}

/// What is wanted.
impl Tunnel<'_> {
    /// The tunnel is to be closed at some moment within this time, picked by `random`; `left` is what
    /// remains until it would be cut off, where it would be. Milliseconds.
    pub fn drain(&mut self, within: Time, left: Option<Time>, now: Time, random: usize) {
        self.end_by(Ending {
            at: drain_at(within, left, now, random),
            reason: Reason::Drain,
            parting: Parting::default(),
        });
    }

    /// Likewise, as its upstream's server is to be left, with a Close of this code. It may be told more than
    /// once: the first moment stands.
    pub fn drain_upstream(
        &mut self,
        code: u16,
        within: Time,
        left: Option<Time>,
        now: Time,
        random: usize,
    ) {
        let is_told = |ending: Ending| ending.reason == Reason::UpstreamDrain;
        if self.clock.ends.is_none_or(|ending| !is_told(ending)) {
            self.end_by(Ending {
                at: drain_at(within, left, now, random),
                reason: Reason::UpstreamDrain,
                parting: Parting::of_code(code),
            });
        }
    }

    /// The tunnel is to be closed at some moment within this time, picked by `random`, with this farewell.
    /// Whether it will be: it may be due to end before. The farewell is then to be kept, for
    /// [`ours`](Self::ours).
    pub fn depart(&mut self, farewell: &Farewell, within: Time, now: Time, random: usize) -> bool {
        let delay = random.checked_rem(within.max(1)).unwrap_or(0);
        self.end_by(Ending {
            at: now.wrapping_add(delay),
            reason: Reason::Control,
            parting: farewell.parting(),
        })
    }

    /// Notes the end, once: whatever was under way, nothing goes by any more. `is_cut_off` where the
    /// process ends and did not wait.
    pub fn finish(&mut self, is_cut_off: bool) {
        if self.end.is_none() {
            self.end = Some(self.judge(is_cut_off));
            self.give_up();
        }
    }
}

/// What follows from it.
impl Tunnel<'_> {
    /// Among the bytes that have gone by was a Close, an answer to a Ping, or what is no frame.
    #[cold]
    fn look_at(&mut self, from: Side, seen: &Seen<'_>, now: Time) {
        let direction = self.by.of(from);
        self.is_eventful |= direction.is_unframed();
        if direction.close.is_some() {
            self.first_close.get_or_insert(from);
        }
        // A Ping that is still to go has not been answered.
        if seen.is_answer && !self.by.towards(from).has_ours() {
            self.clock.note_pong(&self.limits, from, now);
        }
    }

    /// These bytes are about to have gone by.
    #[cold]
    fn watch(&mut self, from: Side, bytes: &[u8], now: Time) {
        if let Some(guard) = &mut self.guard {
            guard.watch(from, self.by.of(from).frames(), bytes, now);
        }
    }

    /// A side is waited for, but not for ever.
    fn wait_for(&mut self, to: Side) {
        if self.has_given_up(to) {
            // What waits for it holds up the answer of the other side.
            self.by.towards_mut(to).cut();
            return self.give_turn(to.other());
        }
        // Each time that runs for it is looked into in good time, though the timer was set when nothing had
        // been sent.
        let looked = self.by.towards(to).looked;
        let times = self.clock.patience(&self.limits, &self.by, to);
        for patience in times.into_iter().chain([self.silence_of(to)]).flatten() {
            self.clock.wake_by(patience.looks(looked));
        }
    }

    fn ping(&mut self, to: Side, mask: [u8; 4], now: Time) {
        let frame = ControlFrame::ping(&self.clock.ping_payload);
        let frame = match to {
            Side::Client => frame,
            Side::Upstream => frame.masked(mask),
        };
        if self.by.towards_mut(to).send_ping(&frame) {
            self.by.of_mut(to).expect_pong();
        }
        self.clock.asks(to, self.by.of(to), now);
        self.give_turn(to.other());
    }

    /// Sends both sides a Close, unless what goes to one is no frames. A side that is `dead` need not take
    /// it, and what has come from it by then is all: neither its answer is waited for nor the end of a
    /// frame that it has begun.
    pub(super) fn close(&mut self, by: Option<Side>, reason: Reason, dead: Sides, now: Time) {
        let code = match reason {
            Reason::Control | Reason::UpstreamDrain | Reason::Lifetime => self.parting().code(),
            reason => close::code(reason, &self.limits),
        };
        let deadline = after(now, CLOSE_TIMEOUT);
        let silence = |direction: &Direction| now.wrapping_sub(direction.heard());
        self.closing = Some(Closing {
            by,
            reason,
            code,
            deadline,
            dead,
            silent: (silence(&self.by.client), silence(&self.by.upstream)),
        });
        for side in Side::BOTH {
            if dead.has(side) {
                self.by.of_mut(side).ends();
            }
        }
        if !self.by.client.takes_frames() && !self.by.upstream.takes_frames() {
            // There is no telling where a frame would fit.
            return self.give_up();
        }
        if reason == Reason::Control {
            self.by.upstream.send_farewell();
            self.by.client.send_farewell();
        } else {
            let close = ControlFrame::close(code, "");
            self.by.upstream.send_close(&close);
            self.by.client.send_close(&close.masked(self.close_mask));
        }
        self.clock.wake_by(deadline);
        self.give_turn(Side::Client);
        self.give_turn(Side::Upstream);
    }

    /// What it ends by already, it goes on to end by.
    pub(super) fn end_by(&mut self, ending: Ending) -> bool {
        self.closing.is_none() && self.clock.end_by(ending)
    }

    /// The Close that somebody has chosen.
    fn parting(&self) -> Parting {
        self.clock
            .ends
            .map_or_else(Parting::default, |ending| ending.parting)
    }

    fn give_turn(&mut self, from: Side) {
        self.is_eventful = true;
        self.turns.add(from);
    }
}

/// The moment at which a tunnel leaves.
fn drain_at(within: Time, left: Option<Time>, now: Time, random: usize) -> Time {
    let spread = clock::drain_spread(within, left).max(1);
    now.wrapping_add(random.checked_rem(spread).unwrap_or(0))
}
