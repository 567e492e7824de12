//! `websocket_ping`.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::{Client, Frame};

use crate::case::{assert_ended, backend, ended, frames, join, server, wait_for_frames};

const PING: u8 = 9;

/// The client's answer to a Ping.
fn pong(ping: Frame) -> Vec<u8> {
    Frame::new(10, ping.payload).masked().bytes()
}

#[track_caller]
fn expect_ping(client: &mut Client) -> Frame {
    let ping = client.frame();
    assert_eq!((ping.opcode, ping.payload.len()), (PING, 4));
    ping
}

#[test]
fn a_silent_client_is_asked_and_its_answer_timed() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_ping 300ms timeout=5s;", &backend).start();
    let mut client = join(&nginx);
    for _ in 0..3 {
        let since = Instant::now();
        let ping = expect_ping(&mut client);
        assert!(
            since.elapsed() >= Duration::from_millis(200),
            "{:?}",
            since.elapsed()
        );
        assert!(client.silent_for(Duration::from_millis(200)));
        client.send(pong(ping)).unwrap();
    }
    client.echo("still there");
    client.close_politely();
    let ended = ended(&nginx);
    assert_eq!(ended.why(), ("client", "normal", "1000"));
    let rtt = ended.seconds("websocket_ping_rtt");
    assert!((0.19..2.0).contains(&rtt), "{rtt}");
    // The upstream is not asked.
    assert!(
        frames(&backend, 0)
            .0
            .iter()
            .all(|frame| frame.opcode != PING)
    );
    let line = nginx.wait_for_log("websocket closed after");
    assert!(line.contains("ping rtt "), "{line}");
}

#[test]
fn a_client_that_does_not_answer_is_given_up() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_ping 200ms timeout=400ms;", &backend).start();
    let mut client = join(&nginx);
    expect_ping(&mut client);
    let since = Instant::now();
    assert_eq!(client.frame(), Frame::close(1001, ""));
    let waited = since.elapsed();
    assert!((350..3000).contains(&waited.as_millis()), "{waited:?}");
    client.read_until_close();
    assert_ended(&nginx, ("nginx", "ping-timeout", "1001"), "warn");
}

#[test]
fn any_byte_is_an_answer() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_ping 200ms timeout=400ms;", &backend).start();
    let mut client = join(&nginx);
    for byte in Frame::text("abc").masked().bytes() {
        expect_ping(&mut client);
        client.send([byte]).unwrap();
    }
    drop(client);
    let ended = ended(&nginx);
    assert_eq!(
        (
            &ended["websocket_close_reason"],
            &ended["websocket_ping_rtt"]
        ),
        ("no-close-frame", "-")
    );
}

#[test]
fn a_client_that_speaks_is_not_asked() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_ping 1s;", &backend).start();
    let mut client = join(&nginx);
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(100));
        client.echo("hello");
    }
    client.close_politely();
}

#[test]
fn an_upstream_is_asked_under_a_mask() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_ping 200ms timeout=2s to=upstream;", &backend).start();
    let mut client = join(&nginx);
    let asked = wait_for_frames(&backend, 0, 2);
    for frame in &asked {
        assert_eq!((frame.opcode, frame.payload.len()), (PING, 4));
        assert!(frame.mask.is_some(), "{frame:?}");
    }
    // The client did not ask, so it gets no Pong: all that it reads is the answer to its own message.
    client.echo("hello");
    drop(client);
    assert_ne!(&ended(&nginx)["websocket_ping_rtt"], "-");
}

#[test]
fn both_are_asked() {
    let backend = backend(|conn| {
        let ping = conn.read_frame()?;
        conn.send(Frame::new(10, ping.payload).bytes())?;
        conn.hang()
    });
    let nginx = server("websocket_ping 200ms timeout=700ms to=both;", &backend).start();
    let mut client = join(&nginx);
    let ping = expect_ping(&mut client);
    client.send(pong(ping)).unwrap();
    // The upstream answers once, and then no more.
    let mut kinds = Vec::new();
    loop {
        let frame = client.frame();
        kinds.push(frame.opcode);
        match frame.opcode {
            PING => client.send(pong(frame)).unwrap(),
            8 => break,
            _ => {}
        }
    }
    assert!(
        kinds.iter().all(|kind| [PING, 8].contains(kind)),
        "{kinds:?}"
    );
    client
        .send(Frame::close(1001, "").masked().bytes())
        .unwrap();
    client.read_until_close();
    assert_eq!(ended(&nginx).why(), ("nginx", "ping-timeout", "1001"));
}

#[test]
fn a_ping_waits_for_the_end_of_a_slow_frame() {
    let backend = backend(|conn| {
        conn.send([0x82, 126, 0x03, 0xE8])?;
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(100));
            conn.send([7; 100])?;
        }
        conn.hang()
    });
    // The frame lasts for longer than interval and timeout together: the client is not blamed.
    let nginx = server("websocket_ping 200ms timeout=300ms;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::binary([7; 1000]));
    let ping = expect_ping(&mut client);
    client.send(pong(ping)).unwrap();
    expect_ping(&mut client);
    let rtt = Instant::now();
    assert_eq!(client.frame(), Frame::close(1001, ""));
    assert!(
        rtt.elapsed() >= Duration::from_millis(250),
        "{:?}",
        rtt.elapsed()
    );
}

#[test]
fn a_ping_goes_between_fragments() {
    let backend = backend(|conn| {
        conn.send(Frame::text("one").unfinished().bytes())?;
        conn.pause()?;
        conn.send(Frame::new(0, "two").bytes())?;
        conn.hang()
    });
    let nginx = server("websocket_ping 200ms timeout=5s;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::text("one").unfinished());
    let ping = expect_ping(&mut client);
    client.send(pong(ping)).unwrap();
    backend.resume();
    loop {
        match client.frame() {
            ping if ping.opcode == PING => {}
            last => break assert_eq!(last, Frame::new(0, "two")),
        }
    }
    drop(client);
    assert_eq!(ended(&nginx).number("websocket_messages_out"), 1);
}

#[test]
fn nobody_is_asked_after_a_close_or_among_no_frames() {
    for first in [Frame::close(1000, "").bytes(), b"no frame at all".to_vec()] {
        let expected = first.clone();
        let backend = backend(move |conn| {
            conn.send(&first)?;
            conn.hang()
        });
        let nginx = server("websocket_ping 150ms timeout=150ms;", &backend).start();
        let mut client = join(&nginx);
        assert_eq!(client.read_bytes(expected.len()).unwrap(), expected);
        assert!(client.silent_for(Duration::from_millis(1000)));
        drop(client);
        assert_ne!(ended(&nginx).why().1, "ping-timeout");
    }
}

#[test]
fn a_client_that_nginx_does_not_listen_to_is_not_blamed() {
    // The upstream doesn't read, so the client can't be heard, however loud it is.
    const MUCH: usize = 40 << 20;
    let backend = backend(|conn| {
        conn.pause()?;
        let mut bytes = vec![0; 1 << 16];
        let mut rest = MUCH + 14;
        while rest > 0 {
            rest = rest.saturating_sub(conn.read(&mut bytes)?);
        }
        conn.send(Frame::text("all of it").bytes())?;
        conn.hang()
    });
    let nginx = server("websocket_ping 200ms timeout=800ms;", &backend).start();
    // More than all sockets on the way hold, made before the time runs.
    let much = Frame::binary(vec![1; MUCH]).masked().bytes();
    let mut wire = join(&nginx).into_wire();
    let resume = thread::spawn(move || {
        thread::sleep(Duration::from_millis(2500));
        backend.resume();
        backend
    });
    wire.send(&much).unwrap();
    loop {
        let frame = wire.read_frame().unwrap();
        if frame.opcode == PING {
            wire.send(pong(frame)).unwrap();
            continue;
        }
        break assert_eq!(frame, Frame::text("all of it"));
    }
    drop((wire, resume.join().unwrap()));
}
