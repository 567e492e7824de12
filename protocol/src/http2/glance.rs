//! Whether a header block may ask for a WebSocket, as far as that shows without the tables.

use super::hpack::{self, Entry, Name, Unread};

/// What a block looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// It doesn't ask for one.
    Plain,
    /// It may. Its tables have to be looked at.
    Maybe,
    /// Neither shows in these bytes.
    Unknown,
}

/// So many entries are looked at: a request has five pseudo-header fields in front of all others, and a table
/// is resized twice at most.
const ENTRIES: usize = 7;

/// `is_whole`: there is no more of it.
///
/// A method that shows is looked for, which comes before other fields and only once. Most clients begin with
/// it, so mostly the first byte decides.
pub fn glance(mut block: &[u8], is_whole: bool) -> Glance {
    let mut is_hidden = false;
    for _ in 0..ENTRIES {
        let entry = match hpack::next(&mut block) {
            Ok(entry) => entry,
            Err(Unread::Incomplete) if !is_whole => return Glance::Unknown,
            // Nothing more comes, or nothing that can be read.
            Err(_) => break,
        };
        match entry {
            Entry::Resized(_) => {}
            Entry::Indexed(index) => match kind(index) {
                // GET or POST; a second method would be malformed.
                Kind::Method => return Glance::Plain,
                Kind::Other => break,
                Kind::Pseudo => {}
                Kind::Hidden => is_hidden = true,
            },
            Entry::Literal { name, value, .. } => {
                let kind = match name {
                    Name::Indexed(index) => kind(index),
                    Name::Given(_) => Kind::Hidden,
                };
                match kind {
                    // What it is in Huffman's code takes as many bytes.
                    Kind::Method if value.is_huffman && value.bytes.len() == CONNECT.len() => {
                        return Glance::Maybe;
                    }
                    Kind::Method if !value.is_huffman && value.bytes == CONNECT => {
                        return Glance::Maybe;
                    }
                    Kind::Method => return Glance::Plain,
                    Kind::Other => break,
                    Kind::Pseudo => {}
                    Kind::Hidden => is_hidden = true,
                }
            }
        }
    }
    if is_hidden {
        Glance::Maybe
    } else {
        Glance::Plain
    }
}

const CONNECT: &[u8] = b"CONNECT";

/// What an index says.
enum Kind {
    /// The method. With a value it is GET or POST.
    Method,
    /// Another pseudo-header field of requests.
    Pseudo,
    /// None of these.
    Other,
    /// Only the connection's table tells.
    Hidden,
}

/// RFC 7541 appendix A.
fn kind(index: u32) -> Kind {
    match index {
        2 | 3 => Kind::Method,
        1 | 4..=7 => Kind::Pseudo,
        0 | 8..=61 => Kind::Other,
        62.. => Kind::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_most_requests_decides() {
        for block in [
            &b"\x82"[..],
            b"\x83",
            b"\x3f\xe1\x1f\x82",
            b"\x84\x82",
            b"\x87\x83",
        ] {
            assert_eq!(glance(block, false), Glance::Plain);
        }
    }

    #[test]
    fn a_method_that_is_given_decides() {
        assert_eq!(glance(b"\x42\x07CONNECT", false), Glance::Maybe);
        assert_eq!(glance(b"\x02\x07CONNECT", false), Glance::Maybe);
        assert_eq!(glance(b"\x03\x07CONNECT", false), Glance::Maybe);
        assert_eq!(glance(b"\x02\x07connect", false), Glance::Plain);
        assert_eq!(glance(b"\x02\x03PUT", false), Glance::Plain);
        // CONNECT in Huffman's code, and another one of the same size.
        assert_eq!(
            glance(b"\x02\x87\xbd\xab\x4e\x9c\x17\xb7\xff", false),
            Glance::Maybe
        );
        assert_eq!(
            glance(b"\x02\x86\xbd\xab\x4e\x9c\x17\xb7", false),
            Glance::Plain
        );
    }

    #[test]
    fn a_method_behind_others_is_found() {
        assert_eq!(glance(b"\x41\x01a\x82", false), Glance::Plain);
        assert_eq!(glance(b"\x41\x01a\x42\x07CONNECT", false), Glance::Maybe);
        assert_eq!(glance(b"\x41\x01a\x87", false), Glance::Unknown);
        assert_eq!(glance(b"\x41\x01a\x87", true), Glance::Plain);
    }

    #[test]
    fn what_only_the_table_tells_may_be_it() {
        assert_eq!(glance(b"\xbe", false), Glance::Unknown);
        assert_eq!(glance(b"\xbe", true), Glance::Maybe);
        assert_eq!(glance(b"\xbe\x82", false), Glance::Plain);
        assert_eq!(glance(b"\xbe\x90", false), Glance::Maybe);
        assert_eq!(glance(b"\x40\x07:method\x07CONNECT", true), Glance::Maybe);
        assert_eq!(
            glance(b"\xbe\xbe\xbe\xbe\xbe\xbe\xbe", false),
            Glance::Maybe
        );
    }

    #[test]
    fn other_fields_come_behind_the_method() {
        assert_eq!(glance(b"\x90", false), Glance::Plain);
        assert_eq!(glance(b"\x87\x84\x0f\x0a\x01x", false), Glance::Plain);
        assert_eq!(glance(b"\x80", false), Glance::Plain);
    }

    #[test]
    fn no_piece_decides_otherwise_than_the_whole() {
        for whole in [
            &b"\x41\x01a\x42\x07CONNECT\x44\x01/"[..],
            b"\x41\x01a\xbe\x82",
            b"\x20\x3f\xe1\x1f\x02\x04HEAD",
        ] {
            for end in 0..whole.len() {
                let piece = glance(&whole[..end], false);
                assert!(piece == Glance::Unknown || piece == glance(whole, true));
            }
        }
    }
}
