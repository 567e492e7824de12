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

/// Numbers of every record.
pub(crate) const LABEL: usize = 1;
pub(crate) const LENGTHS: usize = 15;
const TEXTS: usize = 16;

/// Words for each text: client, server, URI, and what stands behind them.
const CLIENT: (usize, usize) = (TEXTS, 6);
const SERVER: (usize, usize) = (22, 8);
const URI: (usize, usize) = (30, 18);
pub(crate) const UPSTREAM: (usize, usize) = (48, 9);
pub(crate) const SUBPROTOCOL: (usize, usize) = (57, 7);
/// Of a failure: a shorter URI, and in the place of the last two what was seen.
const FAILURE_URI: (usize, usize) = (30, 16);
const SEEN: (usize, usize) = (46, 18);
const _: () = assert!(SUBPROTOCOL.0 + SUBPROTOCOL.1 == RECORD && SEEN.0 + SEEN.1 == RECORD);

pub(crate) const TUNNEL_TEXTS: [(usize, usize); 5] = [CLIENT, SERVER, URI, UPSTREAM, SUBPROTOCOL];
pub(crate) const FAILURE_TEXTS: [(usize, usize); 4] = [CLIENT, SERVER, FAILURE_URI, SEEN];

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

pub(crate) const fn is_tls(word: u64) -> bool {
    word >> 32 & 1 != 0
}

pub(crate) const fn http_of(word: u64) -> (u8, u8) {
    ((word >> 40) as u8, (word >> 48) as u8)
}

/// Queries carry tokens.
pub(crate) fn path(uri: &[u8]) -> &[u8] {
    let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.and_then(|end| uri.get(..end)).unwrap_or(uri)
}

/// Writes texts into their places, and how long they are.
pub(crate) fn write_texts<const N: usize>(
    record: &mut [u64; RECORD],
    places: [(usize, usize); N],
    texts: [&[u8]; N],
) {
    let mut lengths = 0;
    for (index, ((start, room), text)) in places.into_iter().zip(texts).enumerate() {
        if let Some(words) = record.get_mut(start..start + room) {
            lengths |= text::pack(words, text) << (index as u32 * LENGTH_BITS);
        }
    }
    set(record, LENGTHS, lengths);
}

#[inline]
pub(crate) fn set(record: &mut [u64; RECORD], at: usize, word: u64) {
    if let Some(place) = record.get_mut(at) {
        *place = word;
    }
}

pub(crate) fn read_texts<const N: usize>(
    record: &[u64; RECORD],
    places: [(usize, usize); N],
) -> [Text; N] {
    let mut texts = [Text::EMPTY; N];
    let mut lengths = record.get(LENGTHS).copied().unwrap_or_default();
    for (text, (start, room)) in texts.iter_mut().zip(places) {
        let words = record.get(start..start + room).unwrap_or_default();
        *text = Text::read(words, lengths);
        lengths >>= LENGTH_BITS;
    }
    texts
}

/// Three words of a record.
pub(crate) fn set_count(record: &mut [u64; RECORD], at: usize, count: Count) {
    set(record, at, count.bytes);
    set(record, at + 1, count.frames);
    set(record, at + 2, count.messages);
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
