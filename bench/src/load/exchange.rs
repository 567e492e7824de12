//! A request whose answer is short and known: what opens a tunnel, and all there is to a plain
//! request.

use crate::epoll::unless_blocked;
use crate::http::{Answer, MAX_HEAD};
use crate::result::Result;
use crate::stream::Stream;

pub struct Exchange {
    sent: usize,
    answer: Vec<u8>,
}

impl Exchange {
    pub const fn new() -> Self {
        Self {
            sent: 0,
            answer: Vec::new(),
        }
    }

    /// Whether the answer is complete. Where it is wrong, that is the error.
    pub fn advance(
        &mut self,
        stream: &mut Stream,
        request: &[u8],
        judge: fn(&[u8]) -> Answer,
    ) -> Result<bool> {
        while self.sent < request.len() {
            match unless_blocked(stream.write(&request[self.sent..]))? {
                Some(written) => self.sent += written,
                None => break,
            }
        }
        unless_blocked(stream.flush())?;
        let mut bytes = [0; MAX_HEAD];
        while let Some(read) = unless_blocked(stream.read(&mut bytes))? {
            if read == 0 {
                return Err(self.wrong("the proxy closed the connection after"));
            }
            self.answer.extend(&bytes[..read]);
            match judge(&self.answer) {
                Answer::Complete => {
                    // Kept for the next one: no allocation in the long run.
                    self.answer.clear();
                    self.sent = 0;
                    return Ok(true);
                }
                Answer::Wrong => return Err(self.wrong("the proxy answered")),
                Answer::Incomplete => {}
            }
        }
        Ok(false)
    }

    fn wrong(&self, what: &str) -> Box<dyn std::error::Error> {
        format!("{what} {:?}", String::from_utf8_lossy(&self.answer)).into()
    }
}
