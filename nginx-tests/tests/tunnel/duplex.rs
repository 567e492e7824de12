//! Both ends of a tunnel that send and receive at once, by no one's turn: plain or TLS, with as
//! much or as little patience as a test wants.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::backend::switching_protocols;
use nginx_tests::http::Head;

use nginx_tests::{Certificate, DEADLINE, Handshake, wait_for};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

/// A socket that never blocks, once [`open`](Self::open) or [`answer`](Self::answer) is through.
pub struct Duplex {
    socket: TcpStream,
    tls: Option<Connection>,
}

/// A stream of frames to send, all of it made before.
pub struct Load {
    pub bytes: Vec<u8>,
    pub frames: u64,
}

impl Load {
    /// Frames of 0 to 1 MB, the last of them a Close, together about this many bytes.
    pub fn new(size: usize, masked: bool, seed: u64) -> Self {
        let mut random = Random(seed);
        let pattern: Vec<u8> = (0..2 << 20).map(|_| random.next() as u8).collect();
        let mut bytes = Vec::with_capacity(size + (2 << 20));
        let mut frames = 0;
        while bytes.len() < size {
            let length = match random.below(4) {
                0 => random.below(200),
                1 => random.below(70_000),
                _ => random.below(1 << 20),
            };
            header(&mut bytes, 2, length, masked, random.next() as u32);
            let from = random.below(1 << 20);
            bytes.extend_from_slice(&pattern[from..from + length]);
            frames += 1;
        }
        header(&mut bytes, 8, 2, masked, 0);
        bytes.extend(1000u16.to_be_bytes());
        Self {
            bytes,
            frames: frames + 1,
        }
    }
}

fn header(bytes: &mut Vec<u8>, opcode: u8, length: usize, masked: bool, mask: u32) {
    let flag = if masked { 0x80 } else { 0 };
    bytes.push(0x80 | opcode);
    match length {
        0..126 => bytes.push(flag | length as u8),
        126..0x1_0000 => {
            bytes.push(flag | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(flag | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    if masked {
        bytes.extend(mask.to_be_bytes());
    }
}

/// xorshift64: the same numbers each time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }
}

impl Duplex {
    /// The client's end, after its handshake.
    pub fn open(port: u16, certificate: Option<&Certificate>) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("nginx accepts");
        Self::open_over(socket, certificate)
    }

    /// Likewise, over a connection that is there already.
    pub fn open_over(socket: TcpStream, certificate: Option<&Certificate>) -> Self {
        let tls = certificate.map(|certificate| {
            let name = ServerName::try_from("localhost").expect("localhost is a name");
            let tls = ClientConnection::new(certificate.client_config(None), name);
            Connection::Client(tls.expect("a TLS client"))
        });
        let mut this = Self::begin(socket, tls).expect("a TLS handshake");
        this.write_all(&Handshake::new("/").bytes());
        let head = this.read_head();
        assert_eq!(head.status(), 101, "{}", head.text());
        this
    }

    /// The backend's end: waits for a handshake and accepts it.
    pub fn answer(listener: &TcpListener, certificate: Option<&Certificate>) -> Self {
        let (socket, _) = listener.accept().expect("nginx connects");
        Self::answer_over(socket, certificate)
    }

    /// Likewise, over a connection that is there already.
    pub fn answer_over(socket: TcpStream, certificate: Option<&Certificate>) -> Self {
        let tls = certificate.map(|certificate| {
            let tls = ServerConnection::new(certificate.server_config());
            Connection::Server(tls.expect("a TLS server"))
        });
        let mut this = Self::begin(socket, tls).expect("a TLS handshake");
        let head = this.read_head();
        let key = head.header("Sec-WebSocket-Key").unwrap_or_default();
        this.write_all(switching_protocols(key).as_bytes());
        this
    }

    fn begin(mut socket: TcpStream, mut tls: Option<Connection>) -> io::Result<Self> {
        // A unix socket has nothing of that kind.
        let _ = socket.set_nodelay(true);
        socket.set_read_timeout(Some(*DEADLINE))?;
        if let Some(tls) = &mut tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
        }
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tls })
    }

    /// One byte at a time, so that nothing behind the head is taken with it.
    fn read_head(&mut self) -> Head {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let count = wait_for("a head", || self.read(&mut byte).expect("a head comes"));
            assert!(count > 0, "the connection ended within a head");
            bytes.push(byte[0]);
        }
        Head::parse(bytes)
    }

    pub fn write_all(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = wait_for("room to write", || {
                let count = self.write(bytes).expect("the peer reads");
                (count > 0).then(|| &bytes[count..])
            });
        }
    }

    /// Has both directions of its TLS go on with new keys (TLS 1.3), from what is written next.
    pub fn renew_keys(&mut self) {
        let tls = self.tls.as_mut().expect("it speaks TLS");
        tls.refresh_traffic_keys().expect("TLS 1.3");
    }

    /// Reads so many bytes.
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut done = 0;
        while done < count {
            let rest = &mut bytes[done..];
            let more = wait_for("bytes", || self.read(rest).expect("bytes come"));
            assert!(more > 0, "the connection ended after {done} bytes");
            done += more;
        }
        bytes
    }

    /// Writes what fits now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return Ok(unless_blocked(self.socket.write(bytes))?.unwrap_or(0));
        };
        while tls.wants_write() {
            if unless_blocked(tls.write_tls(&mut self.socket))?.is_none() {
                return Ok(0);
            }
        }
        let count = tls.writer().write(bytes)?;
        while tls.wants_write() {
            if unless_blocked(tls.write_tls(&mut self.socket))?.is_none() {
                break;
            }
        }
        Ok(count)
    }

    /// Reads what is there: `None` if nothing is, 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            return unless_blocked(self.socket.read(into));
        };
        loop {
            match tls.reader().read(into) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Some(0)),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(_) => {}
            }
            if unless_blocked(tls.read_tls(&mut self.socket))?.is_none() {
                return Ok(None);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Sends a load in pieces of random sizes, receives the peer's in others, and now and then
    /// doesn't read for a while. True when all has come as it was sent.
    pub fn exchange(&mut self, load: &Load, expected: &Arc<Load>, seed: u64) {
        let mut random = Random(seed);
        let (mut sent, mut received) = (0, 0);
        let mut buffer = vec![0; 1 << 18];
        let mut deaf_until = Instant::now();
        let deadline = Instant::now() + Duration::from_secs(60);
        while sent < load.bytes.len() || received < expected.bytes.len() {
            assert!(
                Instant::now() < deadline,
                "{sent} sent, {received} received"
            );
            let mut moved = 0;
            if sent < load.bytes.len() {
                let piece = 1 + random.below(1 << 18);
                let end = load.bytes.len().min(sent + piece);
                moved = self.write(&load.bytes[sent..end]).expect("nginx takes it");
                sent += moved;
            } else if let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
                unless_blocked(tls.write_tls(&mut self.socket)).expect("nginx takes it");
            }
            if received < expected.bytes.len() && Instant::now() >= deaf_until {
                let piece = 1 + random.below(buffer.len());
                if let Some(count) = self.read(&mut buffer[..piece]).expect("nginx sends") {
                    assert!(count > 0, "the tunnel ended after {received} bytes");
                    let same =
                        buffer.get(..count) == expected.bytes.get(received..received + count);
                    assert!(
                        same,
                        "what came after {received} bytes is not what was sent"
                    );
                    (moved, received) = (moved + count, received + count);
                }
                if random.below(200) == 0 {
                    deaf_until = Instant::now() + Duration::from_millis(20);
                }
            }
            if moved == 0 {
                thread::sleep(Duration::from_micros(100));
            }
        }
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            wait_for("the last to go", || {
                unless_blocked(tls.write_tls(&mut self.socket)).expect("nginx takes it")
            });
        }
    }
}

fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
