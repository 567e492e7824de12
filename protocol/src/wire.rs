//! Numbers and texts as bytes, for another process to read: little-endian, each text behind its length.

/// Where they are written to, one behind the other. What finds no room makes all of it fail.
pub(crate) struct Out<'a> {
    bytes: &'a mut [u8],
    len: usize,
    is_full: bool,
}

impl<'a> Out<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            len: 0,
            is_full: false,
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.bytes.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.is_full = true,
        }
    }

    pub fn u8(&mut self, number: u8) {
        self.bytes(&[number]);
    }

    pub fn bool(&mut self, is: bool) {
        self.u8(is.into());
    }

    pub fn u16(&mut self, number: u16) {
        self.bytes(&number.to_le_bytes());
    }

    pub fn u32(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
    }

    pub fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub fn i64(&mut self, number: i64) {
        self.bytes(&number.to_le_bytes());
    }

    /// What may be missing.
    pub fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub fn text(&mut self, text: &[u8]) {
        match u32::try_from(text.len()) {
            Ok(length) => self.u32(length),
            Err(_) => self.is_full = true,
        }
        self.bytes(text);
    }

    /// How much was written; `None` if there was no room.
    pub fn finish(self) -> Option<usize> {
        (!self.is_full).then_some(self.len)
    }
}

/// Where they are read from. `None` is what is not there, or can't be.
pub(crate) struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// What may be missing.
    pub fn option<T>(&mut self, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.bool()? {
            true => take(self).map(Some),
            false => Some(None),
        }
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = [0; 64];
        let mut out = Out::new(&mut bytes);
        out.u8(7);
        out.bool(true);
        out.u16(0x0102);
        out.u32(u32::MAX - 1);
        out.u64(u64::MAX - 2);
        out.i64(-3);
        out.text(b"text");
        out.option(Some(5), Out::u16);
        out.option(None, Out::u16);
        let length = out.finish().unwrap();
        let mut read = In::new(&bytes[..length]);
        assert_eq!((read.u8(), read.bool()), (Some(7), Some(true)));
        assert_eq!((read.u16(), read.u32()), (Some(0x0102), Some(u32::MAX - 1)));
        assert_eq!((read.u64(), read.i64()), (Some(u64::MAX - 2), Some(-3)));
        assert_eq!(read.text(), Some(&b"text"[..]));
        assert_eq!(read.option(In::u16), Some(Some(5)));
        assert!(!read.is_at_end());
        assert_eq!(read.option(In::u16), Some(None));
        assert!(read.is_at_end());
    }

    #[test]
    fn what_has_no_room_is_not_written_by_half() {
        let mut bytes = [0; 9];
        let mut out = Out::new(&mut bytes);
        out.text(b"12345");
        assert_eq!(out.finish(), Some(9));
        let mut out = Out::new(&mut bytes);
        out.text(b"123456");
        assert_eq!(out.finish(), None);
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        assert_eq!(In::new(&[1]).u16(), None);
        assert_eq!(In::new(&[2]).bool(), None);
        assert_eq!(In::new(&[4, 0, 0, 0, b'a', b'b', b'c']).text(), None);
        assert_eq!(In::new(&[0xFF; 8]).text(), None);
        assert_eq!(In::new(&[1, 2]).option(In::u16), None);
    }
}
