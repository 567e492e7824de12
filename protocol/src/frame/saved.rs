//! A scanner on its way to another process.

use super::Scanner;
use crate::wire::{In, Out};

impl Scanner {
    pub(crate) fn put(&self, out: &mut Out<'_>) {
        out.u64(self.remaining);
        out.u64(self.message);
        out.u64(self.frames);
        out.u64(self.messages);
        out.bytes(&self.partial);
        out.u8(self.partial_len);
        out.bool(self.in_message);
    }

    /// One that no stream can lead to is none.
    pub(crate) fn take(from_client: bool, read: &mut In<'_>) -> Option<Self> {
        let scanner = Self {
            remaining: read.u64()?,
            message: read.u64()?,
            frames: read.u64()?,
            messages: read.u64()?,
            partial: read.array()?,
            partial_len: read.u8()?,
            from_client,
            in_message: read.bool()?,
        };
        let kept = usize::from(scanner.partial_len);
        let is_possible = kept <= scanner.partial.len()
            // A header does not begin before the payload in front of it has ended.
            && (kept == 0 || scanner.remaining == 0);
        is_possible.then_some(scanner)
    }
}
