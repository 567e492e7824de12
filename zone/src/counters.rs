//! What is counted, as it lies in a block, and as it is read.

use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Side};

use crate::histogram::{self, Histogram, Kind};
use crate::layout::{CAUSES, CLOSES, LABEL_BLOCK, UPSTREAM_BLOCK};
use crate::text::Text;
use crate::words::Words;
use crate::zone::Zone;

/// Words of a block of counters. Those that change with every message are one cache line.
pub(crate) const ESTABLISHED: usize = 0;
pub(crate) const ENDED: usize = 1;
/// Of workers that were gone before their tunnels.
pub(crate) const LOST: usize = 2;
/// Taken over from other workers, where each of them is among those that have ended.
pub(crate) const ADOPTED: usize = 3;
pub(crate) const DRAINED: usize = 4;
pub(crate) const OWN_LOOP: usize = 5;
pub(crate) const UNLISTED: usize = 6;
pub(crate) const PINGS_LOST: usize = 7;
pub(crate) const PINGS_SENT: usize = 8;
pub(crate) const FROM_CLIENT: usize = 9;
pub(crate) const FROM_UPSTREAM: usize = 12;
pub(crate) const ATTEMPTS: usize = 15;
/// Those that change with every message are among so many.
pub(crate) const HOT: usize = 16;
pub(crate) const REJECTED: usize = HOT;
pub(crate) const FAILED: usize = REJECTED + CAUSES;
pub(crate) const CLOSED: usize = FAILED + CAUSES;
pub(crate) const HISTOGRAMS: usize = CLOSED + CLOSES;
/// Those that other workers have taken over, which are among those that have ended.
pub(crate) const DEPARTED: usize = HISTOGRAMS + Kind::ALL.len() * histogram::WORDS;
const _: () = assert!(DEPARTED < LABEL_BLOCK);

/// Likewise of an upstream's, which begins as a label's does.
pub(crate) const UPSTREAM_FAILED: usize = 8;
const _: () = assert!(UPSTREAM_FAILED + CAUSES <= UPSTREAM_BLOCK);

pub(crate) const fn histogram_at(kind: Kind) -> usize {
    HISTOGRAMS + kind as usize * histogram::WORDS
}

/// What was counted for a label, or for all.
pub struct Counters<'m> {
    zone: Zone<'m>,
    words: [u64; LABEL_BLOCK],
}

impl<'m> Counters<'m> {
    pub(crate) fn new(zone: Zone<'m>) -> Self {
        let words = [0; LABEL_BLOCK];
        Self { zone, words }
    }

    pub(crate) fn add(&mut self, block: impl Iterator<Item = u64>) {
        for (sum, word) in self.words.iter_mut().zip(block) {
            *sum = sum.wrapping_add(word);
        }
    }

    fn get(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn part(&self, start: usize, length: usize) -> &[u64] {
        self.words.get(start..start + length).unwrap_or_default()
    }

    fn count(&self, at: usize) -> Count {
        Count {
            bytes: self.get(at),
            frames: self.get(at + 1),
            messages: self.get(at + 2),
        }
    }

    /// Requests that asked for a WebSocket.
    pub fn attempts(&self) -> u64 {
        self.get(ATTEMPTS)
    }

    /// Handshakes that succeeded.
    pub fn established(&self) -> u64 {
        self.get(ESTABLISHED)
    }

    /// Tunnels that there are now.
    pub fn active(&self) -> u64 {
        active(&self.words)
    }

    /// Tunnels whose worker was gone before them; among [`closes`](Self::closes), too.
    pub fn lost(&self) -> u64 {
        self.get(LOST)
    }

    /// Tunnels that were asked to leave as their worker was to exit.
    pub fn drained(&self) -> u64 {
        self.get(DRAINED)
    }

    /// Tunnels that nginx's own loop carried.
    pub fn own_loop(&self) -> u64 {
        self.get(OWN_LOOP)
    }

    /// Tunnels that found the table full.
    pub fn unlisted(&self) -> u64 {
        self.get(UNLISTED)
    }

    /// Pings that were sent, to either side.
    pub fn pings_sent(&self) -> u64 {
        self.get(PINGS_SENT)
    }

    /// Pings of which no sign of life came in time.
    pub fn pings_lost(&self) -> u64 {
        self.get(PINGS_LOST)
    }

    /// What came from clients.
    pub fn from_client(&self) -> Count {
        self.count(FROM_CLIENT)
    }

    /// What came from upstreams.
    pub fn from_upstream(&self) -> Count {
        self.count(FROM_UPSTREAM)
    }

    /// Handshakes that nginx answered without asking an upstream, by cause.
    pub fn rejected(&self) -> impl Iterator<Item = (CauseName, u64)> {
        by_cause(self.zone, self.part(REJECTED, CAUSES))
    }

    /// Handshakes of which an upstream was asked, or whose client left, by cause.
    pub fn failed(&self) -> impl Iterator<Item = (CauseName, u64)> {
        by_cause(self.zone, self.part(FAILED, CAUSES))
    }

    /// All that were rejected.
    pub fn rejected_total(&self) -> u64 {
        sum(self.part(REJECTED, CAUSES))
    }

    /// All that failed.
    pub fn failed_total(&self) -> u64 {
        sum(self.part(FAILED, CAUSES))
    }

    /// Tunnels that are over, by who ended them, why, and with what code. Together with
    /// [`active`](Self::active) they are those that were established.
    pub fn closes(&self) -> impl Iterator<Item = Closes> {
        let counted = self.part(CLOSED, CLOSES).iter().enumerate();
        let lost = Closes {
            by: None,
            reason: Text::new(WORKER_DIED),
            code: Code::None,
            count: self.lost(),
        };
        counted
            .filter(|(_, count)| **count != 0)
            .map(|(id, count)| self.zone.close(id, *count))
            .chain((lost.count != 0).then_some(lost))
    }

    /// Times that were measured.
    pub fn histogram(&self, kind: Kind) -> Histogram {
        Histogram::read(self.part(histogram_at(kind), histogram::WORDS))
    }
}

/// The reason of a tunnel whose worker was killed, or crashed.
const WORKER_DIED: &[u8] = b"worker-died";

/// What was counted for an upstream.
pub struct UpstreamCounters<'m> {
    zone: Zone<'m>,
    words: [u64; UPSTREAM_BLOCK],
}

impl<'m> UpstreamCounters<'m> {
    pub(crate) fn new(zone: Zone<'m>) -> Self {
        let words = [0; UPSTREAM_BLOCK];
        Self { zone, words }
    }

    pub(crate) fn add(&mut self, block: impl Iterator<Item = u64>) {
        for (sum, word) in self.words.iter_mut().zip(block) {
            *sum = sum.wrapping_add(word);
        }
    }

    /// Tunnels to it that there are now.
    pub fn active(&self) -> u64 {
        active(&self.words)
    }

    /// Handshakes with it that succeeded.
    pub fn established(&self) -> u64 {
        self.words.get(ESTABLISHED).copied().unwrap_or_default()
    }

    /// Attempts to reach it that failed, by cause: also those after which another server was tried.
    pub fn failed(&self) -> impl Iterator<Item = (CauseName, u64)> {
        by_cause(self.zone, self.causes())
    }

    /// All attempts that failed.
    pub fn failed_total(&self) -> u64 {
        sum(self.causes())
    }

    fn causes(&self) -> &[u64] {
        self.words
            .get(UPSTREAM_FAILED..UPSTREAM_FAILED + CAUSES)
            .unwrap_or_default()
    }
}

/// A cause by its name, which may be one that this program doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseName(pub Text);

impl CauseName {
    /// The cause, where this program knows it.
    pub fn cause(&self) -> Option<Cause> {
        Cause::from_name(core::str::from_utf8(&self.0).ok()?)
    }
}

/// Tunnels that ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closes {
    /// The side; `None` is nginx.
    pub by: Option<Side>,
    /// The name of the [`Reason`](websocket_protocol::tunnel::Reason).
    pub reason: Text,
    /// The code of the first Close.
    pub code: Code,
    /// How many.
    pub count: u64,
}

/// A Close's status code, as far as codes are told apart: what a client may send as it likes is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// There was no Close, or none with a code.
    None,
    /// One that RFC 6455 and IANA's registry define: 1000 to 1015.
    Defined(u16),
    /// 3000 to 3999: for libraries and frameworks.
    Registered,
    /// 4000 to 4999: for applications.
    Private,
    /// Any other.
    Other,
}

impl Code {
    /// What a code counts as.
    pub const fn of(code: Option<u16>) -> Self {
        match code {
            None => Self::None,
            Some(code @ 1000..=1015) => Self::Defined(code),
            Some(3000..=3999) => Self::Registered,
            Some(4000..=4999) => Self::Private,
            Some(_) => Self::Other,
        }
    }

    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Defined(code) => code as u64,
            Self::Registered => 3000,
            Self::Private => 4000,
            Self::Other => 1,
        }
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::None,
            1000..=1015 => Self::Defined(number as u16),
            3000 => Self::Registered,
            4000 => Self::Private,
            _ => Self::Other,
        }
    }
}

impl<'m> Zone<'m> {
    /// A way to end, as it is kept: never 0.
    pub(crate) fn close_key(by: Option<Side>, reason: usize, code: Code) -> u64 {
        (1 << 48) | (side_number(by) << 40) | ((reason as u64) << 16) | code.number()
    }

    pub(crate) fn create_closes(&self) {
        let unknown = Self::close_key(None, crate::names::OTHER, Code::Other);
        self.section(self.layout.closes).set(0, unknown);
    }

    /// The id of a way to end; what there is no room for is the first.
    pub(crate) fn close_id(&self, key: u64) -> usize {
        let closes = self.section(self.layout.closes);
        (0..self.layout.closes.count)
            .find(|&id| closes.get(id) == key || closes.claim(id, key) || closes.get(id) == key)
            .unwrap_or(0)
    }

    fn close(&self, id: usize, count: u64) -> Closes {
        let key = self.section(self.layout.closes).get(id);
        Closes {
            by: side_of(key >> 40 & 0xFF),
            reason: self
                .reasons()
                .get((key >> 16 & 0xFF_FFFF) as usize)
                .unwrap_or_default(),
            code: Code::from_number(key & 0xFFFF),
            count,
        }
    }

    pub(crate) fn cause_name(&self, id: usize) -> CauseName {
        CauseName(self.causes().get(id).unwrap_or_default())
    }
}

pub(crate) const fn side_number(side: Option<Side>) -> u64 {
    match side {
        None => 0,
        Some(Side::Client) => 1,
        Some(Side::Upstream) => 2,
    }
}

pub(crate) const fn side_of(number: u64) -> Option<Side> {
    match number {
        1 => Some(Side::Client),
        2 => Some(Side::Upstream),
        _ => None,
    }
}

/// A block is read while its worker goes on: its end may be seen before its beginning.
fn active(block: &[u64]) -> u64 {
    let get = |at: usize| block.get(at).copied().unwrap_or_default();
    let begun = get(ESTABLISHED).wrapping_add(get(ADOPTED));
    begun.saturating_sub(get(ENDED).wrapping_add(get(LOST)))
}

/// Tunnels that a worker has had: those that have begun there and those that it has taken over.
pub(crate) fn had(block: Words<'_>) -> u64 {
    block.get(ESTABLISHED).wrapping_add(block.get(ADOPTED))
}

/// How many of a label's have ended, as far as their closes tell, which are counted first: a worker may be killed between
/// the two.
pub(crate) fn over(block: Words<'_>) -> u64 {
    let closes = (CLOSED..CLOSED + CLOSES).map(|close| block.get(close));
    closes.fold(block.get(DEPARTED), u64::wrapping_add)
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
}

/// Names that are in the table twice are one.
fn by_cause<'a>(zone: Zone<'a>, counts: &'a [u64]) -> impl Iterator<Item = (CauseName, u64)> + 'a {
    let names = zone.causes();
    let counted = counts.iter().enumerate().filter(|(_, count)| **count != 0);
    let of = move |id: usize| {
        let same = counted
            .clone()
            .filter(|(other, _)| names.first(*other) == id);
        same.fold(0u64, |sum, (_, count)| sum.wrapping_add(*count))
    };
    (0..counts.len())
        .filter(move |id| names.get(*id).is_some() && names.first(*id) == *id)
        .map(move |id| (zone.cause_name(id), of(id)))
        .filter(|(_, count)| *count != 0)
}
