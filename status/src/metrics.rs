//! Prometheus' text format 0.0.4, and OpenMetrics 1.0, one sample or a few at a time.

use core::fmt::{self, Write};

use websocket_zone::{Label, Upstream, Zone};

use crate::about::{About, Whole};
use crate::families::{FAMILIES, Family, Of};
use crate::items::is_used;
use crate::out::Out;
use crate::samples::Samples;
use crate::show::Name;
use crate::source::{Budget, Source};

/// An answer that is being made.
pub struct Metrics<'m> {
    zone: Zone<'m>,
    nginx: &'static str,
    is_open: bool,
    families: core::slice::Iter<'static, Family>,
    /// The family whose samples are being written, and of what name the next ones are.
    within: Option<(&'static Family, usize)>,
    is_over: bool,
}

impl<'m> Metrics<'m> {
    /// `is_open`: OpenMetrics.
    pub fn new(zone: Zone<'m>, about: About<'_>, is_open: bool) -> Self {
        Self {
            zone,
            nginx: about.nginx,
            is_open,
            families: FAMILIES.iter(),
            within: None,
            is_over: false,
        }
    }

    fn step(&mut self, budget: &mut Budget) -> Option<What<'m>> {
        let zone = self.zone;
        let Some((family, index)) = self.within else {
            let Some(family) = self.families.next() else {
                self.is_over = true;
                return self.is_open.then_some(What::End);
            };
            self.within = Some((family, 0));
            return Some(What::Head(family));
        };
        self.within = Some((family, index + 1));
        let (count, sample) = match family.of {
            Of::Zone(_) => {
                let whole = Whole::of(&zone, zone.peak());
                (1, Some(What::Zone(family, whole, self.nginx)))
            }
            Of::Label(_) => {
                let label = zone.label(index);
                budget.sum(&zone, label.is_some());
                let label = label.filter(|label| is_used(index, label));
                let sample = label.map(|label| What::Label(family, index, label));
                (zone.labels(), sample)
            }
            Of::Upstream(_) => {
                let upstream = zone.upstream(index);
                budget.sum(&zone, upstream.is_some());
                let upstream = upstream.filter(|upstream| is_used(index, upstream));
                let sample = upstream.map(|upstream| What::Upstream(family, index, upstream));
                (zone.upstreams(), sample)
            }
        };
        if index + 1 >= count {
            self.within = None;
        }
        sample
    }
}

/// What is written at a time.
pub struct Sample<'m> {
    what: What<'m>,
    is_open: bool,
}

// There is one at a time, in its place.
#[allow(clippy::large_enum_variant)]
enum What<'m> {
    Head(&'static Family),
    Zone(&'static Family, Whole, &'static str),
    Label(&'static Family, usize, Label<'m>),
    Upstream(&'static Family, usize, Upstream<'m>),
    /// OpenMetrics has one.
    End,
}

impl<'m> Source for Metrics<'m> {
    type Item = Sample<'m>;

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn next(&mut self, budget: &mut Budget, _now: u64) -> Option<Self::Item> {
        let what = self.step(budget)?;
        let is_open = self.is_open;
        Some(Sample { what, is_open })
    }

    fn write(sample: &Self::Item, out: &mut Out<'_>) -> fmt::Result {
        let is_open = sample.is_open;
        match &sample.what {
            What::Head(family) => head(out, family, is_open),
            What::Zone(family, whole, nginx) => match family.of {
                Of::Zone(write) => write(&mut samples(out, family, is_open, None), whole, nginx),
                _ => Ok(()),
            },
            What::Label(family, index, label) => match family.of {
                Of::Label(write) => {
                    let name = ("label", Name(&label.name, *index));
                    write(
                        &mut samples(out, family, is_open, Some(name)),
                        &label.counters,
                    )
                }
                _ => Ok(()),
            },
            What::Upstream(family, index, upstream) => match family.of {
                Of::Upstream(write) => {
                    let name = ("upstream", Name(&upstream.address, *index));
                    write(
                        &mut samples(out, family, is_open, Some(name)),
                        &upstream.counters,
                    )
                }
                _ => Ok(()),
            },
            What::End => out.write_str("# EOF\n"),
        }
    }
}

fn samples<'o, 'b>(
    out: &'o mut Out<'b>,
    family: &Family,
    is_open: bool,
    name: Option<(&'static str, Name<'o>)>,
) -> Samples<'o, 'b> {
    Samples {
        out,
        family: family.name,
        kind: family.kind,
        is_open,
        name,
    }
}

fn head(out: &mut Out<'_>, family: &Family, is_open: bool) -> fmt::Result {
    let Family {
        name, kind, help, ..
    } = family;
    // The old format names a family by its samples.
    let suffix = if is_open { "" } else { kind.suffix() };
    let kind = kind.name(is_open);
    writeln!(
        out,
        "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}"
    )
}
