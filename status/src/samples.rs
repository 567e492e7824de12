//! Samples of Prometheus' text format 0.0.4 and of OpenMetrics 1.0.

use core::fmt::{self, Display, Write};

use websocket_protocol::tunnel::Side;
use websocket_zone::{Code, Counters, Histogram, Kind, Text};

use crate::out::Out;
use crate::show::{Name, Seconds, Shown, ShownCode, side};

/// What kind of metrics a family has.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Type {
    /// As the format calls it.
    pub const fn name(self, is_open: bool) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info if is_open => "info",
            Self::Gauge | Self::Info => "gauge",
        }
    }

    /// What is behind the family's name in its samples.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// Writes the samples of a family, for one name.
pub(crate) struct Samples<'o, 'b> {
    pub out: &'o mut Out<'b>,
    /// The family's name and type.
    pub family: &'static str,
    pub kind: Type,
    /// OpenMetrics.
    pub is_open: bool,
    /// What they are of.
    pub name: Option<(&'static str, Name<'o>)>,
}

/// What a label of a sample says.
#[derive(Clone, Copy)]
pub(crate) enum Value<'v> {
    Str(&'v str),
    Text(&'v Text),
    Side(Option<Side>),
    Code(Code),
    /// Milliseconds; `None` for no bound.
    Bound(Option<u64>),
}

impl Samples<'_, '_> {
    /// One sample, with labels of its own.
    pub fn add(&mut self, labels: &[(&str, Value<'_>)], value: impl Display) -> fmt::Result {
        self.sample(self.kind.suffix(), labels, value)
    }

    /// The samples of a histogram.
    pub fn histogram(&mut self, counters: &Counters<'_>, kind: Kind) -> fmt::Result {
        let histogram: Histogram = counters.histogram(kind);
        let bounds = kind.bounds_ms().iter().map(|bound| Some(*bound));
        let mut below = 0u64;
        for (bound, count) in bounds.chain([None]).zip(histogram.buckets) {
            below = below.wrapping_add(count);
            self.sample("_bucket", &[("le", Value::Bound(bound))], below)?;
        }
        self.sample("_sum", &[], Seconds(histogram.sum_ms))?;
        self.sample("_count", &[], histogram.count())
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: &[(&str, Value<'_>)],
        value: impl Display,
    ) -> fmt::Result {
        write!(self.out, "{}{suffix}", self.family)?;
        let mut bracket = "{";
        if let Some((key, name)) = &self.name {
            write!(self.out, "{bracket}{key}=\"")?;
            write!(Escape(self.out), "{name}")?;
            self.out.write_str("\"")?;
            bracket = ",";
        }
        for (key, value) in labels {
            write!(self.out, "{bracket}{key}=\"")?;
            self.label(*value)?;
            self.out.write_str("\"")?;
            bracket = ",";
        }
        let end = if bracket == "," { "} " } else { " " };
        writeln!(self.out, "{end}{value}")
    }

    fn label(&mut self, value: Value<'_>) -> fmt::Result {
        let out = &mut Escape(self.out);
        match value {
            Value::Str(text) => out.write_str(text),
            Value::Text(text) => write!(out, "{}", Shown(text)),
            Value::Side(by) => out.write_str(side(by)),
            Value::Code(code) => write!(out, "{}", ShownCode(code)),
            Value::Bound(None) => out.write_str("+Inf"),
            Value::Bound(Some(ms)) => {
                // OpenMetrics wants to see that it is no whole number by nature.
                let point = if self.is_open && ms % 1000 == 0 {
                    ".0"
                } else {
                    ""
                };
                write!(out, "{}{point}", Seconds(ms))
            }
        }
    }
}

/// What stands between quotes. Other control characters are allowed there, but some readers take them for
/// the end of a line.
struct Escape<'o, 'b>(&'o mut Out<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Self(out) = self;
        for piece in text.split_inclusive(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
            let last = piece.chars().next_back().unwrap_or_default();
            let plain = piece.strip_suffix(last).unwrap_or(piece);
            match last {
                '\n' => write!(out, "{plain}\\n")?,
                '"' => write!(out, "{plain}\\\"")?,
                '\\' => write!(out, "{plain}\\\\")?,
                c if c.is_control() => write!(out, "{plain}\\\\x{:02X}", u32::from(c))?,
                _ => out.write_str(piece)?,
            }
        }
        Ok(())
    }
}
