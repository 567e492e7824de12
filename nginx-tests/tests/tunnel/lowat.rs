//! `websocket_send_lowat`: how much of a tunnel the kernel may hold.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use nginx_tests::backend::Listen;
use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::{Nginx, ScriptedBackend, wait_for};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::case::{http, join, location, raw_tunnel};

/// What the kernel holds of what was sent from one socket to another, in bytes.
fn queued(from: SocketAddr, to: SocketAddr) -> Option<u64> {
    let name = |address: SocketAddr| {
        let SocketAddr::V4(address) = address else {
            panic!("{address} is not IPv4");
        };
        let number = u32::from_ne_bytes(address.ip().octets());
        format!("{number:08X}:{:04X}", address.port())
    };
    let ends = format!(" {} {} ", name(from), name(to));
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's sockets");
    let line = table.lines().find(|line| line.contains(&ends))?;
    let queues = line.split_whitespace().nth(4)?;
    u64::from_str_radix(queues.split(':').next()?, 16).ok()
}

/// Floods a side that takes nothing, until nothing more is taken of the flood. How much the kernel holds
/// for that side.
fn held(lines: &str, for_client: bool) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http(lines))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (client, backend) = raw_tunnel(&nginx, &listener);
    let (stuck, mut flood) = match for_client {
        true => (client, backend),
        false => (backend, client),
    };
    set_socket_recv_buffer_size(&stuck, 8 << 10).expect("SO_RCVBUF");
    flood.set_nonblocking(true).unwrap();
    let ends = (stuck.peer_addr().unwrap(), stuck.local_addr().unwrap());
    let (mut last, mut since) = (0, Instant::now());
    wait_for("nginx to take no more", || {
        while flood.write(&[0x82; 1 << 16]).is_ok() {
            since = Instant::now();
        }
        let queued = queued(ends.0, ends.1).unwrap_or_default();
        if queued != last {
            (last, since) = (queued, Instant::now());
        }
        (queued > 0 && since.elapsed() > Duration::from_millis(500)).then_some(queued)
    })
}

#[test]
fn the_kernel_holds_little_more_than_that() {
    if is_skipped_over_http2("a stream has a window instead") {
        return;
    }
    for for_client in [true, false] {
        let with = held("websocket_send_lowat 16k;", for_client);
        let without = held("websocket_send_lowat off;", for_client);
        // What is written when there is room for some is taken whole, a buffer of nginx's at most.
        assert!(with < 100 << 10, "{with}");
        assert!(without > 2 * with, "{without}, {with} with it");
    }
}

#[test]
fn a_unix_socket_goes_without() {
    let setup = Nginx::http(location(
        "proxy_pass http://unix:%UNIX%; websocket_send_lowat 16k;",
    ));
    let inside = setup.inside("backend").display().to_string();
    let path = setup.path("backend");
    let backend = ScriptedBackend::on(Listen::Unix(path), |conn| {
        let handshake = conn.read_request()?.head;
        conn.accept(&handshake)?;
        conn.echo_frames()
    });
    let nginx = setup.set("UNIX", inside).start();
    let mut client = join(&nginx);
    client.echo("all the same");
    client.close_politely();
    drop(backend);
}
