//! A clock that wraps: times are compared by their distance.

use core::num::NonZeroU32;

use crate::wire::{In, Out};

/// Milliseconds of a clock that may wrap, as wide as nginx's. No two times that are compared may lie
/// further apart than half of its range.
pub type Time = usize;

/// How long until a time; 0 when it has come.
#[inline]
pub(super) fn left(time: Time, now: Time) -> Time {
    let distance = time.wrapping_sub(now);
    if distance > Time::MAX / 2 {
        0
    } else {
        distance
    }
}

pub(super) fn is_due(time: Option<Time>, now: Time) -> bool {
    time.is_some_and(|time| left(time, now) == 0)
}

#[inline]
pub(super) fn is_after(a: Time, b: Time) -> bool {
    left(a, b) != 0
}

pub(super) fn later(a: Time, b: Time) -> Time {
    if is_after(a, b) { a } else { b }
}

#[inline]
pub(super) fn after(time: Time, delay: NonZeroU32) -> Time {
    time.wrapping_add(delay.get() as Time)
}

/// No time of a tunnel is further away from the present, milliseconds: some thirty years.
const FURTHEST: u64 = 1 << 40;

/// Writes a time for another process, whose clock may be another: how long ago it was.
pub(super) fn put_time(out: &mut Out<'_>, time: Time, now: Time) {
    out.i64(now.wrapping_sub(time) as isize as i64);
}

pub(super) fn take_time(read: &mut In<'_>, now: Time) -> Option<Time> {
    let ago = read.i64().filter(|ago| ago.unsigned_abs() <= FURTHEST)?;
    Some(now.wrapping_sub(isize::try_from(ago).ok()? as Time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_across_the_wrap() {
        let before = Time::MAX - 9;
        let behind = before.wrapping_add(30);
        assert_eq!(left(behind, before), 30);
        assert_eq!(left(before, behind), 0);
        assert_eq!(left(before, before), 0);
        assert!(is_after(behind, before) && !is_after(before, behind));
        assert!(!is_after(before, before));
        assert_eq!(later(behind, before), behind);
        assert_eq!(later(before, behind), behind);
        assert!(is_due(Some(before), behind) && !is_due(Some(behind), before));
        assert!(!is_due(None, before));
    }
}
