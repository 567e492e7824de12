//! What the tests of the tunnel share.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Index;

use nginx_tests::nginx::Setup;
pub use nginx_tests::tunnels::{backend, join, raw_tunnel};
use nginx_tests::{Frame, Nginx, ScriptedBackend, wait_for};

const VARIABLES: [&str; 18] = [
    "status",
    "bytes_sent",
    "upstream_bytes_sent",
    "upstream_bytes_received",
    "websocket_state",
    "websocket_close_by",
    "websocket_close_reason",
    "websocket_close_code",
    "websocket_duration",
    "websocket_bytes_in",
    "websocket_bytes_out",
    "websocket_frames_in",
    "websocket_frames_out",
    "websocket_messages_in",
    "websocket_messages_out",
    "websocket_ping_rtt",
    "websocket_handshake_time",
    "request_time",
];

/// An `http` block with one location that proxies to `%BACKEND%`, `/status`, and `tunnel.log`.
pub fn http(lines: &str) -> String {
    location(&format!("proxy_pass http://%BACKEND%; {lines}"))
}

/// The same with these lines alone in the location, `websocket on` excepted.
pub fn location(lines: &str) -> String {
    let format: Vec<_> = VARIABLES
        .iter()
        .map(|name| format!("{name}=${name}"))
        .collect();
    format!(
        "log_format tunnel '{}';
        server {{
            listen 127.0.0.1:%PORT%;
            access_log logs/tunnel.log tunnel;
            location / {{ websocket on; {lines} }}
            location = /status {{ access_log off; stub_status; }}
        }}",
        format.join(" ")
    )
}

/// An nginx with [`http`].
pub fn server(lines: &str, backend: &ScriptedBackend) -> Setup {
    Nginx::http(http(lines)).set("BACKEND", backend.address())
}

/// What the variables were when a tunnel ended.
#[derive(Debug)]
pub struct Ended(BTreeMap<String, String>);

impl Index<&str> for Ended {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        &self.0[name]
    }
}

impl Ended {
    pub fn number(&self, name: &str) -> u64 {
        self[name]
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {:?}: {self:?}", &self[name]))
    }

    pub fn seconds(&self, name: &str) -> f64 {
        self[name]
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {:?}: {self:?}", &self[name]))
    }

    /// Who ended it, why, with which code.
    pub fn why(&self) -> (&str, &str, &str) {
        (
            &self["websocket_close_by"],
            &self["websocket_close_reason"],
            &self["websocket_close_code"],
        )
    }
}

/// The first tunnels that ended, in that order; waits for them.
#[track_caller]
pub fn all_ended(nginx: &Nginx, count: usize) -> Vec<Ended> {
    let parse = |line: String| {
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        Ended(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    };
    let lines = nginx.wait_for_access("tunnel.log", count);
    lines.into_iter().map(parse).collect()
}

/// The first tunnel that ended; waits for it.
#[track_caller]
pub fn ended(nginx: &Nginx) -> Ended {
    all_ended(nginx, 1).swap_remove(0)
}

/// Asserts who ended the only tunnel, and that the log has one line on it at this level.
#[track_caller]
pub fn assert_ended(nginx: &Nginx, why: (&str, &str, &str), level: &str) -> String {
    assert_eq!(ended(nginx).why(), why);
    // nginx writes the access log first.
    nginx.wait_for_log("websocket closed after");
    let lines = nginx.log_lines("websocket closed after");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains(&format!("[{level}]")), "{lines:#?}");
    let (by, reason, _) = why;
    assert!(
        lines[0].contains(&format!("by {by}: {reason}")),
        "{lines:#?}"
    );
    lines[0].clone()
}

/// What a backend got on a connection after the request's head.
pub fn tunnelled(backend: &ScriptedBackend, connection: usize) -> Vec<u8> {
    let bytes = backend.received(connection);
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    bytes[head.map_or(bytes.len(), |end| end + 4)..].to_vec()
}

/// The frames that a backend got on a connection, with what follows the last whole one.
pub fn frames(backend: &ScriptedBackend, connection: usize) -> (Vec<Frame>, Vec<u8>) {
    let bytes = tunnelled(backend, connection);
    let (mut rest, mut frames) = (bytes.as_slice(), vec![]);
    loop {
        let mut ahead = rest;
        match Frame::read(&mut ahead) {
            Ok(frame) => frames.push(frame),
            Err(_) => return (frames, rest.to_vec()),
        }
        rest = ahead;
    }
}

/// Waits until a backend has got this many whole frames.
#[track_caller]
pub fn wait_for_frames(backend: &ScriptedBackend, connection: usize, count: usize) -> Vec<Frame> {
    wait_for(&format!("{count} frames at the backend"), || {
        (backend.connections() > connection)
            .then(|| frames(backend, connection).0)
            .filter(|frames| frames.len() >= count)
    })
}

/// A process's memory that is there, in bytes.
pub fn memory(pid: u32) -> u64 {
    nginx_tests::memory(pid, "VmRSS")
}

/// The memory that it has asked for, whether or not it is there.
pub fn mapped(pid: u32) -> u64 {
    nginx_tests::memory(pid, "VmSize")
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process runs")
        .count()
}

/// Connections that nginx counts, the one that asks not among them.
pub fn active(nginx: &Nginx) -> u64 {
    let answer = nginx_tests::client::get(nginx.port(), "/status").text();
    let count = answer
        .lines()
        .find_map(|line| line.strip_prefix("Active connections: "))
        .and_then(|count| count.trim().parse::<u64>().ok());
    count.unwrap_or_else(|| panic!("{answer}")) - 1
}
