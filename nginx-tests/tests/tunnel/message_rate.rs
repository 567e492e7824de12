//! `websocket_message_rate`.

use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nginx_tests::{Certificate, Client, Frame, Handshake, Nginx, ScriptedBackend};

use crate::case::{
    assert_ended, backend, ended, frames, join, location, server, tunnelled, wait_for_frames,
};

fn message(number: usize) -> Frame {
    Frame::text(&format!("message {number}"))
}

/// So many messages, as a client sends them.
fn messages(count: usize) -> Vec<u8> {
    let masked = (0..count).map(|number| message(number).masked().bytes());
    masked.collect::<Vec<_>>().concat()
}

/// The Close, behind whatever has come before it.
#[track_caller]
fn close(client: &mut Client) -> Frame {
    loop {
        let frame = client.frame();
        if frame.opcode == 8 {
            return frame;
        }
    }
}

/// A backend that tells when each frame came.
fn timed_backend() -> (ScriptedBackend, Receiver<(Instant, Frame)>) {
    let (sender, arrivals) = mpsc::channel();
    let backend = backend(move |conn| {
        loop {
            let frame = conn.read_frame()?;
            let _ = sender.send((Instant::now(), frame));
        }
    });
    (backend, arrivals)
}

/// Asserts that messages that were sent at once come one by one at this rate, each as it was sent.
#[track_caller]
fn assert_spaced(
    arrivals: &Receiver<(Instant, Frame)>,
    sent: Instant,
    count: usize,
    at_once: usize,
    per_second: usize,
) {
    for number in 0..count {
        let (came, frame) = arrivals
            .recv_timeout(Duration::from_secs(20))
            .expect("a message comes");
        assert_eq!(frame, message(number).masked());
        let beyond = (number + 1).saturating_sub(at_once);
        // nginx's clock is a little older than ours when it looks.
        let earliest = Duration::from_millis((beyond * 1000 / per_second) as u64)
            .saturating_sub(Duration::from_millis(30));
        let after = came - sent;
        assert!(after >= earliest, "message {number} came after {after:?}");
    }
    let last = (count - at_once) as f64 / per_second as f64;
    let took = sent.elapsed().as_secs_f64();
    assert!(took < last * 1.2 + 3.0, "{count} messages took {took} s");
}

#[test]
fn messages_that_come_together_arrive_at_the_rate() {
    for rate in ["20r/s", "1200r/m delay"] {
        let (backend, arrivals) = timed_backend();
        let nginx = server(&format!("websocket_message_rate {rate};"), &backend).start();
        let mut client = join(&nginx);
        let sent = Instant::now();
        client.send(messages(50)).unwrap();
        assert_spaced(&arrivals, sent, 50, 1, 20);
        client
            .send(Frame::close(1000, "").masked().bytes())
            .unwrap();
        let (_, close) = arrivals.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(close.close_code(), Some(1000));
        drop(client);
        let line = nginx.wait_for_log("websocket closed after");
        let told = || {
            let (_, rest) = line.split_once(", client delayed ")?;
            let (count, rest) = rest.split_once(" times for ")?;
            let (time, _) = rest.split_once(" ms in all, client: ")?;
            Some((count.parse::<u64>().ok()?, time.parse::<u64>().ok()?))
        };
        let (count, time) = told().unwrap_or_else(|| panic!("{line}"));
        // A busy nginx lets some pass together with the one before.
        assert!((10..=49).contains(&count), "{line}");
        assert!((2300..6000).contains(&time), "{line}");
        assert_eq!(ended(&nginx).number("websocket_messages_in"), 50);
    }
}

#[test]
fn a_burst_comes_at_once() {
    let (backend, arrivals) = timed_backend();
    let nginx = server("websocket_message_rate 10r/s burst=19;", &backend).start();
    let mut client = join(&nginx);
    let sent = Instant::now();
    client.send(messages(30)).unwrap();
    assert_spaced(&arrivals, sent, 30, 20, 10);
}

#[test]
fn high_rates_are_kept_too() {
    let (backend, arrivals) = timed_backend();
    let nginx = server("websocket_message_rate 2000r/s;", &backend).start();
    let mut client = join(&nginx);
    let sent = Instant::now();
    client.send(messages(6000)).unwrap();
    // What comes within 20 ms comes at once.
    assert_spaced(&arrivals, sent, 6000, 40, 2000);
}

#[test]
fn the_upstream_is_not_slowed_down_nor_are_control_frames() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_message_rate 1r/m;", &backend).start();
    let mut client = join(&nginx);
    client.echo("the one of this minute");
    let ping = Frame::new(9, "are you there");
    for _ in 0..100 {
        client.send(ping.clone().masked().bytes()).unwrap();
    }
    for _ in 0..100 {
        assert_eq!(client.frame(), Frame::new(10, "are you there"));
    }
}

#[test]
fn a_slowed_down_tunnel_is_still_drained() {
    let backend = backend(|conn| conn.echo_frames());
    let lines = "websocket_message_rate 1r/m; websocket_drain 200ms;";
    let nginx = server(lines, &backend).start();
    let mut client = join(&nginx);
    client.send(messages(5)).unwrap();
    assert_eq!(client.frame(), message(0));
    nginx.reload();
    assert_eq!(client.frame(), Frame::close(1012, ""));
    client
        .send(Frame::close(1012, "").masked().bytes())
        .unwrap();
    client.read_until_close();
    assert_eq!(ended(&nginx).why(), ("nginx", "drain", "1012"));
    // What was waiting is dropped, and the client's answer is found behind it.
    let (frames, rest) = frames(&backend, 0);
    assert_eq!((frames.len(), frames[1].close_code()), (2, Some(1012)));
    assert_eq!(rest, b"");
}

#[test]
fn what_waits_does_not_keep_a_broken_connection() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_message_rate 1r/m;", &backend).start();
    let mut client = join(&nginx);
    client.send(messages(5)).unwrap();
    wait_for_frames(&backend, 0, 1);
    client.reset();
    assert_eq!(ended(&nginx).why(), ("client", "reset", "-"));
}

#[test]
fn a_client_that_ends_is_heard_to_the_end() {
    let (backend, arrivals) = timed_backend();
    let nginx = server("websocket_message_rate 20r/s;", &backend).start();
    let mut client = join(&nginx);
    let sent = Instant::now();
    client.send(messages(20)).unwrap();
    client.finish().unwrap();
    assert_spaced(&arrivals, sent, 20, 1, 20);
    assert_eq!(ended(&nginx).why(), ("client", "no-close-frame", "-"));
}

/// What a client has sent may last for days, at which it is not there any more.
#[test]
fn a_client_that_has_left_is_not_heard_for_ever() {
    let backend = backend(|conn| conn.hang());
    let nginx = server(
        "websocket_message_rate 20r/s; websocket_timeout 1s;",
        &backend,
    )
    .start();
    let mut client = join(&nginx);
    client.send(messages(2000)).unwrap();
    client.finish().unwrap();
    assert_eq!(ended(&nginx).why(), ("nginx", "message-rate", "1008"));
    let (frames, _) = frames(&backend, 0);
    assert!((15..100).contains(&frames.len()), "{}", frames.len());
}

#[test]
fn who_sends_too_many_is_closed_with_1008() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_message_rate 1r/s burst=2 close;", &backend).start();
    let mut client = join(&nginx);
    client.send(messages(5)).unwrap();
    let close = close(&mut client);
    assert_eq!(close, Frame::close(1008, ""));
    client.send(close.masked().bytes()).unwrap();
    client.read_until_close();
    let line = assert_ended(&nginx, ("nginx", "message-rate", "1008"), "warn");
    assert!(!line.contains("delayed"), "{line}");
    let (frames, rest) = frames(&backend, 0);
    let (close, passed) = frames.split_last().unwrap();
    assert_eq!(close.close_code(), Some(1008));
    let expected: Vec<_> = (0..3).map(|number| message(number).masked()).collect();
    assert_eq!((passed, rest), (&expected[..], vec![]));
}

#[test]
fn who_keeps_to_the_rate_is_not_closed() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_message_rate 10r/s burst=2 close;", &backend).start();
    let mut client = join(&nginx);
    for number in 0..15 {
        client.echo(&format!("{number}"));
        assert!(client.silent_for(Duration::from_millis(100)));
    }
    client.close_politely();
    assert_eq!(ended(&nginx).why(), ("client", "normal", "1000"));
}

#[test]
fn the_handshake_s_segment_counts() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_message_rate 1r/m burst=1 close;", &backend).start();
    let mut client = Client::connect(nginx.port());
    client
        .send([Handshake::new("/").bytes(), messages(3)].concat())
        .unwrap();
    assert_eq!(client.read_head().unwrap().status(), 101);
    assert_eq!(client.frame(), Frame::close(1008, ""));
    drop(client);
    assert_eq!(ended(&nginx).why(), ("nginx", "message-rate", "1008"));
    let close = Frame::close(1008, "").masked().bytes().len();
    assert_eq!(tunnelled(&backend, 0).len(), messages(2).len() + close);
}

#[test]
fn levels_inherit_it_whole() {
    let backend = backend(|conn| conn.echo_frames());
    let http = "websocket on; websocket_message_rate 1r/m burst=1 close;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; }
            location /more/ { proxy_pass http://%BACKEND%; websocket_message_rate 1r/m burst=9; }
            location /off/ { proxy_pass http://%BACKEND%; websocket_message_rate off; }
        }";
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let enter = |path: &str| {
        let mut client = Client::connect(nginx.port());
        client.establish(path);
        client.send(messages(11)).unwrap();
        client
    };
    let last = |mut client: Client, count: usize| {
        (0..count).for_each(|number| assert_eq!(client.frame(), message(number)));
        client
    };
    assert_eq!(close(&mut enter("/")), Frame::close(1008, ""));
    let mut more = last(enter("/more/"), 10);
    assert!(more.silent_for(Duration::from_millis(200)));
    more.reset();
    last(enter("/off/"), 11).close_politely();
}

#[test]
fn through_tls() {
    let certificate = Certificate::localhost();
    let (backend, arrivals) = timed_backend();
    let lines = "proxy_pass http://%BACKEND%; websocket_message_rate 20r/s;";
    let http = location(lines).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    let nginx = Nginx::http(http)
        .certificate(&certificate)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect_tls(nginx.port(), &certificate);
    client.establish("/");
    let sent = Instant::now();
    client.send(messages(30)).unwrap();
    assert_spaced(&arrivals, sent, 30, 1, 20);
}
