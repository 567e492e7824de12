//! One stream on an HTTP/2 connection of its own, carried from and to a client's socket as the windows let it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use httlib_hpack::Decoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::leaving::{LINGERS, linger};
use super::{
    ACK, CANCEL, CONTINUATION, DATA, ENABLE_CONNECT_PROTOCOL, END_HEADERS, END_STREAM, HEADERS,
    INITIAL_WINDOW_SIZE, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::tls::Certificate;
use crate::wait::DEADLINE;

const STREAM: u32 = 1;
const LARGEST_FRAME: usize = 16_384;

/// The stream, and all of its connection.
pub struct Stream {
    socket: TcpStream,
    tls: ClientConnection,
    decoder: Decoder<'static>,
    /// What came of frames that are not whole.
    received: Vec<u8>,
    block: Vec<u8>,
    /// What RFC 8441 wants the server to say.
    connects: Option<bool>,
    initial: i64,
    window: i64,
    connection_window: i64,
    answer: Answer,
    is_answered: bool,
    /// For the client, not counted as received until it has taken it.
    for_client: Vec<u8>,
    from_client: Vec<u8>,
    is_tunnel: bool,
    /// The client has sent all that it wants to, and the server has been told.
    has_finished: bool,
    has_told_so: bool,
    /// The server has sent all that it wants to.
    has_ended: bool,
    /// There is nothing more to be had of it.
    is_closed: bool,
}

/// The answer to a request; its body is whole unless it is a tunnel's.
#[derive(Default)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Stream {
    /// Connects to a port of 127.0.0.1, and asks when the server has told of RFC 8441.
    pub fn open(
        port: u16,
        certificate: &Certificate,
        fields: &[(String, String)],
    ) -> io::Result<Self> {
        let mut config = (*certificate.client_config(None)).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("localhost").expect("localhost is a name");
        let tls = ClientConnection::new(config.into(), name).map_err(io::Error::other)?;
        let mut this = Self {
            socket: TcpStream::connect(("127.0.0.1", port))?,
            tls,
            decoder: Decoder::default(),
            received: Vec::new(),
            block: Vec::new(),
            connects: None,
            initial: 65_535,
            window: 65_535,
            connection_window: 65_535,
            answer: Answer::default(),
            is_answered: false,
            for_client: Vec::new(),
            from_client: Vec::new(),
            is_tunnel: false,
            has_finished: false,
            has_told_so: false,
            has_ended: false,
            is_closed: false,
        };
        this.tls.set_buffer_limit(None);
        this.socket.set_nodelay(true)?;
        this.socket.set_read_timeout(Some(*DEADLINE))?;
        while this.tls.is_handshaking() {
            this.tls.complete_io(&mut this.socket)?;
        }
        this.socket.set_nonblocking(true)?;
        this.send(PREFACE)?;
        this.send(&frame(SETTINGS, 0, 0, &[]))?;
        while this.connects.is_none() && !this.is_closed {
            this.wait(None)?;
        }
        if this.is_closed {
            return Err(ErrorKind::ConnectionReset.into());
        }
        assert_eq!(
            this.connects,
            Some(true),
            "nginx has no WebSocket over HTTP/2"
        );
        let block = block(fields);
        let mut pieces = block.chunks(LARGEST_FRAME).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            this.send(&frame(kind, flags, STREAM, piece))?;
            kind = CONTINUATION;
        }
        Ok(this)
    }

    /// Waits for the answer, and for the body of one that refuses. Meanwhile these bytes of the client go on, and those
    /// that follow them.
    pub fn answer(&mut self, client: &TcpStream, first: &[u8]) -> io::Result<Answer> {
        client.set_nonblocking(true)?;
        self.from_client = first.to_vec();
        while !self.is_answered || (self.answer.status != 200 && !self.has_ended) {
            if self.is_closed {
                return Err(ErrorKind::ConnectionReset.into());
            }
            self.pass_up()?;
            self.turn(client)?;
            if self.has_finished {
                self.give_up()?;
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        client.set_nonblocking(false)?;
        Ok(std::mem::take(&mut self.answer))
    }

    /// What the client sent behind a request that was refused.
    pub fn unsent(self) -> Vec<u8> {
        self.from_client
    }

    /// Carries the tunnel until it is over.
    pub fn carry(mut self, client: &TcpStream) -> io::Result<()> {
        client.set_nonblocking(true)?;
        self.is_tunnel = true;
        let mut over = None;
        let result = loop {
            if let Err(error) = self.pass_up().and_then(|()| self.pass_down(client)) {
                break Err(error);
            }
            if self.for_client.is_empty() && (self.has_ended || self.is_closed) {
                break Ok(());
            }
            // A client that goes on sending, and takes nothing, gets a reset.
            if self.is_closed && !self.from_client.is_empty() {
                let since = *over.get_or_insert_with(Instant::now);
                if since.elapsed() > LINGERS {
                    break Ok(());
                }
                self.from_client.clear();
            }
            if let Err(error) = self.turn(client) {
                break Err(error);
            }
        };
        if result.is_err() && !self.is_closed {
            let _ = self.give_up();
        }
        // As nginx does, it reads on for a while, so that no reset takes from the client what it has not read.
        let _ = client.shutdown(Shutdown::Write);
        client.set_nonblocking(false)?;
        drop(self);
        linger(client)
    }

    /// Waits until something can be done, and reads what has come from either side.
    fn turn(&mut self, client: &TcpStream) -> io::Result<()> {
        let mut events = PollFlags::empty();
        events.set(
            PollFlags::IN,
            self.from_client.is_empty() && !self.has_finished,
        );
        events.set(
            PollFlags::OUT,
            self.is_tunnel && !self.for_client.is_empty(),
        );
        if !self
            .wait(Some((client, events)))?
            .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
        {
            return Ok(());
        }
        let mut chunk = [0; LARGEST_FRAME];
        match (&mut &*client).read(&mut chunk) {
            Ok(0) => self.has_finished = true,
            Ok(count) => self.from_client.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits for the server, and for the client if it is told what for. What has come of the client.
    fn wait(&mut self, client: Option<(&TcpStream, PollFlags)>) -> io::Result<PollFlags> {
        let mut events = PollFlags::IN;
        events.set(PollFlags::OUT, self.tls.wants_write());
        let mut sources = vec![PollFd::new(&self.socket, events)];
        if let Some((client, events)) = client {
            sources.push(PollFd::new(client, events));
        }
        let limit = Timespec {
            tv_sec: DEADLINE.as_secs() as i64,
            tv_nsec: 0,
        };
        if poll(&mut sources, Some(&limit))? == 0 && client.is_none() {
            return Err(ErrorKind::TimedOut.into());
        }
        let (server, client) = (sources[0].revents(), sources.get(1).map(PollFd::revents));
        drop(sources);
        if server.contains(PollFlags::OUT) {
            self.flush()?;
        }
        if server.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.receive()?;
        }
        Ok(client.unwrap_or_else(PollFlags::empty))
    }

    fn receive(&mut self) -> io::Result<()> {
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => self.is_closed = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => self.is_closed = true,
        }
        self.tls.process_new_packets().map_err(io::Error::other)?;
        // Its end is known already.
        let _ = self.tls.reader().read_to_end(&mut self.received);
        while let Some(head) = self.received.first_chunk::<9>().copied() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if self.received.len() < 9 + length {
                break;
            }
            let rest = self.received.split_off(9 + length);
            let frame = std::mem::replace(&mut self.received, rest);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            self.frame(head[3], head[4], stream, &frame[9..])?;
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks(6) {
                    let value = number(&setting[2..]);
                    match u16::from_be_bytes([setting[0], setting[1]]) {
                        ENABLE_CONNECT_PROTOCOL => self.connects = Some(value == 1),
                        INITIAL_WINDOW_SIZE => {
                            self.window += i64::from(value) - self.initial;
                            self.initial = i64::from(value);
                        }
                        _ => {}
                    }
                }
                self.send(&frame(SETTINGS, ACK, 0, &[]))?;
            }
            PING if flags & ACK == 0 => self.send(&frame(PING, ACK, 0, payload))?,
            WINDOW_UPDATE if stream == 0 => self.connection_window += i64::from(number(payload)),
            WINDOW_UPDATE => self.window += i64::from(number(payload)),
            RST_STREAM => self.is_closed = true,
            HEADERS | CONTINUATION => {
                self.block.extend_from_slice(payload);
                if flags & END_HEADERS != 0 {
                    self.fields()?;
                }
            }
            DATA if self.answer.status == 200 || self.is_tunnel => {
                self.for_client.extend_from_slice(payload)
            }
            DATA => {
                self.answer.body.extend_from_slice(payload);
                self.credit(payload.len())?;
            }
            _ => {}
        }
        self.has_ended |= matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        Ok(())
    }

    fn fields(&mut self) -> io::Result<()> {
        let mut fields = Vec::new();
        let decoded = self.decoder.decode(&mut self.block, &mut fields);
        decoded.map_err(|error| io::Error::other(format!("{error:?}")))?;
        for (name, value, _) in fields {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            match &*name {
                b":status" => {
                    self.answer.status = text(&value).parse().map_err(io::Error::other)?
                }
                name => self.answer.fields.push((text(name), text(&value))),
            }
        }
        self.is_answered = true;
        Ok(())
    }

    /// Sends what the client has sent, as the windows let it go, and its end.
    fn pass_up(&mut self) -> io::Result<()> {
        while !self.from_client.is_empty() && !self.tls.wants_write() {
            let room = self.window.min(self.connection_window).max(0) as usize;
            let count = self.from_client.len().min(room).min(LARGEST_FRAME);
            if count == 0 {
                return Ok(());
            }
            let rest = self.from_client.split_off(count);
            let piece = std::mem::replace(&mut self.from_client, rest);
            self.window -= count as i64;
            self.connection_window -= count as i64;
            self.send(&frame(DATA, 0, STREAM, &piece))?;
        }
        if self.from_client.is_empty() && self.has_finished && !self.has_told_so {
            self.has_told_so = true;
            self.send(&frame(DATA, END_STREAM, STREAM, &[]))?;
        }
        Ok(())
    }

    /// Gives the client what it takes, and lets the server send so much again.
    fn pass_down(&mut self, mut client: &TcpStream) -> io::Result<()> {
        while !self.for_client.is_empty() {
            match client.write(&self.for_client) {
                Ok(count) => {
                    self.for_client.drain(..count);
                    self.credit(count)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn credit(&mut self, count: usize) -> io::Result<()> {
        if count == 0 || self.is_closed {
            return Ok(());
        }
        let count = (count as u32).to_be_bytes();
        self.send(
            &[
                frame(WINDOW_UPDATE, 0, 0, &count),
                frame(WINDOW_UPDATE, 0, STREAM, &count),
            ]
            .concat(),
        )
    }

    fn give_up(&mut self) -> io::Result<()> {
        self.send(&frame(RST_STREAM, 0, STREAM, &CANCEL.to_be_bytes()))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(bytes)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What the server has sent before is still to be read.
                Err(_) => {
                    self.is_closed = true;
                    break;
                }
            }
        }
        Ok(())
    }
}
