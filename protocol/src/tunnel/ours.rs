//! Frames that the tunnel itself puts in.

use crate::ControlFrame;

/// A Ping, a Close, or the one behind the other, on their way to a receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    bytes: [u8; Self::MAX],
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

    /// Puts a frame behind what there is.
    pub fn add(&mut self, frame: &ControlFrame) {
        let places = self.bytes.iter_mut().skip(self.len.into());
        for (place, byte) in places.zip(frame.bytes()) {
            *place = *byte;
            self.len = self.len.saturating_add(1);
        }
    }

    pub fn left(&self) -> &[u8] {
        self.bytes
            .get(self.sent.into()..self.len.into())
            .unwrap_or_default()
    }

    /// Whether all of it is gone now.
    pub fn sent(&mut self, count: usize) -> bool {
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        self.sent = self.sent.saturating_add(count);
        self.begun = true;
        self.sent >= self.len
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
        assert_eq!(ours.left(), [ping.bytes(), close.bytes()].concat());
        assert!(!ours.sent(1) && ours.begun);
        assert_eq!(ours.left().len(), 17);
        assert!(ours.sent(17));
    }
}
