//! The zone through binary upgrades.

use nginx_tests::daemon::{DAEMON, Daemon};
use nginx_tests::{Client, EchoBackend, Nginx, wait_until};
use rustix::process::Signal;

use crate::lives::{adds_up, established, http};
use crate::memory::{tunnels, zone_of};

#[test]
fn counters_and_tunnels_survive_a_binary_upgrade() {
    let backend = EchoBackend::start();
    // nginx takes USR2 only as a daemon: a second one, with the directory of the first.
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .main(DAEMON)
        .start();
    let old = Daemon::start(&nginx);
    let port = old.port();
    let zone = zone_of(old.pid());

    let mut clients: Vec<Client> = (0..5).map(|_| established(port)).collect();
    let new = old.upgrade();
    wait_until("the new worker", || zone.workers() == 2);
    clients.extend((0..5).map(|_| established(port)));
    old.signal(Signal::QUIT);
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
    assert_eq!(zone_of(new.pid()).totals().established(), 15);
    assert!(adds_up(zone));

    // nginx takes no USR2 while the master before is there.
    wait_until("the old master to end", || old.is_gone());
    // Once more, by the master that has the memory from another; and back again.
    let newest = new.upgrade();
    wait_until("the newest worker", || zone.workers() == 2);
    newest.signal(Signal::QUIT);
    wait_until("the newest to be gone", || zone.workers() == 1);
    established(port).close_politely();
    wait_until("it to be counted", || {
        zone.totals().established() == 16 && zone.totals().active() == 0
    });
    let log = new.log();
    assert!(
        !log.contains("websocket zone") && !log.contains("[alert]"),
        "{log}"
    );
}
