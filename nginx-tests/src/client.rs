//! Clients: raw bytes over a socket, and tungstenite over the same socket.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::http::Request;
use tungstenite::{HandshakeError, WebSocket};

use crate::frame::Frame;
use crate::http::{Head, Message};
use crate::tls::Certificate;
use crate::wire::Wire;

/// The key of the example in RFC 6455.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The accept value that belongs to [`SAMPLE_KEY`].
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client that sends what it is told and panics where the answer doesn't come.
///
/// The methods of [`Wire`], which give errors instead, are at hand too.
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects to a port of 127.0.0.1.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        Self {
            wire: Wire::connect(port).expect("nginx accepts"),
        }
    }

    /// Connects by TLS, trusting this certificate.
    #[track_caller]
    pub fn connect_tls(port: u16, certificate: &Certificate) -> Self {
        Self {
            wire: Wire::connect_tls(port, certificate).expect("nginx accepts TLS"),
        }
    }

    /// Over a connection that is there already.
    pub fn over(wire: Wire) -> Self {
        Self { wire }
    }

    /// Sends a request and reads the head of the answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Handshake) -> Head {
        self.wire
            .send(request.bytes())
            .expect("nginx reads the request");
        self.wire.read_head().expect("nginx answers")
    }

    /// Sends a request and reads the whole answer.
    #[track_caller]
    pub fn exchange(&mut self, request: &Handshake) -> Message {
        let head = self.ask(request);
        let body = self.wire.read_body(&head).expect("the whole body comes");
        Message { head, body }
    }

    /// Performs a WebSocket handshake that must succeed.
    #[track_caller]
    pub fn establish(&mut self, target: &str) -> Head {
        self.accepted(&Handshake::new(target))
    }

    /// Performs this handshake, which must succeed.
    #[track_caller]
    pub fn accepted(&mut self, handshake: &Handshake) -> Head {
        let head = self.ask(handshake);
        assert_eq!(head.status(), 101, "{}", head.text());
        assert_eq!(
            head.header("Sec-WebSocket-Accept"),
            Some(SAMPLE_ACCEPT),
            "{}",
            head.text()
        );
        head
    }

    /// Sends a text message and expects it back.
    #[track_caller]
    pub fn echo(&mut self, text: &str) {
        self.wire
            .send(Frame::text(text).masked().bytes())
            .expect("the tunnel takes a frame");
        assert_eq!(self.frame(), Frame::text(text));
    }

    /// Reads one frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        self.wire.read_frame().expect("a frame comes")
    }

    /// Sends a Close frame, expects the answer and the end of the connection.
    #[track_caller]
    pub fn close_politely(mut self) {
        self.wire
            .send(Frame::close(1000, "").masked().bytes())
            .expect("the tunnel takes a frame");
        assert_eq!(self.frame(), Frame::close(1000, ""));
        assert_eq!(self.read_until_close(), b"");
    }

    /// Reads what comes until nginx closes the connection.
    #[track_caller]
    pub fn read_until_close(&mut self) -> Vec<u8> {
        self.wire
            .read_to_close()
            .expect("nginx closes the connection")
    }

    /// Whether nothing at all came within this time, with the connection still open.
    pub fn silent_for(&mut self, time: Duration) -> bool {
        self.wire.set_read_timeout(Some(time));
        let read = self.wire.read_bytes(1);
        self.wire.set_read_timeout(Some(*crate::wait::DEADLINE));
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    }

    /// The connection under it.
    pub fn into_wire(self) -> Wire {
        self.wire
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

/// A request to be written: at first a right WebSocket handshake, then whatever the test makes
/// of it.
#[derive(Clone, Debug)]
pub struct Handshake {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Handshake {
    /// A right handshake with the key [`SAMPLE_KEY`].
    pub fn new(target: &str) -> Self {
        Self::plain(target)
            .add("Upgrade", "websocket")
            .add("Connection", "Upgrade")
            .add("Sec-WebSocket-Key", SAMPLE_KEY)
            .add("Sec-WebSocket-Version", "13")
    }

    /// A plain GET with a Host header alone.
    pub fn plain(target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1".to_owned(),
            headers: vec![("Host".to_owned(), "localhost".to_owned())],
            body: Vec::new(),
        }
    }

    /// Another method.
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Another protocol version: `HTTP/1.0`.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// One more header line.
    pub fn add(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// This value instead of every line of this name, in the place of the first.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let same = |(n, _): &(String, String)| n.eq_ignore_ascii_case(name);
        let place = self
            .headers
            .iter()
            .position(same)
            .unwrap_or(self.headers.len());
        self = self.without(name);
        self.headers
            .insert(place, (name.to_owned(), value.to_owned()));
        self
    }

    /// Without any line of this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// With these bytes behind the head; a `Content-Length` is for the test to add.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}

/// A plain GET on a connection of its own.
#[track_caller]
pub fn get(port: u16, target: &str) -> Message {
    Client::connect(port).exchange(&Handshake::plain(target).add("Connection", "close"))
}

/// A tungstenite handshake over a connection, with more headers.
///
/// A refusal is [`tungstenite::Error::Http`].
pub fn tungstenite_over(
    wire: Wire,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(WebSocket<Wire>, Response), Box<tungstenite::Error>> {
    let mut request = Request::get(format!("ws://localhost{target}"))
        .header("Host", "localhost")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Sec-WebSocket-Version", "13");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request with these headers");
    tungstenite::client(request, wire).map_err(|error| match error {
        HandshakeError::Failure(error) => Box::new(error),
        HandshakeError::Interrupted(_) => panic!("the handshake took longer than a read may"),
    })
}

/// A tungstenite client on a connection of its own, after a handshake that must succeed.
#[track_caller]
pub fn tungstenite(port: u16, target: &str) -> WebSocket<Wire> {
    let wire = Wire::connect(port).expect("nginx accepts");
    tungstenite_over(wire, target, &[])
        .expect("the handshake succeeds")
        .0
}
