//! `--backend`: what nginx did to a handshake that the backend would have taken.

use std::io;

use nginx_tests::backend::Conn;
use nginx_tests::{Nginx, ScriptedBackend};
use serde_json::Value;

use crate::program::{examine, failure, run};

/// Answers a handshake that `accepts`, and 403 to anything else.
fn strict(accepts: fn(&nginx_tests::http::Head) -> bool) -> ScriptedBackend {
    ScriptedBackend::start(move |conn: &mut Conn| -> io::Result<()> {
        let head = conn.read_request()?.head;
        if head.has_token("Upgrade", "websocket") && accepts(&head) {
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
}

#[track_caller]
fn compare(backend: &ScriptedBackend, location: &str, more: &[&str]) -> Value {
    let nginx = Nginx::server(format!(
        "location / {{ proxy_pass http://%BACKEND%; {location} }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let direct = format!("ws://{}/", backend.address());
    let options = ["--backend", &direct, "--no-probes"];
    let options: Vec<&str> = options.iter().chain(more).copied().collect();
    examine(&format!("ws://127.0.0.1:{}/", nginx.port()), &options)
}

#[test]
fn both_work() {
    let report = compare(&strict(|_| true), "websocket on;", &[]);
    assert_eq!(report["comparison"]["verdict"], "both-work");
    assert_eq!(report["works"], true);
}

#[test]
fn nginx_does_not_pass_upgrade_on() {
    let report = compare(&strict(|_| true), "", &[]);
    assert_eq!(report["comparison"]["verdict"], "nginx-fails");
    assert_eq!(report["comparison"]["header"], "Upgrade");
    assert_eq!(failure(&report), "upgrade-missing");
    let change = report["front"]["failure"]["change"]
        .as_str()
        .unwrap_or_default();
    assert!(change.contains("websocket on"), "{report:#}");
    let differences = report["comparison"]["differences"].to_string();
    assert!(
        differences.contains("status: 403 through nginx, 101 directly"),
        "{differences}"
    );
    assert!(
        differences.contains("Upgrade: none through nginx, \\\"websocket\\\" directly"),
        "{differences}"
    );
}

#[test]
fn nginx_sends_another_host() {
    let same = strict(|head| {
        let origin = head.header("Origin").unwrap_or_default();
        origin.strip_prefix("http://") == head.header("Host")
    });
    let report = compare(&same, "websocket on;", &[]);
    assert_eq!(report["comparison"]["header"], "Host", "{report:#}");
    assert_eq!(failure(&report), "upstream-forbidden");
    assert_eq!(
        report["front"]["failure"]["change"],
        "proxy_set_header Host $http_host"
    );
    let report = compare(
        &same,
        "websocket on; proxy_set_header Host $http_host;",
        &[],
    );
    assert_eq!(report["comparison"]["verdict"], "both-work", "{report:#}");
}

/// What `$host` is, and what many configurations send.
#[test]
fn nginx_sends_host_without_its_port() {
    let same = strict(|head| {
        let origin = head.header("Origin").unwrap_or_default();
        origin.strip_prefix("http://") == head.header("Host")
    });
    let report = compare(&same, "websocket on; proxy_set_header Host $host;", &[]);
    assert_eq!(report["comparison"]["header"], "Host", "{report:#}");
    assert_eq!(
        report["front"]["failure"]["change"],
        "proxy_set_header Host $http_host"
    );
    // A server that takes any name of its own, but only with the port.
    let port = strict(|head| {
        let host = head.header("Host").unwrap_or_default();
        host.contains(':')
    });
    let report = compare(&port, "websocket on; proxy_set_header Host $host;", &[]);
    let text = report["comparison"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("when Host has no port"), "{report:#}");
}

#[test]
fn nginx_removes_a_cookie() {
    let report = compare(
        &strict(|head| head.header("Cookie") == Some("a=b")),
        "websocket on; proxy_set_header Cookie '';",
        &["--header", "Cookie: a=b"],
    );
    assert_eq!(report["comparison"]["header"], "Cookie", "{report:#}");
}

#[test]
fn nginx_removes_the_subprotocol() {
    let report = compare(
        &strict(|head| head.header("Sec-WebSocket-Protocol").is_some()),
        "websocket on; proxy_set_header Sec-WebSocket-Protocol '';",
        &["--subprotocol", "chat"],
    );
    assert_eq!(
        report["comparison"]["header"], "Sec-WebSocket-Protocol",
        "{report:#}"
    );
}

#[test]
fn nginx_hides_what_the_answer_needs() {
    let location = "websocket on; proxy_hide_header Sec-WebSocket-Accept;";
    let report = compare(&strict(|_| true), location, &[]);
    assert_eq!(report["comparison"]["verdict"], "nginx-fails", "{report:#}");
    assert_eq!(report["comparison"]["header"], "Sec-WebSocket-Accept");
    assert_eq!(failure(&report), "accept-missing");
    let failed = report["front"]["failure"].to_string();
    assert!(
        failed.contains("proxy_hide_header Sec-WebSocket-Accept"),
        "{failed}"
    );
    assert!(!failed.contains("make the upstream"), "{failed}");
    let differences = report["comparison"]["differences"].to_string();
    assert!(
        differences.contains("Sec-WebSocket-Accept: none through nginx"),
        "{differences}"
    );
}

#[test]
fn nginx_answers_by_itself() {
    let report = compare(&strict(|_| true), "deny all;", &[]);
    assert_eq!(report["comparison"]["verdict"], "nginx-fails");
    assert_eq!(report["comparison"]["header"], Value::Null);
    assert_eq!(failure(&report), "local-forbidden");
}

#[test]
fn nginx_goes_elsewhere() {
    let backend = strict(|_| true);
    let nginx =
        Nginx::server("location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; websocket on; }");
    let nginx = nginx.start();
    let direct = format!("ws://{}/", backend.address());
    let url = format!("ws://127.0.0.1:{}/", nginx.port());
    let report = examine(&url, &["--no-probes", "--backend", &direct]);
    assert_eq!(report["comparison"]["verdict"], "nginx-fails");
    let change = report["front"]["failure"]["change"]
        .as_str()
        .unwrap_or_default();
    assert!(
        change.contains("compare its address with the one in proxy_pass"),
        "{report:#}"
    );
}

#[test]
fn works_only_through_nginx() {
    let backend = strict(|head| head.header("X-Secret").is_some());
    let report = compare(
        &backend,
        "websocket on; proxy_set_header X-Secret yes;",
        &[],
    );
    assert_eq!(report["comparison"]["verdict"], "only-through-nginx");
    assert_eq!(report["works"], true);
}

#[test]
fn fails_both_ways_for_different_reasons() {
    let report = compare(&strict(|_| false), "websocket on; return 404;", &[]);
    assert_eq!(report["comparison"]["verdict"], "both-fail");
    assert_eq!(failure(&report), "local-not-found");
    assert_eq!(report["backend"]["failure"]["name"], "upstream-forbidden");
}

#[test]
fn people_read_it_too() {
    let backend = strict(|_| true);
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; }")
        .set("BACKEND", backend.address())
        .start();
    let outcome = run([
        &format!("ws://127.0.0.1:{}/", nginx.port()),
        &format!("--backend=ws://{}/", backend.address()),
    ]);
    assert_eq!(outcome.status, Some(1));
    assert!(
        outcome
            .out
            .contains("works directly, fails through nginx: "),
        "{}",
        outcome.out
    );
    assert!(
        outcome.out.contains("\nfails: upgrade-missing: "),
        "{}",
        outcome.out
    );
}

/// Both sides fail in TLS, each in its own: nginx's listener is no refusal of the backend's.
#[test]
fn tls_of_the_listener_is_not_the_backend_s() {
    let speaks_plain = ScriptedBackend::start(|conn| {
        conn.read_bytes(1)?;
        conn.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    });
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
        .set("BACKEND", speaks_plain.address())
        .start();
    let report = examine(
        &format!("wss://127.0.0.1:{}/", nginx.port()),
        &[&format!("--backend=wss://{}/", speaks_plain.address())],
    );
    assert_eq!(report["comparison"]["verdict"], "both-fail", "{report:#}");
    let failed = report["front"]["failure"].to_string();
    assert!(failed.contains("`listen"), "{failed}");
    assert!(!failed.contains("proxy_pass"), "{failed}");
}

/// Nothing listens on either side, which is not the same thing either.
#[test]
fn a_port_in_front_is_not_the_backend_s() {
    let report = examine("ws://127.0.0.1:1/", &["--backend=ws://127.0.0.1:2/"]);
    assert_eq!(report["comparison"]["verdict"], "both-fail", "{report:#}");
}
