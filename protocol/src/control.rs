//! Control frames to put into a connection (RFC 6455 section 5.5).

/// A Ping or Close frame, ready to be sent.
///
/// Frames to an upstream have to be [masked](Self::masked), frames to a client must not be.
#[derive(Clone, Copy, Debug)]
pub struct ControlFrame {
    bytes: [u8; MAX_FRAME],
    len: usize,
}

impl ControlFrame {
    /// A Ping. A payload longer than 125 bytes is cut.
    pub fn ping(payload: &[u8]) -> Self {
        Self::new(PING, payload.iter().copied())
    }

    /// A Close with a status code (RFC 6455 section 7.4). A reason longer than 123 bytes is cut
    /// between two characters.
    pub fn close(code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(MAX_PAYLOAD - 2);
        while !reason.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let reason = reason.get(..end).unwrap_or_default();
        Self::new(CLOSE, code.to_be_bytes().into_iter().chain(reason.bytes()))
    }

    /// The same frame under a mask, which a client (and a proxy as one) should pick at random. A
    /// frame that has one already stays as it is.
    pub fn masked(self, key: [u8; 4]) -> Self {
        let [first, second, payload @ ..] = self.bytes;
        if second & MASKED != 0 {
            return self;
        }
        let mut masked = Self {
            bytes: [0; MAX_FRAME],
            len: self.len.saturating_add(key.len()),
        };
        let payload = payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key);
        masked.write(
            [first, second | MASKED]
                .into_iter()
                .chain(key)
                .chain(payload),
        );
        masked
    }

    /// The frame as it goes over the wire.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn new(first: u8, payload: impl Iterator<Item = u8> + Clone) -> Self {
        let payload = payload.take(MAX_PAYLOAD);
        let length = payload.clone().count();
        let mut frame = Self {
            bytes: [0; MAX_FRAME],
            len: length.saturating_add(2),
        };
        // 125 at most, so it fits the seven bits it has.
        frame.write([first, length as u8].into_iter().chain(payload));
        frame
    }

    /// Whether a Close may be sent with this code (RFC 6455 section 7.4, and IANA's registry).
    pub const fn may_close_with(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    fn write(&mut self, bytes: impl Iterator<Item = u8>) {
        for (place, byte) in self.bytes.iter_mut().zip(bytes) {
            *place = byte;
        }
    }
}

const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const MASKED: u8 = 0x80;
const MAX_PAYLOAD: usize = 125;
const MAX_FRAME: usize = 2 + 4 + MAX_PAYLOAD;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings() {
        assert_eq!(ControlFrame::ping(b"").bytes(), b"\x89\x00");
        assert_eq!(ControlFrame::ping(b"Hello").bytes(), b"\x89\x05Hello");
        assert_eq!(ControlFrame::ping(&[b'a'; 200]).bytes().len(), 127);
    }

    #[test]
    fn closes() {
        assert_eq!(ControlFrame::close(1001, "").bytes(), b"\x88\x02\x03\xe9");
        assert_eq!(
            ControlFrame::close(1012, "bye").bytes(),
            b"\x88\x05\x03\xf4bye"
        );
    }

    #[test]
    fn codes_that_may_be_sent() {
        for code in [999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert!(!ControlFrame::may_close_with(code), "{code}");
        }
        for code in [1000, 1003, 1007, 1008, 1014, 3000, 4999] {
            assert!(ControlFrame::may_close_with(code), "{code}");
        }
    }

    #[test]
    fn cuts_a_reason_between_characters() {
        let reason = "a".to_owned() + &"é".repeat(100);
        let frame = ControlFrame::close(1000, &reason);
        assert_eq!(frame.bytes().len(), 2 + 125);
        let reason = "é".repeat(100);
        let frame = ControlFrame::close(1000, &reason);
        assert_eq!(frame.bytes().len(), 2 + 124);
        assert!(std::str::from_utf8(&frame.bytes()[4..]).is_ok());
    }

    #[test]
    fn masks() {
        let masked = ControlFrame::ping(b"Hello").masked([0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            masked.bytes(),
            b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(masked.masked([1, 2, 3, 4]).bytes(), masked.bytes());
        assert_eq!(
            ControlFrame::ping(&[0; 125]).masked([1; 4]).bytes().len(),
            131
        );
    }
}
