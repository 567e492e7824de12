//! The metrics: what each is called and what it says.

use core::fmt;

use websocket_zone::{CauseName, Counters, Kind, UpstreamCounters};

use crate::about::{VERSION, Whole};
use crate::samples::{Samples, Type, Value};
use crate::show::Seconds;

/// A metric family.
pub(crate) struct Family {
    /// Without what the type puts behind it.
    pub name: &'static str,
    pub kind: Type,
    pub help: &'static str,
    pub of: Of,
}

/// What it has samples for.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    /// All of it, once; with nginx's version.
    Zone(fn(&mut Samples<'_, '_>, &Whole, &str) -> fmt::Result),
    Label(fn(&mut Samples<'_, '_>, &Counters<'_>) -> fmt::Result),
    Upstream(fn(&mut Samples<'_, '_>, &UpstreamCounters<'_>) -> fmt::Result),
}

const fn family(name: &'static str, kind: Type, help: &'static str, of: Of) -> Family {
    Family {
        name,
        kind,
        help,
        of,
    }
}

use Of::{Label, Upstream};
use Type::{Counter, Gauge, Histogram, Info};

pub(crate) static FAMILIES: [Family; 25] = [
    family(
        "nginx_websocket_build",
        Info,
        "The versions of the module and of nginx.",
        Of::Zone(|samples, _, nginx| {
            let versions = [
                ("version", Value::Str(VERSION)),
                ("nginx", Value::Str(nginx)),
            ];
            samples.add(&versions, 1)
        }),
    ),
    family(
        "nginx_websocket_start_time_seconds",
        Gauge,
        "When counting began, in seconds since 1970.",
        Of::Zone(|samples, whole, _| samples.add(&[], Seconds(whole.started))),
    ),
    family(
        "nginx_websocket_workers",
        Gauge,
        "Worker processes that count.",
        Of::Zone(|samples, whole, _| samples.add(&[], whole.workers)),
    ),
    family(
        "nginx_websocket_buffers_lent",
        Gauge,
        "Buffers in which bytes of tunnels wait.",
        Of::Zone(|samples, whole, _| samples.add(&[], whole.buffers_lent)),
    ),
    family(
        "nginx_websocket_tunnels_peak",
        Gauge,
        "The most tunnels that there were at once since counting began, as seen four times a second.",
        Of::Zone(|samples, whole, _| samples.add(&[], whole.peak)),
    ),
    family(
        "nginx_websocket_tunnels",
        Gauge,
        "Tunnels that there are now.",
        Label(|samples, counters| samples.add(&[], counters.active())),
    ),
    family(
        "nginx_websocket_handshakes",
        Counter,
        "Requests that asked for a WebSocket.",
        Label(|samples, counters| samples.add(&[], counters.attempts())),
    ),
    family(
        "nginx_websocket_handshakes_established",
        Counter,
        "Handshakes that succeeded.",
        Label(|samples, counters| samples.add(&[], counters.established())),
    ),
    family(
        "nginx_websocket_handshakes_rejected",
        Counter,
        "Handshakes that nginx answered with an error without asking an upstream, by cause.",
        Label(|samples, counters| by_cause(samples, counters.rejected())),
    ),
    family(
        "nginx_websocket_handshakes_failed",
        Counter,
        "Other handshakes that failed, by cause.",
        Label(|samples, counters| by_cause(samples, counters.failed())),
    ),
    family(
        "nginx_websocket_handshake_duration_seconds",
        Histogram,
        "From the request's first byte to the 101.",
        Label(|samples, counters| samples.histogram(counters, Kind::Handshake)),
    ),
    family(
        "nginx_websocket_tunnels_closed",
        Counter,
        "Tunnels that have ended, by the side that ended them, the reason and the code of the first Close frame.",
        Label(|samples, counters| {
            counters.closes().try_for_each(|closes| {
                let labels = [
                    ("by", Value::Side(closes.by)),
                    ("reason", Value::Text(&closes.reason)),
                    ("code", Value::Code(closes.code)),
                ];
                samples.add(&labels, closes.count)
            })
        }),
    ),
    family(
        "nginx_websocket_tunnel_duration_seconds",
        Histogram,
        "How long tunnels lasted that have ended.",
        Label(|samples, counters| samples.histogram(counters, Kind::Duration)),
    ),
    family(
        "nginx_websocket_tunnels_drained",
        Counter,
        "Tunnels that were asked to leave as their worker was to exit.",
        Label(|samples, counters| samples.add(&[], counters.drained())),
    ),
    family(
        "nginx_websocket_tunnels_own_loop",
        Counter,
        "Tunnels that nginx's own loop carried, so that nothing was seen of what went by.",
        Label(|samples, counters| samples.add(&[], counters.own_loop())),
    ),
    family(
        "nginx_websocket_tunnels_unlisted",
        Counter,
        "Tunnels for which the table of live tunnels had no room.",
        Label(|samples, counters| samples.add(&[], counters.unlisted())),
    ),
    family(
        "nginx_websocket_received_bytes",
        Counter,
        "Bytes that came through tunnels, by the side that they came from.",
        Label(|samples, counters| by_side(samples, counters, |count| count.bytes)),
    ),
    family(
        "nginx_websocket_received_frames",
        Counter,
        "Frames that came through tunnels, by the side that they came from.",
        Label(|samples, counters| by_side(samples, counters, |count| count.frames)),
    ),
    family(
        "nginx_websocket_received_messages",
        Counter,
        "Messages that came through tunnels, by the side that they came from.",
        Label(|samples, counters| by_side(samples, counters, |count| count.messages)),
    ),
    family(
        "nginx_websocket_pings_sent",
        Counter,
        "Pings that nginx sent, to either side.",
        Label(|samples, counters| samples.add(&[], counters.pings_sent())),
    ),
    family(
        "nginx_websocket_pings_lost",
        Counter,
        "Pings that were not answered in time.",
        Label(|samples, counters| samples.add(&[], counters.pings_lost())),
    ),
    family(
        "nginx_websocket_ping_round_trip_seconds",
        Histogram,
        "From a Ping to its Pong.",
        Label(|samples, counters| samples.histogram(counters, Kind::PingRtt)),
    ),
    family(
        "nginx_websocket_upstream_tunnels",
        Gauge,
        "Tunnels to an upstream server that there are now.",
        Upstream(|samples, counters| samples.add(&[], counters.active())),
    ),
    family(
        "nginx_websocket_upstream_handshakes_established",
        Counter,
        "Handshakes with an upstream server that succeeded.",
        Upstream(|samples, counters| samples.add(&[], counters.established())),
    ),
    family(
        "nginx_websocket_upstream_handshakes_failed",
        Counter,
        "Attempts at a handshake with an upstream server that failed, by cause; another server may have been tried then.",
        Upstream(|samples, counters| by_cause(samples, counters.failed())),
    ),
];

fn by_cause(
    samples: &mut Samples<'_, '_>,
    mut causes: impl Iterator<Item = (CauseName, u64)>,
) -> fmt::Result {
    causes.try_for_each(|(CauseName(name), count)| {
        samples.add(&[("cause", Value::Text(&name))], count)
    })
}

fn by_side(
    samples: &mut Samples<'_, '_>,
    counters: &Counters<'_>,
    of: fn(&websocket_protocol::tunnel::Count) -> u64,
) -> fmt::Result {
    let sides = [
        ("client", counters.from_client()),
        ("upstream", counters.from_upstream()),
    ];
    sides
        .iter()
        .try_for_each(|(side, count)| samples.add(&[("from", Value::Str(side))], of(count)))
}
