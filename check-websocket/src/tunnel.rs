//! The established connection: a ping, an echo, and being silent for a while.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};
use websocket_protocol::{Escaped, Scanner};

use crate::failure::{Failure, TOO_BIG};
use crate::random;
use crate::stream::Stream;

/// A message has to be held in memory, and a server may announce 2^63 bytes. Those of real ones
/// are shorter by far.
const LONGEST: usize = 64 << 20;

/// A WebSocket that is open.
pub struct Tunnel {
    socket: WebSocket<Watched>,
    /// Pings of the server so far, which tungstenite answers.
    pings: u32,
}

impl Tunnel {
    /// Goes on after the handshake, with what came behind it.
    pub fn new(stream: Stream, rest: Vec<u8>) -> Self {
        let mut watched = Watched {
            stream,
            scanner: Some(Scanner::new(false)),
            close_code: None,
        };
        watched.watch(&rest);
        let config = WebSocketConfig::default()
            .max_frame_size(Some(LONGEST))
            .max_message_size(Some(LONGEST));
        let socket = WebSocket::from_partially_read(watched, rest, Role::Client, Some(config));
        Self { socket, pings: 0 }
    }

    /// Sends a Ping and waits for its Pong.
    pub fn ping(&mut self, limit: Duration) -> Result<String, Failure> {
        let payload = Bytes::copy_from_slice(&random::bytes::<8>());
        let until = Instant::now() + limit;
        self.send(Message::Ping(payload.clone()), limit)?;
        while let Some(message) = self.receive(until)? {
            if matches!(message, Message::Pong(pong) if pong == payload) {
                return Ok("the pong came back".to_owned());
            }
        }
        Err(Failure::of_tunnel(
            "ping-timeout",
            format!("no pong within {} s", limit.as_secs_f32()),
            "The connection is open, but a Ping was not answered with its Pong.",
            "look for what keeps the server from reading, and for anything in front of nginx that \
             holds data back",
        ))
    }

    /// Sends a text and waits until it comes back.
    pub fn echo(&mut self, text: &str, limit: Duration) -> Result<String, Failure> {
        let until = Instant::now() + limit;
        self.send(Message::text(text), limit)?;
        let mut others = 0;
        while let Some(message) = self.receive(until)? {
            match message {
                Message::Text(back) if back.as_str() == text => {
                    return Ok(match others {
                        0 => "the message came back".to_owned(),
                        others => format!("the message came back, after {others} others"),
                    });
                }
                Message::Text(_) | Message::Binary(_) => others += 1,
                _ => {}
            }
        }
        Err(Failure::of_tunnel(
            "no-echo",
            format!(
                "the message did not come back within {} s ({others} others did)",
                limit.as_secs_f32()
            ),
            "The connection is open, but the message sent was not echoed.",
            "leave --message out if the server at this address is not meant to echo",
        ))
    }

    /// Sends nothing for this long but the pongs the server asks for.
    pub fn hold(&mut self, time: Duration) -> Result<String, Failure> {
        let start = Instant::now();
        let (mut messages, pings) = (0, self.pings);
        let mut lulls = Lulls::since(start);
        let text = |what: &str, messages: u32, pings: u32| {
            let seconds = start.elapsed().as_secs_f32();
            format!(
                "{what} after {seconds:.1} s of silence ({pings} pings and {messages} messages \
                 came)"
            )
        };
        loop {
            match self.read(start + time) {
                Ok(Some(Message::Text(_) | Message::Binary(_))) => messages += 1,
                Ok(Some(Message::Ping(_))) => lulls.end(Instant::now()),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(text("still open", messages, self.pings - pings)),
                Err(end) => {
                    let seen = text(&end.text, messages, self.pings - pings);
                    return Err(match lulls.has_borne(Instant::now()) {
                        // What came can't be read: nothing was ended.
                        _ if !end.is_close() => End { text: seen, ..end }.failure(),
                        true => ended_lively(end.name, seen),
                        false => ended_idle(end.name, seen, start.elapsed()),
                    });
                }
            }
        }
    }

    /// Says goodbye, and doesn't wait long for the answer.
    pub fn close(mut self) {
        self.socket
            .get_mut()
            .stream
            .finish_within(Duration::from_millis(500));
        let _ = self.socket.close(None);
        while self.socket.read().is_ok() {}
    }

    fn send(&mut self, message: Message, limit: Duration) -> Result<(), Failure> {
        self.socket.get_mut().stream.finish_within(limit);
        self.socket
            .send(message)
            .map_err(|error| End::of(error).failure())
    }

    fn receive(&mut self, until: Instant) -> Result<Option<Message>, Failure> {
        self.read(until).map_err(End::failure)
    }

    /// The next message; `None` when the time is up.
    fn read(&mut self, until: Instant) -> Result<Option<Message>, End> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.get_mut().stream.finish_within(left);
            match self.socket.read() {
                Ok(Message::Close(frame)) => {
                    let sent = self.socket.get_ref().close_code;
                    return Err(End {
                        name: "closed",
                        text: closed(frame.as_ref(), sent),
                    });
                }
                Ok(message) => {
                    self.pings += u32::from(message.is_ping());
                    return Ok(Some(message));
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(End::of(error)),
            }
        }
    }
}

/// A connection, and the code of a Close that came by: tungstenite gives 1002 for each that is not
/// allowed.
struct Watched {
    stream: Stream,
    /// `None` once it has lost its place.
    scanner: Option<Scanner>,
    close_code: Option<u16>,
}

impl Watched {
    fn watch(&mut self, bytes: &[u8]) {
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        let code = &mut self.close_code;
        let scanned = scanner.scan(bytes, |frame| *code = code.or(frame.close_code));
        if scanned.is_err() {
            self.scanner = None;
        }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.watch(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn closed(frame: Option<&CloseFrame>, sent: Option<u16>) -> String {
    match (frame, sent) {
        (Some(frame), Some(sent)) if u16::from(frame.code) != sent => {
            format!("the server closed with code {sent}, which must not be sent")
        }
        (Some(frame), _) => format!(
            "the server closed with code {} \"{}\"",
            u16::from(frame.code),
            Escaped(frame.reason.as_bytes())
        ),
        (None, _) => "the server closed without a code".to_owned(),
    }
}

/// The other side ended it.
struct End {
    name: &'static str,
    text: String,
}

impl End {
    fn of(error: Error) -> Self {
        let (name, text) = match error {
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                ("reset", "the connection was reset".to_owned())
            }
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                ("ping-timeout", "nothing could be sent".to_owned())
            }
            Error::Io(error) => ("error", error.to_string()),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
            | Error::ConnectionClosed
            | Error::AlreadyClosed => (
                "no-close-frame",
                "the connection was closed without a Close frame".to_owned(),
            ),
            Error::Capacity(CapacityError::MessageTooLong { size, .. }) => (
                TOO_BIG,
                format!(
                    "a message of at least {size} bytes came, which may be right; this program reads no \
                     more than {LONGEST}"
                ),
            ),
            error => ("not-websocket-frames", error.to_string()),
        };
        Self { name, text }
    }

    fn is_close(&self) -> bool {
        ![TOO_BIG, "not-websocket-frames"].contains(&self.name)
    }

    fn failure(self) -> Failure {
        if self.name == TOO_BIG {
            return Failure::of_tunnel(
                TOO_BIG,
                self.text,
                "A message came that is longer than this program reads, which can't tell whether it works.",
                "try an address at which the server sends less by itself",
            );
        }
        Failure::of_tunnel(
            self.name,
            self.text,
            "The handshake went well, but the connection did not last.",
            "look in the server's own log, and in nginx's for \"websocket closed\"",
        )
    }
}

/// The times between pings, in which neither side sends anything: each is answered with a pong.
struct Lulls {
    begin: Instant,
    longest: Option<Duration>,
}

impl Lulls {
    fn since(begin: Instant) -> Self {
        Self {
            begin,
            longest: None,
        }
    }

    /// A ping has come.
    fn end(&mut self, now: Instant) {
        let lull = now.saturating_duration_since(self.begin);
        self.longest = self.longest.max(Some(lull));
        self.begin = now;
    }

    /// Whether one as long as that up to now has done no harm.
    fn has_borne(&self, now: Instant) -> bool {
        let last = now.saturating_duration_since(self.begin);
        self.longest.is_some_and(|longest| last <= longest)
    }
}

/// It ended although there were pings, so that it was not idle.
fn ended_lively(name: &'static str, seen: String) -> Failure {
    Failure::of_tunnel(
        name,
        seen,
        "The connection was ended although pings and pongs went through it: it was not idle.",
        "look for a limit of how long a connection may last, in the server or in a load balancer, and for a restart",
    )
    .change(
        "websocket_max_lifetime where it is set; else nginx ends a tunnel that is not idle only when a reload or \
         an upgrade leaves its worker behind (worker_shutdown_timeout)",
    )
}

/// Silence was not borne. That is a timeout's doing, whichever way it ended.
fn ended_idle(name: &'static str, seen: String, after: Duration) -> Failure {
    // Whatever closes at once does so for another reason than silence.
    if after < Duration::from_millis(900) {
        return End { name, text: seen }.failure();
    }
    let failure = Failure::of_tunnel(
        "idle-timeout",
        seen,
        "The connection was ended while nothing was sent.",
        "raise websocket_timeout, or send pings with websocket_ping",
    );
    let near = |seconds: f32| (after.as_secs_f32() - seconds).abs() < 1.5;
    if near(60.0) {
        return failure.change(
            "60 s is the default of proxy_read_timeout, which applies where the location has no \
             `websocket on`; it is also a common limit of load balancers in front",
        );
    }
    failure.change(
        "websocket_timeout and websocket_ping where the location has `websocket on`, else \
         proxy_read_timeout and proxy_send_timeout; the limit may also be that of a load balancer \
         in front",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lull_that_was_borne_before_ends_nothing() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lulls = Lulls::since(start);
        assert!(!lulls.has_borne(at(5)));
        lulls.end(at(10));
        lulls.end(at(15));
        assert!(lulls.has_borne(at(20)));
        assert!(lulls.has_borne(at(25)));
        // Longer than any before.
        assert!(!lulls.has_borne(at(26)));
    }

    #[test]
    fn what_cannot_be_read_is_no_close() {
        let too_long = CapacityError::MessageTooLong {
            size: 1,
            max_size: 0,
        };
        assert!(!End::of(too_long.into()).is_close());
        assert!(!End::of(ProtocolError::NonZeroReservedBits.into()).is_close());
        assert!(End::of(Error::ConnectionClosed).is_close());
    }
}
