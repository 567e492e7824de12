//! What is found once the connection is open.

use std::time::Duration;

use nginx_tests::{EchoBackend, Nginx, ScriptedBackend};
use serde_json::Value;

use crate::program::{examine, failure, step};

fn behind(location: &str, backend: &ScriptedBackend) -> Nginx {
    Nginx::server(format!(
        "location / {{ proxy_pass http://%BACKEND%; {location} }}"
    ))
    .set("BACKEND", backend.address())
    .start()
}

fn at(nginx: &Nginx) -> String {
    format!("ws://127.0.0.1:{}/", nginx.port())
}

#[track_caller]
fn failed_step(report: &Value, name: &str) {
    assert_eq!(step(report, name)["outcome"], "failed", "{report:#}");
}

#[test]
fn an_echo_through_nginx() {
    let backend = EchoBackend::start();
    let nginx = behind("websocket on;", &backend);
    let message = format!("--message={}", "ü".repeat(5000));
    let report = examine(&at(&nginx), &["--no-probes", &message, "--hold=100ms"]);
    assert_eq!(failure(&report), "", "{report:#}");
    assert_eq!(step(&report, "echo")["text"], "the message came back");
}

#[test]
fn an_idle_timeout_is_found() {
    let backend = ScriptedBackend::standard();
    let nginx = behind("websocket on; websocket_timeout 1s;", &backend);
    let report = examine(&at(&nginx), &["--no-probes", "--hold=8s"]);
    assert_eq!(failure(&report), "idle-timeout", "{report:#}");
    failed_step(&report, "hold");
    let time = step(&report, "hold")["ms"].as_f64().expect("a time");
    assert!((900.0..5000.0).contains(&time), "{time}");
    let change = report["front"]["failure"]["change"]
        .as_str()
        .unwrap_or_default();
    assert!(change.contains("websocket_timeout"), "{change}");
}

/// As a server does that limits how long a connection lasts, or that is restarted.
#[test]
fn what_ends_in_spite_of_pings_was_not_idle() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        let ping = conn.read_frame()?;
        let pong = [&[0x8a, 8], &ping.payload[..]].concat();
        conn.send(pong)?;
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(500));
            conn.send([0x89, 0])?;
            conn.read_frame()?;
        }
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    });
    let url = format!("ws://{}/", backend.address());
    let report = examine(&url, &["--no-probes", "--hold=8s"]);
    failed_step(&report, "hold");
    assert_eq!(failure(&report), "no-close-frame", "{report:#}");
    let failed = report["front"]["failure"].to_string();
    assert!(
        failed.contains("how long a connection may last"),
        "{failed}"
    );
    assert!(!failed.contains("websocket_ping"), "{failed}");
}

#[test]
fn the_module_s_pings_are_counted_and_keep_it_open() {
    let backend = ScriptedBackend::standard();
    let nginx = behind(
        "websocket on; websocket_timeout 2s; websocket_ping 400ms;",
        &backend,
    );
    let report = examine(&at(&nginx), &["--no-probes", "--hold=3s"]);
    assert_eq!(failure(&report), "", "{report:#}");
    let text = step(&report, "hold")["text"].as_str().expect("a text");
    let (_, pings) = text.split_once('(').expect("a count");
    let count: u32 = pings
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    assert!(count >= 2, "{text}");
}

#[test]
fn a_server_that_does_not_echo() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        // The ping is answered, the text is not.
        conn.read_frame()?;
        conn.send([0x8A, 0x00])?;
        conn.hang()
    });
    let url = format!("ws://{}/", backend.address());
    let report = examine(&url, &["--no-probes"]);
    // A pong without the ping's payload is no answer.
    assert_eq!(failure(&report), "ping-timeout", "{report:#}");
    failed_step(&report, "ping");
}

#[test]
fn a_message_that_does_not_come_back() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        let ping = conn.read_frame()?;
        let mut pong = vec![
            0x8A,
            u8::try_from(ping.payload.len()).expect("a short ping"),
        ];
        pong.extend(ping.payload);
        conn.send(pong)?;
        conn.hang()
    });
    let url = format!("ws://{}/", backend.address());
    let report = examine(&url, &["--no-probes", "--message=hello"]);
    assert_eq!(failure(&report), "no-echo", "{report:#}");
    failed_step(&report, "echo");
}

#[test]
fn a_connection_that_ends_at_once() {
    let closing = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        conn.send([0x88, 0x02, 0x03, 0xF0])
    });
    let report = examine(&format!("ws://{}/", closing.address()), &["--no-probes"]);
    assert_eq!(failure(&report), "closed", "{report:#}");
    let seen = report["front"]["failure"]["seen"]
        .as_str()
        .unwrap_or_default();
    assert!(seen.contains("1008"), "{seen}");

    let leaving = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        conn.read_frame().map(drop)
    });
    let report = examine(&format!("ws://{}/", leaving.address()), &["--no-probes"]);
    assert_eq!(failure(&report), "no-close-frame", "{report:#}");
}

#[test]
fn what_is_sent_is_no_websocket() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        conn.send("hello, world\n".repeat(20))?;
        conn.hang()
    });
    let report = examine(&format!("ws://{}/", backend.address()), &["--no-probes"]);
    assert_eq!(failure(&report), "not-websocket-frames", "{report:#}");
}
