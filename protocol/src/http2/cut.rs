//! Cuts a client's connection into what is the server's and what is not.

use super::block::{Block, piece};
use super::frame::{FrameHeader, Kind};
use super::glance::{Glance, glance};

/// Follows the frames of a client's connection.
///
/// All of its bytes are the server's as they came, but for the DATA frames of tunnels and for a block that asks for
/// one. What is wrong is the server's, too, which says so: from a wrong preface on everything is.
#[derive(Clone, Copy, Debug)]
pub struct Cutter {
    state: State,
    /// The server's last frame began or continued a block that goes on: no other frame may come now, which it has to see.
    is_in_block: bool,
    /// The most bytes of a block that are held back until it is whole.
    limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of the preface have come.
    Preface(u8),
    /// Between two frames.
    Boundary,
    /// Within a frame that is the server's; so many bytes are to come.
    Theirs(u32),
    /// Within a tunnel's DATA frame.
    Data(Rest),
    /// It is no HTTP/2, or nobody looks.
    Lost,
}

/// What is to come of a DATA frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    stream: u32,
    payload: u32,
    padding: u32,
    is_last: bool,
}

/// What is at the front of a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// These are the server's.
    Theirs(&'a [u8]),
    /// A whole block that may ask for a tunnel. It is the server's if it doesn't.
    Block(Block<'a>),
    /// A piece of a tunnel's DATA frame.
    Data(Data<'a>),
    /// Of these bytes more has to come.
    More,
}

/// A piece of a DATA frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Its stream.
    pub stream: u32,
    /// What it brings.
    pub payload: &'a [u8],
    /// Bytes of padding, which count for the windows; for a piece that is the frame's first, the byte with its
    /// length is among them.
    pub padding: u32,
    /// Whether it is the end of the stream.
    pub is_last: bool,
    /// Bytes that the piece takes.
    pub size: usize,
}

/// What every client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Cut<'_> {
    /// How many bytes are done with.
    pub const fn size(&self) -> usize {
        match self {
            Self::Theirs(bytes) => bytes.len(),
            Self::Block(block) => block.frames.len(),
            Self::Data(data) => data.size,
            Self::More => 0,
        }
    }
}

impl Cutter {
    /// At the start of a connection. Blocks of more than `limit` bytes are the server's without a look.
    pub const fn new(limit: u32) -> Self {
        Self {
            state: State::Preface(0),
            is_in_block: false,
            limit,
        }
    }

    /// Between two frames of a connection.
    pub const fn at_boundary(limit: u32) -> Self {
        Self {
            state: State::Boundary,
            is_in_block: false,
            limit,
        }
    }

    /// What comes next. `is_ours`: whether a stream is a tunnel's, or is to become one.
    ///
    /// The next call is for the bytes behind [`Cut::size`].
    pub fn next<'a>(&mut self, bytes: &'a [u8], is_ours: impl Fn(u32) -> bool) -> Cut<'a> {
        let mut theirs = 0;
        loop {
            let rest = bytes.get(theirs..).unwrap_or_default();
            let before = self.state;
            match self.one(rest, &is_ours) {
                Cut::Theirs(more) => theirs += more.len(),
                cut if theirs == 0 => return cut,
                _ => {
                    // That is for the next call.
                    self.state = before;
                    return Cut::Theirs(bytes.get(..theirs).unwrap_or(bytes));
                }
            }
        }
    }

    /// All that comes is the server's.
    pub fn stop(&mut self) {
        self.state = State::Lost;
    }

    /// The block of which [`Cut::More`] was to come is the server's as it is, with what follows of it.
    pub fn give_up<'a>(&mut self, bytes: &'a [u8]) -> Cut<'a> {
        match (self.state, FrameHeader::read(bytes)) {
            (State::Boundary, Some(header)) if header.kind == Kind::HEADERS => {
                self.pass(bytes, header)
            }
            _ => Cut::More,
        }
    }

    /// A piece of a frame, or a block.
    fn one<'a>(&mut self, bytes: &'a [u8], is_ours: &impl Fn(u32) -> bool) -> Cut<'a> {
        if bytes.is_empty() {
            return Cut::More;
        }
        match self.state {
            State::Lost => Cut::Theirs(bytes),
            State::Preface(seen) => self.preface(bytes, seen),
            State::Theirs(left) => self.theirs(bytes, left),
            State::Data(rest) => self.data(bytes, rest, 0),
            State::Boundary => self.frame(bytes, is_ours),
        }
    }

    fn preface<'a>(&mut self, bytes: &'a [u8], seen: u8) -> Cut<'a> {
        let expected = PREFACE.get(usize::from(seen)..).unwrap_or_default();
        let length = expected.len().min(bytes.len());
        if bytes.get(..length) != expected.get(..length) {
            self.state = State::Lost;
            return Cut::Theirs(bytes);
        }
        self.state = if length == expected.len() {
            State::Boundary
        } else {
            // No more than the preface has.
            State::Preface(seen.saturating_add(length as u8))
        };
        Cut::Theirs(bytes.get(..length).unwrap_or(bytes))
    }

    fn frame<'a>(&mut self, bytes: &'a [u8], is_ours: &impl Fn(u32) -> bool) -> Cut<'a> {
        let Some(header) = FrameHeader::read(bytes) else {
            return Cut::More;
        };
        match header.kind {
            _ if self.is_in_block => self.pass(bytes, header),
            Kind::DATA if is_ours(header.stream) => self.data_frame(bytes, header),
            Kind::HEADERS => self.headers(bytes, header),
            _ => self.pass(bytes, header),
        }
    }

    /// A frame of which nothing is ours.
    fn pass<'a>(&mut self, bytes: &'a [u8], header: FrameHeader) -> Cut<'a> {
        self.is_in_block = matches!(header.kind, Kind::HEADERS | Kind::CONTINUATION)
            && !header.has(FrameHeader::END_HEADERS);
        self.theirs(bytes, header.length + FrameHeader::SIZE as u32)
    }

    fn theirs<'a>(&mut self, bytes: &'a [u8], left: u32) -> Cut<'a> {
        let front = bytes.get(..left as usize).unwrap_or(bytes);
        self.state = match left.saturating_sub(front.len() as u32) {
            0 => State::Boundary,
            left => State::Theirs(left),
        };
        Cut::Theirs(front)
    }

    /// A block is held back for as long as it may ask for a tunnel.
    fn headers<'a>(&mut self, bytes: &'a [u8], header: FrameHeader) -> Cut<'a> {
        let behind = bytes.get(FrameHeader::SIZE..).unwrap_or_default();
        let payload = behind.get(..header.length as usize).unwrap_or(behind);
        let is_whole = payload.len() == header.length as usize;
        let Some(piece) = piece(header, payload) else {
            return if is_whole || payload.len() >= IN_FRONT {
                self.pass(bytes, header)
            } else {
                Cut::More
            };
        };
        match glance(piece, is_whole && header.has(FrameHeader::END_HEADERS)) {
            Glance::Plain => self.pass(bytes, header),
            Glance::Maybe | Glance::Unknown => match block(bytes, header, self.limit) {
                Gathered::Whole(frames) => Cut::Block(Block {
                    stream: header.stream,
                    is_last: header.has(FrameHeader::END_STREAM),
                    frames,
                }),
                Gathered::Part => Cut::More,
                Gathered::Wrong => self.pass(bytes, header),
            },
        }
    }

    fn data_frame<'a>(&mut self, bytes: &'a [u8], header: FrameHeader) -> Cut<'a> {
        let behind = bytes.get(FrameHeader::SIZE..).unwrap_or_default();
        let mut rest = Rest {
            stream: header.stream,
            payload: header.length,
            padding: 0,
            is_last: header.has(FrameHeader::END_STREAM),
        };
        if !header.has(FrameHeader::PADDED) {
            return self.data(bytes, rest, FrameHeader::SIZE);
        }
        let padding = match behind.first() {
            // There is none: an error, like more padding than there is a frame.
            _ if header.length == 0 => return self.pass(bytes, header),
            Some(&padding) => u32::from(padding),
            None => return Cut::More,
        };
        match header.length.checked_sub(1 + padding) {
            Some(payload) => (rest.payload, rest.padding) = (payload, padding),
            None => return self.pass(bytes, header),
        }
        self.data(bytes, rest, FrameHeader::SIZE + 1)
    }

    /// What there is of a DATA frame. `before`: bytes in front of its payload.
    fn data<'a>(&mut self, bytes: &'a [u8], mut rest: Rest, before: usize) -> Cut<'a> {
        let behind = bytes.get(before..).unwrap_or_default();
        let payload = behind.get(..rest.payload as usize).unwrap_or(behind);
        rest.payload = rest.payload.saturating_sub(payload.len() as u32);
        let left = behind.len().saturating_sub(payload.len());
        let padding = rest.padding.min(u32::try_from(left).unwrap_or(u32::MAX));
        rest.padding -= padding;
        let is_over = rest.payload == 0 && rest.padding == 0;
        self.state = if is_over {
            State::Boundary
        } else {
            State::Data(rest)
        };
        Cut::Data(Data {
            stream: rest.stream,
            payload,
            padding: padding + u32::from(before > FrameHeader::SIZE),
            is_last: rest.is_last && is_over,
            size: before + payload.len() + padding as usize,
        })
    }
}

/// What may stand in front of a block in its frame: the length of the padding, and a priority.
const IN_FRONT: usize = 6;

/// A block, as far as it has come.
enum Gathered<'a> {
    Whole(&'a [u8]),
    Part,
    /// It is none, or too long.
    Wrong,
}

/// Looks for the end of the block that begins here.
fn block(bytes: &[u8], first: FrameHeader, limit: u32) -> Gathered<'_> {
    let mut header = first;
    let mut end = 0_usize;
    loop {
        end = end.saturating_add(FrameHeader::SIZE + header.length as usize);
        if end > limit as usize {
            return Gathered::Wrong;
        }
        if header.has(FrameHeader::END_HEADERS) {
            return bytes.get(..end).map_or(Gathered::Part, Gathered::Whole);
        }
        match FrameHeader::read(bytes.get(end..).unwrap_or_default()) {
            None => return Gathered::Part,
            Some(next) if next.kind != Kind::CONTINUATION || next.stream != first.stream => {
                return Gathered::Wrong;
            }
            Some(next) => header = next,
        }
    }
}

#[cfg(test)]
mod tests;
