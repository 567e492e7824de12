//! What a scanner sees in bytes that have not gone by yet.

use super::{Admitted, Invalid, Opcode, Scanner};

impl Scanner {
    /// How many of the coming bytes lead up to the next place between two frames: 0 at one, `None`
    /// if it is not within them.
    pub fn next_boundary(&self, bytes: &[u8]) -> Result<Option<usize>, Invalid> {
        let mut ahead = *self;
        let mut rest = bytes;
        // A frame may be under way, or its header only: then skipping its payload is a second step.
        if !ahead.at_boundary() {
            if ahead.remaining == 0 && ahead.next_frame(&mut rest)?.is_none() {
                return Ok(None);
            }
            ahead.skip_payload(&mut rest);
        }
        Ok(ahead
            .at_boundary()
            .then(|| bytes.len().saturating_sub(rest.len())))
    }

    /// How many of the coming bytes lead up to a frame of which `is_it` says so: it is given the bytes
    /// from there on. `None` if there is none among them.
    pub fn find(
        &self,
        bytes: &[u8],
        mut is_it: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<usize>, Invalid> {
        let mut ahead = *self;
        let mut rest = bytes;
        loop {
            ahead.skip_payload(&mut rest);
            if !rest.is_empty() && ahead.at_boundary() && is_it(rest) {
                return Ok(Some(bytes.len().saturating_sub(rest.len())));
            }
            if ahead.next_frame(&mut rest)?.is_none() {
                return Ok(None);
            }
        }
    }

    /// How many of the coming bytes may go by if no message is to announce more than `limit` payload
    /// bytes: those before the header that exceeds it. A header that is not complete is held back,
    /// so that the frame it begins can still be kept out.
    ///
    /// To be asked before [`scan`](Self::scan), with bytes that were held back first among the next.
    pub fn admit(&self, bytes: &[u8], limit: u64) -> Result<Admitted, Invalid> {
        let mut ahead = *self;
        let mut rest = bytes;
        loop {
            ahead.skip_payload(&mut rest);
            let before = bytes.len().saturating_sub(rest.len());
            match ahead.next_frame(&mut rest)? {
                Some(frame) if frame.message_length > limit => {
                    return Ok(Admitted {
                        bytes: before,
                        exceeded: true,
                    });
                }
                Some(_) => {}
                None => {
                    return Ok(Admitted {
                        bytes: before,
                        exceeded: false,
                    });
                }
            }
        }
    }

    /// How many of the coming bytes may go by if no more than so many messages are to begin among them:
    /// those before the header of the next. `None` if all may.
    ///
    /// To be asked before [`scan`](Self::scan), as [`admit`](Self::admit) is. A message begins with the first byte of its
    /// first frame.
    pub fn before_message(&self, bytes: &[u8], most: u64) -> Result<Option<usize>, Invalid> {
        let mut left = most;
        self.find(bytes, |frame| {
            let begins = frame.first().is_some_and(|first| begins_message(*first));
            let is_beyond = begins && left == 0;
            left = left.saturating_sub(u64::from(begins));
            is_beyond
        })
    }

    /// Messages of which a byte has gone by. It wraps.
    pub const fn begun(&self) -> u64 {
        let [first, ..] = self.partial;
        let is_begun = self.in_message || (self.partial_len > 0 && begins_message(first));
        self.messages.wrapping_add(is_begun as u64)
    }

    /// Whether the last bytes were payload, and more of it is to come.
    pub(crate) const fn is_in_payload(&self) -> bool {
        self.remaining > 0
    }
}

/// Whether a frame that starts with this byte is the first of a message.
const fn begins_message(first: u8) -> bool {
    matches!(
        Opcode::from_bits(first & 0x0F),
        Ok(Opcode::Text | Opcode::Binary)
    )
}
