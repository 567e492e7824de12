//! One direction on its way to another process.

use super::{Direction, Kind, Passage};
use crate::Scanner;
use crate::tunnel::limits::Side;
use crate::tunnel::ours::Ours;
use crate::tunnel::time::{Time, put_time, take_time};
use crate::wire::{In, Out};

impl Direction {
    /// Whether it is to end where it is.
    pub fn is_ending(&self) -> bool {
        self.passage != Passage::Open || self.close.is_some() || self.ended || self.exceeds
    }

    pub fn put(&self, out: &mut Out<'_>, now: Time) {
        self.scanner.put(out);
        out.u8(match self.kind {
            Kind::Frames => 0,
            Kind::Unframed => 1,
            Kind::Told => 2,
        });
        out.u64(self.owed as u64);
        out.option(self.ours.as_ref(), |out, ours| ours.put(out));
        out.bool(self.is_stuck);
        for time in [self.stuck, self.heard, self.taken, self.looked] {
            put_time(out, time, now);
        }
        out.u64(self.bytes);
        out.u8(self.unanswered);
        out.u32(self.acknowledged);
        out.bool(self.holds);
        out.bool(self.waits);
    }

    pub fn take(from: Side, read: &mut In<'_>, now: Time) -> Option<Self> {
        let scanner = Scanner::take(from == Side::Client, read)?;
        let kind = match read.u8()? {
            0 => Kind::Frames,
            1 => Kind::Unframed,
            2 => Kind::Told,
            _ => return None,
        };
        Some(Self {
            scanner,
            kind,
            owed: usize::try_from(read.u64()?).ok()?,
            ours: read.option(Ours::take)?,
            is_stuck: read.bool()?,
            stuck: take_time(read, now)?,
            heard: take_time(read, now)?,
            taken: take_time(read, now)?,
            looked: take_time(read, now)?,
            bytes: read.u64()?,
            unanswered: read.u8()?,
            acknowledged: read.u32()?,
            holds: read.bool()?,
            waits: read.bool()?,
            ..Self::new(from, now)
        })
    }

    /// So many bytes wait.
    pub fn with_unsent(self, unsent: usize) -> Self {
        let owed = self.owed.min(unsent);
        Self {
            unsent,
            owed,
            ..self
        }
    }
}
