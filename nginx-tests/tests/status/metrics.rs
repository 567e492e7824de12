//! The metrics, read by those who wrote the formats.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nginx_tests::environment::{find_program, interop};
use nginx_tests::{Client, EchoBackend, Handshake, Nginx, wait_until};

use crate::case::{ask, join, server, status};

/// Reads metrics and prints each sample, one a line.
const PARSER: &str = "
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
text = sys.stdin.buffer.read().decode('utf-8')
read = openmetrics if sys.argv[1] == 'openmetrics' else parser
for family in read.text_string_to_metric_families(text):
    assert family.documentation, family
    assert family.type != 'unknown', family
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), float(sample.value))
";

/// What Prometheus' own client reads; `None` where that is not installed.
#[track_caller]
pub fn assert_readable(nginx: &Nginx, target: &str, accept: &str) -> Option<String> {
    let answer = ask(nginx, "GET", target, &[("Accept", accept)]);
    assert_eq!(answer.status(), 200);
    let is_open = accept.contains("openmetrics");
    assert_eq!(answer.text().ends_with("# EOF\n"), is_open);
    let python = interop().join("venv/bin/python");
    let mut there = Command::new(&python);
    there
        .args(["-c", "import prometheus_client"])
        .stderr(Stdio::null());
    if !there.status().is_ok_and(|status| status.success()) {
        nginx_tests::skipped(format!(
            "prometheus_client is not installed in {}",
            python.display()
        ));
        return None;
    }
    let format = if is_open { "openmetrics" } else { "text" };
    let mut parser = Command::new(python);
    Some(run(parser.args(["-c", PARSER, format]), &answer.body))
}

/// Runs a program that must succeed; what it prints.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("the program reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    out.into_owned() + &err
}

#[test]
fn samples_are_what_was_done() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let mut client = join(&nginx, "/");
    client.echo("hello");
    client.close_politely();
    let mut second = join(&nginx, "/");
    let refused =
        Client::connect(nginx.port()).ask(&Handshake::new("/").without("Sec-WebSocket-Key"));
    assert_eq!(refused.status(), 400);
    wait_until("the end", || status(&nginx, "")["totals"]["active"] == 1);
    for accept in ["text/plain", "application/openmetrics-text"] {
        let Some(samples) = assert_readable(&nginx, "/metrics", accept) else {
            return;
        };
        let label = "('label', 'chat.example /')";
        let upstream = format!("('upstream', '{}')", backend.address());
        for expected in [
            format!("nginx_websocket_tunnels [{label}] 1.0"),
            format!("nginx_websocket_handshakes_total [{label}] 3.0"),
            format!("nginx_websocket_handshakes_established_total [{label}] 2.0"),
            format!(
                "nginx_websocket_handshakes_rejected_total [('cause', 'key-missing'), {label}] 1.0"
            ),
            format!(
                "nginx_websocket_tunnels_closed_total [('by', 'client'), ('code', '1000'), {label}, ('reason', 'normal')] 1.0"
            ),
            format!("nginx_websocket_received_messages_total [('from', 'client'), {label}] 1.0"),
            format!("nginx_websocket_received_bytes_total [('from', 'upstream'), {label}] 11.0"),
            format!("nginx_websocket_handshake_duration_seconds_count [{label}] 2.0"),
            format!("nginx_websocket_upstream_tunnels [{upstream}] 1.0"),
            format!("nginx_websocket_upstream_handshakes_established_total [{upstream}] 2.0"),
            "nginx_websocket_workers [] 1.0".to_owned(),
            "nginx_websocket_tunnels_peak [] 1.0".to_owned(),
        ] {
            assert!(
                samples.lines().any(|line| line == expected),
                "{expected}\n{samples}"
            );
        }
    }
    second.echo("still here");
}

/// Prometheus' own checker, where it is to be had.
pub fn promtool() -> Option<PathBuf> {
    let own = interop().join("prometheus/usr/bin/promtool");
    let found = Some(own).filter(|path| path.exists());
    let found = found.or_else(|| find_program("promtool"));
    if found.is_none() {
        nginx_tests::skipped("promtool is not installed");
    }
    found
}

#[test]
fn promtool_finds_nothing_to_mend() {
    let Some(promtool) = promtool() else {
        return;
    };
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    join(&nginx, "/").close_politely();
    let answer = ask(&nginx, "GET", "/metrics", &[]);
    let said = run(
        Command::new(promtool).args(["check", "metrics"]),
        &answer.body,
    );
    assert_eq!(said, "");
}
