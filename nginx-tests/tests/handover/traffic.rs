//! Many tunnels under way, through many reloads: not one message is lost, doubled or out of order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nginx_tests::{Frame, Handshake, Nginx, ScriptedBackend, patient, wait_until};

use crate::case::{active, echo, gone, number, value};

/// Clients that send numbered messages one after the other, and expect each back.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    messages: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Traffic {
    /// So many threads with so many tunnels each.
    pub fn start(port: u16, threads: usize, tunnels: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let messages = Arc::new(AtomicU64::new(0));
        let threads = (0..threads)
            .map(|_| {
                let (stop, messages) = (Arc::clone(&stop), Arc::clone(&messages));
                let mut sockets: Vec<Numbered> =
                    (0..tunnels).map(|_| Numbered::join(port)).collect();
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for socket in &mut sockets {
                            socket.send();
                        }
                        for socket in &mut sockets {
                            socket.expect()?;
                        }
                        messages.fetch_add(sockets.len() as u64, Ordering::Relaxed);
                    }
                    for socket in &mut sockets {
                        socket.close()?;
                    }
                    Ok(())
                })
            })
            .collect();
        Self {
            stop,
            messages,
            threads,
        }
    }

    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Waits until each tunnel has had a message since.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.messages();
        wait_until("messages to go by", || {
            self.messages() > before || self.threads.iter().any(JoinHandle::is_finished)
        });
    }

    /// Ends all of them politely; what went wrong with one.
    #[track_caller]
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let faults: Vec<_> = self
            .threads
            .into_iter()
            .filter_map(|thread| thread.join().expect("a thread of clients").err())
            .collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

struct Numbered {
    socket: TcpStream,
    sent: u64,
}

impl Numbered {
    fn join(port: u16) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("nginx accepts");
        socket.set_nodelay(true).unwrap();
        socket
            .set_read_timeout(Some(patient(Duration::from_secs(20))))
            .unwrap();
        socket.write_all(&Handshake::new("/").bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("nginx answers");
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101 "),
            "{}",
            head.escape_ascii()
        );
        Self { socket, sent: 0 }
    }

    fn text(&self) -> String {
        // Of different lengths.
        format!("{}{}", self.sent, ".".repeat((self.sent % 97) as usize))
    }

    fn send(&mut self) {
        self.sent += 1;
        let frame = Frame::text(&self.text()).masked().bytes();
        // In two pieces, so that some tunnels are in the middle of a frame.
        let (first, second) = frame.split_at(frame.len() / 2);
        let _ = self.socket.write_all(first);
        let _ = self.socket.write_all(second);
    }

    fn expect(&mut self) -> Result<(), String> {
        let expected = self.text();
        match Frame::read(&mut self.socket) {
            Ok(frame) if frame == Frame::text(&expected) => Ok(()),
            // nginx asks for a sign of life, and the messages are one.
            Ok(frame) if frame.opcode == 9 => self.expect(),
            other => Err(format!("{other:?} instead of {expected:?}")),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let close = Frame::close(1000, "").masked().bytes();
        self.socket
            .write_all(&close)
            .map_err(|error| error.to_string())?;
        match Frame::read(&mut self.socket) {
            Ok(frame) if frame.opcode == 8 => Ok(()),
            Ok(frame) if frame.opcode == 9 => self.close(),
            other => Err(format!("{other:?} instead of a Close")),
        }
    }
}

#[test]
fn a_hundred_tunnels_through_thirty_reloads() {
    let backend = echo();
    let nginx = many(&backend, 2, "").start();
    let traffic = Traffic::start(nginx.port(), 10, 10);
    reload_often(&nginx, &traffic, 30);
    assert_right(&nginx, &backend, traffic, 100, 30);
}

#[test]
fn with_a_rate() {
    one_upon_the_other("websocket_rate 50m;");
}

#[test]
fn with_pings() {
    one_upon_the_other("websocket_ping 100ms timeout=30s;");
}

/// Reloads that come before the last one is through.
#[test]
fn reloads_one_upon_the_other() {
    one_upon_the_other("");
}

#[track_caller]
fn one_upon_the_other(lines: &str) {
    let backend = echo();
    let nginx = many(&backend, 2, lines).start();
    let traffic = Traffic::start(nginx.port(), 4, 10);
    for _ in 0..20 {
        nginx.signal(rustix::process::Signal::HUP);
        thread::sleep(Duration::from_millis(40));
    }
    // The last of them.
    wait_until("all old workers to be gone", || {
        nginx.exiting_worker_pids().is_empty() && nginx.worker_pids().len() == 2
    });
    traffic.goes_on();
    let count = backend.connections();
    traffic.stop();
    assert_eq!(count, 40);
    assert_eq!(nginx.wait_for_access("tunnel.log", 40).len(), 40);
}

/// None takes in what another one parts with.
#[test]
fn workers_that_exit_together() {
    let backend = echo();
    let nginx = many(&backend, 8, "").start();
    let traffic = Traffic::start(nginx.port(), 1, 8);
    for _ in 0..25 {
        nginx.reload();
        gone(&nginx);
        traffic.goes_on();
    }
    traffic.stop();
    let all = nginx.log_lines("handed over in");
    assert!(
        all.iter().all(|line| line.ends_with(", 0 stay")),
        "{all:#?}"
    );
}

/// Long: `cargo test --test handover -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn a_thousand_tunnels_through_a_hundred_reloads() {
    let backend = echo();
    let nginx = many(&backend, 2, "").start();
    let traffic = Traffic::start(nginx.port(), 20, 50);
    reload_often(&nginx, &traffic, 100);
    assert_right(&nginx, &backend, traffic, 1000, 100);
}

fn many(backend: &ScriptedBackend, workers: usize, lines: &str) -> nginx_tests::nginx::Setup {
    Nginx::http(crate::case::http(&format!(
        "{} {lines}",
        crate::case::PROXIED
    )))
    .set("BACKEND", backend.address())
    .workers(workers)
    .main("worker_rlimit_nofile 10000;")
    .events("worker_connections 4096;")
}

#[track_caller]
fn reload_often(nginx: &Nginx, traffic: &Traffic, times: u32) {
    for _ in 0..times {
        nginx.reload();
        let told = Instant::now();
        gone(nginx);
        assert!(
            told.elapsed() < patient(Duration::from_secs(5)),
            "an old worker stays"
        );
        traffic.goes_on();
    }
}

#[track_caller]
fn assert_right(
    nginx: &Nginx,
    backend: &ScriptedBackend,
    traffic: Traffic,
    tunnels: usize,
    reloads: u64,
) {
    assert_eq!(active(nginx) as usize, tunnels);
    traffic.stop();
    assert_eq!(backend.connections(), tunnels);
    let lines = nginx.wait_for_access("tunnel.log", tunnels);
    assert_eq!(lines.len(), tunnels);
    for line in &lines {
        assert_eq!(number(line, "websocket_handovers"), reloads, "{line}");
        assert_eq!(value(line, "websocket_close_code"), "1000", "{line}");
        let messages = number(line, "websocket_messages_in");
        assert_eq!(messages, number(line, "websocket_messages_out"), "{line}");
    }
    wait_until("all to be gone", || active(nginx) == 0);
}
