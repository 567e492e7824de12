//! An input, taken apart from its front. What it does not have is 0.

use std::ops::RangeInclusive;

/// What is left of an input.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Two bytes, the high one first.
    pub fn short(&mut self) -> u16 {
        u16::from(self.byte()) << 8 | u16::from(self.byte())
    }

    /// A number of two bytes, within these.
    pub fn within(&mut self, range: RangeInclusive<u32>) -> u32 {
        let (least, most) = range.into_inner();
        least + u32::from(self.short()) % (most - least + 1)
    }

    /// So many bytes, or those that there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Up to the end of a line, without it.
    pub fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The lines up to an empty one, which is taken, too.
    pub fn head(&mut self) -> Vec<&'a [u8]> {
        let mut lines = vec![];
        while !self.is_empty() {
            match self.line() {
                [] => break,
                line => lines.push(line),
            }
        }
        lines
    }
}

/// The name and the value of a header line.
pub fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}
