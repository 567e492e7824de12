//! An HTTP/2 client of one request per connection, small enough to send what no library would.

mod leaving;
pub mod session;
mod stream;
pub mod translator;

use std::io;

use crate::wire::Wire;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Carries a tunnel's bytes.
pub const DATA: u8 = 0;
/// Opens a stream.
pub const HEADERS: u8 = 1;
/// Gives up a stream.
pub const RST_STREAM: u8 = 3;
/// What a side tells of itself.
pub const SETTINGS: u8 = 4;
/// Asks whether the peer is there.
pub const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Lets the peer send more.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a header block.
pub const CONTINUATION: u8 = 9;
/// Of HEADERS and DATA: the last of its side.
pub const END_STREAM: u8 = 1;
const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION: the last of its block.
pub const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;
const CANCEL: u32 = 8;

/// An answer: its status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The `:status`.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends a GET with these headers over a connection that speaks HTTP/2 from its first byte.
///
/// Header names are sent as they are, even where HTTP/2 forbids them.
pub fn get(wire: &mut Wire, target: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    ask(wire, &[], target, headers)?;
    read_answer(wire)
}

/// Asks for something, takes so many bytes of it at most, and gives up the stream when they have come.
/// The connection goes on.
pub fn give_up(wire: &mut Wire, target: &str, bytes: u32) -> io::Result<()> {
    ask(wire, &initial_window(bytes), target, &[])?;
    let mut rest = bytes as usize;
    while rest > 0 {
        let head = wire.read_bytes(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        wire.read_bytes(length)?;
        if head[3] == DATA {
            rest = rest.saturating_sub(length);
        }
    }
    wire.send(frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()))
}

fn ask(wire: &mut Wire, settings: &[u8], target: &str, headers: &[(&str, &str)]) -> io::Result<()> {
    let pseudo = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", target),
        (":authority", "localhost"),
    ];
    let block = block(&[&pseudo, headers].concat());
    wire.send(PREFACE)?;
    wire.send(frame(SETTINGS, 0, 0, settings))?;
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block))
}

/// A header block that leaves no trace in the table of the other side.
pub fn block<S: AsRef<str>>(fields: &[(S, S)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal header without indexing, neither string compressed.
        block.push(0);
        push_string(&mut block, name.as_ref());
        push_string(&mut block, value.as_ref());
    }
    block
}

fn read_answer(wire: &mut Wire) -> io::Result<Answer> {
    let mut answer = Answer {
        status: 0,
        body: Vec::new(),
    };
    loop {
        let head = wire.read_bytes(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let payload = wire.read_bytes(length)?;
        match kind {
            SETTINGS if flags & ACK == 0 => wire.send(frame(SETTINGS, ACK, 0, &[]))?,
            HEADERS if answer.status == 0 => answer.status = status(&payload)?,
            DATA => answer.body.extend(payload),
            RST_STREAM | GOAWAY => {
                return Err(io::Error::other(format!("frame {kind}: {payload:?}")));
            }
            _ => (),
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return Ok(answer);
        }
    }
}

/// The setting of the window that each stream has at first.
pub fn initial_window(window: u32) -> Vec<u8> {
    [
        &INITIAL_WINDOW_SIZE.to_be_bytes()[..],
        &window.to_be_bytes(),
    ]
    .concat()
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    let mut bytes = length.to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn push_string(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(length as u8 | 128);
            length >>= 7;
        }
        block.push(length as u8);
    }
    block.extend(text.as_bytes());
}

/// The status at the start of a header block: from HPACK's static table, or its three digits.
fn status(block: &[u8]) -> io::Result<u16> {
    let resized = block
        .iter()
        .take_while(|&&byte| byte & 0xe0 == 0x20)
        .count();
    match &block[resized..] {
        [0x88, ..] => Ok(200),
        [0x89, ..] => Ok(204),
        [0x8a, ..] => Ok(206),
        [0x8b, ..] => Ok(304),
        [0x8c, ..] => Ok(400),
        [0x8d, ..] => Ok(404),
        [0x8e, ..] => Ok(500),
        [0x08 | 0x18 | 0x48, 3, digits @ ..] if digits.len() >= 3 => {
            String::from_utf8_lossy(&digits[..3])
                .parse()
                .map_err(io::Error::other)
        }
        other => Err(io::Error::other(format!(
            "no status at the start of {other:02x?}"
        ))),
    }
}
