//! A relay of bytes and nothing else. It is no proxy: it shows what carrying bytes through the
//! memory of a program costs at least, so that a proxy's figures have a floor to stand on.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::epoll::{Epoll, unless_blocked};
use crate::result::Result;

/// More than a message of 64 KiB: a read that comes back short was the last one.
const BUFFER: usize = (64 << 10) + 16;
const LISTENER: u64 = u64::MAX;
const LONG: Duration = Duration::from_secs(3600);

/// Relays until a signal ends it. The file has two addresses: where to listen, and whom to connect
/// to.
pub fn run(config: &Path) -> Result<()> {
    let text = fs::read_to_string(config)?;
    let addresses: Vec<SocketAddr> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let [listen, backend] = addresses[..] else {
        return Err("two addresses are wanted".into());
    };
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let mut relay = Relay {
        backend,
        epoll: Epoll::new()?,
        pairs: Vec::new(),
        buffer: vec![0; BUFFER],
    };
    relay.epoll.add(&listener, LISTENER)?;
    let mut ready = Vec::new();
    loop {
        relay.epoll.wait(&mut ready, LONG)?;
        for readiness in &ready {
            if readiness.token == LISTENER {
                while let Some((client, _)) = unless_blocked(listener.accept())? {
                    relay.accept(client)?;
                }
            } else {
                relay.ready(readiness.token, readiness.closed);
            }
        }
    }
}

struct Relay {
    backend: SocketAddr,
    epoll: Epoll,
    pairs: Vec<Option<Pair>>,
    buffer: Vec<u8>,
}

/// The client's socket and the backend's. A socket's token is its pair's place and its own.
#[derive(Default)]
struct Pair {
    sockets: [Option<TcpStream>; 2],
    /// What a socket has not taken yet. Until it has, nothing more is read for it.
    waiting: [Vec<u8>; 2],
}

const CLIENT: usize = 0;
const BACKEND: usize = 1;

impl Relay {
    fn accept(&mut self, client: TcpStream) -> io::Result<()> {
        let place = match self.pairs.iter().position(Option::is_none) {
            Some(place) => place,
            None => {
                self.pairs.push(None);
                self.pairs.len() - 1
            }
        };
        self.pairs[place] = Some(Pair::default());
        self.add(place, CLIENT, client)
    }

    fn add(&mut self, place: usize, side: usize, socket: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        self.epoll.add(&socket, (place << 1 | side) as u64)?;
        if let Some(pair) = &mut self.pairs[place] {
            pair.sockets[side] = Some(socket);
        }
        Ok(())
    }

    fn ready(&mut self, token: u64, closed: bool) {
        let (place, side) = (token as usize >> 1, token as usize & 1);
        // Whatever ends one side ends both.
        if !matches!(self.serve(place, side, closed), Ok(true)) {
            self.pairs[place] = None;
        }
    }

    /// Whether the pair goes on.
    fn serve(&mut self, place: usize, side: usize, closed: bool) -> io::Result<bool> {
        let mut froms = [Some(side), None];
        if let Some(pair) = &mut self.pairs[place] {
            if !pair.waiting[side].is_empty() && pair.flush(side)? {
                froms[1] = Some(1 - side);
            }
        }
        for from in froms.into_iter().flatten() {
            if !self.carry(place, from, closed && from == side)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn carry(&mut self, place: usize, from: usize, closed: bool) -> io::Result<bool> {
        loop {
            let Some(pair) = &mut self.pairs[place] else {
                return Ok(true);
            };
            let (Some(source), true) = (&mut pair.sockets[from], pair.waiting[1 - from].is_empty())
            else {
                return Ok(true);
            };
            let Some(count) = unless_blocked(source.read(&mut self.buffer))? else {
                return Ok(true);
            };
            if count == 0 {
                return Ok(false);
            }
            if pair.sockets[1 - from].is_none() {
                // Not before there is something to say: whoever only knocks is none of the
                // backend's business.
                let socket = TcpStream::connect(self.backend)?;
                self.add(place, BACKEND, socket)?;
            }
            if let Some(pair) = &mut self.pairs[place] {
                pair.write(1 - from, &self.buffer[..count])?;
            }
            if count < self.buffer.len() && !closed {
                return Ok(true);
            }
        }
    }
}

impl Pair {
    fn write(&mut self, to: usize, bytes: &[u8]) -> io::Result<()> {
        let Some(sink) = &mut self.sockets[to] else {
            return Ok(());
        };
        let written = unless_blocked(sink.write(bytes))?.unwrap_or(0);
        self.waiting[to].extend(&bytes[written..]);
        Ok(())
    }

    /// Whether nothing waits any more.
    fn flush(&mut self, to: usize) -> io::Result<bool> {
        let bytes = std::mem::take(&mut self.waiting[to]);
        self.write(to, &bytes)?;
        Ok(self.waiting[to].is_empty())
    }
}
