//! A connection: its frames, and whose they are.

use std::io::{self, ErrorKind};

use websocket_protocol::http2::{FrameHeader, Kind, window_update};

use super::block::{Asks, Encoder};
use super::end::{End, STREAM_WINDOW};
use crate::http;
use crate::tls_stream::TlsStream;

pub struct Connection {
    tls: TlsStream,
    encoder: Encoder,
    ends: Vec<End>,
    /// The number of the next stream.
    next: u32,
    /// What came and is no whole frame yet lies at its front.
    input: Vec<u8>,
    filled: usize,
    /// What is still to be sent.
    output: Vec<u8>,
    sent: usize,
    /// Whether WebSocket is offered: the first settings may come before those that say so.
    is_offered: bool,
    has_settings: bool,
    is_closed: bool,
    /// What the server takes: on all streams, and on a new one.
    room: i64,
    initial_room: i64,
    /// Bytes that came since the server was told of more room.
    owed: usize,
}

/// What TLS is to choose.
pub const ALPN: &[u8] = b"h2";

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What each side may send at first.
const WINDOW: i64 = 65_535;
/// What a browser lets a server send, on all streams.
const CONNECTION_WINDOW: usize = 15 << 20;
/// With its head it fills a record of TLS.
const LONGEST: usize = (16 << 10) - FrameHeader::SIZE;
/// So much waits to be sent, before no more is taken.
const MOST_OUTPUT: usize = 64 << 10;
const INPUT: usize = 64 << 10;

impl Connection {
    pub fn begin(tls: TlsStream, slot: usize) -> io::Result<Self> {
        let mut this = Self {
            tls,
            encoder: Encoder::default(),
            ends: Vec::new(),
            next: 1,
            input: vec![0; INPUT],
            filled: 0,
            output: Vec::new(),
            sent: 0,
            is_offered: false,
            has_settings: false,
            is_closed: false,
            room: WINDOW,
            initial_room: WINDOW,
            owed: 0,
        };
        this.ends.push(End::new(slot));
        this.output.extend(PREFACE);
        let [a, b] = INITIAL_WINDOW_SIZE.to_be_bytes();
        let [c, d, e, f] = (STREAM_WINDOW as u32).to_be_bytes();
        this.frame(Kind::SETTINGS, 0, 0, &[a, b, c, d, e, f]);
        let more = CONNECTION_WINDOW as u32 - WINDOW as u32;
        this.output.extend(window_update(0, more));
        this.flush()?;
        Ok(this)
    }

    /// Takes what has come, and tells whom it is for.
    pub fn advance(&mut self) -> io::Result<Vec<usize>> {
        let was_full = !self.output.is_empty();
        self.flush()?;
        if was_full && self.output.is_empty() {
            self.wake_all();
        }
        while !self.is_closed {
            match self.tls.read(&mut self.input[self.filled..]) {
                Ok(0) => {
                    self.is_closed = true;
                    self.wake_all();
                }
                Ok(count) => {
                    self.filled += count;
                    self.take_frames()?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.flush()?;
        let woken = self.ends.iter_mut().filter_map(|end| {
            let is_woken = std::mem::take(&mut end.is_woken);
            (is_woken && !end.is_left).then_some(end.slot)
        });
        Ok(woken.collect())
    }

    fn wake_all(&mut self) {
        self.ends.iter_mut().for_each(|end| end.is_woken = true);
    }

    fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let header = FrameHeader {
            length: payload.len() as u32,
            kind,
            flags,
            stream,
        };
        self.output.extend(header.bytes());
        self.output.extend(payload);
    }

    /// Sends what it can.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.tls.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        match self.tls.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn take_frames(&mut self) -> io::Result<()> {
        // Out of the way: handling a frame needs the rest.
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..self.filled];
        while let Some(header) = FrameHeader::read(rest) {
            let whole = FrameHeader::SIZE + header.length as usize;
            if whole > INPUT {
                return Err(io::Error::other("the proxy sent a frame that is too long"));
            }
            let Some((frame, behind)) = rest.split_at_checked(whole) else {
                break;
            };
            self.handle(header, &frame[FrameHeader::SIZE..])?;
            rest = behind;
        }
        let (from, count) = (self.filled - rest.len(), rest.len());
        self.input = input;
        self.input.copy_within(from..self.filled, 0);
        self.filled = count;
        Ok(())
    }

    fn handle(&mut self, header: FrameHeader, payload: &[u8]) -> io::Result<()> {
        match header.kind {
            Kind::DATA | Kind::HEADERS if header.has(FrameHeader::PADDED) => {
                return Err(io::Error::other("the proxy sent padding"));
            }
            Kind::DATA => {
                self.owed += payload.len();
                if self.owed >= CONNECTION_WINDOW / 2 {
                    self.output.extend(window_update(0, self.owed as u32));
                    self.owed = 0;
                }
                if let Some(end) = self.end_of(header.stream) {
                    end.came.extend(payload);
                    end.is_over |= header.has(FrameHeader::END_STREAM);
                }
            }
            Kind::HEADERS => {
                if let Some(end) = self.end_of(header.stream) {
                    end.is_over |= header.has(FrameHeader::END_STREAM);
                    end.answered(payload);
                }
            }
            Kind::RST_STREAM => {
                if let Some(end) = self.end_of(header.stream) {
                    end.is_over = true;
                    end.error = Some(format!("the proxy reset a stream: {}", number(payload)));
                }
            }
            Kind::SETTINGS if !header.has(ACK) => {
                self.settings(payload)?;
                self.frame(Kind::SETTINGS, ACK, 0, b"");
            }
            Kind::PING if !header.has(ACK) => self.frame(Kind::PING, ACK, 0, payload),
            Kind::WINDOW_UPDATE => {
                let increment = i64::from(number(payload));
                if header.stream == 0 {
                    self.room += increment;
                    self.wake_all();
                } else if let Some(end) = self.end_of(header.stream) {
                    end.room += increment;
                }
            }
            Kind::GOAWAY if number(&payload[4..]) != 0 => {
                let error = number(&payload[4..]);
                return Err(io::Error::other(format!("the proxy sent GOAWAY: {error}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// It is woken.
    fn end_of(&mut self, number: u32) -> Option<&mut End> {
        let end = self.ends.iter_mut().find(|end| end.number == number)?;
        end.is_woken = true;
        Some(end)
    }

    fn settings(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.tls.protocol() != Some(ALPN) {
            return Err(io::Error::other("the proxy doesn't choose HTTP/2"));
        }
        for setting in payload.chunks_exact(6) {
            let (name, value) = setting.split_at(2);
            match u16::from_be_bytes([name[0], name[1]]) {
                ENABLE_CONNECT_PROTOCOL => self.is_offered = number(value) == 1,
                INITIAL_WINDOW_SIZE => {
                    let size = i64::from(number(value));
                    let change = size - self.initial_room;
                    self.ends.iter_mut().for_each(|end| end.room += change);
                    self.initial_room = size;
                }
                _ => {}
            }
        }
        self.has_settings = true;
        self.wake_all();
        Ok(())
    }

    /// Sends a request, as soon as the server has said that it takes it.
    fn ask(&mut self, index: usize, request: &[u8]) -> io::Result<usize> {
        let block = self.encoder.block(request);
        let (asks, block) = block.ok_or_else(|| io::Error::other("no request"))?;
        let flags = match asks {
            Asks::ForPage => FrameHeader::END_HEADERS | FrameHeader::END_STREAM,
            Asks::ForWebSocket => FrameHeader::END_HEADERS,
        };
        let stream = self.next;
        self.next += 2;
        self.frame(Kind::HEADERS, flags, stream, &block);
        self.ends[index].ask(stream, asks, self.initial_room);
        self.flush()?;
        Ok(request.len())
    }

    pub fn write(&mut self, index: usize, from: &[u8]) -> io::Result<usize> {
        let end = &self.ends[index];
        let is_page = end.asks == Asks::ForPage;
        if is_page {
            return match self.has_settings && (self.is_offered || !http::is_handshake(from)) {
                true => self.ask(index, from),
                false => Err(ErrorKind::WouldBlock.into()),
            };
        }
        self.flush()?;
        let end = &mut self.ends[index];
        let room = end.room.min(self.room).clamp(0, LONGEST as i64);
        let count = from.len().min(room as usize);
        if count == 0 || self.output.len() >= MOST_OUTPUT {
            return Err(ErrorKind::WouldBlock.into());
        }
        end.room -= count as i64;
        self.room -= count as i64;
        let stream = end.number;
        self.frame(Kind::DATA, 0, stream, &from[..count]);
        self.flush()?;
        Ok(count)
    }

    /// Gives what has come to `into`, or to nobody.
    pub fn read(&mut self, index: usize, into: &mut [u8], copies: bool) -> io::Result<usize> {
        let end = &mut self.ends[index];
        let count = end.read(into, copies, self.is_closed)?;
        if let Some(update) = end.more_room() {
            self.output.extend(update);
            self.flush()?;
        }
        Ok(count)
    }

    /// Another stream, for a slot. Its number among them.
    pub fn add(&mut self, slot: usize) -> usize {
        self.ends.push(End::new(slot));
        self.ends.len() - 1
    }

    /// Sends nothing more on a stream.
    pub fn finish(&mut self, index: usize) -> io::Result<()> {
        let stream = self.ends[index].number;
        self.frame(Kind::DATA, FrameHeader::END_STREAM, stream, b"");
        self.flush()
    }

    /// Nobody reads it any more.
    pub fn leave(&mut self, index: usize) {
        self.ends[index].is_left = true;
    }
}

/// The first four bytes, without the first bit.
fn number(bytes: &[u8]) -> u32 {
    let first = bytes.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(first) & !(1 << 31)
}
