//! The live tunnels, one by one, and times.

use std::time::{Duration, Instant};

use nginx_tests::backend::Listen;
use nginx_tests::{
    Certificate, Client, EchoBackend, Frame, Handshake, Nginx, ScriptedBackend, wait_until,
};
use websocket_protocol::tunnel::Count;
use websocket_zone::Kind;

use crate::memory::{counted, tunnels, zone};

fn count(bytes: u64, frames: u64, messages: u64) -> Count {
    Count {
        bytes,
        frames,
        messages,
    }
}

#[test]
fn tunnels_are_listed_as_long_as_they_last() {
    let backend = EchoBackend::on(Listen::Tcp, &["chat"]);
    let certificate = Certificate::localhost();
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server {
            listen 127.0.0.1:%PORT%;
            listen 127.0.0.1:%TLSPORT% ssl;
            server_name example.com;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            location / { proxy_pass http://%BACKEND%; websocket on; websocket_label mine; }
        }",
    )
    .set("BACKEND", backend.address())
    .certificate(&certificate)
    .start();
    let zone = zone(&nginx);
    let mut plain = Client::connect(nginx.port());
    plain.accepted(&Handshake::new("/a/b?c").add("Sec-WebSocket-Protocol", "other, chat"));
    plain.echo("Hello");
    // The worker notes it when it has sent it.
    wait_until("the echo to be counted", || {
        tunnels(zone)
            .iter()
            .any(|tunnel| tunnel.numbers.from_upstream.messages == 1)
    });
    let [tunnel] = tunnels(zone)[..] else {
        panic!("{:?}", tunnels(zone))
    };
    assert_eq!(tunnel.numbers.from_client, count(11, 1, 1));
    assert_eq!(tunnel.numbers.from_upstream, count(7, 1, 1));
    assert_eq!(
        (&*tunnel.who.uri, &*tunnel.subprotocol),
        (&b"/a/b"[..], &b"chat"[..])
    );
    assert_eq!(
        (&*tunnel.who.client, &*tunnel.who.server),
        (&b"127.0.0.1"[..], &b"example.com"[..])
    );
    assert_eq!(&*tunnel.upstream, backend.address().as_bytes());
    assert_eq!(&*zone.label_name(tunnel.numbers.label), b"mine");
    assert_eq!((tunnel.who.is_tls, tunnel.who.http), (false, (1, 1)));
    assert!(tunnel.numbers.moved_at >= tunnel.numbers.begun_at);
    assert!(
        tunnel.numbers.begun > 1_700_000_000_000,
        "{:?}",
        tunnel.numbers
    );

    let mut secure = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    secure.establish("/");
    assert_eq!(zone.totals().active(), 2);
    wait_until("the highest to be known", || zone.peak() == 2);
    let last = tunnels(zone)
        .into_iter()
        .max_by_key(|tunnel| tunnel.numbers.id)
        .expect("two");
    assert!(last.who.is_tls && last.subprotocol.is_empty());
    plain.close_politely();
    secure.close_politely();
    wait_until("both to be over", || {
        tunnels(zone).is_empty() && zone.totals().active() == 0
    });
    assert_eq!(zone.peak(), 2);
}

#[test]
fn bytes_that_wait_for_a_slow_client_are_shown() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        let frame = Frame::binary(vec![0; 1 << 20]).bytes();
        for _ in 0..64 {
            conn.send(&frame)?;
        }
        conn.hang()
    });
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%BACKEND%; websocket on; } }",
    )
    .set("BACKEND", backend.address())
    .start();
    let zone = zone(&nginx);
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    wait_until("bytes to wait", || {
        let waiting = tunnels(zone)
            .first()
            .map_or(0, |tunnel| tunnel.numbers.waiting_for_client);
        waiting > 0 && zone.buffers_lent() == 1
    });
    drop(client);
    wait_until("the buffer to come back", || {
        zone.buffers_lent() == 0 && tunnels(zone).is_empty()
    });
    assert_eq!(zone.totals().closes().count(), 1, "{:?}", counted(zone));
}

#[test]
fn times_are_as_they_are_measured_outside() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        std::thread::sleep(Duration::from_millis(150));
        conn.accept(&head)?;
        conn.echo_frames()
    });
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; websocket on; websocket_ping 50ms timeout=5s; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let zone = zone(&nginx);
    let start = Instant::now();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    let handshake = start.elapsed();
    let ping = client.frame();
    assert_eq!(ping.opcode, 9);
    std::thread::sleep(Duration::from_millis(60));
    client
        .send(Frame::new(10, ping.payload).masked().bytes())
        .expect("the Pong is taken");
    wait_until("the Pong", || {
        zone.totals().histogram(Kind::PingRtt).count() > 0
    });
    let lasted = start.elapsed();
    drop(client);
    wait_until("the end", || zone.totals().active() == 0);
    let whole = start.elapsed();

    let totals = zone.totals();
    let at_most = |kind: Kind, least: u64, most: Duration| {
        let histogram = totals.histogram(kind);
        let sum = histogram.sum_ms;
        // nginx's clock ticks once in a turn of its loop.
        assert!(
            sum + 20 >= least && sum <= most.as_millis() as u64 + 20,
            "{kind:?}: {sum} ms, {least} to {most:?}"
        );
        let bucket = kind.bounds_ms().partition_point(|bound| *bound < sum);
        assert_eq!(
            (histogram.count(), histogram.buckets[bucket]),
            (1, 1),
            "{kind:?}"
        );
    };
    at_most(Kind::Handshake, 150, handshake);
    at_most(Kind::PingRtt, 60, lasted);
    at_most(
        Kind::Duration,
        (lasted - handshake).as_millis() as u64,
        whole,
    );
}
