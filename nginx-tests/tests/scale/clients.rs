//! Clients with a connection each.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nginx_tests::Handshake;
use rustix::net::sockopt::set_socket_linger;

use crate::crowd::{Crowd, ONE_IN};

const PAYLOAD: u8 = 125;
/// How long any of them waits.
const PATIENCE: Duration = Duration::from_secs(600);
/// So many handshakes are under way at once.
const AT_ONCE: usize = 100;

pub struct Clients(Vec<TcpStream>);

impl Clients {
    pub fn connect(port: u16, count: usize) -> Self {
        let handshake = Handshake::new("/").bytes();
        let ask = || -> io::Result<TcpStream> {
            let mut socket = TcpStream::connect(("127.0.0.1", port))?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.write_all(&handshake)?;
            Ok(socket)
        };
        let mut all: Vec<TcpStream> = Vec::with_capacity(count);
        while all.len() < count {
            let known = all.len();
            let more = (count - known).min(AT_ONCE);
            all.extend((0..more).map(|_| ask().expect("nginx accepts")));
            for (number, socket) in all.iter_mut().enumerate().skip(known) {
                read_answer(socket).unwrap_or_else(|error| panic!("client {number}: {error}"));
            }
        }
        Self(all)
    }
}

impl Crowd for Clients {
    fn round(&mut self, who: usize) -> usize {
        let speaking = (who..self.0.len()).step_by(ONE_IN);
        for number in speaking.clone() {
            self.0[number]
                .write_all(&frame(2, PAYLOAD))
                .expect("an open tunnel");
        }
        let count = speaking.len();
        for number in speaking {
            let echo = read_echo(&mut self.0[number]);
            echo.unwrap_or_else(|error| panic!("client {number}: {error}"));
        }
        count
    }

    fn leave(self) {
        for (number, mut socket) in self.0.into_iter().enumerate() {
            match number % 3 {
                0 => {
                    let close = [&frame(8, 2)[..6], &1000_u16.to_be_bytes()].concat();
                    socket.write_all(&close).expect("an open tunnel");
                    let _ = socket.read_to_end(&mut Vec::new());
                }
                1 => set_socket_linger(&socket, Some(Duration::ZERO)).expect("SO_LINGER"),
                _ => {}
            }
        }
    }
}

/// Masked with zeros, so that it is its own echo.
fn frame(opcode: u8, length: u8) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
    frame.resize(6 + usize::from(length), b'x');
    frame
}

/// Nothing comes behind it.
fn read_answer(socket: &mut TcpStream) -> io::Result<()> {
    let (mut answer, mut piece) = (Vec::new(), [0; 512]);
    while !answer.ends_with(b"\r\n\r\n") {
        match socket.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => answer.extend(&piece[..count]),
        }
    }
    match answer.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&answer).into_owned(),
        )),
    }
}

/// Reads the echo of a message, and answers the Pings before it.
fn read_echo(socket: &mut TcpStream) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head)?;
        let mut payload = vec![0; usize::from(head[1])];
        socket.read_exact(&mut payload)?;
        match head[0] {
            0x82 if payload == frame(2, PAYLOAD)[6..] => return Ok(()),
            0x89 => {
                let mut pong = frame(10, head[1]);
                pong[6..].copy_from_slice(&payload);
                socket.write_all(&pong)?;
            }
            _ => return Err(io::Error::other(format!("another frame: {head:?}"))),
        }
    }
}
