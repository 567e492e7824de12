//! The text of a Close frame, which says why in the sender's words.

/// The text, gathered from the pieces it comes in. It may be no UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct CloseText {
    bytes: [u8; Self::MAX],
    len: u8,
    mask: [u8; 4],
}

/// A piece of that text, among the bytes that have just gone by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where it is the first: what the frame is masked with.
    pub(super) mask: Option<[u8; 4]>,
    pub(super) bytes: &'a [u8],
}

impl CloseText {
    /// The longest payload of a control frame without the code.
    const MAX: usize = 123;

    /// None yet.
    pub const fn new() -> Self {
        Self {
            bytes: [0; Self::MAX],
            len: 0,
            mask: [0; 4],
        }
    }

    /// Takes in the next piece.
    pub fn add(&mut self, piece: Piece<'_>) {
        if let Some(mask) = piece.mask {
            (self.len, self.mask) = (0, mask);
        }
        let len = usize::from(self.len);
        // The code, in front of the text, has used up two bytes of the mask.
        let [a, b, c, d] = self.mask;
        let key = [c, d, a, b].into_iter().cycle().skip(len);
        let places = self.bytes.iter_mut().skip(len);
        for ((place, byte), key) in places.zip(piece.bytes).zip(key) {
            *place = byte ^ key;
            self.len = self.len.saturating_add(1);
        }
    }

    /// As far as it has come.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl Default for CloseText {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_text() {
        let text = "going home, voilà. ".repeat(6);
        let mask = [0x11, 0x80, 0xFF, 7];
        let frame = crate::ControlFrame::close(1001, &text).masked(mask);
        let masked = &frame.bytes()[8..];
        for size in [1, 2, 3, 5, 50, 200] {
            let mut gathered = CloseText::new();
            for (index, bytes) in masked.chunks(size).enumerate() {
                let mask = (index == 0).then_some(mask);
                gathered.add(Piece { mask, bytes });
            }
            assert_eq!(gathered.bytes(), text.as_bytes(), "{size}");
        }
    }

    #[test]
    fn there_is_room_for_what_a_frame_can_hold() {
        let mut gathered = CloseText::default();
        assert_eq!(gathered.bytes(), b"");
        for mask in [Some([0; 4]), None] {
            let bytes = &[b'a'; 100];
            gathered.add(Piece { mask, bytes });
        }
        assert_eq!(gathered.bytes(), [b'a'; 123]);
    }
}
