//! What is kept of a tunnel or a handshake, in a record of 64 words.

use websocket_protocol::tunnel::Count;

use crate::layout::RECORD;
use crate::text::{self, LENGTH_BITS, Text};

/// Whose connection it is, and where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The client's address.
    pub client: &'a [u8],
    /// The first name of the server.
    pub server: &'a [u8],
    /// The address that was asked for. Its query is left out, whatever is given here.
    pub uri: &'a [u8],
    /// The address of the upstream server.
    pub upstream: &'a [u8],
    /// What the upstream selected.
    pub subprotocol: &'a [u8],
    /// Whether the client's connection is TLS.
    pub is_tls: bool,
    /// The client's HTTP version, major and minor.
    pub http: (u8, u8),
}

/// Whose connection it is or was, as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The client's address.
    pub client: Text,
    /// The first name of its server.
    pub server: Text,
    /// The address that was asked for, without its query.
    pub uri: Text,
    /// Whether the client's connection is TLS.
    pub is_tls: bool,
    /// The client's HTTP version, major and minor.
    pub http: (u8, u8),
}

/// The numbers of a record, which come before its texts; two of them are in every one.
pub(crate) const NUMBERS: usize = 16;
pub(crate) const LABEL: usize = 1;
pub(crate) const LENGTHS: usize = 15;

/// Words of each text at most. They stand one behind the other, so that short ones take few words:
/// client, server, URI, upstream, subprotocol.
const CLIENT: usize = 6;
const SERVER: usize = 8;
const URI: usize = 18;
pub(crate) const UPSTREAM: usize = 9;
pub(crate) const SUBPROTOCOL: usize = 7;
/// Of a failure: a shorter URI, and in the place of the last two what was seen.
const FAILURE_URI: usize = 16;
const SEEN: usize = 18;
const _: () = assert!(NUMBERS + CLIENT + SERVER + URI + UPSTREAM + SUBPROTOCOL == RECORD);
const _: () = assert!(NUMBERS + CLIENT + SERVER + FAILURE_URI + SEEN == RECORD);

pub(crate) const TUNNEL_TEXTS: [usize; 5] = [CLIENT, SERVER, URI, UPSTREAM, SUBPROTOCOL];
pub(crate) const FAILURE_TEXTS: [usize; 4] = [CLIENT, SERVER, FAILURE_URI, SEEN];

impl<'a> Place<'a> {
    pub(crate) fn texts(&self) -> [&'a [u8]; 5] {
        [
            self.client,
            self.server,
            path(self.uri),
            self.upstream,
            self.subprotocol,
        ]
    }

    /// The label and what else is small, in a word.
    pub(crate) fn word(&self, label: u32) -> u64 {
        let (major, minor) = self.http;
        u64::from(label)
            | u64::from(self.is_tls) << 32
            | u64::from(major) << 40
            | u64::from(minor) << 48
    }
}

pub(crate) const OWN_LOOP: u64 = 1 << 33;

pub(crate) const fn label_of(word: u64) -> u32 {
    word as u32
}

impl Who {
    /// `word` is the one that has the label, too.
    pub(crate) const fn read(word: u64, [client, server, uri]: [Text; 3]) -> Self {
        Self {
            client,
            server,
            uri,
            is_tls: word >> 32 & 1 != 0,
            http: ((word >> 40) as u8, (word >> 48) as u8),
        }
    }
}

/// Queries carry tokens.
pub(crate) fn path(uri: &[u8]) -> &[u8] {
    let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.and_then(|end| uri.get(..end)).unwrap_or(uri)
}

/// Writes texts into a record: `put` is given each word and its place. The word that says how long they
/// are, and in its last byte how many words are in use.
#[inline]
pub(crate) fn put_texts(rooms: &[usize], texts: &[&[u8]], mut put: impl FnMut(usize, u64)) -> u64 {
    let (mut lengths, mut at, mut shift) = (0, NUMBERS, 0);
    for (room, text) in rooms.iter().zip(texts) {
        if !text.is_empty() {
            let length = text::pack(*room, text, |word| {
                put(at, word);
                at += 1;
            });
            lengths |= length << shift;
        }
        shift += LENGTH_BITS;
    }
    lengths | (at as u64) << USED
}

const USED: u32 = u64::BITS - 8;
const _: () = assert!(TUNNEL_TEXTS.len() as u32 * LENGTH_BITS <= USED && RECORD < 256);

/// How many words of a record are in use, with texts of these lengths.
pub(crate) const fn used(lengths: u64) -> usize {
    (lengths >> USED) as usize
}

pub(crate) fn read_texts<const N: usize>(record: &[u64; RECORD], rooms: [usize; N]) -> [Text; N] {
    let mut texts = [Text::EMPTY; N];
    let mut lengths = record.get(LENGTHS).copied().unwrap_or_default();
    let mut rest = record.get(NUMBERS..).unwrap_or_default();
    for (text, room) in texts.iter_mut().zip(rooms) {
        *text = Text::read(rest.get(..room).unwrap_or(rest), lengths);
        rest = rest.get(text::words_of(lengths)..).unwrap_or_default();
        lengths >>= LENGTH_BITS;
    }
    texts
}

pub(crate) fn count_at(record: &[u64], at: usize) -> Count {
    let get = |at: usize| record.get(at).copied().unwrap_or_default();
    Count {
        bytes: get(at),
        frames: get(at + 1),
        messages: get(at + 2),
    }
}

/// A number that may be missing.
pub(crate) fn optional(number: Option<u32>) -> u64 {
    number.map_or(0, |number| u64::from(number) + 1)
}

pub(crate) fn from_optional(word: u64) -> Option<u32> {
    word.checked_sub(1)
        .and_then(|number| u32::try_from(number).ok())
}
