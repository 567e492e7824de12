//! Header blocks (RFC 7541) as they are written, without the tables that they refer to.

/// One entry of a block (RFC 7541 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A field of a table.
    Indexed(u32),
    /// A field whose value is given.
    Literal {
        /// Its name.
        name: Name<'a>,
        /// Its value.
        value: Text<'a>,
        /// Whether it goes into the table.
        is_added: bool,
    },
    /// The table gets another size.
    Resized(u32),
}

/// A name of a table, or one that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    Indexed(u32),
    Given(Text<'a>),
}

/// A string, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    pub is_huffman: bool,
    pub bytes: &'a [u8],
}

/// Why there is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It goes on behind the bytes.
    Incomplete,
    /// It is none, or has a number that nginx doesn't take.
    Invalid,
}

/// What a number takes at most, as nginx reads them.
const MAX_NUMBER: usize = 4;

/// Takes the first entry off the bytes.
pub fn next<'a>(bytes: &mut &'a [u8]) -> Result<Entry<'a>, Unread> {
    let &first = bytes.first().ok_or(Unread::Incomplete)?;
    if first & 0x80 != 0 {
        return number(bytes, 7).map(Entry::Indexed);
    }
    if first & 0xe0 == 0x20 {
        return number(bytes, 5).map(Entry::Resized);
    }
    let is_added = first & 0x40 != 0;
    let name = match number(bytes, if is_added { 6 } else { 4 })? {
        0 => Name::Given(text(bytes)?),
        index => Name::Indexed(index),
    };
    Ok(Entry::Literal {
        name,
        value: text(bytes)?,
        is_added,
    })
}

/// A number whose first bits share a byte with something else (RFC 7541 section 5.1).
fn number(bytes: &mut &[u8], bits: u32) -> Result<u32, Unread> {
    let prefix = (1_u32 << bits) - 1;
    let (&first, mut rest) = bytes.split_first().ok_or(Unread::Incomplete)?;
    let mut value = u32::from(first) & prefix;
    if value == prefix {
        let mut shift = 0;
        loop {
            // Three more bytes of seven bits, so that nothing is too much for the type.
            if shift == 7 * (MAX_NUMBER - 1) {
                return Err(Unread::Invalid);
            }
            let (&byte, behind) = rest.split_first().ok_or(Unread::Incomplete)?;
            rest = behind;
            value = value.wrapping_add(u32::from(byte & 0x7f) << shift);
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *bytes = rest;
    Ok(value)
}

/// A string with its length in front (RFC 7541 section 5.2).
fn text<'a>(bytes: &mut &'a [u8]) -> Result<Text<'a>, Unread> {
    let &first = bytes.first().ok_or(Unread::Incomplete)?;
    let length = number(bytes, 7)? as usize;
    let (text, rest) = bytes.split_at_checked(length).ok_or(Unread::Incomplete)?;
    *bytes = rest;
    Ok(Text {
        is_huffman: first & 0x80 != 0,
        bytes: text,
    })
}

/// Writes a block, none of whose fields goes into a table.
pub struct Writer<'w> {
    room: &'w mut [u8],
    length: usize,
    /// The room did not do.
    is_full: bool,
}

impl<'w> Writer<'w> {
    /// The most bytes that a number takes, which is in front of a name, and of each string.
    pub const MAX_NUMBER: usize = MAX_NUMBER;

    pub fn new(room: &'w mut [u8]) -> Self {
        Self {
            room,
            length: 0,
            is_full: false,
        }
    }

    /// How long the block is. `None` if there was no room for it.
    pub fn finish(self) -> Option<usize> {
        (!self.is_full).then_some(self.length)
    }

    /// A field of the static table.
    pub fn indexed(&mut self, index: u32) {
        self.number(0x80, 7, index);
    }

    /// A field whose value is given.
    pub fn literal(&mut self, name: Name<'_>, value: Text<'_>) {
        match name {
            Name::Indexed(index) => self.number(0, 4, index),
            Name::Given(name) => {
                self.number(0, 4, 0);
                self.text(name);
            }
        }
        self.text(value);
    }

    fn text(&mut self, text: Text<'_>) {
        let flag = if text.is_huffman { 0x80 } else { 0 };
        // A length that no number has room for is that of no string that was read.
        let length = u32::try_from(text.bytes.len()).unwrap_or(u32::MAX);
        self.number(flag, 7, length);
        self.put(text.bytes);
    }

    fn number(&mut self, flags: u8, bits: u32, value: u32) {
        let prefix = (1_u32 << bits) - 1;
        if value < prefix {
            return self.put(&[flags | value as u8]);
        }
        self.put(&[flags | prefix as u8]);
        let mut rest = value - prefix;
        while rest >= 0x80 {
            self.put(&[rest as u8 | 0x80]);
            rest >>= 7;
        }
        self.put(&[rest as u8]);
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.room.get_mut(self.length..end) {
            Some(place) if !self.is_full => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            _ => self.is_full = true,
        }
    }
}

impl<'a> Text<'a> {
    pub const fn raw(bytes: &'a [u8]) -> Self {
        Self {
            is_huffman: false,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> (Result<Entry<'_>, Unread>, usize) {
        let entry = next(&mut bytes);
        (entry, bytes.len())
    }

    #[test]
    fn entries_are_those_of_the_rfc() {
        // RFC 7541 appendix C.2 and C.4.1.
        let (entry, rest) = read(b"\x82\x86");
        assert_eq!((entry, rest), (Ok(Entry::Indexed(2)), 1));
        let (entry, _) = read(b"\x40\x0acustom-key\x0dcustom-header");
        let expected = Entry::Literal {
            name: Name::Given(Text::raw(b"custom-key")),
            value: Text::raw(b"custom-header"),
            is_added: true,
        };
        assert_eq!(entry, Ok(expected));
        let (entry, _) = read(b"\x04\x0c/sample/path");
        let expected = Entry::Literal {
            name: Name::Indexed(4),
            value: Text::raw(b"/sample/path"),
            is_added: false,
        };
        assert_eq!(entry, Ok(expected));
        let (entry, _) = read(b"\x10\x08password\x06secret");
        assert!(matches!(
            entry,
            Ok(Entry::Literal {
                is_added: false,
                ..
            })
        ));
        let (entry, _) = read(b"\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        let Ok(Entry::Literal { value, .. }) = entry else {
            panic!("{entry:?}");
        };
        assert!(value.is_huffman && value.bytes.len() == 12);
        assert_eq!(read(b"\x3f\xe1\x1f").0, Ok(Entry::Resized(4096)));
    }

    #[test]
    fn numbers_are_those_of_the_rfc() {
        // RFC 7541 appendix C.1.
        assert_eq!(number(&mut &b"\x0a"[..], 5), Ok(10));
        assert_eq!(number(&mut &b"\x1f\x9a\x0a"[..], 5), Ok(1337));
        assert_eq!(number(&mut &b"\x2a"[..], 8), Ok(42));
    }

    #[test]
    fn a_number_of_five_bytes_is_none() {
        assert_eq!(
            read(b"\xff\xff\xff\x7f").0,
            Ok(Entry::Indexed(0x1f_ffff + 127))
        );
        assert_eq!(read(b"\xff\x80\x80\x80").0, Err(Unread::Invalid));
        assert_eq!(read(b"\xff\x80\x80").0, Err(Unread::Incomplete));
    }

    #[test]
    fn no_piece_of_an_entry_is_one() {
        let whole = b"\x40\x0acustom-key\x0dcustom-header";
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]).0, Err(Unread::Incomplete));
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for value in [
            0, 1, 14, 15, 16, 126, 127, 128, 254, 255, 256, 16_511, 2_097_278,
        ] {
            let mut room = [0; 8];
            let mut writer = Writer::new(&mut room);
            writer.indexed(value);
            let length = writer.finish().unwrap();
            assert!(length <= MAX_NUMBER);
            assert_eq!(read(&room[..length]), (Ok(Entry::Indexed(value)), 0));
        }
    }

    #[test]
    fn a_block_without_room_is_none() {
        let mut room = [0; 4];
        let mut writer = Writer::new(&mut room);
        writer.literal(Name::Indexed(4), Text::raw(b"/abc"));
        writer.indexed(2);
        assert_eq!(writer.finish(), None);
    }
}
