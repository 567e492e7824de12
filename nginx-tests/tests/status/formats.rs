//! The format that is answered, and the methods that are.

use nginx_tests::client::get;
use nginx_tests::environment::nginx_version;
use nginx_tests::{Certificate, EchoBackend, Nginx, http2, wire::Wire};

use crate::case::{SERVER, ask, error, server};

const PAGE: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[test]
fn the_directive_then_the_parameter_then_accept() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    for (target, accept, expected) in [
        ("/status/", "*/*", PAGE),
        (
            "/status/",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            PAGE,
        ),
        ("/status/", "application/json", JSON),
        ("/status/", "text/plain", METRICS),
        (
            "/status/",
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            OPEN_METRICS,
        ),
        ("/status/?format=json", "text/html", JSON),
        ("/status/?format=prometheus", "text/html", METRICS),
        ("/status/?format=html", "application/json", PAGE),
        ("/json", "text/html", JSON),
        ("/json?format=html", "text/html", JSON),
        ("/metrics?format=json", "application/json", METRICS),
        ("/metrics", "application/openmetrics-text", OPEN_METRICS),
        ("/html", "application/json", PAGE),
        ("/html?format=json", "text/html", JSON),
    ] {
        let answer = ask(&nginx, "GET", target, &[("Accept", accept)]);
        assert_eq!(answer.status(), 200, "{target} {accept}");
        assert_eq!(
            answer.head.header("Content-Type"),
            Some(expected),
            "{target} {accept}"
        );
        assert_eq!(answer.head.header("Cache-Control"), Some("no-store"));
        assert_eq!(
            answer.head.header("X-Content-Type-Options"),
            Some("nosniff")
        );
        assert!(!answer.body.is_empty());
        let policy = answer.head.header("Content-Security-Policy");
        assert_eq!(policy.is_some(), expected == PAGE);
    }
    let answer = get(nginx.port(), "/status/?format=xml");
    assert_eq!(answer.status(), 400);
    assert_eq!(
        error(&answer),
        "format \"xml\" must be html, json or prometheus"
    );
    let answer = get(nginx.port(), "/json?sort=size");
    assert_eq!(answer.status(), 400);
    assert_eq!(
        error(&answer),
        "sort \"size\" must be id, bytes, messages, age, idle, rtt or waiting"
    );
}

#[test]
fn methods() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    for target in ["/status/", "/json", "/metrics"] {
        let whole = ask(&nginx, "GET", target, &[]);
        let head = ask(&nginx, "HEAD", target, &[]).head;
        assert_eq!(head.status(), 200);
        assert_eq!(
            head.header("Content-Type"),
            whole.head.header("Content-Type")
        );
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = ask(&nginx, method, target, &[]);
            assert_eq!(answer.status(), 405, "{method} {target}");
            assert_eq!(answer.head.header("Allow"), Some("GET, HEAD"));
        }
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let answer = ask(&nginx, method, "/status/close?older=0", &[]);
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.head.header("Allow"), Some("GET, HEAD, POST"));
    }
}

/// The hashes of the policy are those of the page, or a browser would run nothing of it.
#[test]
fn the_page_stands_for_itself() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let answer = get(nginx.port(), "/status/");
    let policy = answer.head.header("Content-Security-Policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = answer.text();
    for elsewhere in ["http://", "https://", " src=", "@import", "url("] {
        let found = page.match_indices(elsewhere).any(|(at, _)| {
            // The name space of drawings is asked of nobody.
            !page[at..].starts_with("http://www.w3.org/2000/svg")
        });
        assert!(!found, "the page names {elsewhere}");
    }
    assert!(page.len() <= 40 * 1024, "{}", page.len());
}

#[test]
fn over_http2_over_tls_and_compressed() {
    let backend = EchoBackend::start();
    let (listen, http2) = if nginx_version() >= (1, 25, 1) {
        ("", "http2 on;")
    } else {
        ("http2", "")
    };
    let certificate = Certificate::localhost();
    let nginx = Nginx::http(format!(
        "{SERVER}
        server {{
            listen 127.0.0.1:%H2PORT% {listen};
            {http2}
            location = /json {{ websocket_status json; }}
        }}
        server {{
            listen 127.0.0.1:%TLSPORT% ssl;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            gzip on;
            gzip_types application/json text/plain;
            location = /json {{ websocket_status json; }}
        }}"
    ))
    .set("BACKEND", backend.address())
    .certificate(&certificate)
    .start();
    let mut wire = Wire::connect(nginx.port_of("H2PORT")).expect("nginx accepts");
    let answer = http2::get(&mut wire, "/json", &[]).expect("an answer");
    assert_eq!(answer.status, 200);
    let value: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(value["version"], 1);
    let mut wire = Wire::connect_tls(nginx.port_of("TLSPORT"), &certificate).expect("TLS");
    wire.send(
        "GET /json HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
    )
    .expect("nginx reads");
    let answer = wire.read_message().expect("an answer");
    assert_eq!(answer.head.header("Content-Encoding"), Some("gzip"));
    assert!(answer.body.starts_with(b"\x1f\x8b"));
}

/// Subrequests of one page share its memory and its connection.
#[test]
fn as_parts_of_a_page() {
    let backend = EchoBackend::start();
    let page = "[<!--# include virtual=\"/json\" -->,<!--# include virtual=\"/small\" -->,1]";
    let nginx = Nginx::http(SERVER.replace(
        "location = /json",
        "location = /page { ssi on; ssi_types *; alias %PREFIX%/page; }
        location = /small { websocket_status json; limit_rate 2k; }
        location = /json",
    ))
    .file("page", page)
    .set("BACKEND", backend.address())
    .start();
    let answer = get(nginx.port(), "/page");
    let parts: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(parts[0]["version"], 1);
    assert_eq!(parts[1]["version"], 1);
    assert_eq!(parts[2], 1);
    // nginx holds it back, and all of it comes.
    let answer = get(nginx.port(), "/small");
    let value: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(value["version"], 1);
}
