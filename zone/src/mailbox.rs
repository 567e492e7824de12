//! Actions: what one worker wants all of them to do to their tunnels.
//!
//! A worker looks at one number, [`Zone::posted`]. When that has changed it asks for
//! [`Writer::news`](crate::Writer::news), and notes of each action how many of its tunnels it matched, and
//! of each of those that it is closed.

use crate::cidr::Cidr;
use crate::header::{NEXT_ACTION, POSTED};
use crate::layout::{ACTION, ACTIONS};
use crate::record;
use crate::slots::Progress as At;
use crate::table::Tunnel;
use crate::text::{self, LENGTH_BITS, Text};
use crate::words::Words;
use crate::zone::Zone;

/// Tunnels are to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Which.
    pub which: Which,
    /// Within this time, each at a random moment; milliseconds.
    pub over_ms: u64,
    /// The code of the Close that they are sent.
    pub code: u16,
    /// The reason in it.
    pub reason: Text,
    /// When it was asked for, on the clock that never goes back: tunnels that begin later are not meant.
    pub posted_at: u64,
}

/// Which tunnels are meant: those for which all holds that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// The one of this id.
    pub id: Option<u64>,
    /// Those of this label, see [`Zone::find_label`].
    pub label: Option<u32>,
    /// Those of clients in this range.
    pub client: Option<Cidr>,
    /// Those to this upstream.
    pub upstream: Option<Text>,
    /// Those with this subprotocol.
    pub subprotocol: Option<Text>,
    /// Those on which nothing has moved for so long, milliseconds.
    pub idle_ms: Option<u64>,
    /// Those that are so old, milliseconds.
    pub older_ms: Option<u64>,
}

/// What decides whether a tunnel is meant.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its id.
    pub id: u64,
    /// Its label.
    pub label: u32,
    /// The client's address.
    pub client: &'a [u8],
    /// The upstream's address.
    pub upstream: &'a [u8],
    /// The subprotocol, empty where there is none.
    pub subprotocol: &'a [u8],
    /// When it began, on the clock that never goes back.
    pub begun_at: u64,
    /// When a byte last went in or out, on the same clock.
    pub moved_at: u64,
}

/// How far an action is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many tunnels were meant, as far as workers have looked.
    pub matched: u64,
    /// How many of them are still there.
    pub open: u64,
    /// How many workers have not looked yet.
    pub waiting: usize,
}

impl Tunnel {
    /// What decides whether it is meant.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            id: self.numbers.id,
            label: self.numbers.label,
            client: &self.who.client,
            upstream: &self.upstream,
            subprotocol: &self.subprotocol,
            begun_at: self.numbers.begun_at,
            moved_at: self.numbers.moved_at,
        }
    }
}

impl Which {
    /// Whether a tunnel is meant, at this time of the clock that never goes back.
    pub fn means(&self, zone: &Zone<'_>, facts: &Facts<'_>, now: u64) -> bool {
        let since = |time: u64| now.saturating_sub(time);
        // Cut as the table cuts them, so that its tunnels and a worker's own are meant alike.
        let same = |wanted: &Text, is: &[u8], room: usize| {
            let cut = |text: &[u8]| text.len().min(room * 8);
            wanted.get(..cut(wanted)) == is.get(..cut(is))
        };
        self.id.is_none_or(|id| id == facts.id)
            && self
                .label
                .is_none_or(|label| zone.is_label(facts.label, label))
            && self.client.is_none_or(|range| range.contains(facts.client))
            && self
                .upstream
                .is_none_or(|text| same(&text, facts.upstream, record::UPSTREAM))
            && self
                .subprotocol
                .is_none_or(|text| same(&text, facts.subprotocol, record::SUBPROTOCOL))
            && self
                .idle_ms
                .is_none_or(|idle| since(facts.moved_at) >= idle)
            && self.older_ms.is_none_or(|age| since(facts.begun_at) >= age)
    }
}

impl Action {
    /// Whether a tunnel is to be closed.
    pub fn means(&self, zone: &Zone<'_>, facts: &Facts<'_>, now: u64) -> bool {
        facts.begun_at <= self.posted_at && self.which.means(zone, facts, now)
    }
}

/// Words of an action.
const ID: usize = 0;
const CHECKSUM: usize = 1;
const POSTED_AT: usize = 2;
const OVER: usize = 3;
const CODE: usize = 4;
const WHICH: usize = 5;
const CLIENT: usize = 10;
const LENGTHS: usize = 13;
const TEXTS: [(usize, usize); 3] = [(16, 18), (34, 13), (48, 16)];

impl Zone<'_> {
    /// How many actions were posted: the one number to look at.
    #[inline]
    pub fn posted(&self) -> u64 {
        self.header().0.seen(POSTED)
    }

    /// Posts an action for all workers. Its id; `None`: there were too many within the last second.
    pub fn post(&self, action: &Action) -> Option<u64> {
        let header = self.header().0;
        let id = loop {
            let last = header.get(NEXT_ACTION);
            let id = last.wrapping_add(1);
            // One that is being written can't be read yet: then the next one tells how recent it is.
            let before = (id > ACTIONS as u64)
                .then(|| (id..id.saturating_add(ACTIONS as u64)).map(place))
                .and_then(|mut places| places.find_map(|place| self.posted_action(place)));
            let is_recent = |(_, before): &(u64, Action)| {
                action.posted_at.saturating_sub(before.posted_at) < 1000
            };
            if before.as_ref().is_some_and(is_recent) {
                return None;
            }
            // Another worker may have taken this place meanwhile.
            if header.exchange(NEXT_ACTION, last, id) {
                break id;
            }
        };
        let words = self.nth(self.layout.actions, place(id));
        words.retract(ID);
        write(words, action);
        words.set(CHECKSUM, checksum(words, id));
        words.publish(ID, id);
        header.add_shared(POSTED, 1);
        Some(id)
    }

    /// An action that was posted, unless it is forgotten.
    pub fn action(&self, id: u64) -> Option<Action> {
        let (found, action) = self.posted_action(place(id))?;
        (found == id).then_some(action)
    }

    /// How far it is.
    pub fn progress(&self, id: u64) -> Progress {
        let At {
            action,
            matched,
            closed,
        } = At::of(place(id));
        let mut progress = Progress::default();
        for slot in 0..self.layout.slots.count {
            let words = self.slot(slot);
            if words.seen(action) == id {
                let matched = words.get(matched);
                let open = matched.saturating_sub(words.get(closed));
                progress.matched = progress.matched.saturating_add(matched);
                progress.open = progress.open.saturating_add(open);
            } else if self.is_used(slot) {
                progress.waiting += 1;
            }
        }
        progress
    }

    pub(crate) fn posted_action(&self, place: usize) -> Option<(u64, Action)> {
        let words = self.nth(self.layout.actions, place);
        let id = words.seen(ID);
        let action = read(words)?;
        let is_whole = id != 0 && words.get(CHECKSUM) == checksum(words, id);
        (is_whole && words.get(ID) == id).then_some((id, action))
    }
}

pub(crate) const fn place(id: u64) -> usize {
    (id % ACTIONS as u64) as usize
}

fn write(words: Words<'_>, action: &Action) {
    let which = &action.which;
    words.set(POSTED_AT, action.posted_at);
    words.set(OVER, action.over_ms);
    words.set(CODE, action.code.into());
    let numbers = [
        which.id,
        which.label.map(u64::from),
        which.idle_ms,
        which.older_ms,
    ];
    for (at, number) in (WHICH..).zip(numbers) {
        words.set(at, number.map_or(0, |number| number.saturating_add(1)));
    }
    let client = which.client.map_or([0; 3], Cidr::words);
    for (at, word) in (CLIENT..).zip(client) {
        words.set(at, word);
    }
    let mut lengths = 0;
    let texts = [which.upstream, which.subprotocol, Some(action.reason)];
    for (index, ((start, room), text)) in TEXTS.into_iter().zip(texts).enumerate() {
        let length = match &text {
            Some(text) => text::write(words.part(start, room), room, text) | GIVEN,
            None => 0,
        };
        lengths |= length << (index as u32 * (LENGTH_BITS + 1));
    }
    words.set(LENGTHS, lengths);
}

/// A text is given, if only an empty one.
const GIVEN: u64 = 1 << LENGTH_BITS;

/// `None` where it is no action: what can't be read must not mean more than was written.
fn read(words: Words<'_>) -> Option<Action> {
    let number = |at: usize| words.get(at).checked_sub(1);
    let text = |index: usize| {
        let &(start, room) = TEXTS.get(index)?;
        let length = words.get(LENGTHS) >> (index as u32 * (LENGTH_BITS + 1));
        let mut plain = [0; 18];
        for (to, word) in plain.iter_mut().zip(words.part(start, room).iter()) {
            *to = word;
        }
        (length & GIVEN != 0).then(|| Text::read(&plain, length))
    };
    let client = match [CLIENT, CLIENT + 1, CLIENT + 2].map(|at| words.get(at)) {
        [0, ..] => None,
        words => Some(Cidr::from_words(words)?),
    };
    Some(Action {
        which: Which {
            id: number(WHICH),
            label: number(WHICH + 1).map(|label| u32::try_from(label).unwrap_or(u32::MAX)),
            client,
            upstream: text(0),
            subprotocol: text(1),
            idle_ms: number(WHICH + 2),
            older_ms: number(WHICH + 3),
        },
        over_ms: words.get(OVER),
        code: words.get(CODE) as u16,
        reason: text(2).unwrap_or_default(),
        posted_at: words.get(POSTED_AT),
    })
}

fn checksum(words: Words<'_>, id: u64) -> u64 {
    let content = words.part(POSTED_AT, ACTION - POSTED_AT);
    content.iter().fold(id, |sum, word| {
        (sum ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(29)
    })
}
