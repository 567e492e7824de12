//! WebSocket frames by hand, so that a test controls every byte.

use std::io::{self, Read};

/// One frame, unmasked in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub fin: bool,
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// The masking key on the wire, if it was masked.
    pub mask: Option<[u8; 4]>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message in one unmasked frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            opcode,
            mask: None,
            payload: payload.into(),
        }
    }

    /// A text message.
    pub fn text(text: &str) -> Self {
        Self::new(1, text)
    }

    /// A binary message.
    pub fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(2, payload)
    }

    /// A Close frame.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(8, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same, masked as a client must.
    pub fn masked(mut self) -> Self {
        self.mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        self
    }

    /// The same, as a fragment that others follow.
    pub fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The code of a Close frame, if it has one.
    pub fn close_code(&self) -> Option<u16> {
        let code = self
            .payload
            .first_chunk::<2>()
            .filter(|_| self.opcode == 8)?;
        Some(u16::from_be_bytes(*code))
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.opcode];
        match self.payload.len() {
            short @ 0..126 => bytes.push(masked | short as u8),
            medium @ 126..0x1_0000 => {
                bytes.push(masked | 126);
                bytes.extend((medium as u16).to_be_bytes());
            }
            long => {
                bytes.push(masked | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(self.mask.iter().flatten());
        let mask = self.mask.unwrap_or_default();
        bytes.extend(
            self.payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        bytes
    }

    /// Reads one frame.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let [first, second] = read_array(from)?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(read_array(from)?)),
            127 => u64::from_be_bytes(read_array(from)?),
            short => u64::from(short),
        };
        let mask = if second & 0x80 != 0 {
            Some(read_array(from)?)
        } else {
            None
        };
        let mut payload = Vec::new();
        if from.take(length).read_to_end(&mut payload)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (byte, key) in payload
            .iter_mut()
            .zip(mask.unwrap_or_default().iter().cycle())
        {
            *byte ^= key;
        }
        Ok(Self {
            fin: first & 0x80 != 0,
            opcode: first & 0x0f,
            mask,
            payload,
        })
    }
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn frames_of_every_length_form_survive_the_wire() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for frame in [
                Frame::binary(vec![7; length]),
                Frame::binary(vec![7; length]).masked(),
            ] {
                assert_eq!(Frame::read(&mut frame.bytes().as_slice()).unwrap(), frame);
            }
        }
    }

    #[test]
    fn the_example_of_rfc_6455_section_5_7() {
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(Frame::text("Hello").masked().bytes(), hello);
    }
}
