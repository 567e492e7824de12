//! Clients that no one here wrote: Python's websockets, Node's ws, Chromium.
//!
//! A client that isn't installed is skipped, with its reason printed.

use std::path::Path;
use std::process::{Command, Stdio};

use nginx_tests::environment::{find_program, interop};
use nginx_tests::{
    Certificate, EchoBackend, Handshake, Listen, Nginx, ScriptedBackend, wait_for, wait_until,
};

const SERVERS: &str = "
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%TLSPORT% ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        location / { proxy_pass http://%BACKEND%; websocket on; }
        location = /page { default_type text/html; alias %PREFIX%/page.html; }
        location = /report { access_log logs/report report; return 204; }
        location = /refused { return 403; websocket on; }
    }";

const REPORT_FORMAT: &str = "log_format report '$args';";

struct Stage {
    backend: EchoBackend,
    nginx: Nginx,
}

/// An nginx before an echo server that knows the subprotocol `chat`.
fn stage(page: &str) -> Stage {
    let backend = EchoBackend::on(Listen::Tcp, &["chat"]);
    let nginx = Nginx::http(format!("{REPORT_FORMAT}{SERVERS}"))
        .certificate(&Certificate::localhost())
        .file("page.html", page)
        .set("BACKEND", backend.address())
        .start();
    Stage { backend, nginx }
}

impl Stage {
    fn urls(&self) -> [String; 2] {
        [
            format!("ws://localhost:{}/chat", self.nginx.port()),
            format!("wss://localhost:{}/chat", self.nginx.port_of("TLSPORT")),
        ]
    }

    /// Each handshake arrived whole.
    #[track_caller]
    fn saw_handshakes(&self, count: usize) {
        let requests = self.backend.requests();
        assert_eq!(requests.len(), count);
        for request in requests {
            assert_eq!(request.head.start, "GET /chat HTTP/1.1");
            assert_eq!(request.head.lines("Upgrade"), ["Upgrade: websocket"]);
            assert_eq!(request.head.lines("Connection"), ["Connection: upgrade"]);
            assert_eq!(request.head.all("Sec-WebSocket-Protocol"), ["chat"]);
            assert_eq!(request.head.all("Sec-WebSocket-Version"), ["13"]);
        }
    }
}

/// Runs a program that must succeed, and gives what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    text
}

fn skipped(client: &str, missing: &Path) {
    nginx_tests::skipped(format!(
        "{client} is not installed: {} is missing",
        missing.display()
    ));
}

// Not its client with threads, two of which use one TLS connection at once: now and then that misses
// the answer to a Close.
const PYTHON: &str = "
import asyncio, ssl, sys
from websockets.asyncio.client import connect

async def visit(url):
    tls = ssl.create_default_context(cafile=sys.argv[1]) if url.startswith('wss') else None
    async with connect(url, subprotocols=['chat'], ssl=tls, open_timeout=10, close_timeout=10) as ws:
        for message in ['hello', 'x' * 100_000, b'\\x00\\xff']:
            await ws.send(message)
            assert await asyncio.wait_for(ws.recv(), 10) == message
        await asyncio.wait_for(await ws.ping(), 10)
        print(url.split(':')[0], ws.subprotocol)
    assert ws.close_code == 1000, ws.close_code

for url in sys.argv[2:]:
    asyncio.run(visit(url))
";

#[test]
fn python_websockets() {
    let python = interop().join("venv/bin/python");
    let there = Command::new(&python)
        .args(["-c", "import websockets"])
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        return skipped("Python websockets", &python);
    }
    let stage = stage("");
    let certificate = stage.nginx.path("cert.pem");
    let printed = run(Command::new(python)
        .arg("-c")
        .arg(PYTHON)
        .arg(certificate)
        .args(stage.urls()));
    assert_eq!(printed, "ws chat\nwss chat\n");
    stage.saw_handshakes(2);
}

const NODE: &str = "
const fs = require('fs');
const WebSocket = require(process.argv[1]);
const ca = fs.readFileSync(process.argv[2]);

async function talk(url) {
    const ws = new WebSocket(url, ['chat'], { ca, handshakeTimeout: 10000 });
    const next = (event) => new Promise((resolve, reject) => {
        ws.once(event, (...values) => resolve(values));
        ws.once('error', reject);
    });
    await next('open');
    for (const message of ['hello', 'x'.repeat(100000)]) {
        ws.send(message);
        const [data, binary] = await next('message');
        if (binary || data.toString() !== message) throw new Error('another message came back');
    }
    ws.ping('are you there');
    const [data] = await next('pong');
    if (data.toString() !== 'are you there') throw new Error('another pong came back');
    ws.close(1000);
    const [code] = await next('close');
    console.log(url.split(':')[0], ws.protocol, code);
}

(async () => {
    for (const url of process.argv.slice(3)) await talk(url);
})().catch((error) => { console.error(error); process.exit(1); });
";

#[test]
fn node_ws() {
    let module = interop().join("node_modules/ws");
    let Some(node) = find_program("node") else {
        return skipped("Node", Path::new("node"));
    };
    if !module.is_dir() {
        return skipped("Node ws", &module);
    }
    let module = module.canonicalize().expect("a directory has a path");
    let stage = stage("");
    let certificate = stage.nginx.path("cert.pem");
    let printed = run(Command::new(node)
        .arg("-e")
        .arg(NODE)
        .arg(module)
        .arg(certificate)
        .args(stage.urls()));
    assert_eq!(printed, "ws chat 1000\nwss chat 1000\n");
    stage.saw_handshakes(2);
}

/// Tries what the page's own address names, and reports by a request that nginx logs.
const PAGE: &str = "<!doctype html><script>
const secure = location.protocol === 'https:';
const base = (secure ? 'wss://' : 'ws://') + location.host;
const report = (text) => fetch('/report?' + encodeURIComponent(text));
const refused = new WebSocket(base + '/refused');
refused.onopen = () => report('a refused handshake opened');
refused.onclose = (refusal) => {
    const ws = new WebSocket(base + '/chat', ['chat']);
    const messages = ['hello', 'x'.repeat(100000)];
    const got = [];
    ws.onopen = () => messages.forEach((message) => ws.send(message));
    ws.onmessage = (event) => {
        got.push(event.data);
        if (got.length === messages.length) ws.close(1000);
    };
    ws.onclose = (event) => {
        const same = messages.every((message, at) => message === got[at]);
        const parts = [refusal.code, same, ws.protocol, event.code, event.wasClean];
        report(location.protocol + parts.join());
    };
};
</script>";

/// Opens a page in a headless Chromium until `done`, and ends it.
#[track_caller]
fn browse(chromium: &Path, url: &str, done: impl FnMut() -> bool) {
    let profile = tempfile::tempdir().expect("a profile directory");
    let mut browser = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--disable-dev-shm-usage", "--ignore-certificate-errors"])
        .args(["--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium runs");
    let seen = wait_for_browser(done);
    let pid = i32::try_from(browser.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let _ = rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::TERM);
    wait_until("chromium to end", || {
        browser.try_wait().expect("a child").is_some()
    });
    assert!(seen, "{url} reported nothing");
}

/// A browser takes seconds to start, and more on a busy machine.
fn wait_for_browser(mut done: impl FnMut() -> bool) -> bool {
    let limit = *nginx_tests::DEADLINE * 6;
    nginx_tests::wait::wait_within(limit, || done().then_some(())).is_some()
}

#[test]
fn chromium() {
    let name = Path::new("chromium");
    let Some(chromium) = find_program("chromium") else {
        return skipped("Chromium", name);
    };
    let stage = stage(PAGE);
    let pages = [
        (
            format!("http://localhost:{}/page", stage.nginx.port()),
            "http:",
        ),
        (
            format!("https://localhost:{}/page", stage.nginx.port_of("TLSPORT")),
            "https:",
        ),
    ];
    for (at, (url, protocol)) in pages.iter().enumerate() {
        browse(&chromium, url, || {
            stage.nginx.access_log("report").matches('\n').count() > at
        });
        let report = wait_for("the report", || {
            stage
                .nginx
                .access_log("report")
                .lines()
                .nth(at)
                .map(str::to_owned)
        });
        let expected = format!("{protocol}1006,true,chat,1000,true");
        assert_eq!(report.replace("%3A", ":").replace("%2C", ","), expected);
    }
    stage.saw_handshakes(2);
    for request in stage.backend.requests() {
        let extensions = request
            .head
            .header("Sec-WebSocket-Extensions")
            .unwrap_or_default();
        assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
        assert!(request.head.header("Origin").is_some());
    }
}

/// The sample handshake is as a browser would send it: nothing in it is our own invention.
#[test]
fn the_sample_handshake_has_what_every_client_sends() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    nginx_tests::Client::connect(nginx.port()).accepted(&Handshake::new("/"));
    nginx_tests::client::tungstenite(nginx.port(), "/");
    let names = |number: usize| {
        let head = backend.request(number).head;
        let mut names: Vec<String> = head
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(0), names(1));
}
