//! A connection of HTTP/2 with any number of streams, whose frames the test sends as it likes.

use std::collections::BTreeMap;
use std::io;

use super::{
    ACK, DATA, ENABLE_CONNECT_PROTOCOL, END_HEADERS, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING,
    PREFACE, RST_STREAM, SETTINGS, frame, initial_window, push_string, status,
};
pub use super::{CONTINUATION, END_STREAM, WINDOW_UPDATE};
use crate::frame::Frame;
use crate::tls::Certificate;
use crate::wire::Wire;

mod attempts;

/// Padding, whose length comes first.
pub const PADDED: u8 = 8;

/// A client's connection. Every wait fails the test when nothing has come for a time.
pub struct Session {
    wire: Wire,
    streams: BTreeMap<u32, Stream>,
    next: u32,
    /// What was put into the table of the other side, the newest first.
    table: Vec<(String, String)>,
    /// Whether fields go into that table.
    pub is_compressing: bool,
    /// Whether bytes that have come may come again at once.
    pub is_generous: bool,
    /// What the settings of the server say of RFC 8441.
    pub connects: Option<bool>,
    /// The window of a new stream, towards the server.
    pub initial_window: u32,
    /// So many of its own PINGs were answered.
    pub pongs: u32,
    /// The server takes no new streams.
    pub goes_away: bool,
    /// What it has said it is for, the last time.
    pub error: Option<u32>,
    /// The connection has been closed.
    pub is_closed: bool,
}

/// What has come of a stream.
#[derive(Default)]
pub struct Stream {
    /// The status of its answer.
    pub status: Option<u16>,
    /// The bytes behind that.
    pub bytes: Vec<u8>,
    /// All of them have come.
    pub is_ended: bool,
    /// It was reset, for this reason.
    pub reset: Option<u32>,
    /// So much more may be sent than its window was at first.
    pub credit: u64,
    /// In so many frames.
    pub credits: usize,
    /// So much has been sent.
    pub sent: u64,
}

impl Session {
    /// Connects by TLS, with nothing said of windows.
    #[track_caller]
    pub fn connect(port: u16, certificate: &Certificate) -> Self {
        Self::with_settings(port, certificate, &[])
    }

    /// The same as one that takes so many bytes of each stream at first.
    #[track_caller]
    pub fn with_window(port: u16, certificate: &Certificate, window: u32) -> Self {
        Self::with_settings(port, certificate, &initial_window(window))
    }

    /// The same over a connection that is there.
    #[track_caller]
    pub fn over_with_window(wire: Wire, window: u32) -> Self {
        Self::begin(wire, &initial_window(window))
    }

    #[track_caller]
    fn with_settings(port: u16, certificate: &Certificate, settings: &[u8]) -> Self {
        let wire = Wire::connect_http2(port, certificate).expect("nginx speaks HTTP/2");
        Self::begin(wire, settings)
    }

    /// The same over a connection that is there.
    #[track_caller]
    pub fn over(wire: Wire) -> Self {
        Self::begin(wire, &[])
    }

    /// A connection on which the test says everything itself.
    pub fn silent(wire: Wire) -> Self {
        Self::new(wire)
    }

    /// These streams are opened by what the test sends.
    pub fn note(&mut self, streams: &[u32]) {
        for &stream in streams {
            self.streams.insert(stream, Stream::default());
            self.next = self.next.max(stream + 2);
        }
    }

    #[track_caller]
    fn begin(wire: Wire, settings: &[u8]) -> Self {
        let mut session = Self::new(wire);
        let first = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
        session.send(&first);
        session
    }

    fn new(wire: Wire) -> Self {
        Self {
            wire,
            streams: BTreeMap::new(),
            next: 1,
            table: Vec::new(),
            is_compressing: false,
            is_generous: true,
            connects: None,
            initial_window: 65_535,
            pongs: 0,
            goes_away: false,
            error: None,
            is_closed: false,
        }
    }

    /// Connects, and waits until the server tells of RFC 8441.
    #[track_caller]
    pub fn ready(port: u16, certificate: &Certificate) -> Self {
        let mut session = Self::connect(port, certificate);
        session.wait(|session| session.connects == Some(true));
        session
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("nginx reads");
    }

    /// Sends a frame.
    #[track_caller]
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload));
    }

    /// Asks for a WebSocket. The number of its stream.
    #[track_caller]
    pub fn open(&mut self, path: &str) -> u32 {
        self.open_with(path, &[("sec-websocket-version", "13")])
    }

    /// The same with these fields.
    #[track_caller]
    pub fn open_with(&mut self, path: &str, fields: &[(&str, &str)]) -> u32 {
        let pseudo = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
        ];
        self.request(&[&pseudo, fields].concat(), 0)
    }

    /// A tunnel that is there.
    #[track_caller]
    pub fn establish(&mut self, path: &str) -> u32 {
        let stream = self.open(path);
        assert_eq!(self.status(stream), 200);
        stream
    }

    /// Asks for something. The number of its stream.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> u32 {
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
        ];
        self.request(&fields, END_STREAM)
    }

    /// Sends a request of these fields.
    #[track_caller]
    pub fn request(&mut self, fields: &[(&str, &str)], flags: u8) -> u32 {
        let block = self.block(fields);
        let stream = self.stream();
        self.frame(HEADERS, END_HEADERS | flags, stream, &block);
        stream
    }

    /// The number of a new stream.
    pub fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.streams.insert(stream, Stream::default());
        stream
    }

    /// A header block, to be sent next.
    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for &(name, value) in fields {
            let known = self
                .table
                .iter()
                .position(|known| (&*known.0, &*known.1) == (name, value));
            match known {
                Some(place) if self.is_compressing => block.push(0x80 | (62 + place as u8)),
                _ => {
                    block.push(if self.is_compressing { 0x40 } else { 0 });
                    push_string(&mut block, name);
                    push_string(&mut block, value);
                    if self.is_compressing {
                        self.table.insert(0, (name.to_owned(), value.to_owned()));
                    }
                }
            }
        }
        block
    }

    /// Sends bytes on a stream, in frames of up to 16 KiB, as its window lets them go.
    #[track_caller]
    pub fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.try_data(stream, bytes).expect("nginx reads");
    }

    /// How much may be sent on a stream.
    pub fn room(&self, stream: u32) -> usize {
        let known = self.of(stream);
        (u64::from(self.initial_window) + known.credit).saturating_sub(known.sent) as usize
    }

    /// Sends a WebSocket frame.
    #[track_caller]
    pub fn message(&mut self, stream: u32, message: Frame) {
        self.data(stream, &message.masked().bytes());
    }

    /// Ends the client's half of a stream.
    #[track_caller]
    pub fn end(&mut self, stream: u32) {
        self.frame(DATA, END_STREAM, stream, &[]);
    }

    /// Gives up a stream.
    #[track_caller]
    pub fn reset(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }

    /// Lets the server send more; stream 0 is the connection.
    #[track_caller]
    pub fn credit(&mut self, stream: u32, bytes: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }

    /// What has come of a stream.
    pub fn of(&self, stream: u32) -> &Stream {
        &self.streams[&stream]
    }

    /// Waits for the status of an answer.
    #[track_caller]
    pub fn status(&mut self, stream: u32) -> u16 {
        self.wait(|session| {
            session.of(stream).status.is_some() || session.of(stream).reset.is_some()
        });
        self.of(stream).status.expect("it is answered")
    }

    /// Waits for the whole of an answer.
    #[track_caller]
    pub fn body(&mut self, stream: u32) -> Vec<u8> {
        self.wait(|session| session.of(stream).is_ended);
        self.of(stream).bytes.clone()
    }

    /// Waits for a WebSocket frame, and takes it.
    #[track_caller]
    pub fn read(&mut self, stream: u32) -> Frame {
        match self.try_read(stream) {
            Ok(frame) => frame,
            Err(error) => panic!("stream {stream}: {error}"),
        }
    }

    /// Sends a message, and waits for it to come back.
    #[track_caller]
    pub fn echo(&mut self, stream: u32, message: Frame) {
        self.message(stream, message.clone());
        assert_eq!(self.read(stream), message);
    }

    /// Closes a tunnel as a client does.
    #[track_caller]
    pub fn close(&mut self, stream: u32) {
        self.message(stream, Frame::close(1000, ""));
        assert_eq!(self.read(stream).close_code(), Some(1000));
        self.wait(|session| session.of(stream).is_ended);
    }

    /// Reads on until this is so.
    #[track_caller]
    pub fn wait(&mut self, is: impl Fn(&Self) -> bool) {
        self.try_wait(is).expect("more comes");
    }

    /// Reads a frame. An error if none comes.
    pub fn step(&mut self) -> io::Result<()> {
        let head = match self.wire.read_bytes(9) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !self.is_closed => {
                self.is_closed = true;
                return Ok(());
            }
            head => head?,
        };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.wire.read_bytes(length)?;
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks(6) {
                    let value = number(&setting[2..]);
                    match u16::from_be_bytes([setting[0], setting[1]]) {
                        ENABLE_CONNECT_PROTOCOL => {
                            assert!(self.connects != Some(true) || value == 1, "taken back");
                            self.connects = Some(value == 1);
                        }
                        INITIAL_WINDOW_SIZE => self.initial_window = value,
                        _ => {}
                    }
                }
                self.connects = self.connects.or(Some(false));
                self.wire.send(frame(SETTINGS, ACK, 0, &[]))?;
            }
            PING if flags & ACK == 0 => self.wire.send(frame(PING, ACK, 0, &payload))?,
            PING => self.pongs += 1,
            GOAWAY => {
                self.goes_away = true;
                self.error = payload.get(4..8).map(number);
            }
            _ => {}
        }
        if let Some(known) = self.streams.get_mut(&stream) {
            match kind {
                HEADERS => known.status = Some(status(&payload)?),
                DATA => known.bytes.extend(&payload),
                RST_STREAM => known.reset = Some(number(&payload)),
                WINDOW_UPDATE => {
                    known.credit += u64::from(number(&payload));
                    known.credits += 1;
                }
                _ => {}
            }
            known.is_ended |= matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        }
        if kind == DATA && length > 0 && self.is_generous {
            let again = (length as u32).to_be_bytes();
            self.wire.send(
                [
                    frame(WINDOW_UPDATE, 0, 0, &again),
                    frame(WINDOW_UPDATE, 0, stream, &again),
                ]
                .concat(),
            )?;
        }
        Ok(())
    }

    /// Breaks the connection with a TCP reset.
    pub fn break_off(mut self) {
        self.wire.reset();
    }

    /// Closes the connection without a word.
    pub fn hang_up(mut self) {
        self.wire.close();
    }
}
