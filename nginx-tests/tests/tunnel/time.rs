//! `websocket_timeout` and `websocket_max_lifetime`.

use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::{Client, EchoBackend, Frame};

use crate::case::{all_ended, assert_ended, backend, ended, join, server, wait_for_frames};

/// Answers nginx's Close, and waits for the end.
#[track_caller]
fn part(mut client: Client, code: u16) {
    assert_eq!(client.frame(), Frame::close(code, ""));
    client
        .send(Frame::close(code, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
}

#[test]
fn an_idle_tunnel_is_closed_with_1001_on_both_sides() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_timeout 500ms;", &backend).start();
    let mut client = join(&nginx);
    client.echo("hello");
    let since = Instant::now();
    part(client, 1001);
    let idle = since.elapsed();
    assert!((450..3000).contains(&idle.as_millis()), "{idle:?}");
    let frames = wait_for_frames(&backend, 0, 2);
    assert_eq!(frames[1].close_code(), Some(1001));
    assert!(frames[1].mask.is_some());
    let line = assert_ended(&nginx, ("nginx", "idle-timeout", "1001"), "warn");
    assert!(line.contains("client silent for "), "{line}");
}

#[test]
fn the_line_says_who_was_silent_for_how_long() {
    let backend = backend(|conn| {
        conn.read_frame()?;
        conn.pause()?;
        conn.send(Frame::text("late").bytes())?;
        conn.echo_frames()
    });
    let nginx = server("websocket_timeout 900ms;", &backend).start();
    let mut client = join(&nginx);
    client.send(Frame::text("early").masked().bytes()).unwrap();
    wait_for_frames(&backend, 0, 1);
    assert!(client.silent_for(Duration::from_millis(500)));
    backend.resume();
    assert_eq!(client.frame(), Frame::text("late"));
    part(client, 1001);
    let line = assert_ended(&nginx, ("nginx", "idle-timeout", "1001"), "warn");
    let silence = |side: &str| -> u64 {
        let (_, rest) = line.split_once(side).unwrap_or_else(|| panic!("{line}"));
        rest.split_once(" ms").unwrap().0.parse().unwrap()
    };
    let (client, upstream) = (silence("client silent for "), silence("upstream for "));
    assert!((880..3000).contains(&upstream), "{line}");
    assert!((upstream + 450..6000).contains(&client), "{line}");
}

#[test]
fn peers_that_do_not_answer_a_close_get_five_seconds() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_timeout 300ms;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::close(1001, ""));
    let since = Instant::now();
    assert_eq!(client.read_until_close(), b"");
    let waited = since.elapsed();
    assert!((4500..8000).contains(&waited.as_millis()), "{waited:?}");
    assert_ended(&nginx, ("nginx", "idle-timeout", "1001"), "warn");
}

#[test]
fn data_after_nginx_s_close_is_dropped() {
    let backend = backend(|conn| {
        loop {
            let frame = conn.read_frame()?;
            if frame.opcode == 8 {
                conn.send(Frame::text("too late").bytes())?;
                conn.send(Frame::close(1001, "").bytes())?;
                return conn.hang();
            }
        }
    });
    let nginx = server("websocket_max_lifetime 400ms;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::close(1001, ""));
    client
        .send(Frame::text("too late").masked().bytes())
        .unwrap();
    client
        .send(Frame::close(1001, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
    let frames = wait_for_frames(&backend, 0, 1);
    assert_eq!((frames.len(), frames[0].close_code()), (1, Some(1001)));
    // What was dropped is no less received.
    let ended = ended(&nginx);
    assert_eq!(ended.why(), ("nginx", "lifetime", "1001"));
    assert_eq!(ended.number("websocket_frames_in"), 2);
    assert_eq!(ended.number("websocket_frames_out"), 2);
}

#[test]
fn lifetimes_end_at_different_times() {
    const TUNNELS: usize = 30;
    let backend = EchoBackend::start();
    let nginx = server("websocket_max_lifetime 2s;", &backend).start();
    thread::scope(|scope| {
        for _ in 0..TUNNELS {
            let mut client = join(&nginx);
            client.echo("busy");
            scope.spawn(|| part(client, 1001));
        }
    });
    let all = all_ended(&nginx, TUNNELS);
    let mut lasted: Vec<u64> = all
        .iter()
        .map(|ended| (ended.seconds("websocket_duration") * 1000.0) as u64)
        .collect();
    lasted.sort_unstable();
    assert!(
        all.iter()
            .all(|ended| ended.why() == ("nginx", "lifetime", "1001"))
    );
    assert!(
        lasted[0] >= 1780 && lasted[TUNNELS - 1] < 3500,
        "{lasted:?}"
    );
    // A tenth of two seconds apart at most; half of that is a fair share for thirty.
    assert!(lasted[TUNNELS - 1] - lasted[0] > 80, "{lasted:?}");
    assert!(
        nginx.log_lines("[warn]").is_empty(),
        "{:#?}",
        nginx.log_lines("[warn]")
    );
}

#[test]
fn a_close_waits_for_the_end_of_a_frame() {
    let backend = backend(|conn| {
        conn.send(b"\x82\x0a01234")?;
        conn.pause()?;
        conn.send(b"56789")?;
        conn.send(Frame::text("dropped").bytes())?;
        conn.read_frame()?;
        conn.send(Frame::close(1001, "").bytes())?;
        conn.hang()
    });
    let nginx = server("websocket_max_lifetime 300ms;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.read_bytes(7).unwrap(), b"\x82\x0a01234");
    assert!(client.silent_for(Duration::from_millis(600)));
    backend.resume();
    assert_eq!(client.read_bytes(5).unwrap(), b"56789");
    part(client, 1001);
    assert_eq!(ended(&nginx).why(), ("nginx", "lifetime", "1001"));
    assert_eq!(wait_for_frames(&backend, 0, 1)[0].close_code(), Some(1001));
}
