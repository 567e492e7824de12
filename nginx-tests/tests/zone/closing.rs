//! Tunnels that are closed because somebody asked for it: the workers' half of it. The tests post what a
//! worker would.

use std::time::{Duration, Instant};

use nginx_tests::{Client, EchoBackend, Frame, Nginx, wait_until};
use websocket_protocol::tunnel::Side;
use websocket_zone::{Action, Cidr, Text, Which, Zone};

use crate::memory::{tunnels, zone};

fn action(zone: Zone<'_>, which: Which, over_ms: u64) -> Action {
    let times = tunnels(zone)
        .into_iter()
        .map(|tunnel| tunnel.numbers.begun_at);
    Action {
        which,
        over_ms,
        code: 1012,
        reason: Text::new(b"deploying"),
        posted_at: times.max().unwrap_or_default(),
    }
}

fn gone(client: &mut Client) {
    assert_eq!(client.frame(), Frame::close(1012, "deploying"));
    client
        .send(Frame::close(1012, "").masked().bytes())
        .expect("the answer is taken");
    assert_eq!(client.read_until_close(), b"");
}

#[test]
fn one_backend_of_two_is_emptied_by_four_workers_over_a_reload() {
    let (first, second) = (EchoBackend::start(), EchoBackend::start());
    let nginx = Nginx::http(
        "websocket_zone one:4m;
        server {
            listen 127.0.0.1:%PORT%;
            location /first { proxy_pass http://%FIRST%; websocket on; }
            location /second { proxy_pass http://%SECOND%; websocket on; }
        }",
    )
    .set("FIRST", first.address())
    .set("SECOND", second.address())
    .workers(4)
    .start();
    let zone = zone(&nginx);
    let establish = |target: &str| {
        let mut client = Client::connect(nginx.port());
        client.establish(target);
        client
    };
    let mut leaving: Vec<Client> = (0..100).map(|_| establish("/first")).collect();
    let mut staying: Vec<Client> = (0..100).map(|_| establish("/second")).collect();
    nginx.reload();
    leaving.extend((0..100).map(|_| establish("/first")));
    staying.extend((0..100).map(|_| establish("/second")));

    let which = Which {
        upstream: Some(Text::new(first.address().as_bytes())),
        ..Which::default()
    };
    let action = action(zone, which, 1000);
    let start = Instant::now();
    let id = zone.post(&action).expect("a place");
    wait_until("all workers to know", || zone.progress(id).waiting == 0);
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(zone.progress(id).matched, 200);
    // Those that begin later are not meant.
    let mut later = establish("/first");
    for client in &mut leaving {
        gone(client);
    }
    let lasted = start.elapsed();
    assert!(
        lasted > Duration::from_millis(700) && lasted < Duration::from_secs(3),
        "{lasted:?}"
    );
    wait_until("all to be closed", || zone.progress(id).open == 0);
    assert_eq!(zone.progress(id).matched, 200);
    for client in staying.iter_mut().chain([&mut later]) {
        client.echo("still here");
    }
    let control = |close: &websocket_zone::Closes| *close.reason == *b"control";
    let closes: Vec<_> = zone.totals().closes().filter(control).collect();
    assert_eq!(
        (closes.len(), closes[0].count, closes[0].by),
        (1, 200, None::<Side>)
    );
    assert!(nginx.log_lines("by nginx: control 1012").len() == 200);
}

#[test]
fn any_slice_can_be_closed() {
    let backend = EchoBackend::on(nginx_tests::backend::Listen::Tcp, &["chat"]);
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; websocket on; }
            location /labelled { proxy_pass http://%BACKEND%; websocket on; websocket_label mine; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let zone = zone(&nginx);
    let establish = |target: &str, protocol: &str| {
        let mut client = Client::connect(nginx.port());
        let handshake = nginx_tests::Handshake::new(target);
        client.accepted(&handshake.add("Sec-WebSocket-Protocol", protocol));
        client
    };
    let mut stays = establish("/", "other");
    let close = |which: Which, client: &mut Client, stays: &mut Client| {
        let id = zone.post(&action(zone, which, 0)).expect("a place");
        gone(client);
        wait_until("it to be closed", || {
            let progress = zone.progress(id);
            progress.waiting == 0 && progress.open == 0
        });
        assert_eq!(zone.progress(id).matched, 1);
        stays.echo("Hello");
    };
    let mut client = establish("/labelled", "other");
    let label = zone.find_label(b"mine");
    assert!(label.is_some());
    let which = Which {
        label,
        ..Which::default()
    };
    close(which, &mut client, &mut stays);

    let mut client = establish("/", "chat");
    let subprotocol = Some(Text::new(b"chat"));
    let which = Which {
        subprotocol,
        ..Which::default()
    };
    close(which, &mut client, &mut stays);

    let mut client = establish("/", "other");
    let id = tunnels(zone).iter().map(|tunnel| tunnel.numbers.id).max();
    let which = Which {
        id,
        client: Cidr::parse("127.0.0.0/8"),
        ..Which::default()
    };
    close(which, &mut client, &mut stays);

    // Nobody is meant by all of these.
    for which in [
        Which {
            client: Cidr::parse("10.0.0.0/8"),
            ..Which::default()
        },
        Which {
            upstream: Some(Text::new(b"10.0.0.1:80")),
            ..Which::default()
        },
        Which {
            idle_ms: Some(3_600_000),
            ..Which::default()
        },
        Which {
            older_ms: Some(3_600_000),
            ..Which::default()
        },
    ] {
        let id = zone.post(&action(zone, which, 0)).expect("a place");
        wait_until("it to be looked at", || zone.progress(id).waiting == 0);
        assert_eq!(zone.progress(id).matched, 0, "{which:?}");
    }
    stays.echo("Hello");
    stays.close_politely();
}
