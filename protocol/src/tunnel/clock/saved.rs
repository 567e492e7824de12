//! A tunnel's clock on its way to another process.

use super::{Clock, Heartbeat};
use crate::tunnel::time::{Time, put_time, take_time};
use crate::wire::{In, Out};

impl Clock {
    pub fn put(&self, out: &mut Out<'_>, now: Time) {
        self.client.put(out, now);
        self.upstream.put(out, now);
        out.bytes(&self.ping_payload);
        out.u16(self.pings);
        out.u32(self.pongs);
        out.u32(self.rtt);
    }

    pub fn take(read: &mut In<'_>, now: Time) -> Option<Self> {
        Some(Self {
            client: Heartbeat::take(read, now)?,
            upstream: Heartbeat::take(read, now)?,
            ping_payload: read.array()?,
            pings: read.u16()?,
            pongs: read.u32()?,
            rtt: read.u32()?,
            ..Self::new(now, 0)
        })
    }

    /// Goes on as the one before, but for when it is to end.
    pub fn go_on(&mut self, before: Self) {
        let ends = self.ends;
        *self = Self { ends, ..before };
    }
}

impl Heartbeat {
    fn put(&self, out: &mut Out<'_>, now: Time) {
        out.bool(self.is_asked);
        put_time(out, self.asked, now);
        out.u32(self.bytes);
        put_time(out, self.excused, now);
    }

    fn take(read: &mut In<'_>, now: Time) -> Option<Self> {
        Some(Self {
            is_asked: read.bool()?,
            asked: take_time(read, now)?,
            bytes: read.u32()?,
            excused: take_time(read, now)?,
        })
    }
}
