//! `websocket_drain`: tunnels of a worker that is to exit.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::daemon::{DAEMON, Daemon};
use nginx_tests::environment::is_emulated;
use nginx_tests::{Client, Frame, Handshake, Nginx, ScriptedBackend, patient, wait_until};
use rustix::process::Signal;

use crate::case::{Ended, all_ended, assert_ended, backend, http, join, server, wait_for_frames};

/// Reads what comes until a Close, answers it, and waits for the end. When that Close came.
#[track_caller]
pub fn part(mut client: Client, code: u16) -> Instant {
    let close = loop {
        let frame = client.frame();
        if frame.opcode == 8 {
            break frame;
        }
    };
    let came = Instant::now();
    assert_eq!(close, Frame::close(code, ""));
    client.send(close.masked().bytes()).unwrap();
    assert_eq!(client.read_until_close(), b"");
    came
}

/// Lets each client part on its own; when each was told to, in order.
pub fn part_all(clients: Vec<Client>, code: u16, since: Instant) -> Vec<Duration> {
    let threads: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || part(client, code)))
        .collect();
    let mut times: Vec<Duration> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap() - since)
        .collect();
    times.sort_unstable();
    times
}

/// Asserts that no quarter of a time, which begins with the first of them, has none or nearly all.
#[track_caller]
fn assert_spread(times: &[Duration], over: Duration) {
    for quarter in 0..4 {
        let range = times[0] + over * quarter / 4..times[0] + over * (quarter + 1) / 4;
        let count = times.iter().filter(|time| range.contains(*time)).count();
        let fair = times.len() / 4;
        assert!(
            (fair / 2..fair * 2).contains(&count),
            "{count} in {range:?} of {times:?}"
        );
    }
}

#[test]
fn a_reload_with_500_tunnels() {
    const TUNNELS: usize = 500;
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 4s;", &backend)
        .events("worker_connections 2048;")
        .start();
    let mut clients: Vec<Client> = (0..TUNNELS).map(|_| join(&nginx)).collect();
    for client in clients.iter_mut().step_by(3) {
        client.echo("used");
    }
    let old = nginx.worker_pids();
    let since = Instant::now();
    nginx.reload();
    let mut new = join(&nginx);
    assert_eq!(nginx.exiting_worker_pids(), old);
    let times = part_all(clients, 1012, since);
    let [begun, over] = [1, 6].map(|seconds| patient(Duration::from_secs(seconds)));
    assert!(times[0] < begun && times[TUNNELS - 1] < over, "{times:?}");
    assert_spread(&times, Duration::from_secs(4));
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    new.echo("with the new worker");
    drop(new);

    let all = all_ended(&nginx, TUNNELS + 1);
    let drained = all
        .iter()
        .filter(|ended| ended.why() == ("nginx", "drain", "1012"));
    assert_eq!(drained.count(), TUNNELS);
    for connection in (0..TUNNELS).step_by(50) {
        let frames = wait_for_frames(&backend, connection, 1);
        let close = frames.last().unwrap();
        assert_eq!(close.close_code(), Some(1012));
        assert!(close.mask.is_some());
    }
    let log = nginx.stop();
    let is_abnormal = |line: &str| line.contains(": drain ") && line.contains("[warn]");
    assert!(log.contains("by nginx: drain 1012"));
    assert!(!log.lines().any(is_abnormal), "{log}");
}

#[test]
fn the_code_can_be_1001() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 300ms code=1001;", &backend).start();
    let client = join(&nginx);
    nginx.reload();
    part(client, 1001);
    assert_ended(&nginx, ("nginx", "drain", "1001"), "info");
}

#[test]
fn off_leaves_tunnels_alone() {
    let backend = backend(|conn| conn.echo_frames());
    let server_s = "websocket_drain 100ms; access_log logs/";
    let http = http("websocket_drain off;").replacen("access_log logs/", server_s, 1);
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let mut client = join(&nginx);
    nginx.reload();
    assert!(client.silent_for(Duration::from_millis(500)));
    client.echo("still there");
    assert_eq!(nginx.exiting_worker_pids().len(), 1);
    client.close_politely();
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn a_close_waits_for_the_end_of_a_frame() {
    let backend = backend(|conn| {
        conn.send(b"\x82\x0a01234")?;
        conn.pause()?;
        conn.send(b"56789")?;
        conn.read_frame()?;
        conn.send(Frame::close(1012, "").bytes())?;
        conn.hang()
    });
    let nginx = server("websocket_drain 100ms;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.read_bytes(7).unwrap(), b"\x82\x0a01234");
    nginx.reload();
    assert!(client.silent_for(Duration::from_millis(500)));
    backend.resume();
    assert_eq!(client.read_bytes(5).unwrap(), b"56789");
    part(client, 1012);
}

#[test]
fn a_quit_waits_for_the_drain() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 1s;", &backend).start();
    let clients: Vec<Client> = (0..20).map(|_| join(&nginx)).collect();
    let since = Instant::now();
    let parted = thread::spawn(move || part_all(clients, 1012, since));
    // Sends QUIT, and fails if nginx is not gone in time.
    let log = nginx.stop();
    let times = parted.join().unwrap();
    assert!(times[19] < Duration::from_secs(3), "{times:?}");
    assert_eq!(log.matches("by nginx: drain 1012").count(), 20);
}

#[test]
fn worker_shutdown_timeout_leaves_room_for_the_drain() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 1h;", &backend)
        .main("worker_shutdown_timeout 3s;")
        .start();
    let clients: Vec<Client> = (0..40).map(|_| join(&nginx)).collect();
    let since = Instant::now();
    nginx.reload();
    let times = part_all(clients, 1012, since);
    assert!(times[39] < Duration::from_millis(2800), "{times:?}");
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    let all = all_ended(&nginx, 40);
    assert!(
        all.iter()
            .all(|ended| ended.why() == ("nginx", "drain", "1012"))
    );
}

#[test]
fn peers_that_do_not_answer_hold_a_worker_for_five_seconds() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_drain 100ms;", &backend).start();
    let mut client = join(&nginx);
    nginx.reload();
    assert_eq!(client.frame(), Frame::close(1012, ""));
    let since = Instant::now();
    client.read_until_close();
    assert!(
        since.elapsed() < Duration::from_secs(8),
        "{:?}",
        since.elapsed()
    );
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

/// A backend that answers each handshake when it is resumed.
pub fn hesitant_backend() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.pause()?;
        conn.accept(&handshake)?;
        conn.echo_frames()
    })
}

/// A client whose handshake, the backend's `nth`, has no answer yet.
pub fn knock(nginx: &Nginx, backend: &ScriptedBackend, nth: usize) -> Client {
    let mut client = Client::connect(nginx.port());
    client.send(Handshake::new("/").bytes()).unwrap();
    backend.request(nth);
    client
}

#[test]
fn handshakes_that_are_under_way_are_drained_too() {
    let backend = hesitant_backend();
    let nginx = server("websocket_drain 300ms;", &backend).start();
    let mut client = knock(&nginx, &backend, 0);
    nginx.reload();
    wait_until("the old worker to be told", || {
        nginx.exiting_worker_pids().len() == 1
    });
    backend.resume();
    assert_eq!(client.read_head().unwrap().status(), 101);
    part(client, 1012);
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn tunnels_that_begin_late_fit_into_what_is_left() {
    const TUNNELS: usize = 12;
    let backend = hesitant_backend();
    let nginx = server("websocket_drain 1h;", &backend)
        .main("worker_shutdown_timeout 4s;")
        .start();
    let mut clients: Vec<Client> = (0..TUNNELS)
        .map(|nth| knock(&nginx, &backend, nth))
        .collect();
    let since = Instant::now();
    nginx.reload();
    assert!(clients[0].silent_for(Duration::from_secs(3)));
    for _ in 0..TUNNELS {
        backend.resume();
    }
    for client in &mut clients {
        assert_eq!(client.read_head().unwrap().status(), 101);
    }
    part_all(clients, 1012, since);
    let all = all_ended(&nginx, TUNNELS);
    let drained = |ended: &Ended| ended.why() == ("nginx", "drain", "1012");
    assert!(all.iter().all(drained), "{all:#?}");
}

#[test]
fn several_workers_and_reloads() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 500ms;", &backend)
        .workers(2)
        .start();
    let (tell, told) = mpsc::channel();
    for _ in 0..5 {
        let clients: Vec<Client> = (0..10).map(|_| join(&nginx)).collect();
        let since = Instant::now();
        nginx.reload();
        let tell = tell.clone();
        thread::spawn(move || tell.send(part_all(clients, 1012, since)));
    }
    drop(tell);
    let rounds: Vec<_> = told.iter().collect();
    assert_eq!(rounds.len(), 5);
    wait_until("the old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    assert_eq!(nginx.worker_pids().len(), 2);
}

#[test]
fn binary_upgrade() {
    if is_emulated() {
        return nginx_tests::skipped("nginx can't start a file for another processor");
    }
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_drain 1s;", &backend).main(DAEMON).start();
    let old = Daemon::start(&nginx);
    let clients: Vec<Client> = (0..20).map(|_| old.join()).collect();
    let new = old.upgrade();
    let since = Instant::now();
    old.signal(Signal::QUIT);
    let times = part_all(clients, 1012, since);
    assert!(times[19] < Duration::from_secs(3), "{times:?}");
    wait_until("the old master to end", || old.is_gone());
    let log = old.log();
    assert_eq!(log.matches("by nginx: drain 1012").count(), 20, "{log}");
    assert!(!log.contains("[alert]"), "{log}");
    new.join().echo("with the new binary");
}
