//! Where an answer is written to: what there is room for of a text that may be longer.

use core::fmt;

/// A part of a text, from a place on and as far as there is room.
pub(crate) struct Out<'b> {
    room: &'b mut [u8],
    length: usize,
    /// Bytes of the text that are not wanted any more.
    skip: usize,
}

impl<'b> Out<'b> {
    pub fn new(room: &'b mut [u8]) -> Self {
        Self {
            room,
            length: 0,
            skip: 0,
        }
    }

    pub fn length(&self) -> usize {
        self.length
    }

    #[cfg(test)]
    pub fn written(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Writes a text of which the beginning was written before; `written` says how much. Whether the rest
    /// found room. The text has to be the same each time.
    pub fn go_on(
        &mut self,
        written: &mut usize,
        text: impl FnOnce(&mut Self) -> fmt::Result,
    ) -> bool {
        let before = self.length;
        self.skip = *written;
        let is_done = text(self).is_ok();
        *written += self.length - before;
        is_done
    }
}

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Some(new) = text.as_bytes().get(self.skip..) else {
            self.skip -= text.len();
            return Ok(());
        };
        self.skip = 0;
        let room = self.room.get_mut(self.length..).unwrap_or_default();
        let fits = new.len().min(room.len());
        for (to, byte) in room.iter_mut().zip(new) {
            *to = *byte;
        }
        self.length += fits;
        if fits < new.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}
