//! What happens to handshakes and tunnels, counted.

use core::cell::Cell;
use core::sync::atomic::AtomicU64;

use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason, Side, Traffic};

use crate::counters::{
    ATTEMPTS, CLOSED, DRAINED, ENDED, ESTABLISHED, FAILED, FROM_CLIENT, FROM_UPSTREAM, HOT,
    OWN_LOOP, PINGS_LOST, PINGS_SENT, REJECTED, UNLISTED, UPSTREAM_FAILED, histogram_at,
};
use crate::histogram::{self, Kind};
use crate::mailbox::{self, Action};
use crate::record::Place;
use crate::rings::{Ending, Failing};
use crate::slots::Progress;
use crate::words::{Words, bump};
use crate::writer::{Full, LabelId, Writer};

/// What has to be kept of an established connection, to count for it.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Its id.
    pub id: u64,
    label: u32,
    block: u32,
    /// One more than the upstream's block; 0 where there is none.
    upstream: u32,
    /// One more than the index in the table; 0 where that was full.
    record: u32,
    /// When it began, on the clock that never goes back.
    pub begun_at: u64,
    /// The action that closes it; 0 where none does.
    pub action: u64,
}

/// A handshake that has failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// Why.
    pub cause: Cause,
    /// Whether nginx answered it without asking an upstream.
    pub is_rejected: bool,
    /// What to do about it.
    pub advice: &'static str,
    /// What was seen.
    pub seen: &'a [u8],
    /// When: milliseconds since 1970.
    pub time: u64,
}

/// A tunnel that is over.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    /// Who ended it; `None` is nginx.
    pub by: Option<Side>,
    /// Why, where that is known.
    pub reason: Option<Reason>,
    /// The code of the first Close.
    pub code: Option<u16>,
    /// How long it lasted, milliseconds.
    pub duration_ms: u64,
    /// All that went by.
    pub from_client: Count,
    /// Likewise.
    pub from_upstream: Count,
    /// How long the last answered Ping took.
    pub ping_rtt: Option<u32>,
    /// When: milliseconds since 1970.
    pub time: u64,
}

/// What of a tunnel's traffic has been counted: for the caller to keep with the tunnel, and nothing at
/// first.
#[derive(Debug, Default)]
pub struct Noted {
    from_client: NotedCount,
    from_upstream: NotedCount,
    pings: Cell<u16>,
    pongs: Cell<u32>,
}

#[derive(Debug, Default)]
struct NotedCount {
    bytes: Cell<u64>,
    frames: Cell<u64>,
    messages: Cell<u64>,
}

impl NotedCount {
    /// Counts what is new. Mostly only one of two directions is.
    #[inline]
    fn count(&self, words: &[AtomicU64], now: &Count) {
        let [bytes, frames, messages, ..] = words else {
            return;
        };
        if now.bytes == self.bytes.get() && now.frames == self.frames.get() {
            return;
        }
        bump(bytes, now.bytes.wrapping_sub(self.bytes.replace(now.bytes)));
        bump(
            frames,
            now.frames.wrapping_sub(self.frames.replace(now.frames)),
        );
        let before = self.messages.replace(now.messages);
        bump(messages, now.messages.wrapping_sub(before));
    }
}

/// Handshakes.
impl Writer<'_> {
    /// A request asks for a WebSocket.
    pub fn attempt(&self, label: LabelId) {
        self.of(label).add(ATTEMPTS, 1);
    }

    /// A handshake has failed.
    pub fn failed(&self, label: LabelId, place: &Place<'_>, failed: &Failed<'_>) {
        let cause = self.cause_id(failed.cause);
        let kind = if failed.is_rejected { REJECTED } else { FAILED };
        self.of(label).add(kind + cause, 1);
        let failing = Failing {
            time: failed.time,
            place,
            cause,
            advice: failed.advice,
            is_rejected: failed.is_rejected,
            seen: failed.seen,
        };
        self.zone.push_failure(label.0, &failing);
    }

    /// An attempt to reach an upstream has failed; another may follow.
    pub fn upstream_failed(&self, address: &[u8], cause: Cause) {
        if let Some(block) = self.upstream_block(address) {
            self.upstreams
                .get(block)
                .add(UPSTREAM_FAILED + self.cause_id(cause), 1);
        }
    }

    /// A handshake has succeeded, after this time. `begun` is milliseconds since 1970, and `now` the same
    /// on the clock that never goes back.
    pub fn established(
        &self,
        label: LabelId,
        place: &Place<'_>,
        handshake_ms: u64,
        begun: u64,
        now: u64,
    ) -> Meter {
        let block = self.label_block(label);
        let words = self.labels.get(block);
        words.add(ESTABLISHED, 1);
        observe(words, Kind::Handshake, handshake_ms);
        let upstream = self
            .upstream_block(place.upstream)
            .filter(|_| !place.upstream.is_empty());
        if let Some(upstream) = upstream {
            self.upstreams.get(upstream).add(ESTABLISHED, 1);
        }
        let id = self.next_id();
        let record = self.table.enter(id, label.0, place, [begun, now]);
        if record.is_none() {
            words.add(UNLISTED, 1);
            self.note(Full::Tunnels);
        }
        let one_more = |index: Option<usize>| index.map_or(0, |index| index as u32 + 1);
        Meter {
            id,
            label: label.0,
            block: block as u32,
            upstream: one_more(upstream),
            record: one_more(record),
            begun_at: now,
            action: 0,
        }
    }

    fn of(&self, label: LabelId) -> Words<'_> {
        self.labels.get(self.label_block(label))
    }
}

/// Tunnels.
impl Writer<'_> {
    /// nginx's own loop carries it.
    pub fn own_loop(&self, meter: &Meter) {
        self.labels.get(meter.block as usize).add(OWN_LOOP, 1);
        if let Some(record) = meter.record() {
            self.table.set_own_loop(record);
        }
    }

    /// Something has happened to a tunnel: `traffic` is what has gone by until now, `noted` what of it was
    /// counted before.
    #[inline]
    pub fn moved(&self, meter: &Meter, noted: &Noted, traffic: &Traffic) {
        let block = self.labels.get(meter.block as usize);
        if let Some(hot) = block.first::<HOT>() {
            noted
                .from_client
                .count(&hot[FROM_CLIENT..], &traffic.from_client);
            noted
                .from_upstream
                .count(&hot[FROM_UPSTREAM..], &traffic.from_upstream);
            let pings = traffic
                .pings_sent
                .wrapping_sub(noted.pings.replace(traffic.pings_sent));
            if pings != 0 {
                bump(&hot[PINGS_SENT], pings.into());
            }
        }
        if noted.pongs.replace(traffic.pongs) != traffic.pongs {
            observe(
                block,
                Kind::PingRtt,
                traffic.ping_rtt.unwrap_or_default().into(),
            );
        }
        if let Some(record) = meter.record() {
            self.table.update(record, traffic);
        }
    }

    /// A tunnel is over.
    pub fn ended(&self, meter: &Meter, place: &Place<'_>, over: &Over) {
        let words = self.labels.get(meter.block as usize);
        let reason = self.reason_id(over.reason);
        words.add(CLOSED + self.close_id(over.by, reason, over.code), 1);
        words.add(ENDED, 1);
        match over.reason {
            Some(Reason::Drain | Reason::UpstreamDrain) => words.add(DRAINED, 1),
            Some(Reason::PingTimeout) => words.add(PINGS_LOST, 1),
            _ => {}
        }
        observe(words, Kind::Duration, over.duration_ms);
        if let Some(upstream) = meter.upstream.checked_sub(1) {
            self.upstreams.get(upstream as usize).add(ENDED, 1);
        }
        if let Some(record) = meter.record() {
            self.table.leave(record);
        }
        self.closed(meter.action);
        let ending = Ending {
            time: over.time,
            id: meter.id,
            place,
            by: over.by,
            reason,
            code: over.code,
            duration_ms: over.duration_ms,
            from_client: over.from_client,
            from_upstream: over.from_upstream,
            ping_rtt: over.ping_rtt,
        };
        self.zone.push_end(meter.label, &ending);
    }
}

/// Actions.
impl Writer<'_> {
    /// The actions that this worker has not looked at, if any was posted since it last did. To be asked
    /// twice a second.
    pub fn news(&self) -> impl Iterator<Item = (u64, Action)> {
        let posted = self.zone.posted();
        let places = if self.posted.replace(posted) == posted {
            0
        } else {
            crate::layout::ACTIONS
        };
        (0..places)
            .filter_map(|place| self.zone.posted_action(place))
            .filter(|(id, _)| {
                let progress = Progress::of(mailbox::place(*id));
                self.zone.slot(self.slot).get(progress.action) < *id
            })
    }

    /// An action has been looked at, and meant so many of this worker's tunnels.
    pub fn matched(&self, action: u64, count: u64) {
        let progress = Progress::of(mailbox::place(action));
        let words = self.zone.slot(self.slot);
        // Nobody is to take what was closed of the one before for this one's.
        words.set(progress.action, 0);
        words.set(progress.closed, 0);
        words.set(progress.matched, count);
        words.publish(progress.action, action);
    }

    /// A tunnel is closed by an action: to be noted before the action is said to have matched it.
    pub fn act(&self, meter: &mut Meter, action: u64) {
        // As far as another one is concerned it is gone.
        self.closed(meter.action);
        meter.action = action;
        if let Some(record) = meter.record() {
            self.table.set_action(record, action);
        }
    }

    fn closed(&self, action: u64) {
        let progress = Progress::of(mailbox::place(action));
        let words = self.zone.slot(self.slot);
        if action != 0 && words.get(progress.action) == action {
            words.add(progress.closed, 1);
        }
    }
}

impl Meter {
    /// Its label.
    pub const fn label(&self) -> u32 {
        self.label
    }

    fn record(&self) -> Option<usize> {
        self.record.checked_sub(1).map(|record| record as usize)
    }
}

fn observe(words: Words<'_>, kind: Kind, ms: u64) {
    histogram::observe(words.part(histogram_at(kind), histogram::WORDS), kind, ms);
}
