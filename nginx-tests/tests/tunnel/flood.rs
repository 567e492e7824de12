//! More than a buffer holds, and what that takes of the worker's memory.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use nginx_tests::{Nginx, client, wait_until};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::case::{active, descriptors, http, mapped, memory, raw_tunnel};

const KB: u64 = 1 << 10;

/// One frame without end.
const ENDLESS: &[u8] = b"\x82\x7f\x3f\0\0\0\0\0\0\0";

/// Lets floods go by in some tunnels at once, and tells how much memory the worker has asked for since.
fn asked_for(lines: &str) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http(lines))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let worker = nginx.worker_pids()[0];
    let before = mapped(worker);
    let readers = (0..4).map(|_| {
        let (mut client, mut backend) = raw_tunnel(&nginx, &listener);
        thread::spawn(move || {
            let writer = thread::spawn(move || {
                backend.write_all(ENDLESS).unwrap();
                (0..30).for_each(|_| backend.write_all(&[7; 1 << 20]).unwrap());
            });
            let (mut bytes, mut came) = (vec![0; 1 << 20], 0);
            while let Ok(count @ 1..) = client.read(&mut bytes) {
                came += count;
            }
            writer.join().unwrap();
            assert_eq!(came, ENDLESS.len() + (30 << 20));
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.join().unwrap();
    }
    mapped(worker).saturating_sub(before)
}

#[test]
fn a_flood_goes_by_in_large_buffers_and_no_more_than_are_allowed() {
    let large = 1500 * KB;
    let none = asked_for("websocket_large_buffers off;");
    assert!(none < large, "{none} bytes");
    let one = asked_for("websocket_large_buffers 1 1500k;");
    assert!((large..2 * large).contains(&one), "{one} bytes");
    // One that is not larger than the usual has no effect.
    let none = asked_for("websocket_large_buffers 4 64k;");
    assert!(none < large, "{none} bytes");
}

#[test]
fn who_reads_nothing_costs_little_and_leaves_nothing() {
    const TUNNELS: u64 = 40;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let status = "location = /zone { websocket_status json; access_log off; } location = /status";
    let lines = format!("websocket_zone w:1m; {}", http(""));
    let nginx = Nginx::http(lines.replace("location = /status", status))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let worker = nginx.worker_pids()[0];
    let lent = || {
        let text = client::get(nginx.port(), "/zone").text();
        let at = text.find("\"buffers_lent\":").expect("the number") + 15;
        let digits = text[at..].trim_start().split(|c: char| !c.is_ascii_digit());
        digits.clone().next().unwrap().parse::<u64>().unwrap()
    };
    // Whatever the first takes once.
    drop(raw_tunnel(&nginx, &listener));
    wait_until("the first to be gone", || active(&nginx) == 0);
    let (before, open) = (memory(worker), descriptors(worker));
    let mut tunnels: Vec<_> = (0..TUNNELS)
        .map(|_| raw_tunnel(&nginx, &listener))
        .collect();
    for (client, backend) in &mut tunnels {
        set_socket_recv_buffer_size(&*client, 4096).unwrap();
        backend.write_all(ENDLESS).unwrap();
        backend.set_nonblocking(true).unwrap();
    }
    wait_until("all to be stuck", || {
        for (_, backend) in &mut tunnels {
            while let Ok(1..) = backend.write(&[7; 1 << 16]) {}
        }
        lent() == TUNNELS
    });
    let held = memory(worker).saturating_sub(before) / TUNNELS;
    // A full buffer is 64 KB, beside what a tunnel needs by itself.
    assert!(held < 60 * KB, "{held} bytes for each");
    drop(tunnels);
    wait_until("all to be closed", || {
        active(&nginx) == 0 && descriptors(worker) <= open
    });
    wait_until("all buffers to be back", || lent() == 0);
    let left = memory(worker).saturating_sub(before) / TUNNELS;
    assert!(left < 40 * KB, "{left} bytes for each");
}
