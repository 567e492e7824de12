//! Pongs that answer the tunnel's own Pings. They are told by their payload, which is the tunnel's alone:
//! peers send Pongs of their own, and answer Pings of each other.

/// What stands at the beginning of a side's next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pong {
    /// An answer to the tunnel, so many bytes long.
    Ours(usize),
    /// More has to come before that can be told.
    Unknown,
    /// Something for the other side.
    Theirs,
}

/// What a tunnel's Pings carry.
pub(super) type Payload = [u8; 4];

const FIN_AND_OPCODE: u8 = 0x8F;
const FIN_AND_PONG: u8 = 0x8A;
const MASKED: u8 = 0x80;

impl Pong {
    /// Looks at the bytes from the beginning of a frame on. An answer may be masked or not, whoever sends
    /// it. One that is neither as it has to be nor has a payload is taken for one, too: no other side
    /// would accept it.
    pub fn read(bytes: &[u8], payload: Payload, from_client: bool) -> Self {
        let [first, rest @ ..] = bytes else {
            return Self::Unknown;
        };
        if first & FIN_AND_OPCODE != FIN_AND_PONG {
            return Self::Theirs;
        }
        let [second, rest @ ..] = rest else {
            return Self::Unknown;
        };
        let is_masked = second & MASKED != 0;
        let payload: &[u8] = match usize::from(second & !MASKED) {
            0 if is_masked != from_client => &[],
            length if length == payload.len() => &payload,
            _ => return Self::Theirs,
        };
        let key = if is_masked {
            rest.first_chunk()
        } else {
            Some(&[0; 4])
        };
        let Some(key) = key else {
            return Self::Unknown;
        };
        let rest = if is_masked {
            rest.get(key.len()..).unwrap_or_default()
        } else {
            rest
        };
        let sent = rest.iter().zip(key).map(|(byte, key)| byte ^ key);
        if !sent.zip(payload).all(|(sent, asked)| sent == *asked) {
            Self::Theirs
        } else if rest.len() < payload.len() {
            Self::Unknown
        } else {
            let behind = rest.len().saturating_sub(payload.len());
            Self::Ours(bytes.len().saturating_sub(behind))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ControlFrame;

    const OURS: Payload = *b"ours";

    fn pong(payload: &[u8]) -> Vec<u8> {
        let mut bytes = ControlFrame::ping(payload).bytes().to_vec();
        bytes[0] = FIN_AND_PONG;
        bytes
    }

    fn masked(payload: &[u8]) -> Vec<u8> {
        let mut bytes = ControlFrame::ping(payload)
            .masked([1, 0xFF, 0, 9])
            .bytes()
            .to_vec();
        bytes[0] = FIN_AND_PONG;
        bytes
    }

    #[test]
    fn an_answer_is_one_in_either_masking() {
        for from_client in [true, false] {
            for bytes in [pong(b"ours"), masked(b"ours")] {
                let length = bytes.len();
                assert_eq!(Pong::read(&bytes, OURS, from_client), Pong::Ours(length));
                for known in 0..length {
                    let read = Pong::read(&bytes[..known], OURS, from_client);
                    assert_eq!(read, Pong::Unknown, "{known}");
                }
                let more = [&bytes[..], b"\x81\x00"].concat();
                assert_eq!(Pong::read(&more, OURS, from_client), Pong::Ours(length));
            }
        }
    }

    #[test]
    fn what_is_for_the_other_side() {
        for bytes in [
            &b"\x89\x04ours"[..],
            b"\x81\x04ours",
            b"\x0a\x04ours",
            b"\x8a\x05ours!",
        ] {
            assert_eq!(Pong::read(bytes, OURS, false), Pong::Theirs, "{bytes:?}");
        }
        // Told as soon as it can be.
        assert_eq!(Pong::read(b"\x8a\x04ox", OURS, false), Pong::Theirs);
        assert_eq!(Pong::read(&masked(b"else"), OURS, true), Pong::Theirs);
        assert_eq!(Pong::read(&pong(b"else"), OURS, true), Pong::Theirs);
    }

    #[test]
    fn one_without_a_payload_is_an_answer_if_nobody_else_could_take_it() {
        assert_eq!(Pong::read(&pong(b""), OURS, true), Pong::Ours(2));
        assert_eq!(Pong::read(&masked(b""), OURS, false), Pong::Ours(6));
        assert_eq!(Pong::read(&masked(b"")[..4], OURS, false), Pong::Unknown);
        assert_eq!(Pong::read(&pong(b""), OURS, false), Pong::Theirs);
        assert_eq!(Pong::read(&masked(b""), OURS, true), Pong::Theirs);
    }
}
