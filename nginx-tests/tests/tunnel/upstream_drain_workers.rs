//! `websocket_upstream_drain`: which workers end tunnels, and when.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nginx_tests::daemon::{DAEMON, Daemon};
use nginx_tests::environment::is_emulated;
use nginx_tests::{Client, wait_until};
use rustix::process::Signal;

use crate::case::{all_ended, join};
use crate::drain::{hesitant_backend, knock, part, part_all};
use crate::upstream_drain::{BOTH, FIRST, Pair, chat, stay};

#[test]
fn beside_a_drain_the_earlier_moment_counts() {
    let pair = Pair::new();
    let lines = "websocket_drain 1h code=1001; websocket_upstream_drain 100ms;";
    let mut nginx = pair.start(&chat(BOTH, lines));
    let (mut staying, leaving) = pair.join(&nginx, 10);
    nginx.reload_with(&chat(FIRST, lines));
    part_all(leaving, 1012, Instant::now());
    staying[0].echo("in an hour");

    let lines = "websocket_drain 100ms code=1001; websocket_upstream_drain 1h;";
    let mut nginx = pair.start(&chat(BOTH, lines));
    let (staying, mut leaving) = pair.join(&nginx, 10);
    nginx.reload_with(&chat(FIRST, lines));
    leaving.extend(staying);
    part_all(leaving, 1001, Instant::now());
    let all = all_ended(&nginx, 20);
    let why = ("nginx", "drain", "1001");
    assert!(all.iter().all(|end| end.why() == why), "{all:?}");
}

#[test]
fn a_worker_that_stays_learns_of_later_reloads() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let mut nginx = pair.start(&chat(BOTH, lines));
    let (mut first, second) = pair.join(&nginx, 1);
    nginx.reload_with(&chat(BOTH, lines));
    let (staying, leaving) = pair.join(&nginx, 1);
    assert_eq!(nginx.exiting_worker_pids().len(), 1);
    nginx.reload_with(&chat(FIRST, ""));
    assert_eq!(nginx.exiting_worker_pids().len(), 2);
    for client in second.into_iter().chain(leaving) {
        part(client, 1012);
    }
    for client in &mut first {
        client.echo("still here");
    }
    // None is needed any more, and those that are there go on being told.
    nginx.reload_with(&chat("server %SECOND%;", ""));
    for client in first.into_iter().chain(staying) {
        part(client, 1012);
    }
    wait_until("the old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn a_configuration_that_is_refused_takes_nothing_away() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let mut nginx = pair.start(&chat(BOTH, lines));
    let (first, second) = pair.join(&nginx, 1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    nginx.allow_log("[emerg]");
    let old = nginx.worker_pids();
    for (wrong, said) in [
        (
            format!("{} no_such_directive;", chat(FIRST, lines)),
            "unknown directive",
        ),
        // All is read, and then there is no such address to be had.
        (
            format!(
                "{} server {{ listen 127.0.0.1:{port}; }}",
                chat(FIRST, lines)
            ),
            "still could not bind()",
        ),
    ] {
        nginx.configure(&wrong);
        nginx.signal(Signal::HUP);
        nginx.wait_for_log(said);
        assert_eq!(
            (nginx.worker_pids(), nginx.exiting_worker_pids()),
            (old.clone(), vec![])
        );
    }
    nginx.reload_with(&chat(BOTH, lines));
    // As late as the worker would look again.
    let mut all: Vec<Client> = first.into_iter().chain(second).collect();
    assert!(all[0].silent_for(Duration::from_millis(1200)));
    stay(&nginx, all);
}

#[test]
fn a_quit_takes_nothing_away() {
    let pair = Pair::new();
    let nginx = pair.start(&chat(BOTH, "websocket_upstream_drain 1ms;"));
    let (first, second) = pair.join(&nginx, 1);
    let pid = nginx.worker_pids();
    nginx.signal(Signal::QUIT);
    wait_until("the worker to be told", || {
        nginx.exiting_worker_pids() == pid
    });
    for mut client in first.into_iter().chain(second) {
        client.echo("still here");
        client.close_politely();
    }
    let all = all_ended(&nginx, 2);
    assert!(all.iter().all(|end| end.why().1 == "normal"), "{all:?}");
    nginx.wait_for_end();
}

#[test]
fn handshakes_that_are_under_way_leave_too() {
    let backend = hesitant_backend();
    let other = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let mut nginx = other
        .setup(&chat("server %HESITANT%;", lines))
        .set("HESITANT", backend.address())
        .start();
    let mut client = knock(&nginx, &backend, 0);
    nginx.reload_with(&chat(FIRST, lines));
    wait_until("the old worker to be told", || {
        nginx.exiting_worker_pids().len() == 1
    });
    backend.resume();
    assert_eq!(client.read_head().unwrap().status(), 101);
    part(client, 1012);
}

#[test]
fn worker_shutdown_timeout_leaves_room() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 1h;";
    let mut nginx = pair
        .setup(&chat(FIRST, lines))
        .main("worker_shutdown_timeout 3s;")
        .start();
    let clients: Vec<Client> = (0..20).map(|_| join(&nginx)).collect();
    let since = Instant::now();
    nginx.reload_with(&chat("server %SECOND%;", lines));
    let times = part_all(clients, 1012, since);
    assert!(times[19] < Duration::from_millis(2800), "{times:?}");
    let why = ("nginx", "upstream-drain", "1012");
    assert!(all_ended(&nginx, 20).iter().all(|end| end.why() == why));
}

#[test]
fn several_workers() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 300ms;";
    let mut nginx = pair.setup(&chat(BOTH, lines)).workers(3).start();
    let (staying, leaving) = pair.join(&nginx, 30);
    let since = Instant::now();
    nginx.reload_with(&chat(FIRST, lines));
    part_all(leaving, 1012, since);
    for mut client in staying {
        client.echo("still here");
        client.close_politely();
    }
    wait_until("the old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn one_process_alone_goes_on() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 1ms;";
    let mut nginx = pair.setup(&chat(FIRST, lines)).single_process().start();
    let mut client = join(&nginx);
    nginx.configure(&chat("server %SECOND%;", lines));
    nginx.signal(Signal::HUP);
    wait_until("the new configuration", || {
        // nginx may not hear a signal that comes just before it waits: this wakes it. It is not to exit.
        client.echo("still here");
        !nginx.log_lines("reconfiguring").is_empty()
    });
    client.echo("still here");
    client.close_politely();
}

#[test]
fn a_new_binary_with_another_configuration() {
    if is_emulated() {
        return nginx_tests::skipped("nginx can't start a file for another processor");
    }
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let mut nginx = pair.setup(&chat(BOTH, lines)).main(DAEMON).start();
    let old = Daemon::start(&nginx);
    let mut by = [vec![], vec![]];
    for _ in 0..4 {
        let before = pair.first.connections();
        let client = old.join();
        by[usize::from(pair.first.connections() == before)].push(client);
    }
    let [mut staying, leaving] = by;
    assert_eq!((staying.len(), leaving.len()), (2, 2));
    nginx.configure(&chat(FIRST, lines));
    old.configure(&nginx, nginx.config());
    let new = old.upgrade();
    // It is not yet time to leave.
    for client in &mut staying {
        client.echo("still here");
    }
    old.signal(Signal::QUIT);
    for client in leaving {
        part(client, 1012);
    }
    // What the new master publishes afterwards is known to the worker of the old one.
    staying[0].echo("still here");
    nginx.configure(&chat("server %SECOND%;", lines));
    old.configure(&nginx, nginx.config());
    new.signal(Signal::HUP);
    for client in staying {
        part(client, 1012);
    }
    wait_until("the old master to end", || old.is_gone());
    let log = new.log();
    assert_eq!(
        log.matches("by nginx: upstream-drain 1012").count(),
        4,
        "{log}"
    );
    assert!(!log.contains("[alert]"), "{log}");
    new.join().echo("with the new binary");
}
