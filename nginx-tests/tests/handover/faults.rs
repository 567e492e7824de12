//! Whatever goes wrong, a tunnel stays where it is or is taken in by another worker.

use std::fs;
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use nginx_tests::client::get;
use nginx_tests::environment::is_configured;
use nginx_tests::nginx::signal_to;
use nginx_tests::{Client, Faults, Frame, Nginx, ScriptedBackend, wait_for, wait_until};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::case::{PROXIED, assert_closed, echo, gone, hand_over, head, http, join, nginx};

/// Reloads with the old workers held up. They, and a new one that takes in tunnels, of which there are none yet.
#[track_caller]
fn next_worker(nginx: &Nginx) -> (Vec<u32>, u32) {
    let old = nginx.worker_pids();
    old.iter().for_each(|pid| signal_to(*pid, Signal::STOP));
    nginx.signal(Signal::HUP);
    let new = wait_for("a new worker", || {
        let now = nginx.worker_pids();
        now.into_iter().find(|pid| !old.contains(pid))
    });
    wait_until("it to take in tunnels", || takes_in(new));
    (old, new)
}

/// There is no successor.
#[test]
fn a_quit() {
    let backend = echo();
    let nginx = Nginx::http(http(&format!("{PROXIED} websocket_drain 1s;")))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    client.echo("before");
    let client = thread::spawn(|| assert_closed(client, 1012));
    nginx.stop();
    client.join().unwrap();
}

#[test]
fn a_quit_without_a_drain() {
    let backend = echo();
    let nginx = nginx(&backend).start();
    let mut client = join(&nginx);
    nginx.signal(Signal::QUIT);
    nginx.wait_for_log("websocket handover: 0 tunnels handed over in");
    client.echo("with the old worker");
    assert!(!nginx.exiting_worker_pids().is_empty());
    client.close_politely();
    nginx.wait_for_end();
}

/// The successors are told to go before they have all.
#[test]
fn a_reload_and_a_quit_at_once() {
    for pause in [0, 50, 100, 105, 110, 120, 150] {
        let backend = echo();
        let nginx = nginx(&backend).workers(2).start();
        let mut clients: Vec<Client> = (0..20).map(|_| join(&nginx)).collect();
        nginx.signal(Signal::HUP);
        thread::sleep(Duration::from_millis(pause));
        nginx.signal(Signal::QUIT);
        for client in &mut clients {
            client.echo("somewhere");
        }
        for client in clients {
            client.close_politely();
        }
        let lines = nginx.wait_for_access("tunnel.log", 20);
        assert_eq!(lines.len(), 20);
        nginx.wait_for_end();
    }
}

/// A new worker has no descriptors left. The kernel would close sockets that are sent to it: it takes none, and they
/// come back.
#[test]
fn no_descriptors_left_in_the_new_worker() {
    let backend = echo();
    let mut nginx = nginx(&backend).start();
    nginx.allow_log("Too many open files");
    let mut clients: Vec<Client> = (0..10).map(|_| join(&nginx)).collect();
    let (old, new) = next_worker(&nginx);
    let limit = Some(first_free(new) + 1);
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    let pid = Pid::from_raw(i32::try_from(new).unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();
    signal_to(old[0], Signal::CONT);
    nginx.wait_for_log("websocket handover: ");
    for client in &mut clients {
        client.echo("with the old worker");
    }
    assert_eq!(nginx.exiting_worker_pids(), old);
    drop(clients);
    gone(&nginx);
}

/// Whether a worker has said that it takes in tunnels, by its lock.
pub fn takes_in(pid: u32) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.get(1..5) == Some(&["POSIX", "ADVISORY", "READ", &pid.to_string()])
    })
}

fn first_free(pid: u32) -> u64 {
    let used: Vec<u64> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    (0..).find(|number| !used.contains(number)).unwrap()
}

/// The new worker has no connections for all of them: they are taken in as others end.
#[test]
fn too_few_connections_in_the_new_worker() {
    let backend = echo();
    let nginx = nginx(&backend).events("worker_connections 400;").start();
    let mut clients: Vec<Client> = (0..150).map(|_| join(&nginx)).collect();
    let config = fs::read_to_string(nginx.path("nginx.conf")).unwrap();
    fs::write(
        nginx.path("nginx.conf"),
        config.replace("worker_connections 400", "worker_connections 100"),
    )
    .unwrap();
    nginx.reload();
    // It takes in what it has room for, and the rest comes back to the old worker.
    nginx.wait_for_log("websocket handover: ");
    for client in &mut clients {
        client.echo("somewhere");
    }
    assert!(!nginx.exiting_worker_pids().is_empty());
    for client in clients {
        client.close_politely();
    }
    gone(&nginx);
    assert_eq!(nginx.wait_for_access("tunnel.log", 150).len(), 150);
}

/// And where the old worker is killed, which would have taken the rest back, that comes to an end.
#[test]
fn too_few_connections_and_the_old_worker_is_killed() {
    let backend = echo();
    let nginx = nginx(&backend)
        .events("worker_connections 400;")
        .allow_log("exited on signal 9")
        .allow_log("worker_connections are not enough")
        .start();
    let mut clients: Vec<Client> = (0..150).map(|_| join(&nginx)).collect();
    let config = nginx
        .config()
        .replace("worker_connections 400", "worker_connections 100");
    fs::write(nginx.path("nginx.conf"), config).unwrap();
    nginx.reload();
    let (old, new) = (nginx.exiting_worker_pids(), nginx.worker_pids());
    wait_until("the new worker to be full", || first_free(new[0]) > 80);
    signal_to(old[0], Signal::KILL);
    let mut goes_on = 0;
    // Nobody makes room.
    for client in &mut clients {
        let sent = client.send(Frame::text("is anybody there?").masked().bytes());
        match sent.and_then(|()| client.read_frame()) {
            Ok(_) => goes_on += 1,
            Err(error) => assert_ne!(error.kind(), ErrorKind::TimedOut, "it is nobody's"),
        }
    }
    assert!(goes_on >= 20, "{goes_on}");
}

/// The successors stop, or are killed, with tunnels on their way to them.
#[test]
fn successors_that_do_nothing() {
    let backend = echo();
    let nginx = nginx(&backend).start();
    let mut clients: Vec<Client> = (0..50).map(|_| join(&nginx)).collect();
    let (old, new) = next_worker(&nginx);
    signal_to(new, Signal::STOP);
    signal_to(old[0], Signal::CONT);
    // Nobody takes them in: so they come back.
    nginx.wait_for_log("websocket handover: ");
    for client in &mut clients {
        client.echo("back again");
    }
    signal_to(new, Signal::CONT);
    for client in &mut clients {
        client.echo("still there");
    }
    for client in clients {
        client.close_politely();
    }
    gone(&nginx);
}

#[test]
fn successors_that_are_killed() {
    let backend = echo();
    let nginx = nginx(&backend).allow_log("exited on signal 9").start();
    let mut clients: Vec<Client> = (0..50).map(|_| join(&nginx)).collect();
    let (old, new) = next_worker(&nginx);
    // It has not taken in any by now, and never will: the next one does, or they come back.
    signal_to(new, Signal::STOP);
    signal_to(old[0], Signal::CONT);
    wait_until("the old worker to have begun", || {
        !nginx.exiting_worker_pids().is_empty()
    });
    thread::sleep(Duration::from_millis(100));
    signal_to(new, Signal::KILL);
    for client in &mut clients {
        client.echo("with whom?");
    }
    for client in clients {
        client.close_politely();
    }
    gone(&nginx);
    assert_eq!(nginx.wait_for_access("tunnel.log", 50).len(), 50);
}

/// A killed worker takes its own tunnels with it, and no other.
#[test]
fn a_killed_worker_takes_no_others_with_it() {
    let backend = echo();
    let nginx = nginx(&backend)
        .workers(2)
        .allow_log("exited on signal 9")
        .start();
    let mut clients: Vec<Client> = (0..40).map(|_| join(&nginx)).collect();
    hand_over(&nginx);
    let taken = || {
        let lines = nginx.log_lines("taken over, 0 refused");
        let of = |line: &String| {
            let pid: u32 = line.split('#').next()?.rsplit(' ').next()?.parse().ok()?;
            let count = line.split("handover: ").nth(1)?.split(' ').next()?;
            Some((pid, count.parse::<usize>().ok()?))
        };
        let all: Vec<_> = lines.iter().filter_map(of).collect();
        (all.iter().map(|(_, count)| count).sum::<usize>() == 40).then_some(all)
    };
    let taken = wait_for("all to be taken over", taken);
    let before = nginx.worker_pids();
    signal_to(before[0], Signal::KILL);
    wait_until("another worker", || {
        let now = nginx.worker_pids();
        now.len() == 2 && now != before
    });
    hand_over(&nginx);
    clients.retain_mut(|client| {
        let frame = Frame::text("alive").masked().bytes();
        client.send(frame).is_ok() && client.read_frame().is_ok()
    });
    let others = taken.iter().filter(|(pid, _)| *pid != before[0]);
    assert_eq!(clients.len(), others.map(|(_, count)| count).sum::<usize>());
    for client in clients {
        client.close_politely();
    }
}

/// nginx counts those that its threads work for, and keeps their memory.
#[test]
fn a_request_whose_file_a_thread_reads_stays() {
    let backend = ScriptedBackend::standard();
    let location = format!("{PROXIED} mirror /mirror;");
    let setup = Nginx::http(format!(
        "proxy_cache_path cache keys_zone=cache:1m;
        {}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{ {location} }}
            location /mirror {{
                proxy_pass http://%BACKEND%/plain;
                proxy_cache cache; proxy_cache_key one; proxy_cache_valid 1h; aio threads;
                log_subrequest on; access_log logs/mirror.log;
            }}
        }}",
        head("on")
    ))
    .set("BACKEND", backend.address())
    .main("thread_pool default threads=2;");
    if !is_configured("--with-threads") {
        nginx_tests::skipped("this nginx has no threads");
        return;
    }
    let (setup, Some(faults)) = Faults::prepare(setup) else {
        return;
    };
    let nginx = setup.start();
    assert_eq!(get(nginx.port(), "/mirror").status(), 200);
    let requests = backend.requests().len();
    faults.slow_down(true);
    let mut client = join(&nginx);
    client.echo("before");
    nginx.signal(Signal::HUP);
    nginx.wait_for_log("1 stays");
    client.echo("while it is read");
    faults.slow_down(false);
    // A worker that is to exit does so before its thread has the file, once it has no other reason to stay.
    wait_until("the mirror to have its file", || {
        nginx.access_log("mirror.log").lines().count() == 2
    });
    client.echo("and after that");
    client.close_politely();
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    // The mirror was answered from the cache.
    assert_eq!(backend.requests().len(), requests + 1);
}
