//! What the tests of ownership share.

use std::fmt::Display;

use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Frame, Nginx, ScriptedBackend};

/// What a WebSocket location says where there is no module.
pub const BY_HAND: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;";

/// An address where nobody listens.
pub const NOBODY: &str = "127.0.0.1:1";

pub const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// An nginx whose only server is on and has this text in it, and an access log `outcome.log`.
/// `%BY_HAND%` and `%NOBODY%` are those above.
pub fn server(text: impl Display) -> Setup {
    Nginx::http(format!(
        "log_format outcome escape=none '$status $websocket_state $websocket_cause';
        access_log logs/outcome.log outcome;
        server {{ listen 127.0.0.1:%PORT%; websocket on;\n{text}\n}}"
    ))
    .set("BY_HAND", BY_HAND)
    .set("NOBODY", NOBODY)
}

/// The same with what `%BACKEND%` stands for.
pub fn to(backend: &ScriptedBackend, text: impl Display) -> Setup {
    server(text).set("BACKEND", backend.address())
}

/// All that the module says in an error log, line by line, without what nginx adds to each.
pub fn said(log: &str) -> Vec<String> {
    let of_the_module = |line: &str| {
        let (_, line) = line.split_once(": *")?;
        let (_, text) = line.split_once(' ')?;
        let (text, _) = text.rsplit_once(", client: ")?;
        let ours = [
            "websocket handshake ",
            "websocket established",
            "websocket closed",
        ];
        ours.iter()
            .any(|start| text.starts_with(start))
            .then(|| text.to_owned())
    };
    log.lines().filter_map(of_the_module).collect()
}

/// Asserts that the log has one failure of this cause, what was seen, if not what the upstream was
/// asked for, and no other line of the module.
#[track_caller]
pub fn assert_failed(log: &str, cause_and_seen: &str) {
    let said = said(log);
    let expected = format!("websocket handshake failed: {cause_and_seen}");
    let is_it = |line: &String| {
        line.strip_prefix(&expected)
            .is_some_and(|rest| rest.starts_with("; ") || rest.starts_with(", for path "))
    };
    assert!(
        said.len() == 1 && said.first().is_some_and(is_it),
        "{said:#?} should have been {expected:?}\n{log}"
    );
}

/// Asserts that the log has the two lines on one tunnel, which the client has ended by a Close,
/// and no other line of the module.
#[track_caller]
pub fn assert_carried(log: &str) {
    let said = said(log);
    let right = matches!(&said[..], [first, second]
        if first.starts_with("websocket established")
            && second.starts_with("websocket closed")
            && second.contains(" by client: normal"));
    assert!(right, "{said:#?}\n{log}");
}

/// A whole life of a tunnel.
#[track_caller]
pub fn visit(nginx: &Nginx, target: &str) {
    let mut client = Client::connect(nginx.port());
    client.establish(target);
    client.echo("hello");
    client.close_politely();
}

/// Whether this tunnel has the module's limit of ten bytes for a message: such a message comes
/// back, or a Close does.
#[track_caller]
pub fn is_limited(client: &mut Client) -> bool {
    let message = Frame::text("more than ten bytes");
    client
        .send(message.clone().masked().bytes())
        .expect("the tunnel takes a frame");
    let answer = client.frame();
    if answer == message {
        return false;
    }
    assert_eq!(answer.close_code(), Some(1009), "{answer:?}");
    true
}
