//! Servers that no one here wrote: Python's websockets, Node's ws.
//!
//! One that isn't installed is skipped, with its reason printed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nginx_tests::Nginx;
use nginx_tests::environment::{find_program, interop};

use crate::program::{examine, failure, step};

/// A server in a process of its own, ended with the test.
struct Foreign {
    child: Child,
    port: u16,
}

impl Foreign {
    /// Starts a program that prints its port first.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let port = line.trim().parse().expect("a port");
        Self { child, port }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PYTHON: &str = "
from websockets.sync.server import serve

def echo(connection):
    for message in connection:
        connection.send(message)

with serve(echo, '127.0.0.1', 0, subprotocols=['chat']) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
";

const NODE: &str = "
const { WebSocketServer } = require(process.argv[1]);
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('connection', (ws) => {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
});
server.on('listening', () => console.log(server.address().port));
";

fn python() -> Option<Foreign> {
    let python = interop().join("venv/bin/python");
    let there = Command::new(&python)
        .args(["-c", "import websockets"])
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        nginx_tests::skipped(format!(
            "Python websockets is not installed: {}",
            python.display()
        ));
        return None;
    }
    Some(Foreign::start(Command::new(python).args(["-c", PYTHON])))
}

fn node() -> Option<Foreign> {
    let module = interop().join("node_modules/ws");
    let node = find_program("node");
    let (Some(node), Ok(module)) = (node, module.canonicalize()) else {
        nginx_tests::skipped(format!(
            "Node or its ws is not installed: {}",
            interop().display()
        ));
        return None;
    };
    Some(Foreign::start(
        Command::new(node).args(["-e", NODE]).arg(module),
    ))
}

/// The doctor at this server: directly, through the module, and through an nginx that knows
/// nothing of WebSocket.
#[track_caller]
fn check(server: &Foreign) {
    let direct = format!("ws://127.0.0.1:{}/", server.port);
    let talk = ["--message=hello", "--hold=200ms", "--subprotocol=chat"];
    let report = examine(&direct, &talk);
    assert_eq!(failure(&report), "", "{report:#}");
    let headers = step(&report, "handshake")["received"].to_string();
    assert!(
        headers
            .to_ascii_lowercase()
            .contains("sec-websocket-protocol: chat"),
        "{headers}"
    );
    let probes = report["probes"].as_array().expect("probes");
    let without = probes
        .iter()
        .find(|probe| probe["name"] == "without-upgrade");
    assert_eq!(
        without.map(|probe| &probe["confused"]),
        Some(&false.into()),
        "{report:#}"
    );

    let nginx = Nginx::server(format!(
        "location /on {{ proxy_pass http://127.0.0.1:{0}; websocket on; websocket_cause_header on; }}
         location /off {{ proxy_http_version 1.1; proxy_pass http://127.0.0.1:{0}; }}
         location /other {{
             proxy_pass http://127.0.0.1:{0};
             websocket on;
             proxy_set_header Sec-WebSocket-Version 99;
         }}",
        server.port
    ))
    .start();
    let at = |path: &str| format!("ws://127.0.0.1:{}/{path}", nginx.port());
    let report = examine(&at("on"), &talk);
    assert_eq!(failure(&report), "", "{report:#}");

    let offer = "--subprotocol=chat";
    let report = examine(&at("off"), &["--no-probes", offer, "--backend", &direct]);
    assert_eq!(report["comparison"]["verdict"], "nginx-fails", "{report:#}");
    // nginx drops both headers; the server's answer tells which of them it looked at first.
    let named = (
        report["comparison"]["header"].as_str(),
        failure(&report).to_owned(),
    );
    let dropped = [
        (Some("Upgrade"), "upgrade-missing".to_owned()),
        (Some("Connection"), "connection-not-upgrade".to_owned()),
    ];
    assert!(dropped.contains(&named), "{named:?} {report:#}");

    // Without the backend's address the same answer to a plain request has to do.
    let alone = examine(&at("off"), &[offer]);
    assert_eq!(failure(&alone), "upgrade-missing", "{alone:#}");

    // What the server itself makes of a wrong handshake, in doctor's words and the module's.
    let report = examine(&at("other"), &["--no-probes", offer]);
    let named = format!("websocket handshake failed: {}: ", failure(&report));
    let line = nginx.wait_for_log(&named);
    assert!(line.contains("GET /other HTTP/1.1"), "{line} {report:#}");
}

#[test]
fn python_websockets() {
    if let Some(server) = python() {
        check(&server);
    }
}

#[test]
fn node_ws() {
    if let Some(server) = node() {
        check(&server);
    }
}
