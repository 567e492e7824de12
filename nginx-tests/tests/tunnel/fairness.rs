//! A tunnel that always has something to do, and everyone else.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nginx_tests::wire::Wire;
use nginx_tests::{Handshake, Nginx, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::case::{all_ended, http, raw_tunnel};

const WARM_UP: usize = 100;

#[test]
fn a_flood_of_many_reads_lets_others_through() {
    // Three turns and a half of sixteen times 1 KB.
    let lines = "websocket_buffer_size 1k; websocket_large_buffers off;";
    lets_others_through(lines, 56 << 10);
}

#[test]
fn a_flood_of_many_bytes_lets_others_through() {
    // Three turns and a half of 256 KB.
    lets_others_through("", 900 << 10);
}

/// A flood takes at least three turns, where another client's request takes two. It is no more than the
/// kernel holds for a connection, so that nginx finds all of it, with the end behind it.
fn lets_others_through(lines: &str, flood: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = http(lines).replace(
        "location = /status",
        "location = /plain { return 200 ok; } location = /status",
    );
    let nginx = Nginx::http(http)
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (mut client, mut backend) = raw_tunnel(&nginx, &listener);
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 1 << 20];
        while let Ok(read @ 1..) = client.read(&mut bytes) {
            count.fetch_add(read, Ordering::Relaxed);
        }
    });
    // The kernel gives a connection more room the more it carries.
    let frames = b"\x82\x00".repeat(flood / 2);
    for _ in 0..WARM_UP {
        backend.write_all(&frames).unwrap();
    }
    wait_until("all of that to have gone by", || {
        received.load(Ordering::Relaxed) == WARM_UP * flood
    });
    // When the worker looks again, the flood is there, and so is another client: to be accepted first,
    // and read only when the worker asks the kernel once more.
    let worker = Pid::from_raw(nginx.worker_pids()[0] as i32).unwrap();
    backend.set_nonblocking(true).unwrap();
    kill_process(worker, Signal::STOP).unwrap();
    let sent = backend.write(&frames);
    let finished = backend.shutdown(Shutdown::Write);
    // At nginx's own port: nobody else is to have a turn before it.
    let plain = Wire::connect(nginx.port_of("PORT")).and_then(|mut plain| {
        plain.send(Handshake::plain("/plain").bytes())?;
        Ok(plain)
    });
    kill_process(worker, Signal::CONT).unwrap();
    let mut plain = plain.unwrap();
    finished.unwrap();
    assert_eq!(sent.unwrap(), flood);
    assert_eq!(plain.read_head().unwrap().status(), 200);
    // The worker's own order, whatever the machine's.
    let ended = all_ended(&nginx, 2);
    assert_eq!(&ended[0]["websocket_bytes_in"], "-");
    assert_ne!(&ended[1]["websocket_bytes_in"], "-");
    reader.join().unwrap();
    assert_eq!(received.load(Ordering::Relaxed), (WARM_UP + 1) * flood);
}
