//! The zone through binary upgrades.

use std::fs;

use nginx_tests::environment::environment;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, EchoBackend, Nginx, wait_for, wait_until};
use rustix::process::Signal;

use crate::lives::{adds_up, established, http, kill};
use crate::memory::{tunnels, zone_of};

#[test]
fn counters_and_tunnels_survive_a_binary_upgrade() {
    let backend = EchoBackend::start();
    // nginx takes USR2 only as a daemon: a second one, with the directory of the first.
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .main("# %DAEMONPORT%\n")
        .start();
    let port = nginx.port_of("DAEMONPORT");
    let config = nginx
        .config()
        .replace(&nginx.port().to_string(), &port.to_string())
        .replace("daemon off", "daemon on")
        .replace("nginx.pid", "daemon.pid")
        .replace("error.log", "daemon.log");
    fs::write(nginx.path("daemon.conf"), config).unwrap();
    let inside = |name: &str| environment().inside(&nginx.path(name));
    let mut command = environment().command();
    command
        .arg("-p")
        .arg(inside(""))
        .arg("-c")
        .arg(inside("daemon.conf"));
    command.args(environment().early_log("logs/daemon.log"));
    let started = command.output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let pid = |name: &str| {
        fs::read_to_string(nginx.path(name))
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let old = Daemon(wait_for("the old master", || pid("logs/daemon.pid")));
    let zone = zone_of(old.0);
    wait_until("the daemon to listen", || Wire::connect(port).is_ok());

    let mut clients: Vec<Client> = (0..5).map(|_| established(port)).collect();
    kill(old.0, Signal::USR2);
    let new = Daemon(wait_for("the new master", || {
        pid("logs/daemon.pid.oldbin")?;
        pid("logs/daemon.pid").filter(|&new| new != old.0)
    }));
    wait_until("the new worker", || zone.workers() == 2);
    clients.extend((0..5).map(|_| established(port)));
    kill(old.0, Signal::QUIT);
    clients.extend((0..5).map(|_| established(port)));
    for client in &mut clients {
        client.echo("Hello");
    }
    let totals = zone.totals();
    assert_eq!(
        (totals.established(), totals.active(), totals.lost()),
        (15, 15, 0)
    );
    assert_eq!(
        (totals.from_client().messages, tunnels(zone).len()),
        (30, 15)
    );
    for client in clients {
        client.close_politely();
    }
    wait_until("the old worker to be gone", || {
        zone.workers() == 1 && zone.totals().active() == 0
    });
    assert_eq!(zone_of(new.0).totals().established(), 15);
    assert!(adds_up(zone));

    // nginx takes no USR2 while the master before is there.
    old.wait_for_end();
    // Once more, by the master that has the memory from another; and back again.
    kill(new.0, Signal::USR2);
    let newest = Daemon(wait_for("the newest master", || {
        pid("logs/daemon.pid.oldbin")?;
        pid("logs/daemon.pid").filter(|&newest| newest != new.0)
    }));
    wait_until("the newest worker", || zone.workers() == 2);
    kill(newest.0, Signal::QUIT);
    wait_until("the newest to be gone", || zone.workers() == 1);
    established(port).close_politely();
    wait_until("it to be counted", || {
        zone.totals().established() == 16 && zone.totals().active() == 0
    });
    let log = fs::read_to_string(nginx.path("logs/daemon.log")).unwrap();
    assert!(
        !log.contains("websocket zone") && !log.contains("[alert]"),
        "{log}"
    );
}

/// A master that is nobody's child, ended with the test.
struct Daemon(u32);

impl Daemon {
    fn wait_for_end(&self) {
        wait_until("the daemon to end", || {
            !fs::exists(format!("/proc/{}", self.0)).unwrap_or(false)
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(self.0, Signal::TERM);
        self.wait_for_end();
    }
}
