//! What peers and the tunnel write, read the obvious way.

use crate::case::PING;
use crate::world::MASK;

pub const THEIR_MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

pub fn is_closed(got: &[u8], masked: bool) -> bool {
    close_of_ours(got, masked).is_some()
}

/// Where a Close of the tunnel's ends.
pub fn close_of_ours(got: &[u8], masked: bool) -> Option<usize> {
    let closes = &ours(masked)[1..];
    let mut offset = 0;
    frames(got).into_iter().find_map(|frame| {
        offset += frame.bytes.len();
        closes.contains(&frame.bytes).then_some(offset)
    })
}

/// The whole frames that the other peer sent, and what follows the last whole frame.
pub fn without_ours(got: &[u8], masked: bool) -> (Vec<u8>, Vec<u8>) {
    let ours = [ours(masked), answers()].concat();
    let frames = frames(got);
    let whole = frames.iter().map(|frame| frame.bytes.len()).sum();
    let theirs = frames
        .into_iter()
        .filter(|frame| !ours.contains(&frame.bytes));
    (
        theirs.flat_map(|frame| frame.bytes).collect(),
        got[whole..].to_vec(),
    )
}

/// Frames that a peer has sent, but for those that the tunnel may have kept from the other; and what
/// follows the last whole frame.
pub fn without_answers(sent: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let frames = frames(sent);
    let whole = frames.iter().map(|frame| frame.bytes.len()).sum();
    let answers = answers();
    let theirs = frames.into_iter().map(|frame| frame.bytes);
    let theirs: Vec<_> = theirs.filter(|frame| !answers.contains(frame)).collect();
    (theirs.concat(), sent[whole..].to_vec())
}

/// Answers to the tunnel's Pings. A peer may send some without having been asked: those pass.
pub fn answers() -> Vec<Vec<u8>> {
    [None, Some(THEIR_MASK)]
        .map(|mask| frame(10, true, &PING[2..], mask))
        .into()
}

/// What the tunnel may put in: its Ping, and Closes that no peer of these tests sends.
pub fn ours(masked: bool) -> Vec<Vec<u8>> {
    let mut frames = vec![frame(9, true, &PING[2..], masked.then_some(MASK))];
    for code in [1001u16, 1008, 1009, 1012] {
        frames.push(frame(8, true, &code.to_be_bytes(), masked.then_some(MASK)));
    }
    frames
}

pub struct Parsed {
    pub opcode: u8,
    pub payload: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// Whole frames, read the obvious way.
pub fn frames(mut bytes: &[u8]) -> Vec<Parsed> {
    let mut all = vec![];
    loop {
        let [first, second, rest @ ..] = bytes else {
            return all;
        };
        let (length, skip) = match (second & 0x7F, rest) {
            (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            (126, _) => return all,
            (length, _) => (usize::from(length), 2),
        };
        let skip = skip + if second & 0x80 != 0 { 4 } else { 0 };
        let Some(payload) = bytes.get(skip..skip + length) else {
            return all;
        };
        let (opcode, payload) = (first & 15, payload.to_vec());
        let (frame, rest) = bytes.split_at(skip + length);
        all.push(Parsed {
            opcode,
            payload,
            bytes: frame.to_vec(),
        });
        bytes = rest;
    }
}

pub fn frame(opcode: u8, fin: bool, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![opcode | if fin { 0x80 } else { 0 }];
    let flag = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => bytes.push(flag | length as u8),
        length => {
            bytes.push(flag | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let key = mask.unwrap_or_default();
    bytes.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}
