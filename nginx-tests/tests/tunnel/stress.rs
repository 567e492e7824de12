//! Much at once, both ways, through every kind of socket.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use nginx_tests::environment::is_over_http2;
use nginx_tests::{Certificate, Nginx};

use crate::case::{self, Ended};
use crate::duplex::{Duplex, Load};

const MB: usize = 1 << 20;

/// Sends this much both ways at once, and gives nginx's account of it.
fn carry(size: usize, client_tls: bool, upstream_tls: bool, lines: &str, events: &str) -> Ended {
    let certificate = Certificate::localhost();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if upstream_tls { "https" } else { "http" };
    let http = case::location(&format!("proxy_pass {scheme}://%BACKEND%; {lines}")).replace(
        "listen 127.0.0.1:%PORT%;",
        "listen 127.0.0.1:%PORT%;
         listen 127.0.0.1:%TLSPORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
    );
    let nginx = Nginx::http(http)
        .certificate(&certificate)
        .set("BACKEND", listener.local_addr().unwrap())
        .events(events)
        .start();
    let (up, down) = (
        Arc::new(Load::new(size, true, 0x5EED)),
        Arc::new(Load::new(size, false, 0xF00D)),
    );
    let backend = {
        let (up, down) = (Arc::clone(&up), Arc::clone(&down));
        let certificate = upstream_tls.then(|| certificate.clone());
        thread::spawn(move || {
            let mut backend = Duplex::answer(&listener, certificate.as_ref());
            backend.exchange(&down, &up, 11);
            backend
        })
    };
    let mut client = if client_tls {
        Duplex::open(nginx.port_of("TLSPORT"), Some(&certificate))
    } else {
        Duplex::open(nginx.port(), None)
    };
    client.exchange(&up, &down, 7);
    drop((client, backend.join().unwrap()));

    let ended = case::ended(&nginx);
    let count = |name: &str| ended.number(&format!("websocket_{name}"));
    assert_eq!(count("bytes_in"), up.bytes.len() as u64);
    assert_eq!(count("bytes_out"), down.bytes.len() as u64);
    assert_eq!(count("frames_in"), up.frames);
    assert_eq!(count("frames_out"), down.frames);
    assert_eq!(count("messages_in"), up.frames - 1);
    assert_eq!(count("messages_out"), down.frames - 1);
    let head = ended.number("upstream_bytes_received") - count("bytes_out");
    assert!((1..1000).contains(&head), "{ended:?}");
    let (_, reason, code) = ended.why();
    assert_eq!((reason, code), ("normal", "1000"));
    ended
}

#[test]
fn plain_on_both_sides() {
    let ended = carry(100 * MB, false, false, "", "");
    let head = ended.number("bytes_sent") - ended.number("websocket_bytes_out");
    // HTTP/2 counts the heads of its frames, one for each eight kilobytes at least.
    let most = if is_over_http2() {
        100 * MB as u64 / 500
    } else {
        1000
    };
    assert!((1..most).contains(&head), "{ended:?}");
    let head = ended.number("upstream_bytes_sent") - ended.number("websocket_bytes_in");
    assert!((1..1000).contains(&head), "{ended:?}");
}

#[test]
fn tls_to_the_client() {
    carry(100 * MB, true, false, "", "");
}

#[test]
fn tls_to_the_upstream() {
    carry(100 * MB, false, true, "", "");
}

#[test]
fn tls_on_both_sides() {
    carry(100 * MB, true, true, "", "");
}

#[test]
fn small_buffers() {
    carry(
        10 * MB,
        true,
        true,
        "websocket_buffer_size 1k; websocket_buffers 0;",
        "",
    );
}

#[test]
fn large_buffers() {
    let lines = "websocket_buffer_size 2k; websocket_large_buffers 1 70k;";
    for (client_tls, upstream_tls) in [(false, false), (true, false), (false, true), (true, true)] {
        carry(30 * MB, client_tls, upstream_tls, lines, "");
    }
}

#[test]
fn every_other_feature_on() {
    let lines = "websocket_ping 20s timeout=30s to=both; websocket_max_message_size 2m;
        websocket_rate 1000m; websocket_max_lifetime 1h; websocket_drain 10s; websocket_buffer_size 9k;";
    let size = 30 * MB;
    // Pings are put in only where a side is silent, and here none is for long.
    carry(size, false, false, lines, "");
    carry(size, true, true, lines, "");
}

#[test]
fn level_triggered_event_methods() {
    for method in ["poll", "select"] {
        let probe = Nginx::http("").events(&format!("use {method};")).check();
        if probe.output.contains("invalid event type") {
            nginx_tests::skipped(format!("this nginx has no {method}"));
            continue;
        }
        let events = format!("use {method};");
        carry(20 * MB, false, false, "websocket_drain 10s;", &events);
        carry(20 * MB, true, true, "websocket_drain 10s;", &events);
    }
}
