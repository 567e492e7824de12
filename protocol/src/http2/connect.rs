//! An extended CONNECT (RFC 8441 section 4), and the GET that a server gets in its place.

use super::hpack::{self, Entry, Name, Text, Writer};

/// The server's HPACK (RFC 7541) of a connection. What it gives lives longer than itself.
pub trait Table<'t> {
    /// The name and the value of an entry. `None`: there is none.
    fn field(&mut self, index: u32) -> Option<(&'t [u8], &'t [u8])>;

    /// The name of an entry. `None`: there is none.
    fn name(&mut self, index: u32) -> Option<&'t [u8]>;

    /// A string, from Huffman's code. `None`: it is none.
    fn decode(&mut self, text: &[u8]) -> Option<&'t [u8]>;

    /// Adds an entry. `None`: it can't be.
    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()>;

    /// Gives the connection's own table another size. `None`: it may not have that.
    fn resize(&mut self, size: u32) -> Option<()>;
}

/// Bytes of a Sec-WebSocket-Key.
pub const KEY_SIZE: usize = 24;

/// A block that every server takes for a compression error (RFC 7541 section 6.1): of index 0.
pub const BROKEN_BLOCK: &[u8] = b"\x80";

/// The first index of a connection's own table (RFC 7541 section 2.3.3).
const DYNAMIC: u32 = 62;

/// Whether a block is that of an extended CONNECT for a WebSocket. The table is not changed.
///
/// It is not if it lacks anything, has anything twice, or has a pseudo-header field that a request doesn't have:
/// then it is malformed, and a server that doesn't know `:protocol` answers it as such. Only what comes before
/// other fields is looked at.
pub fn asks_for_websocket<'t>(block: &'t [u8], table: &mut impl Table<'t>) -> bool {
    let mut rest = block;
    let mut seen = Seen::default();
    let mut added = 0;
    while !rest.is_empty() {
        let Ok(entry) = hpack::next(&mut rest) else {
            return false;
        };
        // What the block itself would have added to the table has moved the others.
        let before = |index: u32| match index.checked_sub(DYNAMIC) {
            None => Some(index),
            Some(dynamic) => dynamic.checked_sub(added).map(|index| index + DYNAMIC),
        };
        let field = match entry {
            Entry::Resized(_) => continue,
            Entry::Indexed(index) => before(index).and_then(|index| table.field(index)),
            Entry::Literal { name, value, .. } => {
                let name = match name {
                    Name::Indexed(index) => before(index).and_then(|index| table.name(index)),
                    Name::Given(name) => plain(name, table),
                };
                // Few values are long, and those of other fields are not looked at.
                match name {
                    Some(name) if !is_pseudo(name) => break,
                    name => name.zip(plain(value, table)),
                }
            }
        };
        if let Entry::Literal { is_added: true, .. } = entry {
            added += 1;
        }
        match field {
            Some((name, value)) if is_pseudo(name) => {
                if !seen.note(name, value) {
                    return false;
                }
            }
            Some(_) => break,
            None => return false,
        }
    }
    seen.is_all()
}

/// The pseudo-header fields of a block.
#[derive(Default)]
struct Seen {
    method: bool,
    protocol: bool,
    scheme: bool,
    path: bool,
    authority: bool,
}

impl Seen {
    /// Whether the request can still be one.
    fn note(&mut self, name: &[u8], value: &[u8]) -> bool {
        let (place, is_right) = match name {
            b":method" => (&mut self.method, value == b"CONNECT"),
            b":protocol" => (&mut self.protocol, value.eq_ignore_ascii_case(b"websocket")),
            b":scheme" => (&mut self.scheme, true),
            b":path" => (&mut self.path, true),
            b":authority" => (&mut self.authority, true),
            _ => return false,
        };
        !core::mem::replace(place, true) && is_right
    }

    /// The authority may also be in a Host field, as of every request.
    fn is_all(&self) -> bool {
        self.method && self.protocol && self.scheme && self.path
    }
}

/// Room that [`rewrite`] needs for a block of so many bytes whose fields have `limit` bytes at most.
pub const fn rewritten_size(block: usize, limit: usize) -> usize {
    // An entry of one byte may stand for a name and a value of the table, each with its length in front.
    let lengths = block.saturating_mul(1 + 2 * Writer::MAX_NUMBER);
    lengths
        .saturating_add(limit)
        .saturating_add(KEY.len() + KEY_SIZE + 16)
}

/// Writes the block of the GET that takes the place of an extended CONNECT, into room of [`rewritten_size`], and
/// does to the table what the CONNECT does. How long it is; `None`: the block is broken or too large, and the table
/// is not to be used any more.
///
/// All fields are those of the CONNECT, as they were written where they were, but for what makes it one and for its
/// Sec-WebSocket-Key, of which it should have none (RFC 8441 section 5): there is one of ours. A CONNECT that is
/// malformed becomes a request that is, by a field `:protocol`.
pub fn rewrite<'t>(
    block: &'t [u8],
    table: &mut impl Table<'t>,
    limit: usize,
    key: &[u8; KEY_SIZE],
    room: &mut [u8],
) -> Option<usize> {
    let mut get = Writer::new(room);
    get.indexed(METHOD_GET);
    let mut rest = block;
    let mut left = limit;
    let mut is_behind = false;
    while !rest.is_empty() {
        let entry = hpack::next(&mut rest).ok()?;
        let (name, value) = match entry {
            Entry::Resized(size) => {
                table.resize(size)?;
                continue;
            }
            Entry::Indexed(index) => table.field(index)?,
            Entry::Literal { name, value, .. } => {
                let name = match name {
                    Name::Indexed(index) => table.name(index)?,
                    Name::Given(name) => plain(name, table)?,
                };
                (name, plain(value, table)?)
            }
        };
        left = left.checked_sub(name.len())?.checked_sub(value.len())?;
        if let Entry::Literal { is_added: true, .. } = entry {
            table.add(name, value)?;
        }
        match role(name) {
            Role::Dropped | Role::Pseudo if is_behind => {
                get.literal(PROTOCOL, Text::raw(b"misplaced"));
            }
            Role::Dropped => {}
            Role::Connection => get.literal(PROTOCOL, Text::raw(b"connection")),
            Role::Key => is_behind = true,
            Role::Pseudo => write(&mut get, entry, name, value),
            Role::Field => {
                is_behind = true;
                write(&mut get, entry, name, value);
            }
        }
    }
    get.literal(Name::Given(Text::raw(KEY)), Text::raw(key));
    get.finish()
}

/// `:method: GET` of the static table.
const METHOD_GET: u32 = 2;
const PROTOCOL: Name<'_> = Name::Given(Text::raw(b":protocol"));
const KEY: &[u8] = b"sec-websocket-key";

/// What a field is to the request that is written.
enum Role {
    /// It makes the request a CONNECT.
    Dropped,
    /// A pseudo-header field that a GET has, too.
    Pseudo,
    /// A field that only a connection of HTTP/1.1 has (RFC 9113 section 8.2.2).
    Connection,
    Key,
    Field,
}

fn role(name: &[u8]) -> Role {
    match name {
        b":method" | b":protocol" => Role::Dropped,
        KEY => Role::Key,
        b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => {
            Role::Connection
        }
        name if is_pseudo(name) => Role::Pseudo,
        _ => Role::Field,
    }
}

/// Writes a field, in the form that it had unless that refers to the connection's own table.
fn write(get: &mut Writer<'_>, entry: Entry<'_>, name: &[u8], value: &[u8]) {
    match entry {
        Entry::Indexed(index) if index < DYNAMIC => get.indexed(index),
        Entry::Literal {
            name: Name::Indexed(index),
            value,
            ..
        } if index >= DYNAMIC => get.literal(Name::Given(Text::raw(name)), value),
        Entry::Literal { name, value, .. } => get.literal(name, value),
        Entry::Indexed(_) | Entry::Resized(_) => {
            get.literal(Name::Given(Text::raw(name)), Text::raw(value));
        }
    }
}

fn plain<'t>(text: Text<'t>, table: &mut impl Table<'t>) -> Option<&'t [u8]> {
    if text.is_huffman {
        table.decode(text.bytes)
    } else {
        Some(text.bytes)
    }
}

fn is_pseudo(name: &[u8]) -> bool {
    name.first() == Some(&b':')
}

#[cfg(test)]
mod tests;
