//! A connection, and its streams' ends.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use websocket_protocol::http2::{FrameHeader, Kind, window_update};

use super::ALPN;
use super::block::{Asks, Encoder, is_ok};
use crate::http;
use crate::stream::TlsStream;

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

/// A stream, or one stream after another: a client of plain requests.
struct End {
    slot: usize,
    /// 0: it has asked for nothing yet.
    number: u32,
    asks: Asks,
    /// What came of the answer, and how much of it was taken.
    came: Vec<u8>,
    taken: usize,
    is_over: bool,
    /// Why there is no answer.
    error: Option<String>,
    room: i64,
    owed: usize,
    /// Something became of it.
    is_woken: bool,
    is_left: bool,
}

/// One of its ends. Dropped with the others, it closes the connection.
pub struct Stream {
    connection: Rc<RefCell<Connection>>,
    socket: Rc<TcpStream>,
    index: usize,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What each side may send at first.
const WINDOW: i64 = 65_535;
/// What a browser lets a server send, on a stream and on all.
const STREAM_WINDOW: usize = 6 << 20;
const CONNECTION_WINDOW: usize = 15 << 20;
/// With its head it fills a record of TLS.
const LONGEST: usize = (16 << 10) - FrameHeader::SIZE;
/// So much waits to be sent, before no more is taken.
const MOST_OUTPUT: usize = 64 << 10;
const INPUT: usize = 64 << 10;

impl Connection {
    fn begin(tls: TlsStream, slot: usize) -> io::Result<Self> {
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
    fn flush(&mut self) -> io::Result<()> {
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
        self.ends[index] = End {
            number: stream,
            asks,
            room: self.initial_room,
            ..End::new(self.ends[index].slot)
        };
        self.flush()?;
        Ok(request.len())
    }

    fn write(&mut self, index: usize, from: &[u8]) -> io::Result<usize> {
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
    fn read(&mut self, index: usize, into: &mut [u8], copies: bool) -> io::Result<usize> {
        let end = &mut self.ends[index];
        let came = &end.came[end.taken..];
        let count = came.len().min(into.len());
        if count == 0 {
            if let Some(error) = end.error.take() {
                return Err(io::Error::other(error));
            }
            return match end.is_over || self.is_closed {
                true => Ok(0),
                false => Err(ErrorKind::WouldBlock.into()),
            };
        }
        if copies {
            into[..count].copy_from_slice(&came[..count]);
        }
        end.taken += count;
        if end.taken == end.came.len() {
            end.came.clear();
            end.taken = 0;
        }
        end.owed += count;
        if end.owed >= STREAM_WINDOW / 2 && !end.is_over {
            let update = window_update(end.number, end.owed as u32);
            end.owed = 0;
            self.output.extend(update);
            self.flush()?;
        }
        Ok(count)
    }
}

impl End {
    const fn new(slot: usize) -> Self {
        Self {
            slot,
            number: 0,
            asks: Asks::ForPage,
            came: Vec::new(),
            taken: 0,
            is_over: false,
            error: None,
            room: 0,
            owed: 0,
            is_woken: false,
            is_left: false,
        }
    }

    /// An answer's head, as it would be in HTTP/1.1.
    fn answered(&mut self, block: &[u8]) {
        match self.asks {
            _ if !is_ok(block) => {
                self.is_over = true;
                self.error = Some(format!("the proxy's answer is not 200: {block:x?}"));
            }
            Asks::ForPage => self.came.extend(b"HTTP/1.1 200 \r\n\r\n"),
            Asks::ForWebSocket => self.came.extend(http::SWITCHING),
        }
    }
}

/// The first four bytes, without the first bit.
fn number(bytes: &[u8]) -> u32 {
    let first = bytes.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(first) & !(1 << 31)
}

impl Stream {
    /// The first one of a connection, which says hello when it can.
    pub fn connect(tls: TlsStream, slot: usize) -> io::Result<Self> {
        let socket = tls.socket().clone();
        let connection = Connection::begin(tls, slot)?;
        Ok(Self {
            connection: Rc::new(RefCell::new(connection)),
            socket,
            index: 0,
        })
    }

    /// Another one of the same connection.
    pub fn beside(&self, slot: usize) -> Self {
        let mut connection = self.connection.borrow_mut();
        connection.ends.push(End::new(slot));
        Self {
            connection: self.connection.clone(),
            socket: self.socket.clone(),
            index: connection.ends.len() - 1,
        }
    }

    pub const fn connection(&self) -> &Rc<RefCell<Connection>> {
        &self.connection
    }

    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.connection.borrow_mut().read(self.index, into, true)
    }

    pub fn discard(&self, into: &mut [u8]) -> io::Result<usize> {
        self.connection.borrow_mut().read(self.index, into, false)
    }

    /// A request, all at once, or what goes through a tunnel.
    pub fn write(&self, from: &[u8]) -> io::Result<usize> {
        self.connection.borrow_mut().write(self.index, from)
    }

    pub fn flush(&self) -> io::Result<()> {
        self.connection.borrow_mut().flush()
    }

    /// Sends nothing more on this stream.
    pub fn finish(&self) -> io::Result<()> {
        let mut connection = self.connection.borrow_mut();
        let stream = connection.ends[self.index].number;
        connection.frame(Kind::DATA, FrameHeader::END_STREAM, stream, b"");
        connection.flush()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.borrow_mut().ends[self.index].is_left = true;
    }
}
