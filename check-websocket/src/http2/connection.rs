//! A client's connection of HTTP/2 (RFC 9113) with one stream, whose DATA is read and written like any other stream.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

use websocket_protocol::http2::{FrameHeader, Kind, window_update};

use super::head;
use crate::request::Request;
use crate::stream::{Carrier, Stream};

/// What is there of a connection.
pub struct Connection {
    stream: Stream,
    limit: Duration,
    /// What `SETTINGS_ENABLE_CONNECT_PROTOCOL` said.
    is_offered: bool,
    /// So many of our Pings were answered.
    pings: u32,
    /// DATA that came and is not read.
    come: VecDeque<u8>,
    /// Room for what we send: on the connection, and on a stream.
    room: [i64; 2],
    /// The window of a stream at its start.
    initial: i64,
    block: Vec<u8>,
    answer: Option<Answer>,
    is_over: bool,
}

/// What came in answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// The error of RST_STREAM.
    Reset(u32),
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The one stream.
const STREAM: u32 = 1;

const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What each side may send at first, and the longest frame.
const WINDOW: i64 = 65_535;
const LONGEST: usize = 16_384;

impl Connection {
    /// Says hello, and learns what the server offers. `None`: it speaks no HTTP/2.
    pub fn begin(stream: Stream, limit: Duration) -> io::Result<Option<Self>> {
        let mut this = Self {
            stream,
            limit,
            is_offered: false,
            pings: 0,
            come: VecDeque::new(),
            room: [WINDOW; 2],
            initial: WINDOW,
            block: Vec::new(),
            answer: None,
            is_over: false,
        };
        this.stream.finish_within(limit);
        this.send(PREFACE)?;
        this.frame(Kind::SETTINGS, 0, 0, b"")?;
        this.frame(Kind::PING, 0, 0, &[0; 8])?;
        // The server's settings are the first that it sends.
        let first = match this.next_frame() {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            read => read?,
        };
        if first.0.kind != Kind::SETTINGS || first.0.stream != 0 {
            return Ok(None);
        }
        this.handle(first.0, &first.1)?;
        // Further ones may follow, but not behind the answer to a Ping that was sent when those were there.
        while this.pings < 2 {
            let before = this.pings;
            this.step()?;
            if before == 0 && this.pings == 1 {
                this.frame(Kind::PING, 0, 0, &[1; 8])?;
            }
        }
        Ok(Some(this))
    }

    /// Whether WebSocket is offered.
    pub fn is_offered(&self) -> bool {
        self.is_offered
    }

    /// Sends an extended CONNECT, and waits for its answer.
    pub fn ask(&mut self, request: &Request, secure: bool) -> io::Result<Answer> {
        self.stream.finish_within(self.limit);
        let block = head::connect(request, secure);
        let last = block.len().div_ceil(LONGEST).saturating_sub(1);
        for (number, piece) in block.chunks(LONGEST).enumerate() {
            let kind = match number {
                0 => Kind::HEADERS,
                _ => Kind::CONTINUATION,
            };
            let flags = if number == last {
                FrameHeader::END_HEADERS
            } else {
                0
            };
            self.frame(kind, flags, STREAM, piece)?;
        }
        self.room[1] = self.initial;
        loop {
            match self.answer {
                // What came before the answer.
                Some(Answer::Status(100..=199)) | None => self.step()?,
                Some(answer) => return Ok(answer),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let header = FrameHeader {
            length: payload.len() as u32,
            kind,
            flags,
            stream,
        };
        self.send(&[&header.bytes(), payload].concat())
    }

    /// One frame. What is longer than a server may send is none.
    fn next_frame(&mut self) -> io::Result<(FrameHeader, Vec<u8>)> {
        let mut header = [0; FrameHeader::SIZE];
        self.stream.read_exact(&mut header)?;
        let header = FrameHeader::read(&header).expect("so many bytes are one");
        if header.length as usize > LONGEST {
            return Err(wrong("the server sent a frame that is too long"));
        }
        let mut payload = vec![0; header.length as usize];
        self.stream.read_exact(&mut payload)?;
        Ok((header, payload))
    }

    /// Reads a frame, and does what it asks for.
    fn step(&mut self) -> io::Result<()> {
        let (header, payload) = self.next_frame()?;
        self.handle(header, &payload)
    }

    fn handle(&mut self, header: FrameHeader, payload: &[u8]) -> io::Result<()> {
        let is_ours = header.stream == STREAM;
        match header.kind {
            Kind::SETTINGS if !header.has(ACK) => {
                self.settings(payload);
                self.frame(Kind::SETTINGS, ACK, 0, b"")?;
            }
            Kind::PING if header.has(ACK) => self.pings += 1,
            Kind::PING => self.frame(Kind::PING, ACK, 0, payload)?,
            Kind::WINDOW_UPDATE => {
                let increment = i64::from(number(payload) & !(1 << 31));
                let room = self.room.get_mut(usize::from(header.stream != 0));
                if let Some(room) = room.filter(|_| is_ours || header.stream == 0) {
                    *room += increment;
                }
            }
            Kind::GOAWAY if number(payload) & !(1 << 31) < STREAM => {
                let error = number(payload.get(4..).unwrap_or_default());
                return Err(wrong(&format!("the server sent GOAWAY with error {error}")));
            }
            Kind::RST_STREAM if is_ours => {
                self.answer = Some(Answer::Reset(number(payload)));
                self.is_over = true;
            }
            Kind::HEADERS | Kind::CONTINUATION if is_ours => {
                if self.block.len() > MOST {
                    return Err(wrong("the server's answer has no end"));
                }
                let payload = content(header, payload).ok_or_else(|| wrong(PADDING))?;
                self.block.extend_from_slice(payload);
                self.is_over |= header.has(FrameHeader::END_STREAM) && header.kind == Kind::HEADERS;
                if header.has(FrameHeader::END_HEADERS) {
                    let status = head::status(&self.block);
                    let status =
                        status.ok_or_else(|| wrong("the answer has no status that can be read"))?;
                    self.answer = Some(Answer::Status(status));
                    self.block.clear();
                }
            }
            Kind::DATA if is_ours => {
                let payload = content(header, payload).ok_or_else(|| wrong(PADDING))?;
                self.come.extend(payload);
                self.is_over |= header.has(FrameHeader::END_STREAM);
                if header.length > 0 {
                    self.send(&window_update(0, header.length))?;
                    self.send(&window_update(STREAM, header.length))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            let (name, value) = setting.split_at(2);
            match u16::from_be_bytes([name[0], name[1]]) {
                ENABLE_CONNECT_PROTOCOL => self.is_offered = number(value) == 1,
                INITIAL_WINDOW_SIZE => {
                    let size = i64::from(number(value));
                    self.room[1] += size - self.initial;
                    self.initial = size;
                }
                _ => {}
            }
        }
    }
}

/// Bytes of the header of an answer.
const MOST: usize = 256 << 10;

const PADDING: &str = "the server sent more padding than there is a frame";

/// What is in a frame without its padding and its priority.
fn content(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    let mut content = payload;
    if header.kind != Kind::CONTINUATION && header.has(FrameHeader::PADDED) {
        let (&padding, rest) = content.split_first()?;
        content = rest.get(..rest.len().checked_sub(usize::from(padding))?)?;
    }
    match header.kind {
        Kind::HEADERS if header.has(FrameHeader::PRIORITY) => content.get(5..),
        _ => Some(content),
    }
}

/// The first four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.come.is_empty() {
            if self.is_over {
                return Ok(0);
            }
            self.step()?;
        }
        self.come.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = loop {
            if self.is_over {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match self.room.iter().min() {
                Some(&room) if room > 0 => break room,
                _ => self.step()?,
            }
        };
        let count = bytes
            .len()
            .min(LONGEST)
            .min(usize::try_from(room).unwrap_or(0));
        self.frame(Kind::DATA, 0, STREAM, &bytes[..count])?;
        self.room = self.room.map(|room| room - count as i64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier for Connection {
    fn finish_within(&mut self, limit: Duration) {
        self.stream.finish_within(limit);
    }
}
