//! Answers that deviate from the right 101.

use crate::exception::Exception::{self, Accept, Extension};
use crate::exception::Row;

/// An answer as it is sent, with `%ACCEPT%` for what belongs to the key.
pub struct Answer {
    pub name: String,
    pub bytes: String,
    /// Why it need not be carried, if it need not.
    pub exception: Option<Exception>,
}

/// The client has offered the
/// subprotocols `chat` and `superchat`, and `permessage-deflate`.
#[rustfmt::skip]
const VALUES: &[Row] = &[
    ("Connection", &[
        &[], &[""], &["close"], &["keep-alive"], &["upgrade"], &["UPGRADE"], &["Upgrade, keep-alive"],
        &["keep-alive, Upgrade"], &["Upgrade", "Upgrade"], &["keep-alive", "Upgrade"], &["Upgrade,"], &["x"],
    ], None),
    ("Upgrade", &[
        &[], &[""], &["WebSocket"], &["WEBSOCKET"], &["h2c"], &["websocket, h2c"], &["websocket/13"],
        &["websocket", "websocket"], &["websocket,"], &["raw"],
    ], None),
    ("Sec-WebSocket-Accept", &[&[]], None),
    ("Sec-WebSocket-Accept", &[
        &[""], &["s3pPLMBiTxaQ9kYGzzhZRbK+xOp="], &["x"], &["%ACCEPT%", "%ACCEPT%"], &["%ACCEPT%", "x"],
        &["%ACCEPT%, x"],
    ], Some(Accept)),
    ("Sec-WebSocket-Protocol", &[
        &["chat"], &["superchat"], &["CHAT"], &["mqtt"], &[""], &["chat, superchat"], &["chat", "superchat"],
        &["chat", "chat"], &["a b"],
    ], None),
    ("Sec-WebSocket-Extensions", &[
        &["permessage-deflate"], &["permessage-deflate; server_no_context_takeover"], &[""],
        &["permessage-deflate;"], &["permessage-deflate; client_max_window_bits=10"],
    ], None),
    ("Sec-WebSocket-Extensions", &[
        &["permessage-bzip2"], &["permessage-deflate, x"], &["permessage-deflate", "x"], &["deflate-frame"],
    ], Some(Extension)),
    ("Sec-WebSocket-Version", &[&["13"], &["8"]], None),
    ("Sec-WebSocket-Key", &[&["x"]], None),
    ("Sec-WebSocket-Origin", &[&["http://localhost"]], None),
    ("Content-Length", &[&["0"]], None),
    ("Content-Type", &[&["text/html"]], None),
    ("Date", &[&["Thu, 26 Nov 2026 00:00:00 GMT"]], None),
    ("Server", &[&["x"]], None),
    ("Set-Cookie", &[&["a=b"], &["a=b", "c=d"]], None),
    ("Vary", &[&["Origin"]], None),
    ("Cache-Control", &[&["no-store"]], None),
    ("Keep-Alive", &[&["timeout=5"]], None),
    ("Access-Control-Allow-Origin", &[&["*"]], None),
    ("X-Powered-By", &[&["x"]], None),
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 101 Web Socket Protocol Handshake",
    "HTTP/1.1 101",
    "HTTP/1.1 101 ",
    "HTTP/1.0 101 Switching Protocols",
    "HTTP/1.1 101 OK",
];

pub fn all() -> Vec<Answer> {
    let mut all = vec![answer(
        "right",
        "HTTP/1.1 101 Switching Protocols",
        &right(),
        "\r\n",
        None,
    )];
    for (header, values, exception) in VALUES {
        for lines in *values {
            let mut headers = right();
            headers.retain(|(name, _)| name != header);
            headers.extend(lines.iter().map(|value| (*header, *value)));
            let name = format!("{header}: {lines:?}");
            let line = "HTTP/1.1 101 Switching Protocols";
            all.push(answer(&name, line, &headers, "\r\n", *exception));
        }
    }
    for line in STATUS_LINES {
        all.push(answer(line, line, &right(), "\r\n", None));
    }
    let line = "HTTP/1.1 101 Switching Protocols";
    let mut reversed = right();
    reversed.reverse();
    all.push(answer("lines in reverse", line, &reversed, "\r\n", None));
    all.push(answer("line feeds alone", line, &right(), "\n", None));
    all.push(answer(
        "blanks behind the values",
        line,
        &right(),
        " \r\n",
        None,
    ));
    all
}

fn right() -> Vec<(&'static str, &'static str)> {
    vec![
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", "%ACCEPT%"),
    ]
}

fn answer(
    name: &str,
    line: &str,
    headers: &[(&str, &str)],
    end: &str,
    exception: Option<Exception>,
) -> Answer {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}{end}"))
        .collect();
    Answer {
        name: name.to_owned(),
        bytes: format!("{line}\r\n{lines}\r\n"),
        exception,
    }
}
