//! Servers that want one of their subprotocols.

use nginx_tests::{Nginx, ScriptedBackend};
use serde_json::Value;

use crate::program::{examine, failure, run};

const HINT: &str = "no subprotocol was offered; try --subprotocol";

fn hint(report: &Value) -> &str {
    report["front"]["failure"]["hint"]
        .as_str()
        .unwrap_or_default()
}

#[track_caller]
fn wants_one(backend: &ScriptedBackend, cause: &str) {
    let direct = format!("ws://{}/", backend.address());
    let report = examine(&direct, &[]);
    assert_eq!(
        (failure(&report), hint(&report)),
        (cause, HINT),
        "{report:#}"
    );
    let offered = examine(&direct, &["--subprotocol=other"]);
    assert_eq!(
        (failure(&offered), hint(&offered)),
        (cause, ""),
        "{offered:#}"
    );
    let outcome = run([&direct]);
    assert!(
        outcome.out.ends_with(&format!("\n  from here:  {HINT}\n")),
        "{}",
        outcome.out
    );

    // Through nginx the upstream's own refusal is behind nginx's.
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    let through = format!("ws://127.0.0.1:{}/", nginx.port());
    let compared = examine(&through, &["--backend", &direct]);
    assert_eq!(
        (failure(&compared), hint(&compared)),
        (cause, HINT),
        "{compared:#}"
    );
}

#[test]
fn closes_without_an_answer() {
    wants_one(
        &ScriptedBackend::start(|conn| conn.read_request().map(drop)),
        "upstream-closed",
    );
}

#[test]
fn answers_400() {
    wants_one(
        &ScriptedBackend::answering("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"),
        "upstream-bad-request",
    );
}

#[test]
fn closes_as_soon_as_it_is_open() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        // 1002, as servers do that speak no protocol but their own.
        conn.send([0x88, 0x02, 0x03, 0xea])?;
        conn.hang()
    });
    let direct = format!("ws://{}/", backend.address());
    let report = examine(&direct, &["--no-probes"]);
    assert_eq!(
        (failure(&report), hint(&report)),
        ("closed", HINT),
        "{report:#}"
    );
    let offered = examine(&direct, &["--no-probes", "--subprotocol=other"]);
    assert_eq!(hint(&offered), "", "{offered:#}");
}

/// Other refusals have nothing to do with it.
#[test]
fn answers_404() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let report = examine(&format!("ws://{}/", backend.address()), &[]);
    assert_eq!(
        (failure(&report), hint(&report)),
        ("upstream-not-found", "")
    );
}
