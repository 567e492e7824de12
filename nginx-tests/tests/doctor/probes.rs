//! Handshakes that are wrong on purpose, and servers that take them for right ones.

use nginx_tests::{Certificate, Listen, Nginx, ScriptedBackend, backend};
use serde_json::Value;

use crate::program::{examine, failure};

/// The names of the probes that the server took for success.
#[track_caller]
fn confused(report: &Value) -> Vec<&str> {
    let probes = report["probes"].as_array().expect("probes");
    let confused = probes.iter().filter(|probe| probe["confused"] == true);
    confused
        .filter_map(|probe| probe["name"].as_str())
        .collect()
}

fn url(nginx: &Nginx, name: &str, scheme: &str) -> String {
    format!("{scheme}://127.0.0.1:{}/", nginx.port_of(name))
}

#[test]
fn the_module_takes_none() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "server {
             listen 127.0.0.1:%PORT%;
             listen 127.0.0.1:%TLSPORT% ssl http2;
             ssl_certificate cert.pem;
             ssl_certificate_key key.pem;
             websocket_handshake strict;
             location / { proxy_pass http://%BACKEND%; websocket on; }
         }",
    )
    .certificate(&Certificate::localhost())
    .set("BACKEND", backend.address())
    .start();
    let plain = examine(&url(&nginx, "PORT", "ws"), &[]);
    assert_eq!(
        (failure(&plain), plain["probes"].as_array().map(Vec::len)),
        ("", Some(2))
    );
    assert_eq!(confused(&plain), [""; 0], "{plain:#}");
    let tls = examine(&url(&nginx, "TLSPORT", "wss"), &["--insecure"]);
    assert_eq!(
        (failure(&tls), tls["probes"].as_array().map(Vec::len)),
        ("", Some(3))
    );
    assert_eq!(confused(&tls), [""; 0], "{tls:#}");
}

#[test]
fn a_server_that_takes_anything() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        conn.echo_frames()
    });
    let report = examine(&format!("ws://{}/", backend.address()), &[]);
    assert_eq!(failure(&report), "", "{report:#}");
    assert_eq!(confused(&report), ["without-upgrade", "http-1.0"]);
}

/// What the manual recommends passes Upgrade on whatever version of HTTP it came in.
#[test]
fn nginx_by_hand_takes_http_1_0() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "location / {
             proxy_pass http://%BACKEND%;
             proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection upgrade;
         }",
    )
    .set("BACKEND", backend.address())
    .start();
    let report = examine(&url(&nginx, "PORT", "ws"), &[]);
    assert_eq!(confused(&report), ["http-1.0"], "{report:#}");
}

#[test]
fn a_tls_server_that_ignores_alpn() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::on(Listen::Tls(certificate), backend::standard);
    let report = examine(&format!("wss://{}/", backend.address()), &["--insecure"]);
    assert!(confused(&report).contains(&"h2-only"), "{report:#}");
}

/// What is wrong on purpose would only stand beside the failure in the logs.
#[test]
fn none_after_a_handshake_that_failed() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let report = examine(&format!("ws://{}/", backend.address()), &[]);
    assert_eq!(failure(&report), "upstream-not-found");
    assert_eq!(report["probes"], serde_json::json!([]));
    assert_eq!(backend.connections(), 1);
}
