//! A table as RFC 7541 has it, slow and obvious. In place of Huffman's code it has texts backwards.

use std::cell::{Cell, OnceCell};

use websocket_protocol::http2::Table;

pub type Field = (Vec<u8>, Vec<u8>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codec {
    /// The newest first.
    fields: Vec<Field>,
}

pub const NAMES: &[&str] = &[
    "accept-encoding",
    "cookie",
    "origin",
    "sec-websocket-key",
    "sec-websocket-version",
    "connection",
    "upgrade",
];

pub const POOL: &[&str] = &[
    "",
    ":method",
    "CONNECT",
    ":protocol",
    "websocket",
    ":path",
    "/chat",
    "origin",
    "13",
    "a=b",
];

/// The entries of appendix A that are used.
const STATIC: &[(u32, &str, &str)] = &[
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (6, ":scheme", "http"),
    (7, ":scheme", "https"),
    (8, ":status", "200"),
    (16, "accept-encoding", "gzip, deflate"),
    (32, "cookie", ""),
];

const SIZE: usize = 4096;

impl Codec {
    pub fn put_in(&mut self, name: &[u8], value: &[u8]) {
        self.fields.insert(0, (name.to_vec(), value.to_vec()));
        let size = |field: &Field| 32 + field.0.len() + field.1.len();
        while self.fields.iter().map(size).sum::<usize>() > SIZE {
            self.fields.pop();
        }
    }

    /// A block, each field of which takes one of the forms that it can have.
    pub fn write(&mut self, fields: &[Field], choices: &[u8]) -> Vec<u8> {
        let mut block = vec![];
        for (place, field) in fields.iter().enumerate() {
            let choice = choices[place % choices.len()];
            if choice & 0x80 == 0 {
                if let Some(index) = self.find(|known| known == field) {
                    number(&mut block, 0x80, 7, index);
                    continue;
                }
            }
            let is_added = choice & 0x40 != 0;
            let (flags, bits) = match choice & 0x60 {
                0x40 | 0x60 => (0x40, 6),
                0x20 => (0x10, 4),
                _ => (0, 4),
            };
            let known = self.find(|known| known.0 == field.0);
            match known.filter(|_| choice & 0x10 == 0) {
                Some(index) => number(&mut block, flags, bits, index),
                None => {
                    number(&mut block, flags, bits, 0);
                    text(&mut block, &field.0, choice & 1 != 0);
                }
            }
            text(&mut block, &field.1, choice & 2 != 0);
            if is_added {
                self.put_in(&field.0, &field.1);
            }
        }
        block
    }

    fn find(&self, is: impl Fn(&Field) -> bool) -> Option<u32> {
        (1..62 + self.fields.len() as u32)
            .rev()
            .find(|&index| self.at(index).is_some_and(|f| is(&f)))
    }

    fn at(&self, index: u32) -> Option<Field> {
        match index.checked_sub(62) {
            Some(dynamic) => self.fields.get(dynamic as usize).cloned(),
            None => STATIC
                .iter()
                .find(|entry| entry.0 == index)
                .map(|(_, name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())),
        }
    }

    /// Section 6, read aloud. `None`: it is no block.
    pub fn read(&mut self, block: &[u8]) -> Option<Vec<Field>> {
        let mut fields = vec![];
        let mut rest = block;
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                let index = read_number(&mut rest, 7)?;
                fields.push(self.at(index)?);
            } else if first & 0xe0 == 0x20 {
                (read_number(&mut rest, 5)? == SIZE as u32).then_some(())?;
            } else {
                let is_added = first & 0x40 != 0;
                let name = match read_number(&mut rest, if is_added { 6 } else { 4 })? {
                    0 => read_text(&mut rest)?,
                    index => self.at(index)?.0,
                };
                let value = read_text(&mut rest)?;
                if is_added {
                    self.put_in(&name, &value);
                }
                fields.push((name, value));
            }
        }
        Some(fields)
    }
}

/// A table, and what it has given away.
pub struct Lent<'t> {
    pub codec: Codec,
    arena: &'t Arena,
}

impl<'t> Lent<'t> {
    pub fn new(codec: &Codec, arena: &'t Arena) -> Self {
        Self {
            codec: codec.clone(),
            arena,
        }
    }
}

/// Texts that stay where they are.
pub struct Arena {
    texts: Vec<OnceCell<Vec<u8>>>,
    next: Cell<usize>,
}

impl Arena {
    /// With room for all that a block of so many bytes asks for, twice.
    pub fn for_block(size: usize) -> Self {
        Self {
            texts: (0..4 * size + 4).map(|_| OnceCell::new()).collect(),
            next: Cell::new(0),
        }
    }

    fn keep(&self, text: Vec<u8>) -> &[u8] {
        let place = self.next.get();
        self.next.set(place + 1);
        self.texts[place].get_or_init(|| text)
    }
}

impl<'t> Table<'t> for Lent<'t> {
    fn field(&mut self, index: u32) -> Option<(&'t [u8], &'t [u8])> {
        let (name, value) = self.codec.at(index)?;
        Some((self.arena.keep(name), self.arena.keep(value)))
    }

    fn name(&mut self, index: u32) -> Option<&'t [u8]> {
        Some(self.arena.keep(self.codec.at(index)?.0))
    }

    fn decode(&mut self, text: &[u8]) -> Option<&'t [u8]> {
        Some(self.arena.keep(text.iter().rev().copied().collect()))
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.codec.put_in(name, value);
        Some(())
    }

    fn resize(&mut self, size: u32) -> Option<()> {
        (size == SIZE as u32).then_some(())
    }
}

/// The fields of the GET in place of a CONNECT.
pub fn get(fields: &[Field], key: &[u8]) -> Vec<Field> {
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut get = vec![field(":method", "GET")];
    let mut is_behind = false;
    for (name, value) in fields {
        let is_pseudo = name.first() == Some(&b':');
        match std::str::from_utf8(name).unwrap_or_default() {
            _ if is_pseudo && is_behind => get.push(field(":protocol", "misplaced")),
            ":method" | ":protocol" => {}
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                get.push(field(":protocol", "connection"));
            }
            "sec-websocket-key" => is_behind = true,
            _ => {
                is_behind |= !is_pseudo;
                get.push((name.clone(), value.clone()));
            }
        }
    }
    get.push((b"sec-websocket-key".to_vec(), key.to_vec()));
    get
}

fn number(block: &mut Vec<u8>, flags: u8, bits: u32, value: u32) {
    let most = (1 << bits) - 1;
    if value < most {
        return block.push(flags | value as u8);
    }
    block.push(flags | most as u8);
    let mut rest = value - most;
    while rest > 127 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

fn text(block: &mut Vec<u8>, text: &[u8], is_backwards: bool) {
    number(
        block,
        if is_backwards { 0x80 } else { 0 },
        7,
        text.len() as u32,
    );
    if is_backwards {
        block.extend(text.iter().rev());
    } else {
        block.extend(text);
    }
}

fn read_number(rest: &mut &[u8], bits: u32) -> Option<u32> {
    let most = (1 << bits) - 1;
    let (&first, mut behind) = rest.split_first()?;
    let mut value = u32::from(first) & most;
    if value == most {
        for place in 0.. {
            // As many bytes as nginx reads.
            let (&byte, more) = behind.split_first().filter(|_| place < 3)?;
            behind = more;
            value += u32::from(byte & 127) << (7 * place);
            if byte < 128 {
                break;
            }
        }
    }
    *rest = behind;
    Some(value)
}

fn read_text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let is_backwards = *rest.first()? >= 128;
    let length = read_number(rest, 7)? as usize;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    let mut text = text.to_vec();
    if is_backwards {
        text.reverse();
    }
    Some(text)
}
