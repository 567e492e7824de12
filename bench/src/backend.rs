//! What stands behind the proxy: echoes WebSocket messages and serves one small page.
//!
//! A message is sent back when all of it is there, as a real server would do. Answers are made in
//! the buffer that the message was read into.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use rustix::net::sockopt;

use crate::epoll::{Epoll, Readiness};
use crate::flood::{self, End, Halt};
use crate::frame::{self, Header, MAX_HEADER};
use crate::http;
use crate::result::Result;
use crate::stream::Stream;

/// Marks the backend's tokens.
pub const TOKEN: u64 = 1 << 63;
const LISTENER: u64 = u64::MAX;

/// What was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub handshakes: u64,
    pub frames: u64,
    pub pages: u64,
}

pub struct Backend {
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    pub served: Served,
}

impl Backend {
    pub fn new(epoll: &Epoll) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        // Accepted connections inherit it.
        sockopt::set_tcp_nodelay(&listener, true)?;
        epoll.add(&listener, LISTENER)?;
        Ok(Self {
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            served: Served::default(),
        })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether the proxies have closed all tunnels. What isn't read says nothing of its end.
    pub fn is_quiet(&self) -> bool {
        let mut open = self.connections.iter().flatten();
        !open.any(|connection| connection.is_websocket && !connection.is_deaf)
    }

    /// How many connections it has.
    pub fn open(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    pub fn ready(&mut self, epoll: &Epoll, event: Readiness) -> Result<()> {
        if event.token == LISTENER {
            return self.accept(epoll);
        }
        let slot = (event.token & !TOKEN) as usize;
        // The event may be older than the connection that has the slot now: it finds nothing to do.
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let halt = connection.advance(event.closed, &mut self.served)?;
        let said = mem::take(&mut connection.said);
        let room = connection.room.filter(|_| !said.is_empty());
        match halt {
            Halt::Blocked => {}
            Halt::Unfinished => epoll.again(event.token),
            Halt::Ended => {
                connection.end();
                self.connections[slot] = None;
                self.free.push(slot);
            }
        }
        room.map_or(Ok(()), |room| self.broadcast(room, &said))
    }

    fn broadcast(&mut self, room: u64, said: &[u8]) -> Result<()> {
        for hearer in self.connections.iter_mut().flatten() {
            if hearer.room == Some(room) {
                hearer.hear(said)?;
                self.served.frames += 1;
            }
        }
        Ok(())
    }

    fn accept(&mut self, epoll: &Epoll) -> Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            socket.set_nonblocking(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll.add(&socket, TOKEN | slot as u64)?;
            self.connections[slot] = Some(Connection::new(Stream::Plain(socket)));
        }
    }
}

/// A tunnel that takes what comes, or sends what it can. Behind what came it sends the client's mark
/// back.
struct Flood {
    end: End,
    is_source: bool,
    /// Whoever gets it doesn't wait for its end, so it doesn't count.
    is_endless: bool,
}

impl Flood {
    fn wanted(request: &[u8]) -> Option<Self> {
        let is_endless = http::is_for(request, b"/ws/endless");
        let is_source = is_endless || http::is_for(request, b"/ws/source");
        (is_source || http::is_for(request, b"/ws/sink")).then(|| Self {
            end: End::of_backend(),
            is_source,
            is_endless,
        })
    }

    fn advance(&mut self, socket: &mut Stream, served: &mut Served) -> Result<Halt> {
        let received = self.end.receive(socket, flood::AT_ONCE)?;
        for _ in 0..self.end.take_marks() {
            if self.is_source && !self.end.flows() {
                self.end.start();
            } else {
                self.end.mark();
            }
        }
        // However the proxy ends a connection: the generator knows what is missing.
        let sent = self.end.send(socket).unwrap_or(Halt::Ended);
        let frames = self.end.take_frames();
        if !self.is_endless {
            served.frames += frames;
        }
        Ok(match received {
            Halt::Blocked => sent,
            _ => received,
        })
    }
}

struct Connection {
    socket: Stream,
    is_websocket: bool,
    /// A tunnel that isn't read.
    is_deaf: bool,
    /// What a tunnel is that echoes nothing.
    flood: Option<Flood>,
    /// The room whose clients all get what one of them says, and what this one has just said.
    room: Option<u64>,
    said: Vec<u8>,
    buffer: Vec<u8>,
    /// What `buffer` holds that was not looked at yet.
    input: Range<usize>,
    /// What of `buffer`, before `input`, is still to be sent.
    output: Range<usize>,
}

/// Enough for a request, and for many small frames.
const FIRST_BUFFER: usize = 8 << 10;
/// Answers up to this length are moved together, so that one call sends many.
const SMALL: usize = 4 << 10;

impl Connection {
    fn new(socket: Stream) -> Self {
        Self {
            socket,
            is_websocket: false,
            is_deaf: false,
            flood: None,
            room: None,
            said: Vec::new(),
            buffer: vec![0; FIRST_BUFFER],
            input: 0..0,
            output: 0..0,
        }
    }

    fn advance(&mut self, closed: bool, served: &mut Served) -> Result<Halt> {
        let mut drained = false;
        loop {
            self.answer(served)?;
            if !self.send()? || self.is_deaf {
                return Ok(Halt::Blocked);
            }
            if let Some(flood) = &mut self.flood {
                return flood.advance(&mut self.socket, served);
            }
            if !self.input.is_empty() && self.wanted()? <= self.input.len() {
                continue;
            }
            if drained && !closed {
                return Ok(Halt::Blocked);
            }
            self.make_room()?;
            let room = &mut self.buffer[self.input.end..];
            let asked = room.len();
            match self.socket.read(room) {
                Ok(0) => return Ok(Halt::Ended),
                Ok(read) => {
                    self.input.end += read;
                    // Less than there was room for is all there is, until the next event.
                    drained = read < asked;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Halt::Blocked),
                // However the proxy ends a connection: the generator knows what is missing.
                Err(_) => return Ok(Halt::Ended),
            }
        }
    }

    /// How many bytes of input there must be before something can be answered.
    fn wanted(&self) -> Result<usize> {
        let input = &self.buffer[self.input.clone()];
        if !self.is_websocket {
            return Ok(http::head(input).unwrap_or(input.len() + 1));
        }
        Ok(match Header::parse(input)? {
            Some(header) => header.frame(),
            None => MAX_HEADER.max(input.len() + 1),
        })
    }

    /// Room for the rest of a message: where it doesn't fit behind what is there, that moves.
    fn make_room(&mut self) -> Result<()> {
        if self.input.is_empty() {
            self.input = 0..0;
        }
        let wanted = self.wanted()?;
        if self.buffer.len() - self.input.start < wanted {
            self.buffer.copy_within(self.input.clone(), 0);
            self.input = 0..self.input.len();
            let length = self.buffer.len().max(wanted);
            self.buffer.resize(length, 0);
        }
        Ok(())
    }

    fn answer(&mut self, served: &mut Served) -> Result<()> {
        if !self.is_websocket {
            return self.answer_request(served);
        }
        while self.answer_frame()? {
            served.frames += u64::from(self.room.is_none());
        }
        if self.room.is_some() {
            self.said.extend(&self.buffer[self.output.clone()]);
            self.output = 0..0;
        }
        Ok(())
    }

    fn answer_request(&mut self, served: &mut Served) -> Result<()> {
        let input = &self.buffer[self.input.clone()];
        let Some(end) = http::head(input) else {
            if input.len() > http::MAX_HEAD {
                return Err("the backend got a request without an end".into());
            }
            return Ok(());
        };
        if end != input.len() {
            return Err("the backend got more than a request".into());
        }
        self.is_websocket = http::is_handshake(input);
        self.is_deaf = http::is_for(input, b"/ws/deaf");
        self.flood = Flood::wanted(input);
        self.room = http::room(input);
        let answer = if self.is_websocket {
            served.handshakes += 1;
            http::switching(input)
        } else {
            served.pages += u64::from(!http::is_for(input, b"/ws/ready"));
            http::PAGE.into()
        };
        self.buffer[..answer.len()].copy_from_slice(&answer);
        self.output = 0..answer.len();
        self.input = answer.len()..answer.len();
        Ok(())
    }

    /// Turns a frame into its echo, where it lies or behind the one before.
    fn answer_frame(&mut self) -> Result<bool> {
        let input = &mut self.buffer[self.input.clone()];
        let Some(header) = Header::parse(input)? else {
            return Ok(false);
        };
        let appends = !self.output.is_empty();
        if input.len() < header.frame() || appends && header.payload > SMALL {
            return Ok(false);
        }
        let payload = header.frame() - header.payload;
        frame::mask(&mut input[payload..header.frame()], header.mask);

        // The header moves up to the payload, over the mask.
        let start = self.input.start;
        let length = header.unmasked + header.payload;
        let mut head = [0; MAX_HEADER];
        let head = &mut head[..header.unmasked];
        head.copy_from_slice(&self.buffer[start..start + header.unmasked]);
        head[1] &= 0x7f;
        let from = start + header.mask.len();
        self.buffer[from..from + header.unmasked].copy_from_slice(head);
        self.input.start += header.frame();
        if appends {
            let end = self.output.end;
            self.buffer.copy_within(from..from + length, end);
            self.output.end += length;
        } else {
            self.output = from..from + length;
        }
        Ok(true)
    }

    /// Sends what another one in the room said. Nothing is said before all have heard the last.
    fn hear(&mut self, said: &[u8]) -> Result<()> {
        if !self.input.is_empty() || !self.output.is_empty() {
            return Err("a client of a broadcast is not ready for the next message".into());
        }
        self.buffer[..said.len()].copy_from_slice(said);
        self.output = 0..said.len();
        self.input = said.len()..said.len();
        self.send()?;
        Ok(())
    }

    /// Whether all output is out.
    fn send(&mut self) -> Result<bool> {
        while !self.output.is_empty() {
            match self.socket.write(&self.buffer[self.output.clone()]) {
                Ok(written) => self.output.start += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                // As with reading.
                Err(_) => self.output = 0..0,
            }
        }
        Ok(true)
    }

    /// The proxy has closed its side. A reset, which it no longer sees, keeps its port from being
    /// taken for a minute: thousands are used in a second.
    fn end(&self) {
        let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
    }
}
