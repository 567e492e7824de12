//! What time does to a tunnel: idle timeout, pings, lifetime, drain.
//!
//! One timer serves them all. It is not moved when bytes go by, only when it has fired: then it is
//! set to whatever comes next.

use nginx_sys::{ngx_msec_t, ngx_random};
use websocket_protocol::ControlFrame;

use super::direction::{Direction, Side};
use super::{Closing, Reason, Tunnel, mask};
use crate::location::{LocationConf, Ping};
use crate::nginx::request::now;

/// A timer must be there as long as the tunnel is, or a worker that is to exit would not wait for
/// it; and nginx hands delays to the kernel as an `int`.
const LONGEST: ngx_msec_t = i32::MAX as ngx_msec_t;

pub struct Clock {
    timeout: Option<ngx_msec_t>,
    ping: Option<Ping>,
    client: Heartbeat,
    upstream: Heartbeat,
    ends_at: Option<ngx_msec_t>,
    drain_at: Option<ngx_msec_t>,
    resume_at: Option<ngx_msec_t>,
    /// Set when something comes earlier than what the timer is set to.
    late: bool,
    pub rtt: Option<ngx_msec_t>,
}

/// Pings to one side.
#[derive(Clone, Copy, Default)]
struct Heartbeat {
    sent_at: Option<ngx_msec_t>,
    /// What had come from that side by then. The clock is too coarse to tell an answer by.
    bytes: u64,
    pongs: u32,
}

impl Clock {
    pub fn new(settings: &LocationConf) -> Self {
        Self {
            timeout: settings.tunnel_timeout(),
            ping: settings.ping(),
            client: Heartbeat::default(),
            upstream: Heartbeat::default(),
            ends_at: settings
                .max_lifetime()
                .map(|time| now().wrapping_add(jitter(time))),
            drain_at: None,
            resume_at: None,
            late: false,
            rtt: None,
        }
    }

    pub fn resume_at(&mut self, time: ngx_msec_t) {
        self.resume_at = Some(time);
        self.late = true;
    }

    pub fn drain_at(&mut self, time: ngx_msec_t) {
        self.drain_at = Some(time);
        self.late = true;
    }

    pub fn is_late(&self) -> bool {
        self.late
    }

    /// How long until something is due.
    pub fn next(
        &mut self,
        from_client: &Direction,
        from_upstream: &Direction,
        closing: Option<Closing>,
    ) -> ngx_msec_t {
        self.late = false;
        let heard = later(from_client.heard, from_upstream.heard);
        let idle = self.timeout.map(|timeout| heard.wrapping_add(timeout));
        let pings = [(from_client, self.client), (from_upstream, self.upstream)]
            .into_iter()
            .filter_map(|(from, heartbeat)| self.ping_due(from, heartbeat));
        let (ends_at, idle, drain_at) = match closing {
            Some(closing) => (Some(closing.deadline), None, None),
            None => (self.ends_at, idle, self.drain_at),
        };
        [ends_at, idle, drain_at, self.resume_at]
            .into_iter()
            .flatten()
            .chain(pings.filter(|_| closing.is_none()))
            .map(left)
            .min()
            .unwrap_or(LONGEST)
            .clamp(1, LONGEST)
    }

    fn ping_due(&self, from: &Direction, heartbeat: Heartbeat) -> Option<ngx_msec_t> {
        let ping = self.ping.filter(|ping| ping.goes_to(from.sender()))?;
        Some(match heartbeat.sent_at {
            Some(sent_at) => sent_at.wrapping_add(ping.timeout),
            None => from.heard.wrapping_add(ping.interval),
        })
    }
}

/// What a ping's time has come to.
enum Beat {
    Wait,
    Send,
    Dead,
}

impl Tunnel {
    /// The timer has fired: does what is due, and sets it anew.
    pub(super) fn tick(&mut self) {
        if let Some(closing) = self.closing {
            if left(closing.deadline) == 0 {
                self.end();
            } else {
                self.set_clock();
            }
            return;
        }
        if self.clock.ends_at.is_some_and(|time| left(time) == 0) {
            self.close(Reason::Lifetime, 1001);
            return;
        }
        if self.clock.drain_at.is_some_and(|time| left(time) == 0) {
            self.close(Reason::Drain, self.settings().drain_code());
            return;
        }
        let heard = later(self.from_client.heard, self.from_upstream.heard);
        if self
            .clock
            .timeout
            .is_some_and(|timeout| left(heard.wrapping_add(timeout)) == 0)
        {
            self.close(Reason::IdleTimeout, 1001);
            return;
        }
        for side in [Side::Client, Side::Upstream] {
            match self.beat(side) {
                Beat::Wait => {}
                Beat::Send => {
                    if !self.ping(side) {
                        return;
                    }
                }
                Beat::Dead => {
                    self.close(Reason::PingTimeout, 1001);
                    return;
                }
            }
        }
        if self.clock.resume_at.is_some_and(|time| left(time) == 0) {
            self.clock.resume_at = None;
            if !self.pump(Side::Client) {
                return;
            }
        }
        self.set_clock();
    }

    fn beat(&mut self, side: Side) -> Beat {
        let (from, heartbeat) = match side {
            Side::Client => (&self.from_client, &mut self.clock.client),
            Side::Upstream => (&self.from_upstream, &mut self.clock.upstream),
        };
        let Some(ping) = self.clock.ping.filter(|ping| ping.goes_to(side)) else {
            return Beat::Wait;
        };
        if let Some(sent_at) = heartbeat.sent_at {
            if from.bytes != heartbeat.bytes {
                heartbeat.sent_at = None;
            } else if left(sent_at.wrapping_add(ping.timeout)) == 0 {
                return Beat::Dead;
            } else {
                return Beat::Wait;
            }
        }
        if left(from.heard.wrapping_add(ping.interval)) == 0 {
            Beat::Send
        } else {
            Beat::Wait
        }
    }

    /// Sends a Ping to a side. `false`: the tunnel is over, and may be gone.
    fn ping(&mut self, side: Side) -> bool {
        let frame = ControlFrame::ping(&[]);
        let (from, to, heartbeat, frame) = match side {
            Side::Client => (
                &self.from_client,
                &mut self.from_upstream,
                &mut self.clock.client,
                frame,
            ),
            Side::Upstream => {
                let frame = frame.masked(mask());
                (
                    &self.from_upstream,
                    &mut self.from_client,
                    &mut self.clock.upstream,
                    frame,
                )
            }
        };
        *heartbeat = Heartbeat {
            sent_at: Some(now()),
            bytes: from.bytes,
            pongs: from.pongs,
        };
        to.send(frame);
        self.pump(match side {
            Side::Client => Side::Upstream,
            Side::Upstream => Side::Client,
        })
    }

    /// Notes how long the answer to a Ping took.
    pub(super) fn note_pong(&mut self, side: Side) {
        let (from, heartbeat) = match side {
            Side::Client => (&self.from_client, &mut self.clock.client),
            Side::Upstream => (&self.from_upstream, &mut self.clock.upstream),
        };
        if let (Some(sent_at), true) = (heartbeat.sent_at, from.pongs != heartbeat.pongs) {
            heartbeat.pongs = from.pongs;
            self.clock.rtt = Some(now().wrapping_sub(sent_at));
        }
    }
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
