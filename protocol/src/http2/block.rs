//! A whole header block: a HEADERS frame, and the CONTINUATION frames behind it.

use super::frame::{FrameHeader, Kind};

/// A header block that may ask for a WebSocket, in its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its stream.
    pub stream: u32,
    /// Whether its client sends nothing behind it.
    pub is_last: bool,
    /// The frames.
    pub frames: &'a [u8],
}

impl<'a> Block<'a> {
    /// The pieces of the block.
    pub fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.frames;
        core::iter::from_fn(move || {
            let header = FrameHeader::read(rest)?;
            let (_, behind) = rest.split_at_checked(FrameHeader::SIZE)?;
            let (payload, behind) = behind.split_at_checked(header.length as usize)?;
            rest = behind;
            piece(header, payload)
        })
    }

    /// Bytes of all pieces.
    pub fn size(self) -> usize {
        self.pieces().map(<[u8]>::len).sum()
    }

    /// Puts the pieces together, in a place of this size.
    pub fn join(self, place: &mut [u8]) {
        let mut place = place;
        for piece in self.pieces() {
            let Some((front, behind)) = place.split_at_mut_checked(piece.len()) else {
                return;
            };
            front.copy_from_slice(piece);
            place = behind;
        }
    }
}

/// What a HEADERS or CONTINUATION frame has of a block, or has so far. `None`: its padding or its priority is
/// wrong, or has not come.
pub fn piece(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    if header.kind != Kind::HEADERS {
        return Some(payload);
    }
    let (padding, payload) = if header.has(FrameHeader::PADDED) {
        let (&padding, behind) = payload.split_first()?;
        (u32::from(padding) + 1, behind)
    } else {
        (0, payload)
    };
    let (priority, payload) = if header.has(FrameHeader::PRIORITY) {
        (PRIORITY, payload.get(PRIORITY as usize..)?)
    } else {
        (0, payload)
    };
    let length = header.length.checked_sub(padding)?.checked_sub(priority)?;
    Some(payload.get(..length as usize).unwrap_or(payload))
}

/// Bytes of a priority.
const PRIORITY: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u8, length: u32) -> FrameHeader {
        FrameHeader {
            length,
            kind: Kind::HEADERS,
            flags,
            stream: 1,
        }
    }

    #[test]
    fn padding_and_priority_are_none_of_a_piece() {
        assert_eq!(piece(header(0, 3), b"abc"), Some(&b"abc"[..]));
        let padded = header(FrameHeader::PADDED, 6);
        assert_eq!(piece(padded, b"\x02abc--"), Some(&b"abc"[..]));
        assert_eq!(piece(padded, b"\x02ab"), Some(&b"ab"[..]), "so far");
        assert_eq!(piece(padded, b""), None);
        let both = header(FrameHeader::PADDED | FrameHeader::PRIORITY, 9);
        assert_eq!(piece(both, b"\x01PPPPPab-"), Some(&b"ab"[..]));
        assert_eq!(piece(both, b"\x01PPPP"), None);
        assert_eq!(piece(both, b"\x04PPPPPab-"), None, "more than there is");
    }

    #[test]
    fn pieces_are_put_together() {
        let mut frames = vec![];
        for (flags, kind, payload) in [
            (FrameHeader::PADDED, Kind::HEADERS, &b"\x01ab-"[..]),
            (0, Kind::CONTINUATION, b""),
            (FrameHeader::END_HEADERS, Kind::CONTINUATION, b"cd"),
        ] {
            let length = payload.len() as u32;
            let header = FrameHeader {
                length,
                kind,
                flags,
                stream: 1,
            };
            frames.extend(header.bytes());
            frames.extend(payload);
        }
        let block = Block {
            stream: 1,
            is_last: false,
            frames: &frames,
        };
        assert_eq!(block.size(), 4);
        let mut place = [0; 4];
        block.join(&mut place);
        assert_eq!(&place, b"abcd");
    }
}
