//! An answer that is made in pieces.

use core::fmt;

use crate::metrics::Metrics;
use crate::out::Out;
use crate::page::PAGE;
use crate::report::Report;
use crate::source::Pieces;

/// What is being answered, and how far it is.
pub struct Answer<'m>(What<'m>);

// One of each request, in memory of its own.
#[allow(clippy::large_enum_variant)]
enum What<'m> {
    /// The page, of which so much is out.
    Page(usize),
    Report(Pieces<Report<'m>>),
    Metrics(Pieces<Metrics<'m>>),
}

/// What has become of room that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Bytes that are written, from its beginning. There may be none, and more to come.
    pub length: usize,
    /// That was all.
    pub is_last: bool,
}

impl<'m> Answer<'m> {
    /// The page.
    pub fn page() -> Self {
        Self(What::Page(0))
    }

    /// JSON.
    pub fn report(report: Report<'m>) -> Self {
        Self(What::Report(Pieces::new(report)))
    }

    /// Metrics.
    pub fn metrics(metrics: Metrics<'m>) -> Self {
        Self(What::Metrics(Pieces::new(metrics)))
    }

    /// Goes on, as far as there is room, but not for long: whoever calls it has others to serve. `now` is
    /// the time on the clock that never goes back, milliseconds.
    pub fn fill(&mut self, room: &mut [u8], now: u64) -> Filled {
        let mut out = Out::new(room);
        let is_last = match &mut self.0 {
            What::Page(written) => out.go_on(written, |out| fmt::Write::write_str(out, PAGE)),
            What::Report(report) => report.go_on(&mut out, now),
            What::Metrics(metrics) => metrics.go_on(&mut out, now),
        };
        Filled {
            length: out.length(),
            is_last,
        }
    }
}
