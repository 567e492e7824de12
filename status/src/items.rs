//! What the JSON is made of: each item is a copy of what was seen, and is written as often as it takes to
//! have all of it out.

use core::fmt;

use websocket_protocol::tunnel::Count;
use websocket_protocol::{Cause, Chosen};
use websocket_zone::{
    CauseName, Counters, Ended, Failure, Histogram, Kind, Label, Text, Tunnel, Upstream, Who, Zone,
};

use crate::about::{About, VERSION, Whole};
use crate::json::Json;
use crate::out::Out;
use crate::show::{Name, Seconds, Shown, ShownCode, side};

// There is one at a time, in its place.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Item<'m> {
    Head(Whole, About<'m>, Counters<'m>),
    /// The end of a list, and the beginning of the next.
    Between(&'static str),
    Label(usize, Label<'m>),
    Upstream(usize, Upstream<'m>),
    Cause(Cause),
    /// With its number.
    Failure(Zone<'m>, u64, Failure),
    End(Zone<'m>, u64, Ended),
    Tunnels {
        matched: u64,
        offset: usize,
        sort: &'static str,
    },
    /// With the time at which it was looked at.
    Tunnel(Zone<'m>, Tunnel, u64),
    Foot,
}

impl Item<'_> {
    /// Whether it is an element of a list.
    pub fn is_listed(&self) -> bool {
        !matches!(
            self,
            Self::Head(..) | Self::Between(_) | Self::Tunnels { .. } | Self::Foot
        )
    }

    /// `follows`: it is not the first of its list.
    pub fn write(&self, out: &mut Out<'_>, follows: bool) -> fmt::Result {
        let json = &mut Json::new(out, follows);
        match self {
            Self::Head(whole, about, totals) => head(json, whole, about, totals),
            Self::Between(text) => json.raw(text),
            Self::Label(index, label) => {
                json.open("{")?;
                json.text_at("label", Name(&label.name, *index))?;
                json.key("counters")?;
                counters(json, &label.counters)?;
                json.close("}")
            }
            Self::Upstream(index, upstream) => self::upstream(json, *index, upstream),
            Self::Cause(cause) => self::cause(json, *cause),
            Self::Failure(zone, number, failure) => self::failure(json, zone, *number, failure),
            Self::End(zone, number, end) => self::end(json, zone, *number, end),
            Self::Tunnels {
                matched,
                offset,
                sort,
            } => {
                json.raw("],\"tunnels\":{")?;
                json.number("matched", matched)?;
                json.number("offset", offset)?;
                json.text_at("sort", sort)?;
                json.key("list")?;
                json.open("[")
            }
            Self::Tunnel(zone, tunnel, now) => self::tunnel(json, zone, tunnel, *now),
            Self::Foot => json.raw("]}}\n"),
        }
    }
}

/// Something that was counted for a name.
pub(crate) trait Counted {
    fn is_nothing(&self) -> bool;
}

impl Counted for Label<'_> {
    fn is_nothing(&self) -> bool {
        let counters = &self.counters;
        counters.attempts() == 0
            && counters.established() == 0
            && counters.rejected_total() == 0
            && counters.failed_total() == 0
    }
}

impl Counted for Upstream<'_> {
    fn is_nothing(&self) -> bool {
        self.counters.established() == 0 && self.counters.failed_total() == 0
    }
}

/// The first name is for what there is no room for, and shown only where that has happened.
pub(crate) fn is_used(index: usize, of: &impl Counted) -> bool {
    index > 0 || !of.is_nothing()
}

fn head(
    json: &mut Json<'_, '_>,
    whole: &Whole,
    about: &About<'_>,
    totals: &Counters<'_>,
) -> fmt::Result {
    json.open("{")?;
    json.number("version", 1)?;
    json.seconds("time", about.time)?;
    json.text_at("nginx", about.nginx)?;
    json.text_at("module", VERSION)?;
    json.key("control")?;
    match about.control {
        Some(path) => json.text(Shown(&Text::new(path)))?,
        None => json.value("null")?,
    }
    json.key("zone")?;
    json.open("{")?;
    json.text_at("name", Shown(&whole.name))?;
    json.seconds("since", whole.started)?;
    json.number("workers", whole.workers)?;
    json.number("peak", whole.peak)?;
    json.number("buffers_lent", whole.buffers_lent)?;
    json.number("room", whole.room)?;
    json.close("}")?;
    json.key("totals")?;
    counters(json, totals)?;
    json.key("labels")?;
    json.open("[")
}

fn counters(json: &mut Json<'_, '_>, counters: &Counters<'_>) -> fmt::Result {
    json.open("{")?;
    json.number("attempts", counters.attempts())?;
    json.number("established", counters.established())?;
    json.number("active", counters.active())?;
    json.key("rejected")?;
    by_cause(json, counters.rejected_total(), counters.rejected())?;
    json.key("failed")?;
    by_cause(json, counters.failed_total(), counters.failed())?;
    json.key("closes")?;
    json.open("[")?;
    for closes in counters.closes() {
        json.open("{")?;
        json.text_at("by", side(closes.by))?;
        json.text_at("reason", Shown(&closes.reason))?;
        json.text_at("code", ShownCode(closes.code))?;
        json.number("count", closes.count)?;
        json.close("}")?;
    }
    json.close("]")?;
    traffic(json, "from_client", counters.from_client())?;
    traffic(json, "from_upstream", counters.from_upstream())?;
    json.number("pings_sent", counters.pings_sent())?;
    json.number("pings_lost", counters.pings_lost())?;
    json.number("drained", counters.drained())?;
    json.number("own_loop", counters.own_loop())?;
    json.number("unlisted", counters.unlisted())?;
    for (key, kind) in [
        ("handshake", Kind::Handshake),
        ("duration", Kind::Duration),
        ("rtt", Kind::PingRtt),
    ] {
        json.key(key)?;
        histogram(json, kind, &counters.histogram(kind))?;
    }
    json.close("}")
}

fn histogram(json: &mut Json<'_, '_>, kind: Kind, histogram: &Histogram) -> fmt::Result {
    json.open("{")?;
    json.key("bounds")?;
    json.open("[")?;
    for bound in kind.bounds_ms() {
        json.value(Seconds(*bound))?;
    }
    json.close("]")?;
    json.key("counts")?;
    json.open("[")?;
    for count in histogram.buckets {
        json.value(count)?;
    }
    json.close("]")?;
    json.seconds("sum", histogram.sum_ms)?;
    json.number("count", histogram.count())?;
    json.close("}")
}

fn by_cause(
    json: &mut Json<'_, '_>,
    total: u64,
    causes: impl Iterator<Item = (CauseName, u64)>,
) -> fmt::Result {
    json.open("{")?;
    json.number("total", total)?;
    json.key("causes")?;
    json.open("{")?;
    for (CauseName(name), count) in causes {
        json.key_of(Shown(&name))?;
        json.value(count)?;
    }
    json.close("}")?;
    json.close("}")
}

fn traffic(json: &mut Json<'_, '_>, key: &str, count: Count) -> fmt::Result {
    json.key(key)?;
    json.open("{")?;
    json.number("bytes", count.bytes)?;
    json.number("frames", count.frames)?;
    json.number("messages", count.messages)?;
    json.close("}")
}

fn upstream(json: &mut Json<'_, '_>, index: usize, upstream: &Upstream<'_>) -> fmt::Result {
    let counters = &upstream.counters;
    json.open("{")?;
    json.text_at("upstream", Name(&upstream.address, index))?;
    json.number("active", counters.active())?;
    json.number("established", counters.established())?;
    json.key("failed")?;
    by_cause(json, counters.failed_total(), counters.failed())?;
    json.close("}")
}

fn cause(json: &mut Json<'_, '_>, cause: Cause) -> fmt::Result {
    json.key(cause.name())?;
    json.open("{")?;
    json.text_at("fault", cause.fault())?;
    json.text_at("meaning", cause.meaning())?;
    json.text_at("advice", cause.advice())?;
    json.close("}")
}

fn failure(
    json: &mut Json<'_, '_>,
    zone: &Zone<'_>,
    number: u64,
    failure: &Failure,
) -> fmt::Result {
    json.open("{")?;
    json.number("number", number)?;
    json.seconds("time", failure.time)?;
    place(json, zone, failure.label, &failure.who)?;
    json.text_at("cause", Shown(&failure.cause.0))?;
    json.number("rejected", failure.is_rejected)?;
    json.text_at("seen", Shown(&failure.seen))?;
    json.key("advice")?;
    let of_cause = || failure.cause.cause().map(|cause| cause.advice());
    match failure.advice.or_else(of_cause) {
        Some(advice) => json.text(advice)?,
        None => json.value("null")?,
    }
    json.close("}")
}

fn end(json: &mut Json<'_, '_>, zone: &Zone<'_>, number: u64, end: &Ended) -> fmt::Result {
    json.open("{")?;
    json.number("number", number)?;
    json.seconds("time", end.time)?;
    json.number("id", end.id)?;
    place(json, zone, end.label, &end.who)?;
    json.text_at("upstream", Shown(&end.upstream))?;
    subprotocol(json, &end.subprotocol)?;
    connection(json, &end.who)?;
    json.text_at("by", side(end.by))?;
    json.text_at("reason", Shown(&end.reason))?;
    json.key("code")?;
    json.maybe(end.code)?;
    json.seconds("duration", end.duration_ms)?;
    traffic(json, "from_client", end.from_client)?;
    traffic(json, "from_upstream", end.from_upstream)?;
    json.key("rtt")?;
    json.maybe(end.ping_rtt.map(|ms| Seconds(ms.into())))?;
    json.close("}")
}

fn tunnel(json: &mut Json<'_, '_>, zone: &Zone<'_>, tunnel: &Tunnel, now: u64) -> fmt::Result {
    let numbers = &tunnel.numbers;
    json.open("{")?;
    json.number("id", numbers.id)?;
    place(json, zone, numbers.label, &tunnel.who)?;
    json.text_at("upstream", Shown(&tunnel.upstream))?;
    subprotocol(json, &tunnel.subprotocol)?;
    connection(json, &tunnel.who)?;
    json.seconds("begun", numbers.begun)?;
    json.seconds("age", now.saturating_sub(numbers.begun_at))?;
    json.seconds("idle", now.saturating_sub(numbers.moved_at))?;
    traffic(json, "from_client", numbers.from_client)?;
    traffic(json, "from_upstream", numbers.from_upstream)?;
    json.key("rtt")?;
    json.maybe(numbers.rtt.map(|ms| Seconds(ms.into())))?;
    json.number("waiting_for_client", numbers.waiting_for_client)?;
    json.number("waiting_for_upstream", numbers.waiting_for_upstream)?;
    json.key("action")?;
    json.maybe(Some(numbers.action).filter(|action| *action != 0))?;
    json.number("own_loop", numbers.is_own_loop)?;
    json.close("}")
}

/// Where a handshake came from.
fn place(json: &mut Json<'_, '_>, zone: &Zone<'_>, label: u32, who: &Who) -> fmt::Result {
    let name = zone.label_name(label);
    json.text_at("label", Name(&name, label as usize))?;
    json.text_at("client", Shown(&who.client))?;
    json.text_at("server", Shown(&who.server))?;
    json.text_at("uri", Shown(&who.uri))
}

fn subprotocol(json: &mut Json<'_, '_>, subprotocol: &Text) -> fmt::Result {
    json.key("subprotocol")?;
    if subprotocol.is_empty() {
        return json.value("null");
    }
    if !Chosen(subprotocol).is_name() {
        return json.text("...");
    }
    json.text(Shown(subprotocol))
}

fn connection(json: &mut Json<'_, '_>, who: &Who) -> fmt::Result {
    let (major, minor) = who.http;
    json.number("tls", who.is_tls)?;
    json.key("http")?;
    // As they are written: HTTP/1.1, HTTP/2.
    match minor {
        0 if major > 1 => json.text(major),
        _ => json.text(format_args!("{major}.{minor}")),
    }
}
