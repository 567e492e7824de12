//! What time does to a tunnel: idle timeout, pings, lifetime, drain.
//!
//! One timer serves them all, that of the upstream's read event, as in nginx's own loop. It is not
//! moved when bytes go by, only when it has fired: then it is set to whatever comes next.

use nginx_sys::{ngx_msec_t, ngx_random};
use websocket_protocol::ControlFrame;

use super::direction::{Direction, Side};
use super::{Closing, Reason, Tunnel, mask};
use crate::conf::LocationConf;
use crate::nginx::clock::now;
use crate::types::Ping;

/// A timer must be there as long as the tunnel is, or a worker that is to exit would not wait for
/// it; and nginx hands delays to the kernel as an `int`.
const LONGEST: ngx_msec_t = i32::MAX as ngx_msec_t;

pub struct Clock {
    client: Heartbeat,
    upstream: Heartbeat,
    ends: Option<Ending>,
    resume_at: Option<ngx_msec_t>,
    /// Set when something comes earlier than what the timer is set to.
    late: bool,
    /// How long the answer to a Ping took, milliseconds.
    pub rtt: Option<u32>,
}

/// When the module is to end the tunnel, whatever goes on in it, and why.
#[derive(Clone, Copy)]
struct Ending {
    at: ngx_msec_t,
    reason: Reason,
}

/// Pings to one side.
#[derive(Clone, Copy)]
struct Heartbeat {
    /// Since when an answer is waited for.
    since: Option<ngx_msec_t>,
    /// The Ping is not gone yet.
    queued: bool,
    /// What had come from that side by then. The clock is too coarse to tell an answer by.
    bytes: u64,
    pongs: u32,
    /// When that side was last not listened to, so that its silence said nothing.
    deaf: ngx_msec_t,
}

impl Heartbeat {
    fn new() -> Self {
        Self {
            since: None,
            queued: false,
            bytes: 0,
            pongs: 0,
            deaf: now(),
        }
    }
}

impl Clock {
    pub fn new(settings: &LocationConf) -> Self {
        Self {
            client: Heartbeat::new(),
            upstream: Heartbeat::new(),
            ends: settings.max_lifetime().map(|time| Ending {
                at: now().wrapping_add(jitter(time)),
                reason: Reason::Lifetime,
            }),
            resume_at: None,
            late: false,
            rtt: None,
        }
    }

    pub fn resume_at(&mut self, time: ngx_msec_t) {
        self.resume_at = Some(time);
        self.late = true;
    }

    pub fn drain_at(&mut self, at: ngx_msec_t) {
        if self.ends.is_none_or(|ending| is_after(ending.at, at)) {
            let reason = Reason::Drain;
            self.ends = Some(Ending { at, reason });
            self.late = true;
        }
    }

    pub fn is_late(&self) -> bool {
        self.late
    }

    /// How long until something is due.
    pub fn next(
        &mut self,
        settings: &LocationConf,
        from_client: &Direction,
        from_upstream: &Direction,
        closing: Option<Closing>,
    ) -> ngx_msec_t {
        self.late = false;
        let mut delay = LONGEST;
        let mut consider = |time: Option<ngx_msec_t>| {
            if let Some(time) = time {
                delay = delay.min(left(time));
            }
        };
        consider(self.resume_at);
        match closing {
            Some(closing) => consider(Some(closing.deadline)),
            None => {
                let moved = last_moved(from_client, from_upstream);
                consider(
                    settings
                        .tunnel_timeout()
                        .map(|timeout| moved.wrapping_add(timeout)),
                );
                consider(self.ends.map(|ending| ending.at));
                if let Some(ping) = settings.ping() {
                    consider(ping_due(ping, from_client, from_upstream, self.client));
                    consider(ping_due(ping, from_upstream, from_client, self.upstream));
                }
            }
        }
        delay.max(1)
    }
}

fn ping_due(
    ping: Ping,
    from: &Direction,
    to: &Direction,
    heartbeat: Heartbeat,
) -> Option<ngx_msec_t> {
    if !goes_to(ping, from.sender()) || !to.takes_pings() {
        return None;
    }
    Some(match heartbeat.since {
        Some(since) => since.wrapping_add(ping.timeout),
        None => later(from.heard, heartbeat.deaf).wrapping_add(ping.interval),
    })
}

/// What a ping's time has come to.
enum Beat {
    Wait,
    Send,
    Dead,
}

impl Tunnel {
    /// The timer has fired: does what is due, and sets it anew. `false`: the tunnel is to end.
    pub(super) fn tick(&mut self) -> bool {
        let is_due = |time: Option<ngx_msec_t>| time.is_some_and(|time| left(time) == 0);

        if is_due(self.clock.resume_at) {
            self.clock.resume_at = None;
            if !self.pump(Side::Client) {
                return false;
            }
        }
        if let Some(closing) = self.closing {
            self.set_clock();
            return left(closing.deadline) != 0;
        }
        if let Some(ending) = self.clock.ends.filter(|ending| left(ending.at) == 0) {
            let code = match ending.reason {
                Reason::Drain => self.settings().drain_code(),
                _ => 1001,
            };
            return self.close(ending.reason, code);
        }
        let moved = last_moved(&self.from_client, &self.from_upstream);
        let timeout = self.settings().tunnel_timeout();
        if is_due(timeout.map(|timeout| moved.wrapping_add(timeout))) {
            return self.close(Reason::IdleTimeout, 1001);
        }
        for side in [Side::Client, Side::Upstream] {
            match self.beat(side) {
                Beat::Wait => {}
                Beat::Send => {
                    if !self.ping(side) {
                        return false;
                    }
                }
                Beat::Dead => return self.close(Reason::PingTimeout, 1001),
            }
        }
        self.set_clock();
        true
    }

    fn beat(&mut self, side: Side) -> Beat {
        let settings = self.settings();
        let (from, to, heartbeat) = match side {
            Side::Client => (
                &self.from_client,
                &self.from_upstream,
                &mut self.clock.client,
            ),
            Side::Upstream => (
                &self.from_upstream,
                &self.from_client,
                &mut self.clock.upstream,
            ),
        };
        let Some(ping) = settings.ping().filter(|ping| goes_to(*ping, side)) else {
            return Beat::Wait;
        };
        if from.is_stuck() || !to.takes_pings() {
            // Its answer would not be read, or there can be no question.
            heartbeat.deaf = now();
            heartbeat.since = None;
            return Beat::Wait;
        }
        if from.bytes != heartbeat.bytes {
            heartbeat.since = None;
        }
        let Some(since) = heartbeat.since else {
            let heard = later(from.heard, heartbeat.deaf);
            return if left(heard.wrapping_add(ping.interval)) == 0 {
                Beat::Send
            } else {
                Beat::Wait
            };
        };
        if left(since.wrapping_add(ping.timeout)) != 0 {
            return Beat::Wait;
        }
        // Behind a frame that is still on its way the Ping has to wait, and so have we; not where
        // the side itself takes nothing.
        if heartbeat.queued && (!to.is_stuck() || is_after(to.taken, since)) {
            heartbeat.since = Some(now());
            return Beat::Wait;
        }
        Beat::Dead
    }

    /// Sends a Ping to a side. `false`: the tunnel is to end.
    fn ping(&mut self, side: Side) -> bool {
        let frame = ControlFrame::ping(&[]);
        let (from, heartbeat, way) = match side {
            Side::Client => {
                self.from_upstream.send_ping(frame);
                (&self.from_client, &mut self.clock.client, Side::Upstream)
            }
            Side::Upstream => {
                self.from_client.send_ping(frame.masked(mask()));
                (&self.from_upstream, &mut self.clock.upstream, Side::Client)
            }
        };
        heartbeat.since = Some(now());
        heartbeat.queued = true;
        (heartbeat.bytes, heartbeat.pongs) = (from.bytes, from.pongs);
        self.pump(way)
    }

    /// After bytes have come from a side: notes a Ping that has gone out with them, and how long
    /// the answer to one took.
    pub(super) fn note_beats(&mut self, from: Side) {
        let (client, upstream) = (&self.from_client, &self.from_upstream);
        let clock = &mut self.clock;
        let (here, there, asking, asked) = match from {
            Side::Client => (client, upstream, &mut clock.client, &mut clock.upstream),
            Side::Upstream => (upstream, client, &mut clock.upstream, &mut clock.client),
        };
        if asked.queued && !here.has_ours() {
            asked.queued = false;
            asked.since = asked.since.map(|_| now());
            (asked.bytes, asked.pongs) = (there.bytes, there.pongs);
        }
        if let (Some(since), false) = (asking.since, asking.queued) {
            if here.pongs != asking.pongs {
                asking.since = None;
                clock.rtt = u32::try_from(now().wrapping_sub(since)).ok();
            }
        }
    }
}

/// When a byte last went through.
fn last_moved(from_client: &Direction, from_upstream: &Direction) -> ngx_msec_t {
    let [client, upstream] =
        [from_client, from_upstream].map(|direction| later(direction.heard, direction.taken));
    later(client, upstream)
}

/// Up to a tenth off, so that tunnels that began together don't end together.
fn jitter(time: ngx_msec_t) -> ngx_msec_t {
    let tenth = (time / 10).max(1);
    time.wrapping_sub(ngx_random() as ngx_msec_t % tenth)
}

/// How long until a time; 0 when it has come. nginx's clock may wrap, so times are compared by
/// their distance.
fn left(time: ngx_msec_t) -> ngx_msec_t {
    let distance = time.wrapping_sub(now());
    if distance > ngx_msec_t::MAX / 2 {
        0
    } else {
        distance
    }
}

fn is_after(a: ngx_msec_t, b: ngx_msec_t) -> bool {
    let distance = a.wrapping_sub(b);
    distance != 0 && distance <= ngx_msec_t::MAX / 2
}

fn later(a: ngx_msec_t, b: ngx_msec_t) -> ngx_msec_t {
    if is_after(a, b) { a } else { b }
}

fn goes_to(ping: Ping, side: Side) -> bool {
    match side {
        Side::Client => ping.to & 1 != 0,
        Side::Upstream => ping.to & 2 != 0,
    }
}
