//! Frames that the tunnel itself puts in.

use crate::ControlFrame;
use crate::wire::{In, Out};

/// A Ping, a Close, or the one behind the other, on their way to a receiver. A Close that is a
/// [`Farewell`](super::Farewell) is only known by its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    bytes: [u8; Self::MAX],
    /// How many of them, and [`Self::FAREWELL`] where a farewell follows.
    len: u8,
    /// How much of it is gone.
    sent: u8,
    /// The socket has been offered it, even if that took nothing: TLS may hold a part.
    pub begun: bool,
}

impl Ours {
    /// A masked Ping and a masked Close, neither with more than it needs.
    const MAX: usize = 18;

    pub fn new(frame: &ControlFrame) -> Self {
        let mut ours = Self {
            bytes: [0; Self::MAX],
            len: 0,
            sent: 0,
            begun: false,
        };
        ours.add(frame);
        ours
    }

    const FAREWELL: u8 = 0x80;

    /// A farewell alone.
    pub fn farewell() -> Self {
        Self {
            bytes: [0; Self::MAX],
            len: Self::FAREWELL,
            sent: 0,
            begun: false,
        }
    }

    /// Puts a farewell behind what there is.
    pub fn add_farewell(&mut self) {
        self.len |= Self::FAREWELL;
    }

    const fn own(&self) -> u8 {
        self.len & !Self::FAREWELL
    }

    /// The length of all, if that of a farewell is this.
    const fn length(&self, farewell: u8) -> u8 {
        if self.len & Self::FAREWELL == 0 {
            self.len
        } else {
            self.own().saturating_add(farewell)
        }
    }

    /// Puts a frame behind what there is.
    pub fn add(&mut self, frame: &ControlFrame) {
        let places = self.bytes.iter_mut().skip(self.len.into());
        for (place, byte) in places.zip(frame.bytes()) {
            *place = *byte;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Writes a Ping for another process: nothing else is on its way in a tunnel that goes on.
    pub fn put(&self, out: &mut Out<'_>) {
        out.bytes(&self.bytes);
        out.u8(self.len);
        out.u8(self.sent);
        out.bool(self.begun);
    }

    pub fn take(read: &mut In<'_>) -> Option<Self> {
        let ours = Self {
            bytes: read.array()?,
            len: read.u8()?,
            sent: read.u8()?,
            begun: read.bool()?,
        };
        let fits = usize::from(ours.len) <= Self::MAX && ours.sent < ours.len;
        (fits && ours.is_ping()).then_some(ours)
    }

    /// What is to be sent next, given the farewell.
    pub fn left<'a>(&'a self, farewell: &'a [u8]) -> &'a [u8] {
        match self.sent.checked_sub(self.own()) {
            Some(sent) if self.len & Self::FAREWELL != 0 => farewell.get(sent.into()..),
            _ => self.bytes.get(self.sent.into()..self.own().into()),
        }
        .unwrap_or_default()
    }

    /// Whether it is a Ping, perhaps with a Close behind it.
    pub fn is_ping(&self) -> bool {
        matches!(self.bytes, [first, ..] if self.own() > 0 && first & 0x0F == 0x9)
    }

    /// Whether all of it is gone now, if the length of a farewell is this.
    pub fn sent(&mut self, count: usize, farewell: u8) -> bool {
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        self.sent = self.sent.saturating_add(count);
        self.begun = true;
        self.sent >= self.length(farewell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_ping_and_a_masked_close_fit() {
        let (ping, close) = (ControlFrame::ping(b"ping"), ControlFrame::close(1001, ""));
        let (ping, close) = (ping.masked([1, 2, 3, 4]), close.masked([5, 6, 7, 8]));
        let mut ours = Ours::new(&ping);
        ours.add(&close);
        assert!(ours.is_ping() && !Ours::new(&close).is_ping());
        assert_eq!(ours.left(&[]), [ping.bytes(), close.bytes()].concat());
        assert!(!ours.sent(1, 0) && ours.begun);
        assert_eq!(ours.left(&[]).len(), 17);
        assert!(ours.sent(17, 0));
    }

    #[test]
    fn a_farewell_follows_a_ping_that_has_begun() {
        let farewell = [7; 131];
        let ping = ControlFrame::ping(&[1, 2, 3, 4]).masked([5; 4]);
        for mut ours in [Ours::new(&ping), Ours::farewell()] {
            let is_ping = ours.is_ping();
            if is_ping {
                ours.add_farewell();
            }
            let (mut sent, mut is_gone) = (Vec::<u8>::new(), false);
            while !is_gone {
                let left = ours.left(&farewell);
                let count = left.len().min(3);
                sent.extend(&left[..count]);
                is_gone = ours.sent(count, 131);
            }
            let before = if is_ping { ping.bytes() } else { &[] };
            assert_eq!(sent, [before, &farewell].concat());
        }
    }
}
