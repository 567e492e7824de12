//! A side that takes nothing more, while the other one sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nginx_tests::environment::slowness;
use nginx_tests::tunnels::{accept, assert_gets, left_by_a_reset, unacknowledged};
use nginx_tests::{Certificate, DEADLINE, Nginx, wait_until};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

use crate::case::{active, assert_ended, http, location, memory, raw_tunnel};
use crate::duplex::Duplex;

/// A tunnel with these lines, as two sockets.
fn tunnel(lines: &str) -> (Nginx, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http(lines))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (client, backend) = raw_tunnel(&nginx, &listener);
    (nginx, client, backend)
}

/// Sends whole frames until the peer sends a Close, then answers it. What came before the end.
fn flood(socket: &mut TcpStream, masked: bool) -> Vec<u8> {
    let closes = AtomicBool::new(false);
    let (mut writer, mut received) = (socket.try_clone().unwrap(), vec![]);
    let (header, close): (&[u8], &[u8]) = if masked {
        (b"\x82\xfe\x40\x00\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe9")
    } else {
        (b"\x82\x7e\x40\x00", b"\x88\x02\x03\xe9")
    };
    let frame = [header, &[7; 0x4000]].concat();
    for socket in [&*socket, &writer] {
        socket.set_read_timeout(Some(*DEADLINE)).unwrap();
        socket.set_write_timeout(Some(*DEADLINE)).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            while !closes.load(Ordering::Relaxed) {
                writer.write_all(&frame).expect("nginx reads whole frames");
            }
            writer.write_all(close).expect("nginx reads the Close");
        });
        let mut bytes = [0; 100];
        while let Ok(count @ 1..) = socket.read(&mut bytes) {
            received.extend(&bytes[..count]);
            closes.store(true, Ordering::Relaxed);
        }
    });
    received
}

#[test]
fn send_timeout_ends_a_tunnel_whose_client_takes_nothing() {
    let lines = "send_timeout 500ms; proxy_send_timeout 1h;";
    let (nginx, client, mut backend) = tunnel(lines);
    let close = flood(&mut backend, false);
    // The Close is masked, by a mask that nobody can know.
    assert_eq!((close.len(), &close[..2]), (8, &b"\x88\x82"[..]));
    assert_ended(&nginx, ("client", "send-timeout", "1001"), "warn");
    drop(client);
}

#[test]
fn proxy_send_timeout_ends_a_tunnel_whose_upstream_takes_nothing() {
    let lines = "send_timeout 1h; proxy_send_timeout 500ms;";
    let (nginx, mut client, backend) = tunnel(lines);
    assert_eq!(flood(&mut client, true), b"\x88\x02\x03\xe9");
    assert_ended(&nginx, ("upstream", "send-timeout", "1001"), "warn");
    drop(backend);
}

/// What came before it is the receiver's, for as long as it takes some of it in time.
#[test]
fn a_reset_behind_bytes_that_wait_leaves_the_receiver_its_time() {
    for (leaves, takes_nothing) in [("client", "upstream"), ("upstream", "client")] {
        let (nginx, client, backend) = tunnel("send_timeout 2s; proxy_send_timeout 2s;");
        let (mut sender, receiver) = match leaves {
            "client" => (client, backend),
            _ => (backend, client),
        };
        // All of it one frame of a gigabyte, with a mask where there has to be one.
        let header = match leaves {
            "client" => &b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0"[..],
            _ => b"\x82\x7f\0\0\0\0\x40\0\0\0",
        };
        sender.write_all(header).unwrap();
        write_until_stuck(&mut sender);
        set_socket_linger(&sender, Some(Duration::ZERO)).unwrap();
        drop(sender);
        assert_ended(&nginx, (takes_nothing, "send-timeout", "1001"), "warn");
        drop(receiver);
    }
}

/// An upstream that closes before it has read all that was sent to it resets its connection.
#[test]
fn a_slow_client_gets_all_that_an_upstream_sent_before_its_reset() {
    let (nginx, client, sent) = left_by_a_reset(&http(""), None);
    // With this answer the worker has heard of the reset.
    assert_eq!(active(&nginx), 1);
    assert_gets(client, &sent);
    assert_ended(&nginx, ("upstream", "normal", "1000"), "info");
}

/// As a browser answers the Ping of an upstream that is gone by then.
#[test]
fn likewise_if_it_sends_something_behind_the_reset() {
    const PONG: &[u8] = b"\x8a\x80\0\0\0\0";
    let over_tls = location("proxy_pass https://%BACKEND%;");
    for (http, certificate) in [
        (http(""), None),
        (over_tls, Some(&Certificate::localhost())),
    ] {
        let (nginx, mut client, sent) = left_by_a_reset(&http, certificate);
        for _ in 0..2 {
            client.write_all(PONG).unwrap();
            wait_until("nginx's socket to have it", || unacknowledged(&client) == 0);
            // With this answer the worker has tried to pass it on.
            assert_eq!(active(&nginx), 1);
        }
        assert_gets(client, &sent);
        assert_ended(&nginx, ("upstream", "normal", "1000"), "info");
    }
}

/// nginx would forget what OpenSSL has of a connection that does not take its goodbye.
#[test]
fn an_upstream_over_tls_that_takes_nothing_leaves_nothing() {
    const MB: u64 = 1 << 20;
    let certificate = Certificate::localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // What it accepts has as little room.
    set_socket_recv_buffer_size(&listener, 8 << 10).unwrap();
    let lines = "proxy_pass https://%BACKEND%; proxy_send_timeout 2s;";
    let nginx = Nginx::http(location(lines))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let worker = nginx.worker_pids()[0];
    let round = || {
        // All of them at a time: each waits until nothing is taken any more.
        let backends: Vec<Duplex> = thread::scope(|scope| {
            let leave = || leave_in_midst(&nginx, &listener, &certificate);
            let started: Vec<_> = (0..60).map(|_| scope.spawn(leave)).collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        wait_until("all connections to end", || active(&nginx) == 0);
        drop(backends);
        memory(worker)
    };
    let after: Vec<u64> = (0..4).map(|_| round()).collect();
    // What is lost is lost in each round; the allocator may ask for more in one. A tool has memory of its own, and
    // tells itself what is lost.
    let least = after
        .windows(2)
        .map(|two| two[1].saturating_sub(two[0]))
        .min();
    assert!(
        slowness() > 1 || least < Some(MB / 2),
        "it grows: {after:?}"
    );
}

/// A client that leaves within a frame that the upstream does not take. Gives the upstream's end.
fn leave_in_midst(nginx: &Nginx, listener: &TcpListener, certificate: &Certificate) -> Duplex {
    let socket = TcpStream::connect(("127.0.0.1", nginx.port())).unwrap();
    let mut client = socket.try_clone().unwrap();
    let backend = thread::scope(|scope| {
        let backend = scope.spawn(|| Duplex::answer(listener, Some(certificate)));
        Duplex::open_over(socket, None);
        backend.join().unwrap()
    });
    client.set_nonblocking(false).unwrap();
    client
        .write_all(b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0")
        .unwrap();
    write_until_stuck(&mut client);
    set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    backend
}

/// OpenSSL has begun a record that the client does not take, and says no goodbye before that is gone: nginx would log at
/// "crit" that it could not.
#[test]
fn a_client_over_tls_that_takes_nothing_is_sent_no_goodbye() {
    let certificate = Certificate::localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = http("send_timeout 2s;").replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT%; listen 127.0.0.1:%TLSPORT% ssl;
         ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    let nginx = Nginx::http(http)
        .certificate(&certificate)
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let client = thread::scope(|scope| {
        let client = scope.spawn(|| Duplex::open(nginx.port_of("TLSPORT"), Some(&certificate)));
        let mut backend = accept(&listener);
        let client = client.join().unwrap();
        backend.write_all(b"\x82\x7f\0\0\0\0\x40\0\0\0").unwrap();
        write_until_stuck(&mut backend);
        set_socket_linger(&backend, Some(Duration::ZERO)).unwrap();
        client
    });
    assert_ended(&nginx, ("client", "send-timeout", "1001"), "warn");
    drop(client);
}

/// Writes until nothing has been taken for a while.
fn write_until_stuck(socket: &mut TcpStream) {
    socket
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    loop {
        match socket.write(&[0x42; 1 << 16]) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// As nginx's own loop has it, which has the same two limits.
#[test]
fn in_nginx_s_own_loop_too() {
    let lines = "websocket_tunnel off; send_timeout 1h; proxy_send_timeout 500ms;";
    let (nginx, mut client, backend) = tunnel(lines);
    client
        .write_all(b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0")
        .unwrap();
    client.set_nonblocking(true).unwrap();
    // nginx goes on reading from a client that it has given up.
    wait_until("nginx to give up", || {
        let _ = client.write(&[0x42; 1 << 16]);
        nginx.error_log().contains("upstream timed out")
    });
    drop(backend);
}
