//! Clients that read a byte now and then of what is sent to them without end: each holds what a tunnel may,
//! however much waits for it, and nobody else waits.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::backend::Conn;
use nginx_tests::{Client, DEADLINE, Frame, Handshake, Nginx, ScriptedBackend};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::worker::Worker;

const SLOW: usize = 300;
/// A request that is a tunnel, and what a receiver has not taken of a small buffer.
const MOST: u64 = 40 << 10;

const HTTP: &str = "
    websocket_zone slow:1m;
    server {
        listen 127.0.0.1:%PORT% sndbuf=16k;
        location / { proxy_pass http://%BACKEND%; websocket on; send_timeout 1h; }
        location = /status { websocket_status json; }
        location = /active { stub_status; }
    }";

#[test]
fn each_holds_a_small_buffer_and_holds_up_nobody() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let backend = ScriptedBackend::start(move |conn| serve(conn, &counter));
    let nginx = Nginx::http(HTTP)
        .set("BACKEND", backend.address())
        .events("worker_connections 2000;")
        .start();
    let worker = Worker::of(&nginx, None);
    // What a worker makes for its first tunnel.
    let mut other = Client::connect(nginx.port());
    other.establish("/");
    other.echo("first");
    let before = worker.memory();

    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| join(nginx.port())).collect();
    wait_for_standstill(&sent);
    let full = worker.memory();
    for _ in 0..5 {
        let start = Instant::now();
        for client in &mut slow {
            client
                .read_exact(&mut [0])
                .expect("something waits for each");
        }
        other.echo("I want little");
        assert!(start.elapsed() < *DEADLINE);
    }
    let held = worker.memory().max(full) - before;
    eprintln!("{SLOW} slow clients: {} bytes each", held / SLOW as u64);
    assert!(held < SLOW as u64 * MOST, "{held} bytes for {SLOW} clients");
    drop(slow);
    other.close_politely();
    worker.wait_to_be_left();
    nginx.stop();
}

/// Sends frames as long as it can to who asks for them, and echoes otherwise.
fn serve(conn: &mut Conn, sent: &AtomicU64) -> io::Result<()> {
    let head = conn.read_request()?.head;
    conn.accept(&head)?;
    if head.target() != "/flood" {
        return conn.echo_frames();
    }
    let frame = Frame::binary(vec![7; 60_000]).bytes();
    loop {
        for piece in frame.chunks(4096) {
            conn.send(piece)?;
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }
}

fn join(port: u16) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("nginx accepts");
    set_socket_recv_buffer_size(&socket, 4096).expect("SO_RCVBUF");
    socket.set_read_timeout(Some(*DEADLINE)).expect("a timeout");
    socket
        .write_all(&Handshake::new("/flood").bytes())
        .expect("a handshake goes");
    socket
}

/// Waits until the backend can send no more.
fn wait_for_standstill(sent: &AtomicU64) {
    let start = Instant::now();
    let mut before = 0;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = sent.load(Ordering::Relaxed);
        if now == before && now > 0 {
            return;
        }
        assert!(
            start.elapsed() < 6 * *DEADLINE,
            "the backend can go on sending"
        );
        before = now;
    }
}
