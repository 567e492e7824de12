//! What a request asks for: the format, and which tunnels.

use websocket_zone::{Numbers, Which, Zone};

use crate::accept;
use crate::format::Format;
use crate::query::{Parameter, Wrong, find, parameters};
use crate::show::Name;

/// What a request is answered: by what the directive says, else the parameter `format`, else the header
/// `Accept`. The page asks its own address for the JSON that it shows.
pub fn format<'q>(
    fixed: Option<Format>,
    query: &'q [u8],
    accept: &[u8],
) -> Result<Format, Wrong<'q>> {
    let asked = find(query, "format");
    let asked = match asked {
        Some(parameter) => Some(parameter.parsed("html, json or prometheus", |text| {
            Some(match text {
                "html" => Format::Html,
                "json" => Format::Json,
                "prometheus" => Format::Prometheus,
                _ => return None,
            })
        })?),
        None => None,
    };
    let chosen = match (fixed, asked) {
        (Some(Format::Html), Some(Format::Json)) => Format::Json,
        (Some(chosen), _) | (None, Some(chosen)) => chosen,
        (None, None) => {
            let formats = [
                Format::Html,
                Format::Json,
                Format::Prometheus,
                Format::OpenMetrics,
            ];
            return Ok(accept::best(accept, &formats));
        }
    };
    Ok(match chosen {
        Format::Prometheus => accept::best(accept, &[Format::Prometheus, Format::OpenMetrics]),
        other => other,
    })
}

/// What tunnels are ordered by: the largest first, but for the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Id,
    Bytes,
    Messages,
    Age,
    Idle,
    Rtt,
    Waiting,
}

impl Sort {
    const ALL: [Self; 7] = [
        Self::Id,
        Self::Bytes,
        Self::Messages,
        Self::Age,
        Self::Idle,
        Self::Rtt,
        Self::Waiting,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Bytes => "bytes",
            Self::Messages => "messages",
            Self::Age => "age",
            Self::Idle => "idle",
            Self::Rtt => "rtt",
            Self::Waiting => "waiting",
        }
    }

    /// What is smaller comes first.
    pub fn key(self, tunnel: &Numbers) -> u64 {
        let (client, upstream) = (tunnel.from_client, tunnel.from_upstream);
        match self {
            Self::Id => tunnel.id,
            Self::Bytes => !client.bytes.wrapping_add(upstream.bytes),
            Self::Messages => !client.messages.wrapping_add(upstream.messages),
            Self::Age => tunnel.begun_at,
            Self::Idle => tunnel.moved_at,
            Self::Rtt => !tunnel.rtt.map_or(0, |rtt| u64::from(rtt) + 1),
            Self::Waiting => !tunnel
                .waiting_for_client
                .wrapping_add(tunnel.waiting_for_upstream),
        }
    }
}

/// What is to be in the JSON.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub(crate) tunnels: usize,
    pub(crate) offset: usize,
    pub(crate) sort: Sort,
    pub(crate) which: Which,
    /// How many of the last that failed, and that ended.
    pub(crate) failures: u64,
    pub(crate) ends: u64,
}

impl Ask {
    /// How many tunnels can be listed at a time, with those in front of them: what they are sorted in takes
    /// 24 bytes each.
    pub const MOST: usize = 100_000;

    const TUNNELS: usize = 100;

    /// Reads a query. Parameters that are not known change nothing.
    pub fn parse<'q>(zone: &Zone<'_>, query: &'q [u8]) -> Result<Self, Wrong<'q>> {
        let mut ask = Self {
            tunnels: Self::TUNNELS,
            offset: 0,
            sort: Sort::Id,
            which: Which::default(),
            failures: u64::MAX,
            ends: u64::MAX,
        };
        for parameter in parameters(query) {
            match parameter.name {
                b"tunnels" => ask.tunnels = count(&parameter)?,
                b"offset" => ask.offset = count(&parameter)?,
                b"failures" => ask.failures = parameter.number()?,
                b"ends" => ask.ends = parameter.number()?,
                b"sort" => ask.sort = sort(&parameter)?,
                b"client" => ask.which.client = Some(parameter.cidr()?),
                b"label" => ask.which.label = Some(label(zone, &parameter)?),
                b"upstream" => ask.which.upstream = Some(parameter.text()?),
                _ => {}
            }
            if ask.tunnels + ask.offset > Self::MOST {
                return Err(
                    parameter.wrong("less: at most 100000 with tunnels and offset together")
                );
            }
        }
        Ok(ask)
    }

    /// How many [entries](crate::Entry) sorting takes.
    pub fn room(&self, zone: &Zone<'_>) -> usize {
        match self.tunnels {
            0 => 0,
            tunnels => (tunnels + self.offset).min(zone.tunnels()),
        }
    }
}

fn count<'q>(parameter: &Parameter<'q>) -> Result<usize, Wrong<'q>> {
    let number = parameter.number()?;
    usize::try_from(number)
        .ok()
        .filter(|count| *count <= Ask::MOST)
        .ok_or(parameter.wrong("at most 100000"))
}

fn sort<'q>(parameter: &Parameter<'q>) -> Result<Sort, Wrong<'q>> {
    let expected = "id, bytes, messages, age, idle, rtt or waiting";
    parameter.parsed(expected, |text| {
        Sort::ALL.into_iter().find(|sort| sort.name() == text)
    })
}

/// The label of a text, as it was configured or as it is shown where it was too long; one that no tunnel has where nothing was
/// counted for it.
pub(crate) fn label<'q>(zone: &Zone<'_>, parameter: &Parameter<'q>) -> Result<u32, Wrong<'q>> {
    let text = parameter.text()?;
    let shown = || {
        let is_shown = |index: &usize| {
            let name = zone.label_name(*index as u32);
            name.is_cut() && Name(&name, *index).is_shown_as(&text)
        };
        let index = (0..zone.labels()).find(is_shown)?;
        u32::try_from(index).ok()
    };
    Ok(zone.find_label(&text).or_else(shown).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directive_decides_then_the_parameter_then_accept() {
        use Format::{Html, Json, OpenMetrics, Prometheus};
        let om = "application/openmetrics-text";
        for (fixed, query, accept, expected) in [
            (None, "", "", Html),
            (None, "", "application/json", Json),
            (None, "format=prometheus", "application/json", Prometheus),
            (None, "format=html", "application/json", Html),
            (None, "format=prometheus", om, OpenMetrics),
            (Some(Json), "", "text/html", Json),
            (Some(Json), "format=html", "", Json),
            (Some(Prometheus), "format=json", "", Prometheus),
            (Some(Prometheus), "", om, OpenMetrics),
            (Some(Html), "", "application/json", Html),
            (Some(Html), "format=json", "", Json),
            (Some(Html), "format=prometheus", "", Html),
        ] {
            let is = format(fixed, query.as_bytes(), accept.as_bytes());
            assert_eq!(is, Ok(expected), "{fixed:?} {query} {accept}");
        }
        let wrong = super::format(None, b"format=xml", b"").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "format \"xml\" must be html, json or prometheus"
        );
    }
}
