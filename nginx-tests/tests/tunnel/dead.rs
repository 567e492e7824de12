//! A side that is found dead is not waited for.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::wire::{Socket, Wire};
use nginx_tests::{DEADLINE, Frame, Nginx};

use crate::case::{Ended, backend, ended, http, join, raw_tunnel, server};

/// Well below the five seconds that a side has to answer a Close.
#[track_caller]
fn assert_prompt(ended: &Ended, reason: &str) {
    assert_eq!(&ended["websocket_close_reason"], reason);
    assert!(ended.seconds("websocket_duration") < 3.5, "{ended:?}");
    // nginx has not waited either, for what a client may yet send.
    assert!(ended.seconds("request_time") < 3.5, "{ended:?}");
}

#[test]
fn in_the_middle_of_a_frame() {
    for (to, begun) in [
        ("client", &b"\x81\x85\0\0\0\0abc"[..]),
        ("upstream", b"\x81\x05abc"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let nginx = Nginx::http(http(&format!(
            "websocket_ping 200ms timeout=300ms to={to};"
        )))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
        let (mut client, mut backend) = raw_tunnel(&nginx, &listener);
        match to {
            "client" => client.write_all(begun).unwrap(),
            _ => backend.write_all(begun).unwrap(),
        }
        assert_prompt(&ended(&nginx), "ping-timeout");
        drop((client, backend));
    }
}

#[test]
fn when_both_are() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_ping 200ms timeout=300ms to=both;", &backend).start();
    let client = join(&nginx);
    assert_prompt(&ended(&nginx), "ping-timeout");
    drop(client);
}

#[test]
fn while_it_goes_on_sending() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http("send_timeout 500ms; proxy_send_timeout 1h;"))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (mut client, backend) = raw_tunnel(&nginx, &listener);
    for socket in [&client, &backend] {
        socket.set_write_timeout(Some(*DEADLINE)).unwrap();
    }
    let mut writer = backend.try_clone().unwrap();
    let (mut backend, closes) = (
        Wire::plain(Socket::Tcp(backend)).unwrap(),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        scope.spawn(|| {
            let frame = Frame::binary([7; 100]).masked().bytes();
            while client.write_all(&frame).is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        });
        scope.spawn(|| {
            let frame = Frame::binary([7; 0x4000]).bytes();
            while !closes.load(Ordering::Relaxed) {
                writer.write_all(&frame).expect("nginx reads whole frames");
            }
            writer
                .write_all(&Frame::close(1001, "").bytes())
                .expect("nginx reads the Close");
        });
        while backend.read_frame().expect("frames, and a Close").opcode != 8 {}
        closes.store(true, Ordering::Relaxed);
        assert_prompt(&ended(&nginx), "send-timeout");
    });
}

/// As nginx closes a client that has timed out.
#[test]
fn reset_timedout_connection_holds_for_it() {
    if is_skipped_over_http2("a stream shares its connection with others") {
        return;
    }
    let backend = backend(|conn| conn.echo_frames());
    for (lines, resets) in [("", false), ("reset_timedout_connection on;", true)] {
        let lines = format!("websocket_ping 200ms timeout=300ms; {lines}");
        let nginx = server(&lines, &backend).start();
        let mut client = join(&nginx);
        assert_prompt(&ended(&nginx), "ping-timeout");
        let rest = client.read_to_close();
        match rest {
            Ok(bytes) => assert!(!resets && bytes.ends_with(&Frame::close(1001, "").bytes())),
            Err(error) => assert!(
                resets && error.kind() == ErrorKind::ConnectionReset,
                "{error}"
            ),
        }
    }
}
