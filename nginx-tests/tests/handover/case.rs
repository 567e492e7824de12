//! What the tests of a handover share.

use nginx_tests::nginx::Setup;
pub use nginx_tests::tunnels::{backend, join};
use nginx_tests::{Client, Frame, Nginx, ScriptedBackend, wait_until};

/// What the access log says of a tunnel.
const VARIABLES: [&str; 15] = [
    "status",
    "bytes_sent",
    "request_length",
    "connection",
    "upstream_addr",
    "upstream_bytes_sent",
    "upstream_bytes_received",
    "websocket_state",
    "websocket_close_by",
    "websocket_close_reason",
    "websocket_close_code",
    "websocket_handovers",
    "websocket_messages_in",
    "websocket_messages_out",
    "request_time",
];

/// An `http` block in which tunnels are handed over, with these lines in the only location.
pub fn http(location: &str) -> String {
    block("on", location)
}

/// The same with another value of the directive.
pub fn block(value: &str, location: &str) -> String {
    format!(
        "{}
        server {{
            listen 127.0.0.1:%PORT%;
            access_log logs/tunnel.log tunnel;
            location / {{ {location} }}
            location = /status {{ access_log off; stub_status; }}
        }}",
        head(value)
    )
}

/// Its beginning: the directive, and the log's format.
pub fn head(value: &str) -> String {
    let format: Vec<_> = VARIABLES
        .iter()
        .map(|name| format!("{name}=${name}"))
        .collect();
    format!(
        "websocket_handover {value};
        log_format tunnel '{}';",
        format.join(" ")
    )
}

/// What a location needs.
pub const PROXIED: &str = "proxy_pass http://%BACKEND%; websocket on;";

/// An nginx whose tunnels go to this backend and are handed over.
pub fn nginx(backend: &ScriptedBackend) -> Setup {
    Nginx::http(http(PROXIED)).set("BACKEND", backend.address())
}

/// One that sends back what it gets.
pub fn echo() -> ScriptedBackend {
    backend(|conn| conn.echo_frames())
}

/// Reloads, and waits until the old workers are gone.
#[track_caller]
pub fn hand_over(nginx: &Nginx) {
    nginx.reload();
    gone(nginx);
}

/// Likewise with another `http` block.
#[track_caller]
pub fn hand_over_with(nginx: &mut Nginx, http: &str) {
    nginx.reload_with(http);
    gone(nginx);
}

/// Waits until no worker is left that only finishes what it has.
#[track_caller]
pub fn gone(nginx: &Nginx) {
    wait_until("the old workers to be gone", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

/// A value of a line of the access log.
#[track_caller]
pub fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {line}"))
        .1
}

#[track_caller]
pub fn number(line: &str, name: &str) -> u64 {
    value(line, name)
        .parse()
        .unwrap_or_else(|_| panic!("{name} is no number: {line}"))
}

/// The only line of the access log, when it is there.
#[track_caller]
pub fn only_line(nginx: &Nginx) -> String {
    let lines = nginx.wait_for_access("tunnel.log", 1);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

/// Reads a Close of this code and the end behind it.
#[track_caller]
pub fn assert_closed(mut client: Client, code: u16) {
    assert_eq!(client.frame(), Frame::close(code, ""));
    client
        .send(Frame::close(code, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
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
