//! Tunnels that survive another binary.

use nginx_tests::{Client, Nginx, wait_until};
use rustix::process::Signal;

use crate::case::{PROXIED, echo, http, number};
use crate::daemon::{DAEMON, Daemon};

fn echo_all(clients: &mut [Client], text: &str) {
    for client in clients {
        client.echo(text);
    }
}

#[test]
fn an_upgrade_another_and_reloads_between() {
    let backend = echo();
    let nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .main(DAEMON)
        .start();
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
    let nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .main(DAEMON)
        .start();
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

/// The new binary's configuration hands nothing over: the tunnels stay as long as they live.
#[test]
fn a_new_binary_without_it() {
    let backend = echo();
    let nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .main(DAEMON)
        .start();
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

#[track_caller]
fn assert_calm(daemon: &Daemon) {
    let log = daemon.log();
    for word in ["[alert]", "[emerg]", "[crit]", "open socket", "refused:"] {
        assert!(!log.contains(word), "{log}");
    }
}
