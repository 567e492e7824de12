//! What happens to handshakes and tunnels, counted.

use core::cell::Cell;
use core::sync::atomic::AtomicU64;

use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Reason, Traffic};

use crate::counters::{
    ATTEMPTS, CLOSED, DRAINED, ENDED, ESTABLISHED, FAILED, FROM_CLIENT, FROM_UPSTREAM, HOT,
    OWN_LOOP, PINGS_LOST, PINGS_SENT, REJECTED, UNLISTED, UPSTREAM_FAILED, histogram_at,
};
use crate::histogram::{self, Kind};
use crate::layout::{LABEL_BLOCK, UPSTREAM_BLOCK};
use crate::mailbox::{self, Action};
use crate::record::Place;
use crate::rings::{Ending, Failing, Of, Over};
use crate::slots::Progress;
use crate::words::{Line, Words, bump};
use crate::writer::{Full, LabelId, Writer};

mod moves;

/// What has to be kept of an established connection, to count for it.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Its id.
    pub id: u64,
    label: u32,
    /// Its label's block, its upstream's, and its record in the table, unless that was full.
    block: Option<Line>,
    upstream: Option<Line>,
    record: Option<Line>,
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
    fn set(&self, count: &Count) {
        self.bytes.set(count.bytes);
        self.frames.set(count.frames);
        self.messages.set(count.messages);
    }

    /// Counts what is new. Whether anything is: mostly only one of two directions has.
    #[inline]
    fn count(&self, words: &[AtomicU64], now: &Count) -> bool {
        let [bytes, frames, messages, ..] = words else {
            return false;
        };
        if now.bytes == self.bytes.get() && now.frames == self.frames.get() {
            return false;
        }
        bump(bytes, now.bytes.wrapping_sub(self.bytes.replace(now.bytes)));
        bump(
            frames,
            now.frames.wrapping_sub(self.frames.replace(now.frames)),
        );
        let before = self.messages.replace(now.messages);
        bump(messages, now.messages.wrapping_sub(before));
        true
    }
}

/// Handshakes.
impl Writer<'_> {
    /// A request asks for a WebSocket.
    pub fn attempt(&self, label: LabelId) {
        if let Some(words) = self.of(label) {
            words.add(ATTEMPTS, 1);
        }
    }

    /// A handshake has failed.
    pub fn failed(&self, label: LabelId, place: &Place<'_>, failed: &Failed<'_>) {
        let cause = self.cause_id(failed.cause);
        let kind = if failed.is_rejected { REJECTED } else { FAILED };
        if let Some(words) = self.of(label) {
            words.add(kind + cause, 1);
        }
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
        if let Some(words) = self.upstream(self.upstream_block(address)) {
            words.add(UPSTREAM_FAILED + self.cause_id(cause), 1);
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
        if let Some(words) = self.block(block) {
            observe(words, Kind::Handshake, handshake_ms);
        }
        self.enter(
            (label, block),
            place,
            self.next_id(),
            [begun, now],
            ESTABLISHED,
        )
    }

    /// A tunnel is there from now on, and is counted so.
    fn enter(
        &self,
        (label, block): (LabelId, Option<Line>),
        place: &Place<'_>,
        id: u64,
        times: [u64; 2],
        counter: usize,
    ) -> Meter {
        if let Some(words) = self.block(block) {
            words.add(counter, 1);
        }
        let upstream = match place.upstream {
            [] => None,
            address => self.upstream_block(address),
        };
        if let Some(words) = self.upstream(upstream) {
            words.add(counter, 1);
        }
        let record = self.table.enter(id, label.0, place, times);
        if record.is_none() {
            self.unlisted(block);
        }
        let [_, begun_at] = times;
        Meter {
            id,
            label: label.0,
            block,
            upstream,
            record,
            begun_at,
            action: 0,
        }
    }

    #[cold]
    fn unlisted(&self, block: Option<Line>) {
        if let Some(words) = self.block(block) {
            words.add(UNLISTED, 1);
        }
        self.note(Full::Tunnels);
    }

    fn of(&self, label: LabelId) -> Option<Words<'_>> {
        self.block(self.label_block(label))
    }

    fn block(&self, block: Option<Line>) -> Option<Words<'_>> {
        self.labels.at::<LABEL_BLOCK>(block?)
    }

    fn upstream(&self, block: Option<Line>) -> Option<Words<'_>> {
        self.upstreams.at::<UPSTREAM_BLOCK>(block?)
    }
}

/// Tunnels.
impl Writer<'_> {
    /// nginx's own loop carries it.
    pub fn own_loop(&self, meter: &Meter) {
        if let Some(words) = self.block(meter.block) {
            words.add(OWN_LOOP, 1);
        }
        if let Some(record) = meter.record {
            self.table.set_own_loop(record);
        }
    }

    /// Something has happened to a tunnel: `traffic` is what has gone by until now, `noted` what of it was
    /// counted before.
    #[inline(always)]
    pub fn moved(&self, meter: &Meter, noted: &Noted, traffic: &Traffic) {
        let Some(hot) = meter.block.and_then(|line| self.zone.words.at::<HOT>(line)) else {
            return;
        };
        let record = meter.record.and_then(|line| self.table.numbers(line));
        let (from_client, from_upstream) = (&traffic.from_client, &traffic.from_upstream);
        if noted.from_client.count(&hot[FROM_CLIENT..], from_client) {
            record.inspect(|record| record.set_from_client(from_client));
        }
        if noted
            .from_upstream
            .count(&hot[FROM_UPSTREAM..], from_upstream)
        {
            record.inspect(|record| record.set_from_upstream(from_upstream));
        }
        let pings = noted.pings.replace(traffic.pings_sent);
        if pings != traffic.pings_sent {
            let more = traffic.pings_sent.wrapping_sub(pings);
            bump(&hot[PINGS_SENT], more.into());
        }
        if noted.pongs.replace(traffic.pongs) != traffic.pongs {
            let rtt = traffic.ping_rtt.unwrap_or_default();
            if let Some(words) = self.block(meter.block) {
                observe(words, Kind::PingRtt, rtt.into());
            }
            record.inspect(|record| record.set_rtt(traffic.ping_rtt));
        }
        record.inspect(|record| record.set_state(traffic));
    }

    /// A tunnel is over. `place` is asked if it is not in the table.
    pub fn ended<'p>(&self, meter: &Meter, place: impl FnOnce() -> Place<'p>, over: &Over) {
        let (reason, close) = self.close_ids(over.by, over.reason, over.code);
        if let Some(words) = self.block(meter.block) {
            // In this order it can be told that it has ended, if the process is killed here.
            words.add(CLOSED + close, 1);
            words.add(ENDED, 1);
            match over.reason {
                Some(Reason::Drain | Reason::UpstreamDrain) => words.add(DRAINED, 1),
                Some(Reason::PingTimeout) => words.add(PINGS_LOST, 1),
                _ => {}
            }
            observe(words, Kind::Duration, over.duration_ms);
        }
        if let Some(words) = self.upstream(meter.upstream) {
            words.add(ENDED, 1);
        }
        self.closed(meter.action);
        let ending = Ending {
            id: meter.id,
            of: match meter.record {
                Some(record) => Of::Listed(self.table.record(record)),
                None => Of::Unlisted(meter.label, place()),
            },
            reason,
            over,
        };
        self.zone.push_end(&ending);
        if let Some(record) = meter.record {
            self.table.leave(record);
        }
    }
}

/// Actions.
impl Writer<'_> {
    /// The actions that this worker has not looked at, if any was posted since it last did. To be asked
    /// a few times a second.
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
        if let Some(record) = meter.record {
            self.table.set_action(record, action);
        }
    }

    fn closed(&self, action: u64) {
        if action != 0 {
            self.note_closed(action);
        }
    }

    #[cold]
    fn note_closed(&self, action: u64) {
        let progress = Progress::of(mailbox::place(action));
        let words = self.zone.slot(self.slot);
        if words.get(progress.action) == action {
            words.add(progress.closed, 1);
        }
    }
}

impl Meter {
    /// Its label.
    pub const fn label(&self) -> u32 {
        self.label
    }
}

fn observe(words: Words<'_>, kind: Kind, ms: u64) {
    histogram::observe(words.part(histogram_at(kind), histogram::WORDS), kind, ms);
}
