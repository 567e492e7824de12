//! What is written, and what is refused.

use nginx_tests::client;
use nginx_tests::nginx::assert_refused;
use nginx_tests::{Client, EchoBackend, Nginx, wait_until};

use crate::memory::{find, labels, zone};

#[test]
fn without_a_zone_there_is_no_memory() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    Client::connect(nginx.port()).establish("/");
    assert!(find(nginx.pid()).is_none());
    assert!(find(nginx.worker_pids()[0]).is_none());
}

#[test]
fn labels_are_those_of_the_configuration() {
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        websocket on;
        server {
            listen 127.0.0.1:%PORT%;
            server_name example.com www.example.com;
            location /a/ { proxy_pass http://127.0.0.1:1; }
            location ~ ^/b { proxy_pass http://127.0.0.1:1; }
            location /c { websocket_label \"the third\"; proxy_pass http://127.0.0.1:1;
                location /c/d { proxy_pass http://127.0.0.1:1; }
                location /c/e { websocket_label fifth; proxy_pass http://127.0.0.1:1; }
            }
            location /off { websocket off; }
            location @named { proxy_pass http://127.0.0.1:1; }
        }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://127.0.0.1:1; }
        }",
    )
    .workers(4)
    .start();
    let zone = zone(&nginx);
    wait_until("all workers to have begun", || zone.workers() == 4);
    let expected = [
        "-",
        "/",
        "example.com",
        "example.com /a/",
        "example.com @named",
        "example.com ^/b",
        "fifth",
        "the third",
    ];
    wait_until("the labels", || labels(zone) == expected);
    assert_eq!((&*zone.name(), zone.peak()), (&b"one"[..], 0));
}

#[test]
fn history_is_as_long_as_it_is_said_to_be() {
    for (line, length) in [
        ("", 256),
        ("websocket_history 3;", 3),
        ("websocket_history 0;", 0),
    ] {
        let nginx = Nginx::http(format!(
            "websocket_zone one:1m; {line}
            server {{
                listen 127.0.0.1:%PORT%;
                location / {{ proxy_pass http://127.0.0.1:1; websocket on; return 403; }}
            }}"
        ))
        .start();
        let zone = zone(&nginx);
        for _ in 0..5 {
            Client::connect(nginx.port()).ask(&nginx_tests::Handshake::new("/"));
        }
        wait_until("the failures", || zone.totals().rejected_total() == 5);
        assert_eq!(zone.failures().count(), length.min(5), "{line}");
        assert_eq!(client::get(nginx.port(), "/").status(), 403);
    }
}

#[test]
fn what_is_refused() {
    let zone = "it must be a name and a size, such as \"websocket:1m\"";
    for value in [
        "one",
        "one:",
        ":1m",
        "one:1x",
        "one:0",
        "one:-1",
        "zone=one:1m",
    ] {
        refused(&format!("websocket_zone {value};"), zone);
    }
    let history = "it must be a number from 0 to 65536";
    for value in ["x", "-1", "65537"] {
        refused(&format!("websocket_history {value};"), history);
    }
    for (line, words) in [
        ("websocket_zone a:1m; websocket_zone b:1m;", "is duplicate"),
        ("websocket_history 1; websocket_history 2;", "is duplicate"),
        (
            "websocket_zone small:64k;",
            "websocket zone \"small\" is too small: with websocket_history 256 it has to be at least",
        ),
    ] {
        refused(line, words);
    }
    assert_refused(
        "websocket_label $host;",
        "it must be a text without variables",
    );
    assert_refused(
        "websocket_label \"\";",
        "it must be a text without variables",
    );
    assert_refused("websocket_label a; websocket_label b;", "is duplicate");
    assert_refused("websocket_zone a:1m;", "is not allowed here");
}

#[test]
fn the_least_size_that_is_named_is_enough() {
    let check = |size: &str| Nginx::http(format!("websocket_zone a:{size};")).check();
    let refusal = check("1k").output;
    let (_, least) = refusal.split_once("at least ").expect("a refusal");
    let (least, _) = least.split_once("k ").expect("kilobytes");
    assert!(check(&format!("{least}k")).ok);
    let less = least.parse::<u32>().expect("a number") - 4;
    assert!(!check(&format!("{less}k")).ok);
}

/// There is none in the configuration that could be told of.
#[test]
fn a_history_that_is_too_long_for_the_zone_that_is_there_by_itself() {
    let check = Nginx::http(
        "server { listen 127.0.0.1:%PORT%; location / { websocket_status; } }
        websocket_history 60000;",
    )
    .check();
    let emerg = check.at_level("emerg");
    assert_eq!(emerg.len(), 1, "{check:?}");
    assert!(
        emerg[0]
            .contains("websocket zone \"websocket\" is too small: with websocket_history 60000"),
        "{check:?}"
    );
    let place = format!("nginx.conf:{}", check.line_of("websocket_history"));
    assert!(emerg[0].ends_with(&place), "{check:?}");
}

/// At the http level.
#[track_caller]
fn refused(line: &str, words: &str) {
    let check = Nginx::http(line).check();
    let emerg = check.at_level("emerg");
    assert_eq!(emerg.len(), 1, "{line}: {check:?}");
    assert!(emerg[0].contains(words), "{line}: {check:?}");
    let place = format!("nginx.conf:{}", check.line_of(line));
    assert!(emerg[0].ends_with(&place), "{check:?}");
}
