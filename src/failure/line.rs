//! A line that nginx logs: its own words in it, and how they are shown.
//!
//! Like `classify.rs` it knows nothing but bytes: both are fuzzed by themselves (fuzz/).

use core::fmt::{self, Write};

use memchr::memmem;
use websocket_protocol::Escaped;

/// nginx's own words in a line it logs: between the connection's number and what it was doing, or
/// the end of a line that is too long for that.
pub fn message(line: &[u8]) -> Option<&[u8]> {
    let line = line.get(memmem::find(line, b": *")? + 3..)?;
    let line = line.get(memchr::memchr(b' ', line)? + 1..)?;
    let before = |part: &[u8], line: &[u8]| memmem::rfind(line, part).unwrap_or(line.len());
    let line = line.get(..before(b", client: ", line))?;
    line.get(..before(b" while ", line))
}

/// nginx's own words, which may quote the upstream's. nginx has its quotes and escapes; the rest is
/// escaped, and what is quoted is cut.
pub struct Said<'a>(pub &'a [u8]);

impl Said<'_> {
    const MAX_QUOTED: usize = 128;
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\');
        let end = memchr::memchr(b'"', self.0).map_or(self.0.len(), |at| at + 1);
        let (own, quoted) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        let shown = quoted.get(..Self::MAX_QUOTED).unwrap_or(quoted);
        for part in own
            .split_inclusive(is_mark)
            .chain(shown.split_inclusive(is_mark))
        {
            let (text, mark) = match part.split_last() {
                Some((mark, text)) if is_mark(mark) => (text, Some(*mark)),
                _ => (part, None),
            };
            for text in text.chunks(Self::MAX_QUOTED) {
                write!(f, "{}", Escaped(text))?;
            }
            if let Some(mark) = mark {
                f.write_char(char::from(mark))?;
            }
        }
        if shown.len() < quoted.len() {
            f.write_str("...\"")?;
        }
        Ok(())
    }
}
