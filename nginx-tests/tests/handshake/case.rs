//! Servers and assertions that the tests of handshakes share.

use nginx_tests::backend::Recorded;
use nginx_tests::environment::nginx_version;
use nginx_tests::http::Head;
use nginx_tests::nginx::lines_with;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

pub const ON: &str = "location / { proxy_pass http://%BACKEND%; websocket on; }";
pub const STRICT: &str =
    "location / { proxy_pass http://%BACKEND%; websocket on; websocket_handshake strict; }";
pub const LENIENT: &str =
    "location / { proxy_pass http://%BACKEND%; websocket on; websocket_handshake lenient; }";

/// The Connection line that nginx sends where no one says otherwise.
pub fn default_connection() -> &'static str {
    if nginx_version() < (1, 29, 7) {
        "close"
    } else {
        ""
    }
}

/// Asserts that nginx refuses this request with this status: nothing reaches the backend, and
/// one line of the error log says why. Gives the answer's head.
#[track_caller]
pub fn refused_by(server: &str, request: &Handshake, cause: &str, status: u16) -> Head {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    let answer = Client::connect(nginx.port()).exchange(request);
    assert_eq!(answer.status(), status, "{}", answer.head.text());
    let log = nginx.stop();
    let lines = lines_with(&log, "websocket");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let named = format!("websocket handshake failed: {cause}");
    assert!(
        lines[0].contains(&named) && lines[0].contains("[error]"),
        "{}",
        lines[0]
    );
    assert_eq!(lines_with(&log, "[error]").len(), 1);
    assert_eq!(backend.connections(), 0);
    answer.head
}

/// Likewise where every rule is held up.
#[track_caller]
pub fn refused(request: &Handshake, cause: &str, status: u16) -> Head {
    refused_by(STRICT, request, cause, status)
}

/// Asserts that this handshake is carried: the tunnel opens, and the backend got the same request
/// whatever the client's spelling was.
#[track_caller]
pub fn accepted(request: &Handshake) -> Recorded {
    accepted_by(STRICT, request).0
}

/// Likewise by `server`, with what the error log says of it.
#[track_caller]
pub fn accepted_by(server: &str, request: &Handshake) -> (Recorded, Vec<String>) {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    let head = client.ask(request);
    assert_eq!(head.status(), 101, "{}", head.text());
    client.echo("hello");
    drop(client);
    let log = nginx.stop();
    assert_eq!(lines_with(&log, "[error]"), [""; 0]);
    let got = backend.request(0);
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.head.lines("Connection"), ["Connection: upgrade"]);
    (got, lines_with(&log, "websocket"))
}

/// What the backend gets when this request is answered by `server` with a 101 or a 200, and the lines about it but for
/// those of the beginning and the end of its tunnel.
#[track_caller]
pub fn passed_on(server: &str, request: &Handshake) -> (Recorded, Vec<String>) {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.ask(request);
    drop(client);
    (
        backend.request(0),
        lines_with(&nginx.stop(), "websocket")
            .into_iter()
            .filter(|line| line.contains(", client: "))
            .filter(|line| !line.contains("established in") && !line.contains("closed after"))
            .collect(),
    )
}

pub fn sample() -> Handshake {
    Handshake::new("/chat")
}
