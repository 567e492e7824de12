//! Frames of an established connection (RFC 6455 section 5), followed without being touched.

/// Follows the frames of one direction of a connection.
///
/// It takes the bytes in pieces of any size as they go by, and keeps nothing of them but a header
/// that is not complete yet. Payload is skipped, however long it is.
#[derive(Clone, Copy, Debug)]
pub struct Scanner {
    /// Payload bytes of the current frame that are still to come.
    remaining: u64,
    /// Payload bytes of the current message that its frames have announced so far.
    message: u64,
    frames: u64,
    messages: u64,
    partial: [u8; Self::MAX_HEADER - 1],
    partial_len: u8,
    from_client: bool,
    in_message: bool,
}

/// The bytes are not WebSocket frames; what follows can't be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// What [`Scanner::admit`] lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// So many of the bytes.
    pub bytes: usize,
    /// Whether a message that is too long comes behind them.
    pub exceeded: bool,
}

/// A frame, known as soon as its header is complete; a Close as soon as its code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// Whether it is the last of its message. Always set for control frames.
    pub fin: bool,
    /// Payload bytes that the frame announces.
    pub length: u64,
    /// Payload bytes that the message has announced up to and with this frame, as sent
    /// (compressed, where an extension compresses). 0 for control frames.
    pub message_length: u64,
    /// The status code of a Close that has one; not read behind a length of 64 bits.
    pub close_code: Option<u16>,
    /// What its payload is masked with; zeros where it is not.
    pub mask: [u8; 4],
}

/// What a frame is (RFC 6455 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation,
    /// A text message or its first fragment.
    Text,
    /// A binary message or its first fragment.
    Binary,
    /// The sender closes the connection.
    Close,
    /// The peer is to answer with a Pong.
    Ping,
    /// The answer to a Ping, or a sign of life.
    Pong,
}

impl Opcode {
    /// Whether frames of this kind may stand between the fragments of a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_bits(bits: u8) -> Result<Self, Invalid> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return Err(Invalid),
        })
    }
}

impl Scanner {
    /// Bytes of the longest header: 2, a 64-bit length, a mask. A Close with its code is shorter.
    pub const MAX_HEADER: usize = 14;

    /// A scanner at the start of a stream. Frames from a client are masked, those to one are not; Pongs
    /// and Closes may be either, as some clients mask no answers.
    pub const fn new(from_client: bool) -> Self {
        Self {
            remaining: 0,
            message: 0,
            frames: 0,
            messages: 0,
            partial: [0; Self::MAX_HEADER - 1],
            partial_len: 0,
            from_client,
            in_message: false,
        }
    }

    /// Follows the next bytes of the stream and reports each frame that becomes known.
    ///
    /// Invalid are: reserved opcodes; control frames that are fragmented or longer than 125 bytes;
    /// a Close with half a code; a continuation of nothing, or a new message within another; masked
    /// messages or Pings to a client, or unmasked ones from it. Reserved bits are left to the extensions
    /// that use them. A length need not be in its shortest form, and may be above 2^63 - 1, which
    /// RFC 6455 has no use for: some receivers take any, and what they take is bounded.
    /// After `Invalid` the scanner has lost its place and is to be dropped.
    pub fn scan(&mut self, bytes: &[u8], mut on: impl FnMut(Frame)) -> Result<(), Invalid> {
        self.scan_with(bytes, |frame, _| on(frame))
    }

    /// The same, with the bytes that have come behind the header (and a Close's code).
    #[inline]
    pub fn scan_with<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut on: impl FnMut(Frame, &'a [u8]),
    ) -> Result<(), Invalid> {
        self.skip_payload(&mut bytes);
        while !bytes.is_empty() {
            if let Some(frame) = self.next_frame(&mut bytes)? {
                on(frame, bytes);
            }
            self.skip_payload(&mut bytes);
        }
        Ok(())
    }

    /// Whether the stream stands between two frames, where another may be put in.
    pub const fn at_boundary(&self) -> bool {
        self.remaining == 0 && self.partial_len == 0
    }

    /// Whose frames it follows.
    #[inline]
    pub(crate) const fn is_from_client(&self) -> bool {
        self.from_client
    }

    /// Frames known so far, control frames included.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Messages whose last frame is known, control frames not counted.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Takes the header of a frame off the bytes, at the end of the one before it.
    #[inline(always)]
    fn next_frame(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Invalid> {
        let Some(mut frame) = self.next_header(bytes)? else {
            return Ok(None);
        };
        self.frames = self.frames.wrapping_add(1);
        if !frame.opcode.is_control() {
            let before = if self.in_message { self.message } else { 0 };
            self.message = before.saturating_add(frame.length);
            self.in_message = !frame.fin;
            self.messages = self.messages.wrapping_add(u64::from(frame.fin));
            frame.message_length = self.message;
        }
        Ok(Some(frame))
    }

    #[inline(always)]
    fn skip_payload(&mut self, bytes: &mut &[u8]) {
        let remaining = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let skipped = remaining.min(bytes.len());
        *bytes = bytes.get(skipped..).unwrap_or_default();
        self.remaining = self.remaining.saturating_sub(skipped as u64);
    }

    /// Takes a header off the bytes, or keeps what there is of one.
    #[inline(always)]
    fn next_header(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Invalid> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.partial_len == 0 {
            if let Some(header) = Header::read(bytes, self.from_client, self.in_message)? {
                *bytes = bytes.get(header.size..).unwrap_or_default();
                self.remaining = header.remaining;
                return Ok(Some(header.frame));
            }
        }
        self.complete_partial(bytes)
    }

    #[cold]
    fn complete_partial(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Invalid> {
        let kept = usize::from(self.partial_len);
        let mut joined = [0; Self::MAX_HEADER];
        let mut joined_len = 0;
        let sources = self.partial.iter().take(kept).chain(bytes.iter());
        for (place, byte) in joined.iter_mut().zip(sources) {
            *place = *byte;
            joined_len += 1;
        }
        let known = joined.get(..joined_len).unwrap_or_default();
        let header = Header::read(known, self.from_client, self.in_message)?;
        let end = header.map_or(joined_len, |header| header.size);
        *bytes = bytes.get(end.saturating_sub(kept)..).unwrap_or_default();
        match header {
            Some(header) => {
                self.partial_len = 0;
                self.remaining = header.remaining;
                Ok(Some(header.frame))
            }
            None => {
                // 13 bytes at most, as 14 would have been a whole header.
                for (place, byte) in self.partial.iter_mut().zip(known) {
                    *place = *byte;
                }
                self.partial_len = joined_len as u8;
                Ok(None)
            }
        }
    }
}

/// A header as it stands in the stream. A Close's code counts as part of it, so that a scanner
/// needs no mask and no further state to know the code.
#[derive(Clone, Copy)]
struct Header {
    frame: Frame,
    /// Bytes read.
    size: usize,
    /// Payload bytes behind them.
    remaining: u64,
}

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

impl Header {
    /// Reads the header at the start of the bytes; `None` if they end before it does.
    #[inline(always)]
    fn read(bytes: &[u8], from_client: bool, in_message: bool) -> Result<Option<Self>, Invalid> {
        let [first, rest @ ..] = bytes else {
            return Ok(None);
        };
        let fin = first & FIN != 0;
        let opcode = Opcode::from_bits(first & 0x0F)?;
        let follows_rules = match opcode {
            Opcode::Continuation => in_message,
            Opcode::Text | Opcode::Binary => !in_message,
            Opcode::Close | Opcode::Ping | Opcode::Pong => fin,
        };
        if !follows_rules {
            return Err(Invalid);
        }

        let [second, rest @ ..] = rest else {
            return Ok(None);
        };
        let masked = second & MASKED != 0;
        let answers = matches!(opcode, Opcode::Close | Opcode::Pong);
        let short = second & !MASKED;
        if masked != from_client && !answers {
            return Err(Invalid);
        }
        let (length, rest) = match short {
            126 => {
                let Some((&length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(length)), rest)
            }
            127 => {
                let Some((&length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(length), rest)
            }
            _ => (u64::from(short), rest),
        };
        let too_long = opcode.is_control() && length > 125;
        let half_a_code = opcode == Opcode::Close && length == 1;
        if too_long || half_a_code {
            return Err(Invalid);
        }

        let (mask, rest) = if masked {
            let Some((&mask, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (mask, rest)
        } else {
            ([0; 4], rest)
        };
        // With the longest form of its length in front of it a code would be beyond the longest header.
        let (close_code, rest) = if opcode == Opcode::Close && length >= 2 && short != 127 {
            let Some((&[high, low], rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let [mask_high, mask_low, ..] = mask;
            (
                Some(u16::from_be_bytes([high ^ mask_high, low ^ mask_low])),
                rest,
            )
        } else {
            (None, rest)
        };

        let code_size = if close_code.is_some() { 2 } else { 0 };
        Ok(Some(Self {
            frame: Frame {
                opcode,
                fin,
                length,
                message_length: 0,
                close_code,
                mask,
            },
            size: bytes.len().saturating_sub(rest.len()),
            remaining: length.saturating_sub(code_size),
        }))
    }
}

mod ahead;
mod saved;
#[cfg(test)]
mod tests;
