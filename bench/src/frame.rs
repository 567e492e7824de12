//! WebSocket frames as the generator writes them and the backend answers them.

/// The longest header: two bytes, a 64-bit length and a mask.
pub const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const BINARY: u8 = 0x02;
const MASKED: u8 = 0x80;

/// A frame that is sent over and over, and the one that has to come back.
pub struct Template {
    pub masked: Vec<u8>,
    pub echoed: Vec<u8>,
    /// The echo's header.
    pub header: usize,
}

impl Template {
    /// The mask is zero: a proxy treats it as any other, and neither end has to apply it.
    pub fn new(size: usize) -> Self {
        let payload = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8);
        let (mut masked, mut echoed) = (header(size, MASKED), header(size, 0));
        let header = echoed.len();
        masked.extend([0; 4]);
        echoed.extend(payload);
        masked.extend(&echoed[header..]);
        Self {
            masked,
            echoed,
            header,
        }
    }
}

fn header(size: usize, mask: u8) -> Vec<u8> {
    let mut header = vec![FIN | BINARY];
    if size < 126 {
        header.push(mask | size as u8);
    } else if let Ok(size) = u16::try_from(size) {
        header.push(mask | 126);
        header.extend(size.to_be_bytes());
    } else {
        header.push(mask | 127);
        header.extend((size as u64).to_be_bytes());
    }
    header
}

/// The header of a frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length without the mask: that of the answer's header.
    pub unmasked: usize,
    pub mask: [u8; 4],
    pub payload: usize,
}

impl Header {
    /// The whole frame.
    pub fn frame(&self) -> usize {
        self.unmasked + self.mask.len() + self.payload
    }

    /// `Ok(None)`: more bytes are needed. `Err`: no client may send this.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & FIN == 0 || second & MASKED == 0 {
            return Err("the backend got a frame that is a fragment, or not masked");
        }
        let (payload, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u16::from_be_bytes(*length).into(), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (short.into(), rest),
        };
        let payload = usize::try_from(payload)
            .ok()
            .filter(|&length| length <= MAX_PAYLOAD);
        let payload = payload.ok_or("the backend got a frame larger than any that was sent")?;
        Ok(rest.first_chunk().map(|&mask| Self {
            unmasked: bytes.len() - rest.len(),
            mask,
            payload,
        }))
    }
}

const MAX_PAYLOAD: usize = 64 << 20;

/// Applies a mask, or takes it off.
pub fn mask(payload: &mut [u8], mask: [u8; 4]) {
    if mask != [0; 4] {
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, Template};

    #[test]
    fn headers_are_read_back() {
        for (size, unmasked) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let template = Template::new(size);
            let header = Header::parse(&template.masked).unwrap().unwrap();
            assert_eq!((header.unmasked, header.payload), (unmasked, size));
            assert_eq!(header.frame(), template.masked.len());
            assert_eq!(template.header, unmasked);
            assert_eq!(Header::parse(&template.masked[..unmasked + 3]), Ok(None));
        }
    }
}
