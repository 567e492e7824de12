//! The zone through reloads and the deaths of workers.

use std::fs;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nginx_tests::nginx::signal_to;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, EchoBackend, Handshake, Nginx, wait_for, wait_until};
use rustix::process::Signal;
use websocket_zone::Zone;

use crate::memory::{assert_grown, counted, find, tunnels, zone};

pub fn http(zone: &str) -> String {
    format!(
        "{zone}
        server {{ listen 127.0.0.1:%PORT%; location / {{ proxy_pass http://%BACKEND%; websocket on; }} }}"
    )
}

pub fn established(port: u16) -> Client {
    let mut client = Client::connect(port);
    client.establish("/");
    client.echo("Hello");
    client
}

/// Whether whatever was established is either there or closed.
pub fn adds_up(zone: Zone<'_>) -> bool {
    let totals = zone.totals();
    let closes: u64 = totals.closes().map(|close| close.count).sum();
    totals.established() == totals.active() + closes
}

#[test]
fn counters_and_tunnels_survive_a_reload() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .workers(4)
        .start();
    let zone = zone(&nginx);
    let mut clients = vec![];
    for round in 1..=5 {
        clients.extend((0..4).map(|_| established(nginx.port())));
        let before = counted(zone);
        nginx.reload();
        clients.extend((0..4).map(|_| established(nginx.port())));
        // Those of old workers, too, in the same memory.
        for client in &mut clients {
            client.echo("Hello");
        }
        assert_grown(&before, &counted(zone));
        let totals = zone.totals();
        assert_eq!(
            (totals.established(), totals.active()),
            (8 * round, 8 * round)
        );
        assert_eq!(tunnels(zone).len() as u64, 8 * round);
        let messages: u64 = tunnels(zone)
            .iter()
            .map(|tunnel| tunnel.numbers.from_client.messages)
            .sum();
        assert_eq!(totals.from_client().messages, messages);
    }
    let slots = zone.workers();
    assert!(slots > 4, "old workers have theirs: {slots}");
    for client in clients {
        client.close_politely();
    }
    wait_until("old workers to be gone", || zone.workers() == 4);
    assert_eq!(
        (zone.totals().established(), zone.totals().active()),
        (40, 0)
    );
    assert!(tunnels(zone).is_empty() && adds_up(zone));
    assert!(nginx.log_lines("websocket zone").is_empty());
}

#[test]
fn a_zone_that_is_not_as_it_was_begins_anew_and_says_so() {
    let backend = EchoBackend::start();
    let mut nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .start();
    let old = zone(&nginx);
    let client = established(nginx.port());
    for (line, notices) in [
        ("websocket_zone one:2m;", 1),
        ("websocket_zone two:2m;", 2),
        ("websocket_zone two:2m; websocket_history 3;", 3),
        ("websocket_zone two:2m; websocket_history 3;", 3),
    ] {
        nginx.reload_with(&http(line));
        assert_eq!(
            nginx
                .log_lines("[notice]")
                .iter()
                .filter(|line| line.contains("counters begin at zero"))
                .count(),
            notices
        );
        let zone = zone(&nginx);
        wait_until("the worker to count", || zone.workers() == 1);
        if notices == 3 {
            continue;
        }
        assert_eq!(zone.totals().established(), 0);
        established(nginx.port()).close_politely();
        wait_until("it to be counted", || zone.ends() == (0..1));
    }
    let line = nginx.wait_for_log("counters begin at zero");
    assert!(
        line.ends_with("websocket zone \"two\" is not as it was: its counters begin at zero"),
        "{line}"
    );
    // The old worker goes on with the old one.
    assert_eq!(old.totals().active(), 1);
    client.close_politely();
    wait_until("the old one to know", || old.totals().active() == 0);
    nginx.reload_with(&http(""));
    assert!(find(nginx.pid()).is_none());
    established(nginx.port()).close_politely();
}

#[test]
fn a_configuration_that_is_refused_or_only_tested_changes_nothing() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .allow_log("[emerg]")
        .start();
    let zone = zone(&nginx);
    established(nginx.port()).close_politely();
    let bad = nginx.config().replace("one:1m;", "one:2m; nonsense;");
    let good = nginx.config().to_owned();
    fs::write(nginx.path("nginx.conf"), bad).unwrap();
    nginx.signal(Signal::HUP);
    nginx.wait_for_log("unknown directive \"nonsense\"");
    let larger = nginx.config().replace("one:1m;", "one:2m;");
    fs::write(nginx.path("nginx.conf"), larger).unwrap();
    assert!(nginx.takes_its_file());
    fs::write(nginx.path("nginx.conf"), good).unwrap();
    established(nginx.port()).close_politely();
    wait_until("both to be over", || zone.ends() == (0..2));
    nginx.reload();
    wait_until("both to be over", || {
        zone.totals().established() == 2 && zone.workers() == 1
    });
}

#[test]
fn a_worker_that_is_killed_leaves_no_phantom() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:2m;"))
        .set("BACKEND", backend.address())
        .workers(2)
        .allow_log("exited on signal 9")
        .start();
    let zone = zone(&nginx);
    let mut clients: Vec<Client> = (0..40).map(|_| established(nginx.port())).collect();
    let before = counted(zone);
    let killed = nginx.worker_pids()[0];
    signal_to(killed, Signal::KILL);
    wait_until("another worker", || {
        let now = nginx.worker_pids();
        now.len() == 2 && !now.contains(&killed)
    });
    wait_until("somebody to clean up", || zone.totals().lost() > 0);
    wait_until("the slot to be in use again", || zone.workers() == 2);
    let hello = nginx_tests::Frame::text("Hello").masked().bytes();
    let is_alive = |client: &mut Client| client.send(&hello).is_ok() && client.read_frame().is_ok();
    let alive = clients
        .iter_mut()
        .map(is_alive)
        .filter(|alive| *alive)
        .count() as u64;
    let totals = zone.totals();
    assert_eq!((totals.active(), totals.lost()), (alive, 40 - alive));
    assert_eq!(tunnels(zone).len() as u64, alive);
    assert_grown(&before, &counted(zone));
    assert!(adds_up(zone));
    drop(clients);
    wait_until("all to be over", || zone.totals().active() == 0);
    assert_eq!(zone.totals().established(), 40);
    assert!(adds_up(zone) && tunnels(zone).is_empty());
}

#[test]
fn workers_that_are_told_to_exit_at_once_leave_no_phantom() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .start();
    let zone = zone(&nginx);
    let clients: Vec<Client> = (0..3).map(|_| established(nginx.port())).collect();
    nginx.terminate();
    let totals = zone.totals();
    assert_eq!(
        (totals.established(), totals.active(), totals.lost()),
        (3, 0, 0)
    );
    let close = totals.closes().next().expect("they were closed");
    assert_eq!((&*close.reason, close.count), (&b"worker-shutdown"[..], 3));
    assert_eq!((zone.workers(), tunnels(zone).len()), (0, 0));
    drop(clients);
}

/// A thousand times: the zone stays readable, nothing in it goes down, nothing is left over.
#[test]
fn workers_that_are_killed_again_and_again() {
    const KILLS: usize = 1000;
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:4m;"))
        .set("BACKEND", backend.address())
        .workers(2)
        .log_level("notice")
        .allow_log("exited on signal 9")
        .start();
    let zone = zone(&nginx);
    let port = nginx.port();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    try_once(port);
                }
            });
        }
        scope.spawn(|| {
            let mut before = counted(zone);
            while !is_over.load(Ordering::Relaxed) {
                let now = counted(zone);
                assert_grown(&before, &now);
                before = now;
                for tunnel in tunnels(zone) {
                    assert_eq!(
                        (&*tunnel.who.uri, &*tunnel.who.client),
                        (&b"/path"[..], &b"127.0.0.1"[..])
                    );
                }
                for number in zone.ends() {
                    if let Some(end) = zone.end(number) {
                        assert_eq!((&*end.who.uri, end.who.http), (&b"/path"[..], (1, 1)));
                    }
                }
            }
        });
        for kill_number in 0..KILLS {
            let pid = wait_for("a worker to be killed", || {
                nginx.worker_pids().first().copied()
            });
            // Not always in the same moment of its life.
            thread::sleep(Duration::from_micros((kill_number as u64 * 7919) % 15_000));
            signal_to(pid, Signal::KILL);
            wait_until("it to be gone", || !nginx.worker_pids().contains(&pid));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    wait_until("two workers", || {
        nginx.worker_pids().len() == 2 && zone.workers() == 2
    });
    wait_until("all to be over", || {
        zone.totals().active() == 0 && tunnels(zone).is_empty()
    });
    let totals = zone.totals();
    assert!(adds_up(zone), "{:?}", counted(zone));
    assert!(
        totals.established() > 100 && totals.lost() > 10,
        "{:?}",
        counted(zone)
    );
    // As good as new.
    established(port).close_politely();
    let expected = totals.established() + 1;
    wait_until("it to be counted", || {
        zone.totals().established() == expected
    });
}

/// A handshake and a message, whatever becomes of them.
fn try_once(port: u16) -> Option<()> {
    let mut wire = Wire::connect(port).ok()?;
    wire.set_read_timeout(Some(Duration::from_millis(100)));
    wire.send(Handshake::new("/path?query").bytes()).ok()?;
    (wire.read_head().ok()?.status() == 101).then_some(())?;
    for _ in 0..20 {
        wire.send(nginx_tests::Frame::text("Hello").masked().bytes())
            .ok()?;
        wire.read_frame().ok()?;
    }
    Some(())
}

#[test]
fn a_single_process_counts_too() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .single_process()
        .start();
    let zone = zone(&nginx);
    established(nginx.port()).close_politely();
    wait_until("it to be over", || zone.ends() == (0..1));
    assert!(adds_up(zone) && zone.workers() == 1);
}

/// Nothing else than the process that counts is there to have it meanwhile.
#[test]
fn a_single_process_counts_on_whatever_it_reads() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .single_process()
        .start();
    let zone = zone(&nginx);
    let mut client = established(nginx.port());
    let all = nginx.config().to_owned();
    let (rest, _) = all.split_once("http {").expect("an http block");
    let listens = || TcpStream::connect(("127.0.0.1", nginx.port())).is_ok();
    fs::write(nginx.path("nginx.conf"), rest).unwrap();
    nginx.signal(Signal::HUP);
    wait_until("nginx to listen no more", || !listens());
    nginx.wait_for_log("with \"master_process off\" a reload does not change it");
    fs::write(nginx.path("nginx.conf"), &all).unwrap();
    nginx.signal(Signal::HUP);
    wait_until("nginx to listen again", listens);
    assert_eq!(nginx.log_lines("a reload does not change it").len(), 1);
    client.echo("again");
    client.close_politely();
    wait_until("it to be over", || zone.ends() == (0..1));
    assert!(adds_up(zone) && zone.workers() == 1);
    fs::write(nginx.path("nginx.conf"), all.replace("one:1m", "one:2m")).unwrap();
    nginx.signal(Signal::HUP);
    wait_until("it to say so again", || {
        nginx.log_lines("a reload does not change it").len() == 2
    });
}

#[test]
fn a_zone_of_any_size_is_the_same_after_a_reload() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1000003;"))
        .set("BACKEND", backend.address())
        .start();
    established(nginx.port()).close_politely();
    wait_until("it to be over", || zone(&nginx).ends() == (0..1));
    nginx.reload();
    assert_eq!(zone(&nginx).ends(), 0..1);
    assert!(nginx.log_lines("counters begin at zero").is_empty());
}
