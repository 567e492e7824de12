//! Clients that no one here wrote: Node's http2, Python's h2, curl.
//!
//! A client that isn't installed is skipped, with its reason printed.

use std::process::{Command, Stdio};

use nginx_tests::environment::{find_program, interop};
use nginx_tests::{Certificate, Nginx, ScriptedBackend};

use crate::case::{PROXIES, server};

const TUNNELS: usize = 8;
const SIZES: [&str; 7] = ["0", "1", "125", "126", "65536", "300000", "1000000"];

/// A backend, and an nginx in front of it.
fn stage() -> (ScriptedBackend, Nginx) {
    let backend = ScriptedBackend::standard();
    let nginx = server(&Certificate::localhost(), &backend, PROXIES).start();
    (backend, nginx)
}

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http2/clients");

/// Runs a program that must succeed, and gives what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    text
}

/// All tunnels were on one connection, and have been closed by their clients.
#[track_caller]
fn assert_tunnels(nginx: &Nginx, count: usize, others: usize) {
    let outcomes = nginx.wait_for_access("outcome.log", count + others);
    let tunnels = outcomes
        .iter()
        .filter(|line| *line == "200 /chat http2 established  1000");
    assert_eq!(tunnels.count(), count, "{outcomes:#?}");
}

#[test]
fn node() {
    let Some(node) = find_program("node") else {
        return nginx_tests::skipped("Node is not installed");
    };
    let (backend, nginx) = stage();
    let printed = run(Command::new(node)
        .arg(format!("{SCRIPTS}/node.js"))
        .arg(format!("https://localhost:{}", nginx.port()))
        .arg(TUNNELS.to_string())
        .args(SIZES));
    let mut lines: Vec<String> = (0..TUNNELS)
        .map(|number| format!("{number} {} 1000 0", SIZES.len()))
        .collect();
    lines.push("plain".to_owned());
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);
    assert_tunnels(&nginx, TUNNELS, 1);
    assert_eq!(backend.connections(), TUNNELS + 1);
}

#[test]
fn python_h2() {
    let python = interop().join("venv/bin/python");
    let has_h2 = Command::new(&python)
        .args(["-c", "import h2, wsproto"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_h2 {
        return nginx_tests::skipped(format!("{} has no h2 and wsproto", python.display()));
    }
    let (_backend, nginx) = stage();
    let printed = run(Command::new(python)
        .arg(format!("{SCRIPTS}/python.py"))
        .arg(nginx.port().to_string())
        .arg(TUNNELS.to_string())
        .args(SIZES));
    let lines: Vec<String> = (0..TUNNELS)
        .map(|number| format!("{number} {} 1000 same", SIZES.len()))
        .collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);
    assert_tunnels(&nginx, TUNNELS, 0);
}

/// curl opens no WebSocket over HTTP/2; it asks as ever, and sends bodies.
#[test]
fn curl() {
    let Some(curl) = find_program("curl") else {
        return nginx_tests::skipped("curl is not installed");
    };
    let features = run(Command::new(&curl).arg("--version"));
    if !features.contains("HTTP2") {
        return nginx_tests::skipped("this curl has no HTTP/2");
    }
    let backend = ScriptedBackend::start(|conn| {
        loop {
            let request = conn.read_request()?;
            let length = request.body.len();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ))?;
            conn.send(request.body)?;
        }
    });
    let body = "curl ".repeat(100_000);
    let nginx = server(&Certificate::localhost(), &backend, PROXIES)
        .file("body", &body)
        .start();
    let address = format!("https://localhost:{}/echo", nginx.port());
    let printed = run(Command::new(curl)
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--insecure",
            "--http2",
        ])
        .args(["--write-out", "%{http_version} %{num_connects}\n"])
        .arg("--data-binary")
        .arg(format!("@{}", nginx.path("body").display()))
        .args([&address, &address]));
    assert_eq!(printed, format!("{body}2 1\n{body}2 0\n"));
}
