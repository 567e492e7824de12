//! All that is known, as JSON, one item at a time.

use core::fmt;
use core::mem;
use core::ops::Range;

use websocket_zone::{Counters, Facts, Zone};

use crate::about::{About, CauseSet, Whole};
use crate::ask::Ask;
use crate::items::{Item, is_used};
use crate::order::{Entry, Order};
use crate::out::Out;
use crate::source::{Budget, Source};

/// An answer that is being made.
pub struct Report<'m> {
    zone: Zone<'m>,
    ask: Ask,
    about: About<'m>,
    at: At,
    totals: Counters<'m>,
    causes: CauseSet,
    order: Order<'m>,
    matched: u64,
    /// There is an element of the list before the next one.
    follows: bool,
}

/// What comes next.
#[derive(Clone)]
enum At {
    Totals(Range<usize>),
    Head,
    Labels(Range<usize>),
    Upstreams(Range<usize>),
    Causes(CauseSet),
    Failures(Range<u64>),
    Ends(Range<u64>),
    Scan(Range<usize>),
    Sort,
    List(Range<usize>),
    Over,
}

impl<'m> Report<'m> {
    /// `room` is for as many entries as [`Ask::room`] says.
    pub fn new(zone: Zone<'m>, ask: Ask, about: About<'m>, room: &'m mut [Entry]) -> Self {
        Self {
            zone,
            ask,
            about,
            at: At::Totals(0..zone.blocks()),
            totals: zone.no_counters(),
            causes: CauseSet::default(),
            order: Order::new(room),
            matched: 0,
            follows: false,
        }
    }

    fn step(&mut self, budget: &mut Budget, now: u64) -> Option<Item<'m>> {
        let zone = self.zone;
        let (next, item) = match self.at.clone() {
            At::Totals(mut left) => match left.next() {
                Some(index) => {
                    match zone.add_block(index, &mut self.totals) {
                        true => budget.block(),
                        false => budget.place(),
                    }
                    (At::Totals(left), None)
                }
                None => (At::Head, None),
            },
            At::Head => {
                let totals = mem::replace(&mut self.totals, zone.no_counters());
                self.causes.add(totals.rejected().chain(totals.failed()));
                let whole = Whole::of(&zone, zone.peak_with(totals.active()));
                let head = Item::Head(whole, self.about, totals);
                (At::Labels(0..zone.labels()), Some(head))
            }
            At::Labels(mut left) => match left.next() {
                Some(index) => {
                    let label = zone.label(index);
                    budget.sum(&zone, label.is_some());
                    let label = label.filter(|label| is_used(index, label));
                    let item = label.map(|label| Item::Label(index, label));
                    (At::Labels(left), item)
                }
                None => (
                    At::Upstreams(0..zone.upstreams()),
                    Some(Item::Between("],\"upstreams\":[")),
                ),
            },
            At::Upstreams(mut left) => match left.next() {
                Some(index) => {
                    let upstream = zone.upstream(index);
                    budget.sum(&zone, upstream.is_some());
                    let upstream = upstream.filter(|upstream| is_used(index, upstream));
                    let item = upstream.map(|upstream| {
                        self.causes.add(upstream.counters.failed());
                        Item::Upstream(index, upstream)
                    });
                    (At::Upstreams(left), item)
                }
                None => (
                    At::Causes(self.causes),
                    Some(Item::Between("],\"causes\":{")),
                ),
            },
            At::Causes(mut left) => match left.pop() {
                Some(cause) => (At::Causes(left), Some(Item::Cause(cause))),
                None => (
                    At::Failures(newest(zone.failures(), self.ask.failures)),
                    Some(Item::Between("},\"failures\":[")),
                ),
            },
            At::Failures(mut left) => match left.next_back() {
                Some(number) => {
                    budget.record();
                    let failure = zone.failure(number);
                    let item = failure.map(|failure| Item::Failure(zone, number, failure));
                    (At::Failures(left), item)
                }
                None => (
                    At::Ends(newest(zone.ends(), self.ask.ends)),
                    Some(Item::Between("],\"ends\":[")),
                ),
            },
            At::Ends(mut left) => match left.next_back() {
                Some(number) => {
                    budget.record();
                    let item = zone.end(number).map(|end| Item::End(zone, number, end));
                    (At::Ends(left), item)
                }
                None if self.ask.tunnels == 0 => (At::Sort, None),
                None => (At::Scan(0..zone.tunnels()), None),
            },
            At::Scan(mut left) => match left.next() {
                Some(index) => {
                    self.look_at(index, budget, now);
                    (At::Scan(left), None)
                }
                None => (At::Sort, None),
            },
            At::Sort => {
                budget.record();
                if self.order.sort() {
                    let last = self.ask.offset.saturating_add(self.ask.tunnels);
                    let head = Item::Tunnels {
                        matched: self.matched,
                        offset: self.ask.offset,
                        sort: self.ask.sort.name(),
                    };
                    (At::List(self.ask.offset..last), Some(head))
                } else {
                    (At::Sort, None)
                }
            }
            At::List(mut left) => {
                budget.record();
                match left.next().and_then(|rank| self.order.get(rank)) {
                    Some(Entry { id, index, .. }) => {
                        // It may have ended meanwhile.
                        let tunnel = zone.tunnel(index);
                        let tunnel = tunnel.filter(|tunnel| tunnel.numbers.id == id);
                        let item = tunnel.map(|tunnel| Item::Tunnel(zone, tunnel, now));
                        (At::List(left), item)
                    }
                    None => (At::Over, Some(Item::Foot)),
                }
            }
            At::Over => (At::Over, None),
        };
        self.at = next;
        item
    }

    /// Notes the tunnel at an index, if it is one of those that are asked for.
    fn look_at(&mut self, index: usize, budget: &mut Budget, now: u64) {
        let which = &self.ask.which;
        let Some(numbers) = self.zone.tunnel_numbers(index) else {
            budget.place();
            return;
        };
        budget.record();
        let is_meant = if which.client.is_some() || which.upstream.is_some() {
            let tunnel = self.zone.tunnel(index);
            tunnel.is_some_and(|tunnel| which.means(&self.zone, &tunnel.facts(), now))
        } else {
            let facts = Facts {
                id: numbers.id,
                label: numbers.label,
                client: b"",
                upstream: b"",
                subprotocol: b"",
                begun_at: numbers.begun_at,
                moved_at: numbers.moved_at,
            };
            which.means(&self.zone, &facts, now)
        };
        if is_meant {
            self.matched += 1;
            self.order.offer(Entry {
                key: self.ask.sort.key(&numbers),
                id: numbers.id,
                index,
            });
        }
    }
}

impl<'m> Source for Report<'m> {
    /// With whether it follows another one in its list.
    type Item = (Item<'m>, bool);

    fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }

    fn next(&mut self, budget: &mut Budget, now: u64) -> Option<Self::Item> {
        let item = self.step(budget, now)?;
        let follows = mem::replace(&mut self.follows, item.is_listed());
        Some((item, follows))
    }

    fn write((item, follows): &Self::Item, out: &mut Out<'_>) -> fmt::Result {
        item.write(out, *follows)
    }
}

fn newest(all: Range<u64>, count: u64) -> Range<u64> {
    all.start.max(all.end.saturating_sub(count))..all.end
}
