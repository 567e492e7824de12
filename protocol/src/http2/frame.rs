//! Frames of HTTP/2 (RFC 9113 section 4 and 6), as far as they are read or written here.

/// The nine bytes in front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes behind it, up to 2^24 - 1.
    pub length: u32,
    /// What it is.
    pub kind: Kind,
    /// The flags of its kind.
    pub flags: u8,
    /// Its stream, without the reserved bit; 0 is the connection.
    pub stream: u32,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    /// Bytes of a stream.
    pub const DATA: Self = Self(0x0);
    /// The beginning of a header block.
    pub const HEADERS: Self = Self(0x1);
    /// The end of a stream, by an error.
    pub const RST_STREAM: Self = Self(0x3);
    /// Settings of the connection.
    pub const SETTINGS: Self = Self(0x4);
    /// A question, and its answer.
    pub const PING: Self = Self(0x6);
    /// The end of the connection for new streams.
    pub const GOAWAY: Self = Self(0x7);
    /// Room for more DATA.
    pub const WINDOW_UPDATE: Self = Self(0x8);
    /// More of a header block.
    pub const CONTINUATION: Self = Self(0x9);
    /// None that there is.
    pub const UNKNOWN: Self = Self(0xff);
}

/// Why a stream or a connection ends (RFC 9113 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// As it should.
    None = 0x0,
    /// The peer has sent more than there was room for.
    FlowControl = 0x3,
}

impl FrameHeader {
    /// Bytes that it takes.
    pub const SIZE: usize = 9;

    /// Nothing of the stream comes behind this frame: DATA and HEADERS.
    pub const END_STREAM: u8 = 0x1;
    /// The header block ends with this frame: HEADERS and CONTINUATION.
    pub const END_HEADERS: u8 = 0x4;
    /// Padding, whose length comes first: DATA and HEADERS.
    pub const PADDED: u8 = 0x8;
    /// A priority comes first: HEADERS.
    pub const PRIORITY: u8 = 0x20;

    /// Reads the header at the start of the bytes; `None` if they end before it does.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<{ Self::SIZE }>()?;
        Some(Self {
            length: u32::from_be_bytes([0, *a, *b, *c]),
            kind: Kind(*kind),
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & !RESERVED,
        })
    }

    /// As it is sent.
    pub const fn bytes(self) -> [u8; Self::SIZE] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind.0, self.flags, d, e, f, g]
    }

    /// Whether it has all of these flags.
    #[inline]
    pub const fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

const RESERVED: u32 = 1 << 31;

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 section 3).
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// The SETTINGS frame that tells a client of this.
pub fn settings() -> [u8; 15] {
    let [a, b] = ENABLE_CONNECT_PROTOCOL.to_be_bytes();
    with_payload(Kind::SETTINGS, 0, [a, b, 0, 0, 0, 1])
}

/// Gives a stream room for so many more bytes; stream 0 is the connection.
pub fn window_update(stream: u32, increment: u32) -> [u8; 13] {
    with_payload(
        Kind::WINDOW_UPDATE,
        stream,
        (increment & !RESERVED).to_be_bytes(),
    )
}

/// Ends a stream.
pub fn reset(stream: u32, error: Error) -> [u8; 13] {
    with_payload(Kind::RST_STREAM, stream, (error as u32).to_be_bytes())
}

/// Ends a connection for streams above the last one.
pub fn go_away(last: u32, error: Error) -> [u8; 17] {
    let [a, b, c, d] = last.to_be_bytes();
    let [e, f, g, h] = (error as u32).to_be_bytes();
    with_payload(Kind::GOAWAY, 0, [a, b, c, d, e, f, g, h])
}

/// A frame of a type that nobody knows, which is ignored (RFC 9113 section 4.1).
pub const fn nothing() -> [u8; FrameHeader::SIZE] {
    FrameHeader {
        length: 0,
        kind: Kind::UNKNOWN,
        flags: 0,
        stream: 0,
    }
    .bytes()
}

/// What stands in front of the whole header block of a request without a body.
pub const fn header_frame(stream: u32, length: u32) -> [u8; FrameHeader::SIZE] {
    FrameHeader {
        length,
        kind: Kind::HEADERS,
        flags: FrameHeader::END_STREAM | FrameHeader::END_HEADERS,
        stream,
    }
    .bytes()
}

/// A frame without flags. `SIZE` is that of all of it.
fn with_payload<const PAYLOAD: usize, const SIZE: usize>(
    kind: Kind,
    stream: u32,
    payload: [u8; PAYLOAD],
) -> [u8; SIZE] {
    const { assert!(SIZE == FrameHeader::SIZE + PAYLOAD) };
    let header = FrameHeader {
        length: PAYLOAD as u32,
        kind,
        flags: 0,
        stream,
    };
    let mut frame = [0; SIZE];
    let (head, tail) = frame.split_at_mut(FrameHeader::SIZE);
    head.copy_from_slice(&header.bytes());
    tail.copy_from_slice(&payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let header = FrameHeader {
            length: 0x01_02_03,
            kind: Kind::HEADERS,
            flags: FrameHeader::END_HEADERS | FrameHeader::PADDED,
            stream: 0x7fff_ffff,
        };
        assert_eq!(header.bytes(), [1, 2, 3, 1, 0x0c, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(FrameHeader::read(&header.bytes()), Some(header));
        assert!(header.has(FrameHeader::PADDED) && !header.has(FrameHeader::END_STREAM));
        assert!(!header.has(FrameHeader::PADDED | FrameHeader::PRIORITY));
    }

    #[test]
    fn eight_bytes_are_no_header() {
        assert_eq!(FrameHeader::read(&[0; 8]), None);
    }

    #[test]
    fn the_reserved_bit_is_none_of_the_stream() {
        let header = FrameHeader::read(&[0, 0, 0, 0, 0, 0x80, 0, 0, 5, 99]);
        assert_eq!(header.map(|header| header.stream), Some(5));
    }

    #[test]
    fn frames_are_those_of_the_rfc() {
        assert_eq!(
            settings(),
            [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1],
            "RFC 8441 section 3"
        );
        assert_eq!(
            window_update(3, 0x10000),
            [0, 0, 4, 8, 0, 0, 0, 0, 3, 0, 1, 0, 0]
        );
        assert_eq!(
            reset(5, Error::FlowControl),
            [0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 3]
        );
        assert_eq!(
            go_away(7, Error::None),
            [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0]
        );
        assert_eq!(header_frame(9, 300), [0, 1, 44, 1, 5, 0, 0, 0, 9]);
        assert_eq!(nothing(), [0, 0, 0, 0xff, 0, 0, 0, 0, 0]);
    }
}
