//! A backend for thousands of tunnels, on one thread: it echoes.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nginx_tests::backend::switching_protocols;
use rustix::event::{Timespec, epoll};
use rustix::net::listen;

pub struct Backend {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        // More than the standard library asks for.
        listen(&listener, 4096).expect("a longer queue");
        let address = listener.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || serve(&listener, &told).expect("a backend serves"));
        Self {
            address,
            is_over,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()));
    }
}

const LISTENER: u64 = 0;

fn serve(listener: &TcpListener, is_over: &AtomicBool) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    listener.set_nonblocking(true)?;
    watch(&epoll, listener, LISTENER)?;
    let mut connections = HashMap::new();
    let mut next = LISTENER + 1;
    let mut events = [const { MaybeUninit::uninit() }; 256];
    let now_and_then = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    while !is_over.load(Ordering::SeqCst) {
        let (ready, _) = epoll::wait(&epoll, &mut events, Some(&now_and_then))?;
        for event in ready {
            let token = event.data.u64();
            if token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    watch(&epoll, &socket, next)?;
                    connections.insert(next, Connection::new(socket));
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&token) {
                if !connection.advance() {
                    connections.remove(&token);
                }
            }
        }
    }
    Ok(())
}

fn watch(epoll: &OwnedFd, socket: impl std::os::fd::AsFd, token: u64) -> io::Result<()> {
    let data = epoll::EventData::new_u64(token);
    Ok(epoll::add(epoll, socket, data, epoll::EventFlags::IN)?)
}

struct Connection {
    socket: TcpStream,
    is_open: bool,
    /// What has come of a request or a frame.
    came: Vec<u8>,
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            is_open: false,
            came: Vec::new(),
        }
    }

    /// Whether it goes on.
    fn advance(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.socket.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => self.came.extend(&bytes[..count]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        if !self.is_open {
            if !self.came.ends_with(b"\r\n\r\n") {
                return true;
            }
            self.is_open = true;
            let request = String::from_utf8(std::mem::take(&mut self.came)).expect("a request");
            let mut headers = request.lines().filter_map(|line| line.split_once(": "));
            let key = headers
                .find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"))
                .map(|(_, key)| key);
            let answer = switching_protocols(key.expect("a key"));
            return self.socket.write_all(answer.as_bytes()).is_ok();
        }
        while let Some(echo) = self.take_frame() {
            let is_close = echo.first() == Some(&0x88);
            if self.socket.write_all(&echo).is_err() || is_close {
                return false;
            }
        }
        true
    }

    /// The next whole frame, as a server sends it. The clients' frames are short.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let (head, length) = (*self.came.first()?, usize::from(*self.came.get(1)? & 0x7f));
        let end = 2 + 4 + length;
        let masked = self.came.get(6..end)?.iter();
        let mask = self.came[2..6].iter().cycle();
        let payload = masked.zip(mask).map(|(byte, mask)| byte ^ mask);
        let echo = [head, length as u8].into_iter().chain(payload).collect();
        self.came.drain(..end);
        Some(echo)
    }
}
