//! More than a buffer holds, and what that takes of the worker's memory.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use nginx_tests::environment::is_emulated;
use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::{Nginx, client, wait_until};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::case::{active, backend, descriptors, http, join, mapped, memory, raw_tunnel, server};

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
    if is_skipped_over_http2("nothing large is read for a stream, which has windows") {
        return;
    }
    if is_emulated() {
        return nginx_tests::skipped("the memory is the emulator's");
    }
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
    if is_skipped_over_http2("each tunnel has a TLS connection beside it") {
        return;
    }
    if is_emulated() {
        return nginx_tests::skipped("the memory is the emulator's");
    }
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

/// Executes a command in which munmap() of so many bytes fails, as it does where the kernel has no room to
/// note a hole (`vm.max_map_count`).
const UNMAPS_NOT: &str = "
import ctypes, errno, os, struct, sys
length, number = int(sys.argv[1]), {'x86_64': 11, 'aarch64': 215}[os.uname().machine]
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06
program = [
    (LOAD, 0, 0, 0), (EQUALS, 0, 3, number),
    (LOAD, 0, 0, 24), (EQUALS, 0, 1, length),
    (RETURN, 0, 0, 0x50000 | errno.ENOMEM), (RETURN, 0, 0, 0x7fff0000),
]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in program))
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[2], sys.argv[2:])
";

#[test]
fn what_cannot_be_unmapped_is_used_again() {
    if is_emulated() {
        return nginx_tests::skipped("the memory is the emulator's");
    }
    const BUFFER: usize = 64 * KB as usize + 15;
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_buffers 0; websocket_buffer_size 64k;", &backend)
        .through(&["python3", "-c", UNMAPS_NOT, &BUFFER.to_string()])
        .start();
    let mut client = join(&nginx);
    (0..10).for_each(|_| client.echo("first"));
    let worker = nginx.worker_pids()[0];
    let before = mapped(worker);
    (0..100).for_each(|_| client.echo("again"));
    assert_eq!(mapped(worker), before);
    client.close_politely();
}
