//! Tunnels that survive another binary.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nginx_tests::daemon::{DAEMON, Daemon};
use nginx_tests::environment::{MODULE, environment, find_program, next_nginx};
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Nginx, ScriptedBackend, patient, wait_until};
use rustix::process::Signal;

use crate::case::{PROXIED, echo, http, nginx, number};

/// An nginx that a daemon is to be started beside.
fn beside(backend: &ScriptedBackend) -> Setup {
    nginx(backend).main(DAEMON)
}

fn echo_all(clients: &mut [Client], text: &str) {
    for client in clients {
        client.echo(text);
    }
}

#[test]
fn an_upgrade_another_and_reloads_between() {
    let backend = echo();
    let nginx = beside(&backend).start();
    let mut daemon = Daemon::start(&nginx);
    let mut clients: Vec<Client> = (0..20).map(|_| daemon.join()).collect();
    echo_all(&mut clients, "before");
    for _ in 0..2 {
        let new = daemon.upgrade();
        // Both serve: tunnels stay where they are.
        echo_all(&mut clients, "with the old binary");
        daemon.signal(Signal::QUIT);
        wait_until("the old master to be gone", || daemon.is_gone());
        echo_all(&mut clients, "with the new binary");
        daemon = new;
        daemon.reload();
        echo_all(&mut clients, "with its second configuration");
    }
    assert_eq!(backend.connections(), 20);
    for client in clients {
        client.close_politely();
    }
    let lines = nginx.wait_for_access("tunnel.log", 20);
    for line in &lines {
        assert_eq!(number(line, "websocket_handovers"), 4, "{line}");
    }
    assert_calm(&daemon);
}

/// The new binary is no good: the old master has its workers go on.
#[test]
fn a_rollback() {
    let backend = echo();
    let nginx = beside(&backend).start();
    let old = Daemon::start(&nginx);
    let mut clients: Vec<Client> = (0..20).map(|_| old.join()).collect();
    let new = old.upgrade();
    clients.extend((0..5).map(|_| new.join()));
    // The old workers go, and the old master stays.
    old.signal(Signal::WINCH);
    wait_until("the old worker to be gone", || old.workers() == 0);
    echo_all(&mut clients, "with the new binary");
    // It has new ones start with the configuration that it has, and the new master goes.
    old.signal(Signal::HUP);
    wait_until("another old worker", || old.workers() == 1);
    new.signal(Signal::QUIT);
    wait_until("the new master to be gone", || new.is_gone());
    echo_all(&mut clients, "with the old binary");
    // Whoever came meanwhile may have been let in by either.
    assert_eq!(backend.connections(), 25);
    for client in clients {
        client.close_politely();
    }
    assert_eq!(nginx.wait_for_access("tunnel.log", 25).len(), 25);
    assert_calm(&old);
}

#[test]
fn an_end_after_a_rollback() {
    ends_after_a_rollback("");
}

#[test]
fn an_end_after_a_rollback_that_is_to_come_soon() {
    ends_after_a_rollback("worker_shutdown_timeout 4s;");
}

/// The new binary has gone again, and nobody is there to take in what an old worker has when it ends: it drains at once.
fn ends_after_a_rollback(main: &str) {
    let backend = echo();
    let nginx = Nginx::http(http(&format!("{PROXIED} websocket_drain 1s;")))
        .main(DAEMON)
        .main(main)
        .set("BACKEND", backend.address())
        .start();
    let old = Daemon::start(&nginx);
    let mut client = old.join();
    client.echo("with the old binary");
    let new = old.upgrade();
    new.signal(Signal::QUIT);
    wait_until("the new master to be gone", || new.is_gone());
    old.signal(Signal::QUIT);
    let told = Instant::now();
    let close = client.frame();
    assert_eq!((close.opcode, close.close_code()), (8, Some(1012)));
    // A successor is waited for longer.
    assert!(told.elapsed() < patient(Duration::from_secs(5)));
    client.send(close.masked().bytes()).unwrap();
    wait_until("the old master to be gone", || old.is_gone());
    assert_calm(&old);
}

/// The new binary's configuration hands nothing over: the tunnels stay as long as they live.
#[test]
fn a_new_binary_without_it() {
    let backend = echo();
    let nginx = beside(&backend).start();
    let old = Daemon::start(&nginx);
    let mut client = old.join();
    let off = nginx.config().replace("websocket_handover on;", "");
    old.configure(&nginx, &off);
    let new = old.upgrade();
    old.signal(Signal::QUIT);
    client.echo("with the old binary");
    client.close_politely();
    wait_until("the old master to be gone", || old.is_gone());
    assert_calm(&new);
}

/// The new binary speaks another version of the messages: the tunnels stay as long as they live, and its own are handed
/// over among its workers.
#[test]
fn a_new_binary_of_another_version() {
    let Some(module) = environment().module() else {
        return nginx_tests::skipped("this nginx has the module without loading it");
    };
    let backend = echo();
    let nginx = beside(&backend).start();
    let other = replaced(&fs::read(module).unwrap(), b"HANDOVER_1_", b"HANDOVER_2_");
    fs::write(nginx.path("other.so"), other).unwrap();
    let old = Daemon::start(&nginx);
    let mut client = old.join();
    old.configure(&nginx, &nginx.config().replace(MODULE, "other.so"));
    let new = old.upgrade();
    old.signal(Signal::QUIT);
    // It listens no more.
    wait_until("the old worker to keep its tunnel", || {
        old.log().contains("0 tunnels handed over")
    });
    client.echo("with the old binary");
    let mut later = new.join();
    new.reload();
    later.echo("with the new binary");
    client.echo("still with the old one");
    assert!(!old.is_gone());
    client.close_politely();
    wait_until("the old master to be gone", || old.is_gone());
    later.close_politely();
    let lines = nginx.wait_for_access("tunnel.log", 2);
    let handovers = lines.iter().map(|line| number(line, "websocket_handovers"));
    assert_eq!(handovers.collect::<Vec<_>>(), [0, 1]);
    assert_calm(&new);
}

/// Bytes with another text of the same length in place of one that is there three times.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_owned();
    let places: Vec<_> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert_eq!(places.len(), 3);
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// And back again, as somebody does who is not content with it.
#[test]
fn another_nginx() {
    let (Some((next, next_module)), Some(module)) = (next_nginx(), environment().module()) else {
        return nginx_tests::skipped("there is no other nginx to be upgraded to");
    };
    let backend = echo();
    let nginx = beside(&backend).workers(2).start();
    let binary = nginx.path("nginx");
    let become_of = |file: &Path| {
        let link = nginx.path("nginx.new");
        symlink(file, &link).unwrap();
        fs::rename(link, &binary).unwrap();
    };
    let own = find_program("nginx").expect("nginx is installed");
    become_of(&own);
    let mut daemon = Daemon::start_by(Command::new(&binary), &nginx);
    let mut clients: Vec<Client> = (0..20).map(|_| daemon.join()).collect();
    for (file, module) in [
        (&next, &next_module),
        (&own, &module),
        (&next, &next_module),
    ] {
        become_of(file);
        let config = nginx.config();
        daemon.configure(
            &nginx,
            &config.replace(MODULE, &module.display().to_string()),
        );
        let new = daemon.upgrade();
        daemon.signal(Signal::QUIT);
        wait_until("the old master to be gone", || daemon.is_gone());
        echo_all(&mut clients, "with another nginx");
        daemon = new;
        daemon.reload();
        echo_all(&mut clients, "with its second configuration");
    }
    assert_eq!(backend.connections(), 20);
    for client in clients {
        client.close_politely();
    }
    for line in nginx.wait_for_access("tunnel.log", 20) {
        assert_eq!(number(&line, "websocket_handovers"), 6, "{line}");
    }
    assert_calm(&daemon);
    println!("{}", daemon.log());
}

#[track_caller]
fn assert_calm(daemon: &Daemon) {
    let log = daemon.log();
    for word in ["[alert]", "[emerg]", "[crit]", "open socket", "refused:"] {
        assert!(!log.contains(word), "{log}");
    }
}
