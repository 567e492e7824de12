//! Chromium: a page and its sockets on one connection.

use std::io;
use std::io::Read;

use nginx_tests::backend::{Conn, switching_protocols};
use nginx_tests::browser::Browser;
use nginx_tests::{Certificate, Nginx, ScriptedBackend, wait_until};
use serde_json::{Value, json};

use crate::case::http;

const SOCKETS: usize = 8;

/// What the page does: sockets that open, send and expect the same back, close, and come again when they were told to.
const PAGE: &str = r#"<!DOCTYPE html><title>sockets</title><script>
const sockets = [];
const closed = [];
let reconnects = 0;
function open(again) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/chat`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { sockets.push(socket); resolve(socket); };
    socket.onerror = () => reject(new Error('a socket failed'));
    socket.onclose = (event) => {
      closed.push([event.code, event.wasClean]);
      sockets.splice(sockets.indexOf(socket), 1);
      if (event.code === 1012) open().then(() => reconnects++);
    };
  });
}
function echo(socket, message) {
  return new Promise((resolve) => {
    socket.onmessage = (event) => {
      const [got, sent] = [event.data, message];
      if (typeof sent === 'string') return resolve(got === sent);
      const [a, b] = [new Uint8Array(got), new Uint8Array(sent)];
      resolve(a.length === b.length && a.every((byte, at) => byte === b[at]));
    };
    socket.send(message);
  });
}
function noise(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65536)));
  return bytes.buffer;
}
async function talk(socket) {
  for (const message of ['', 'hello', 'compressible '.repeat(10000), noise(1), noise(70000), noise(1 << 20)])
    if (!await echo(socket, message)) return false;
  return true;
}
async function all(what) { return (await Promise.all(what)).every(Boolean); }
</script>"#;

struct Stage {
    browser: Browser,
    nginx: Nginx,
}

/// Chromium with that page. Without one there is nothing to test: the test says so and ends.
fn stage(backend: &ScriptedBackend, text: &str) -> Option<Stage> {
    let Some(mut browser) = Browser::start() else {
        nginx_tests::skipped("Chromium is not installed");
        return None;
    };
    let nginx = http(
        &Certificate::localhost(),
        backend,
        format!(
            "log_format connection '$connection $websocket_transport $uri $status $websocket_close_code';
            websocket on; websocket_http2 on;
            server {{
                listen 127.0.0.1:%PORT% ssl http2;
                server_name localhost;
                access_log logs/connection.log connection;
                location = /page {{ default_type text/html; alias %PREFIX%/page.html; access_log logs/connection.log connection; }}
                location = /favicon.ico {{ access_log off; return 204; }}
                location /chat {{ proxy_pass http://%BACKEND%; {text} }}
            }}"
        ),
    )
    .file("page.html", PAGE)
    .start();
    browser.open(&format!("https://127.0.0.1:{}/page", nginx.port()));
    Some(Stage { browser, nginx })
}

impl Stage {
    #[track_caller]
    fn eval(&mut self, expression: &str) -> Value {
        self.browser.eval(expression)
    }

    #[track_caller]
    fn open_all(&mut self) {
        let opened = format!("all([...Array({SOCKETS})].map(() => open()))");
        assert_eq!(self.eval(&opened), true);
    }
}

#[test]
fn a_page_and_its_sockets_share_a_connection() {
    let backend = ScriptedBackend::standard();
    let Some(mut stage) = stage(&backend, "") else {
        return;
    };
    stage.open_all();
    assert_eq!(stage.eval("all(sockets.map(talk))"), true);
    stage.eval("[...sockets].forEach((socket) => socket.close(1000))");
    stage.browser.wait(&format!("closed.length === {SOCKETS}"));
    let closed = stage.eval("closed");
    let console = &stage.browser.console;
    assert_eq!(closed, json!(vec![(1000, true); SOCKETS]), "{console:?}");
    let lines = stage.nginx.wait_for_access("connection.log", 1 + SOCKETS);
    // Its number is that of the page's connection.
    let (number, page) = lines[0].split_once(' ').unwrap();
    assert_eq!(page, "- /page 200 -");
    for line in &lines[1..] {
        assert_eq!(
            line,
            &format!("{number} http2 /chat 200 1000"),
            "{lines:#?}"
        );
    }
    assert_eq!(backend.connections(), SOCKETS);
    let console = &stage.browser.console;
    assert!(console.is_empty(), "{console:?}");
}

#[test]
fn messages_may_be_compressed() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let key = head.header("Sec-WebSocket-Key").unwrap_or_default();
        let extension = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        conn.send(switching_protocols(key).replace("\r\n\r\n", extension))?;
        echo_compressed(conn)
    });
    let Some(mut stage) = stage(&backend, "") else {
        return;
    };
    stage.open_all();
    let extensions = stage.eval("sockets.map((socket) => socket.extensions)");
    assert_eq!(extensions, json!(vec!["permessage-deflate"; SOCKETS]));
    assert_eq!(stage.eval("all(sockets.map(talk))"), true);
    stage.eval("[...sockets].forEach((socket) => socket.close(1000))");
    let lines = stage.nginx.wait_for_access("connection.log", 1 + SOCKETS);
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.ends_with(" http2 /chat 200 1000")),
        "{lines:#?}"
    );
}

/// Sends every frame back as it came, but for the mask: what the client compressed is compressed for the client too.
fn echo_compressed(conn: &mut Conn) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        if conn.read(&mut head[..1])? == 0 {
            return Ok(());
        }
        conn.read_exact(&mut head[1..])?;
        let more = match head[1] & 0x7f {
            126 => conn.read_bytes(2)?,
            127 => conn.read_bytes(8)?,
            _ => vec![],
        };
        let length = match more.len() {
            0 => usize::from(head[1] & 0x7f),
            _ => more
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte)),
        };
        let mask = conn.read_bytes(4)?;
        let payload = conn.read_bytes(length)?;
        let payload = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key);
        let frame = [
            &[head[0], head[1] & 0x7f][..],
            &more,
            &payload.collect::<Vec<_>>(),
        ]
        .concat();
        conn.send(frame)?;
    }
}

#[test]
fn sockets_come_again_after_a_reload() {
    let backend = ScriptedBackend::standard();
    let Some(mut stage) = stage(&backend, "websocket_drain 500ms;") else {
        return;
    };
    stage.open_all();
    assert_eq!(stage.eval("all(sockets.map(talk))"), true);
    let old = stage.nginx.worker_pids();
    stage.nginx.reload();
    stage.browser.wait(&format!("reconnects === {SOCKETS}"));
    assert_eq!(stage.eval("closed"), json!(vec![(1012, true); SOCKETS]));
    assert_eq!(stage.eval("all(sockets.map(talk))"), true);
    // What it asked for meanwhile has not kept the old worker.
    wait_until("the old worker to exit", || {
        stage.nginx.exiting_worker_pids().is_empty()
    });
    assert!(!stage.nginx.worker_pids().contains(&old[0]));
    assert_eq!(stage.eval("sockets.length"), SOCKETS);
    let lines = stage.nginx.wait_for_access("connection.log", 1 + SOCKETS);
    let parted = lines
        .iter()
        .filter(|line| line.ends_with(" http2 /chat 200 1012"));
    assert_eq!(parted.count(), SOCKETS, "{lines:#?}");
    assert_eq!(backend.connections(), 2 * SOCKETS);
}
