//! The message: how it is written and read.

use super::head;
use crate::tunnel::Saved;
use crate::wire::{In, Out};

/// What a message begins with.
pub const MAGIC: [u8; 4] = *b"wsho";

/// To be raised with every change of what follows. Processes of different versions do not hand over to each
/// other.
pub const VERSION: u16 = 1;

/// The longest message, bytes: two heads, and what two large buffers hold.
pub const MOST: usize = 4 << 20;

/// A tunnel, but for its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What has been counted and timed.
    pub account: Account,
    /// What the tunnel has come to.
    pub tunnel: Saved<'a>,
    /// What the client's connection began with where a proxy in front had told of it: a line of the PROXY
    /// protocol, version 1, or nothing.
    pub proxy: &'a [u8],
    /// The head of the client's request.
    pub request: &'a [u8],
    /// The head of the upstream's answer.
    pub answer: &'a [u8],
    /// The name that the upstream's address came from.
    pub host: &'a [u8],
    /// The server's address as nginx writes it.
    pub server: &'a [u8],
    /// What the client has sent and the upstream has not taken.
    pub from_client: &'a [u8],
    /// What the upstream has sent and the client has not taken.
    pub from_upstream: &'a [u8],
}

/// What has been counted and timed of a tunnel and its connections. Times are milliseconds; an age is how long
/// ago something was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The number of the client's connection.
    pub connection: u64,
    /// How many requests that had.
    pub requests: u64,
    /// How old it is.
    pub connection_age: u64,
    /// When the request began: seconds since 1970.
    pub start_sec: u64,
    /// And milliseconds.
    pub start_msec: u16,
    /// Bytes of the request.
    pub request_length: u64,
    /// How long the handshake took.
    pub handshake_time: u64,
    /// Bytes that were sent to the client, the head of the answer included.
    pub client_sent: u64,
    /// Bytes that were sent to the upstream, the request included.
    pub upstream_sent: u64,
    /// Bytes that came from it, the head of its answer included.
    pub upstream_received: u64,
    /// How long ago the upstream was asked.
    pub upstream_age: u64,
    /// How long it took to connect to it, where that is known.
    pub connect_time: Option<u64>,
    /// How long until its answer came, where that is known.
    pub header_time: Option<u64>,
    /// What the tunnel is known by among all; 0 where it is not.
    pub id: u64,
    /// When it began: milliseconds since 1970.
    pub begun: u64,
    /// How long ago that was, on a clock that never goes back.
    pub age: u64,
    /// How often it has been handed over before.
    pub handovers: u32,
    /// When all of this was so, on a clock that all processes share.
    pub written_at: u64,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none at all, or of another length than it says.
    Malformed,
    /// It is of another version.
    Version(u16),
    /// A field holds what it can't.
    Field(&'static str),
}

impl<'a> Message<'a> {
    /// Writes it. How long it is; `None` if there is no room.
    pub fn write(&self, bytes: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(bytes);
        out.bytes(&MAGIC);
        out.u16(VERSION);
        out.u32(0);
        self.account.put(&mut out);
        for text in self.texts() {
            out.text(text);
        }
        let length = out.finish().filter(|length| *length <= MOST)?;
        let place = bytes.get_mut(LENGTH_AT..LENGTH_AT.saturating_add(size_of::<u32>()))?;
        place.copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        Some(length)
    }

    /// How long it is at most when it is written.
    pub fn room(&self) -> usize {
        let texts = self
            .texts()
            .map(|text| text.len().saturating_add(size_of::<u32>()));
        texts
            .iter()
            .fold(FIXED, |sum, text| sum.saturating_add(*text))
    }

    /// Reads one, and looks at all of it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut read = In::new(bytes);
        if read.array() != Some(MAGIC) {
            return Err(Fault::Malformed);
        }
        let version = read.u16().ok_or(Fault::Malformed)?;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let length = read.u32().and_then(|length| usize::try_from(length).ok());
        if length != Some(bytes.len()) || bytes.len() > MOST {
            return Err(Fault::Malformed);
        }
        let account = Account::take(&mut read)?;
        let mut text = |name| read.text().ok_or(Fault::Field(name));
        let tunnel = Saved::read(text("tunnel")?).ok_or(Fault::Field("tunnel"))?;
        let message = Self {
            account,
            tunnel,
            proxy: text("proxy")?,
            request: text("request")?,
            answer: text("answer")?,
            host: text("host")?,
            server: text("server")?,
            from_client: text("from_client")?,
            from_upstream: text("from_upstream")?,
        };
        let faults = [
            ("proxy", head::is_proxy(message.proxy)),
            ("request", head::is_request(message.request)),
            ("answer", head::is_answer(message.answer)),
        ];
        if let Some((name, _)) = faults.into_iter().find(|(_, is_right)| !is_right) {
            return Err(Fault::Field(name));
        }
        if read.is_at_end() {
            Ok(message)
        } else {
            Err(Fault::Malformed)
        }
    }

    fn texts(&self) -> [&'a [u8]; 8] {
        [
            self.tunnel.0,
            self.proxy,
            self.request,
            self.answer,
            self.host,
            self.server,
            self.from_client,
            self.from_upstream,
        ]
    }
}

/// Where the length of all stands.
const LENGTH_AT: usize = 6;

/// No message without its texts is longer.
const FIXED: usize = 256;

impl Account {
    fn put(&self, out: &mut Out<'_>) {
        for number in [
            self.connection,
            self.requests,
            self.connection_age,
            self.start_sec,
        ] {
            out.u64(number);
        }
        out.u16(self.start_msec);
        for number in [
            self.request_length,
            self.handshake_time,
            self.client_sent,
            self.upstream_sent,
            self.upstream_received,
            self.upstream_age,
        ] {
            out.u64(number);
        }
        out.option(self.connect_time, Out::u64);
        out.option(self.header_time, Out::u64);
        for number in [self.id, self.begun, self.age] {
            out.u64(number);
        }
        out.u32(self.handovers);
        out.u64(self.written_at);
    }

    fn take(read: &mut In<'_>) -> Result<Self, Fault> {
        Ok(Self {
            connection: number("connection", read)?,
            requests: number("requests", read)?,
            connection_age: number("connection_age", read)?,
            start_sec: number("start_sec", read)?,
            start_msec: read
                .u16()
                .filter(|part| *part < 1000)
                .ok_or(Fault::Field("start_msec"))?,
            request_length: number("request_length", read)?,
            handshake_time: number("handshake_time", read)?,
            client_sent: number("client_sent", read)?,
            upstream_sent: number("upstream_sent", read)?,
            upstream_received: number("upstream_received", read)?,
            upstream_age: number("upstream_age", read)?,
            connect_time: read.option(In::u64).ok_or(Fault::Field("connect_time"))?,
            header_time: read.option(In::u64).ok_or(Fault::Field("header_time"))?,
            id: number("id", read)?,
            begun: number("begun", read)?,
            age: number("age", read)?,
            handovers: read.u32().ok_or(Fault::Field("handovers"))?,
            written_at: number("written_at", read)?,
        })
    }
}

/// A count that signed types can hold, and an age that a clock can have.
fn number(name: &'static str, read: &mut In<'_>) -> Result<u64, Fault> {
    let number = read.u64().filter(|number| *number >> 62 == 0);
    number.ok_or(Fault::Field(name))
}
