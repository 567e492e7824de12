//! The zone where tunnels are handed over: each is counted once, and known by the same id.

use nginx_tests::{Client, EchoBackend, Nginx, wait_until};

use crate::lives::{adds_up, established, http};
use crate::memory::{tunnels, zone};

#[test]
fn counters_and_tunnels_are_what_they_would_be_without() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_handover on; websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .workers(2)
        .start();
    let zone = zone(&nginx);
    let mut clients: Vec<Client> = (0..20).map(|_| established(nginx.port())).collect();
    let known = |zone| {
        let mut known: Vec<_> = tunnels(zone)
            .iter()
            .map(|tunnel| (tunnel.numbers.id, tunnel.numbers.begun, tunnel.who.client))
            .collect();
        known.sort_by_key(|(id, ..)| *id);
        known
    };
    let before = known(zone);
    for round in 1..=5 {
        nginx.reload();
        wait_until("the old workers to be gone", || {
            nginx.exiting_worker_pids().is_empty() && zone.workers() == 2
        });
        for client in &mut clients {
            client.echo("Hello");
        }
        wait_until("all to be there", || known(zone).len() == 20);
        let now = known(zone);
        for (was, is) in before.iter().zip(&now) {
            assert_eq!((was.0, &*was.2), (is.0, &*is.2));
            // The kernel's clock for it advances by some milliseconds at a time.
            assert!(was.1.abs_diff(is.1) <= 10, "{was:?} {is:?}");
        }
        wait_until("the last message to be counted", || {
            zone.totals().from_client().messages == 20 * (round + 1)
        });
        let totals = zone.totals();
        assert_eq!(
            (
                totals.attempts(),
                totals.established(),
                totals.active(),
                totals.lost()
            ),
            (20, 20, 20, 0)
        );
        let listed = tunnels(zone);
        assert!(
            listed
                .iter()
                .all(|tunnel| { tunnel.numbers.from_client.messages == round + 1 })
        );
        assert!(adds_up(zone));
        for tunnel in listed {
            assert_eq!(&*tunnel.upstream, backend.address().as_bytes());
        }
    }
    let upstreams = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
    let active: u64 = upstreams.map(|upstream| upstream.counters.active()).sum();
    assert_eq!(active, 20);
    for client in clients {
        client.close_politely();
    }
    wait_until("all to be over", || zone.totals().active() == 0);
    assert!(adds_up(zone));
    assert_eq!(zone.peak(), 20);
    assert_eq!(tunnels(zone).len(), 0);
}

/// Those that are refused have ended, with a reason of their own.
#[test]
fn refused_tunnels_have_ended() {
    let backend = EchoBackend::start();
    let with = |line: &str| {
        format!(
            "websocket_handover on; websocket_zone one:1m;
            server {{ listen 127.0.0.1:%PORT%; location / {{ proxy_pass http://%BACKEND%; websocket on; {line} }} }}
            server {{ listen 127.0.0.1:%PORT2%; location / {{ proxy_pass http://%BACKEND%; websocket on; }} }}"
        )
    };
    let mut nginx = Nginx::http(with(""))
        .set("BACKEND", backend.address())
        .start();
    let zone = zone(&nginx);
    let clients: Vec<Client> = (0..5).map(|_| established(nginx.port())).collect();
    let other = established(nginx.port_of("PORT2"));
    let without =
        with("deny all;").replace("listen 127.0.0.1:%PORT2%;", "listen 127.0.0.1:%PORT3%;");
    nginx.reload_with(&without);
    wait_until("all to be over", || {
        zone.totals().active() == 0 && adds_up(zone)
    });
    let closes: Vec<_> = zone
        .totals()
        .closes()
        .map(|close| (close.reason.to_vec(), close.count))
        .collect();
    assert_eq!(closes, [(b"handover-refused".to_vec(), 6)]);
    assert_eq!(
        zone.totals().failed_total() + zone.totals().rejected_total(),
        0
    );
    drop((clients, other));
}
