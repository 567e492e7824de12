//! Tunnels that go from one worker to another. What went by before is counted where it went by.

use websocket_protocol::tunnel::{Reason, Traffic};

use super::{Meter, Noted};
use crate::counters::{ADOPTED, CLOSED, DEPARTED, ENDED};
use crate::layout::ACTIONS;
use crate::mailbox::{self, Action};
use crate::record::Place;
use crate::slots::Progress;
use crate::writer::{LabelId, Writer};

impl Writer<'_> {
    /// Another worker has it from now on.
    pub fn departed(&self, meter: &Meter) {
        if let Some(words) = self.block(meter.block) {
            words.add(DEPARTED, 1);
        }
        let blocks = [self.block(meter.block), self.upstream(meter.upstream)];
        for words in blocks.into_iter().flatten() {
            words.add(ENDED, 1);
        }
        if let Some(record) = meter.record {
            self.table.leave(record);
        }
    }

    /// It has come from another worker, with its id (0: it had none) and the times at which it began, as
    /// [`established`](Self::established) has them.
    pub fn adopted(&self, label: LabelId, place: &Place<'_>, id: u64, times: [u64; 2]) -> Meter {
        let id = if id == 0 { self.next_id() } else { id };
        let block = self.label_block(label);
        self.enter((label, block), place, id, times, ADOPTED)
    }

    /// What had gone by of it is counted already.
    pub fn resumed(&self, meter: &Meter, noted: &Noted, traffic: &Traffic) {
        noted.from_client.set(&traffic.from_client);
        noted.from_upstream.set(&traffic.from_upstream);
        noted.pings.set(traffic.pings_sent);
        noted.pongs.set(traffic.pongs);
        let record = meter.record.and_then(|line| self.table.numbers(line));
        record.inspect(|record| {
            record.set_from_client(&traffic.from_client);
            record.set_from_upstream(&traffic.from_upstream);
            record.set_rtt(traffic.ping_rtt);
            record.set_state(traffic);
        });
    }

    /// One that was on its way to this worker is over, before anything was known of it but that.
    pub fn turned_away(&self, reason: Reason, code: u16) {
        let (_, close) = self.close_ids(None, Some(reason), Some(code));
        if let Some(words) = self.of(LabelId::OTHER) {
            words.add(ADOPTED, 1);
            words.add(CLOSED + close, 1);
            words.add(ENDED, 1);
        }
    }

    /// The actions that this worker has looked at and that were posted since, on the clock that never goes
    /// back: a tunnel that has come from another worker meanwhile may be meant.
    pub fn looked_at_since(&self, time: u64) -> impl Iterator<Item = (u64, Action)> {
        (0..ACTIONS)
            .filter_map(|place| self.zone.posted_action(place))
            .filter(move |(_, action)| action.posted_at >= time)
            .filter(|(id, _)| {
                let progress = Progress::of(mailbox::place(*id));
                self.zone.slot(self.slot).get(progress.action) == *id
            })
    }

    /// It meant that tunnel, too.
    pub fn matched_late(&self, action: u64) {
        let progress = Progress::of(mailbox::place(action));
        self.zone.slot(self.slot).add(progress.matched, 1);
    }
}
