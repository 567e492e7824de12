//! scripts/check-websocket.sh: the same names and exit status, with nothing but curl.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nginx_tests::environment::find_program;
use tungstenite::handshake::derive_accept_key;

use nginx_tests::{Certificate, Listen, Nginx, ScriptedBackend, backend};

use crate::causes::NOBODY;
use crate::program::examine;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/check-websocket.sh")
}

/// Exit status and output; `None`, with the reason printed, where there is no curl.
fn run(arguments: &[&str]) -> Option<(i32, String)> {
    if find_program("curl").is_none() {
        nginx_tests::skipped("curl is not installed");
        return None;
    }
    let output = Command::new(script())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("sh runs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.code().expect("an exit status"), text))
}

#[track_caller]
pub fn names(url: &str, cause: &str, more: &[&str]) {
    let arguments: Vec<&str> = ["-t", "2"]
        .iter()
        .chain(more)
        .chain(&[url])
        .copied()
        .collect();
    let Some((status, text)) = run(&arguments) else {
        return;
    };
    if cause.is_empty() {
        assert_eq!(status, 0, "{text}");
        assert!(text.starts_with("works: HTTP/1.1 101 "), "{text}");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        return;
    }
    assert_eq!(status, 1, "{text}");
    as_the_doctor(&text, cause, url, more);
}

/// Name, advice and hint are those of the doctor at the same address.
#[track_caller]
fn as_the_doctor(text: &str, cause: &str, url: &str, more: &[&str]) {
    let options: Vec<String> = more
        .iter()
        .map(|option| match *option {
            "-p" => "--subprotocol",
            "-H" => "--header",
            "-k" => "--insecure",
            other => other,
        })
        .map(str::to_owned)
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let report = examine(url, &options);
    let failed = &report["front"]["failure"];
    assert_eq!(failed["name"], cause, "{text}{report:#}");
    let name = match failed["problem"].as_str() {
        Some(problem) => format!("{cause} ({problem})"),
        None => cause.to_owned(),
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(&format!("fails: {name}: ")),
        "{name}: {text}"
    );
    let advice = failed["advice"].as_str().expect("advice");
    assert_eq!(lines[1], format!("advice: {advice}"));
    let hint = failed["hint"].as_str().unwrap_or_default();
    let hinted = lines
        .iter()
        .any(|line| line.starts_with("from here: no subprotocol"));
    assert_eq!(hinted, !hint.is_empty(), "{text}{report:#}");
}

#[track_caller]
fn answering(answer: &str, cause: &str) {
    let backend = ScriptedBackend::answering(answer);
    names(&format!("ws://{}/", backend.address()), cause, &[]);
}

#[test]
fn works() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    names(&format!("ws://{}/", backend.address()), "", &[]);
    names(
        &format!("http://127.0.0.1:{}/a?b", nginx.port()),
        "",
        &["-H", "Cookie: a=b", "-p", "chat"],
    );
    if find_program("curl").is_some() {
        let head = backend.request(1).head;
        assert_eq!(head.start, "GET /a?b HTTP/1.1");
        assert_eq!(head.all("Cookie"), ["a=b"]);
        assert_eq!(head.all("Sec-WebSocket-Protocol"), ["chat"]);
        let origin = format!("http://127.0.0.1:{}", nginx.port());
        assert_eq!(head.all("Origin"), [origin.as_str()]);
        let quiet = run(&["-q", &format!("ws://{}/", backend.address())]);
        assert_eq!(quiet, Some((0, String::new())));
    }
}

#[test]
fn reaching() {
    names(&format!("ws://{NOBODY}/"), "upstream-refused", &[]);
    names("ws://127.255.255.255:9/", "upstream-unreachable", &[]);
    let host = "a".repeat(64);
    names(&format!("ws://{host}/"), "upstream-unresolved", &[]);

    let plain = ScriptedBackend::start(|conn| {
        conn.read_bytes(1)?;
        conn.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    });
    names(
        &format!("wss://{}/", plain.address()),
        "upstream-tls-failed",
        &[],
    );
    let tls = ScriptedBackend::on(Listen::Tls(Certificate::localhost()), backend::standard);
    names(
        &format!("wss://{}/", tls.address()),
        "upstream-tls-failed",
        &[],
    );
    names(&format!("wss://{}/", tls.address()), "", &["-k"]);
}

#[test]
fn answers() {
    for (status, header, cause) in [
        ("302 Found", "Location: /\r\n", "upstream-redirect"),
        ("400 Bad Request", "", "upstream-bad-request"),
        ("401 Unauthorized", "", "upstream-unauthorized"),
        ("403 Forbidden", "", "upstream-forbidden"),
        ("404 Not Found", "", "upstream-not-found"),
        (
            "426 Upgrade Required",
            "Sec-WebSocket-Version: 8\r\n",
            "upstream-version",
        ),
        (
            "426 Upgrade Required",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n",
            "upstream-version",
        ),
        (
            "426 Upgrade Required",
            "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n",
            "upgrade-missing",
        ),
        ("503 Service Unavailable", "", "upstream-overloaded"),
        ("200 OK", "", "upstream-not-websocket"),
        ("500 Internal Server Error", "", "upstream-error"),
        ("418 I'm a teapot", "", "upstream-status"),
        (
            "502 Bad Gateway",
            "X-WebSocket-Cause: upstream-refused\r\n",
            "upstream-refused",
        ),
        (
            "500 Internal Server Error",
            "X-WebSocket-Cause: made-up\r\n",
            "upstream-error",
        ),
    ] {
        let text = format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\n\r\n");
        answering(&text, cause);
    }
    answering("SSH-2.0-OpenSSH_9.2\r\n", "upstream-response-invalid");
    let silent = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.hang()
    });
    names(
        &format!("ws://{}/", silent.address()),
        "upstream-response-timeout",
        &[],
    );
    let closing = ScriptedBackend::start(|conn| conn.read_request().map(drop));
    names(
        &format!("ws://{}/", closing.address()),
        "upstream-closed",
        &[],
    );
}

#[test]
fn switches() {
    let right = "Sec-WebSocket-Accept: %RIGHT%";
    for (headers, cause) in [
        (
            &[
                "Upgrade: websocket",
                "Connection: keep-alive, Upgrade",
                right,
            ][..],
            "",
        ),
        (
            &["Upgrade: h2c", "Connection: Upgrade", right],
            "response-upgrade",
        ),
        (&["Connection: Upgrade", right], "response-upgrade"),
        (
            &["Upgrade: websocket", "Connection: close", right],
            "response-connection",
        ),
        (
            &["Upgrade: websocket", "Connection: Upgrade"],
            "accept-missing",
        ),
        (
            &[
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Accept: wrong",
            ],
            "accept-mismatch",
        ),
        (
            &[
                "Upgrade: websocket",
                "Connection: Upgrade",
                right,
                "Sec-WebSocket-Protocol: chat",
            ],
            "subprotocol-not-offered",
        ),
        (
            &[
                "Upgrade: websocket",
                "Connection: Upgrade",
                right,
                "Sec-WebSocket-Extensions: x",
            ],
            "extension-not-offered",
        ),
    ] {
        let headers = headers.join("\r\n");
        let backend = ScriptedBackend::start(move |conn| {
            let head = conn.read_request()?.head;
            let key = head.header("Sec-WebSocket-Key").unwrap_or_default();
            let headers = headers.replace("%RIGHT%", &derive_accept_key(key.as_bytes()));
            conn.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n\r\n"
            ))?;
            conn.hang()
        });
        names(&format!("ws://{}/", backend.address()), cause, &[]);
    }
}

#[test]
fn nginx_s_own_answers() {
    let nginx = Nginx::server(
        "websocket on;
         location /gone { return 404; }
         location /moved { return 301 /; }
         location /slash/ { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
         location /slashed { return 301 http://$host/slashed/?a=b; }
         location /refused { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
         location /told { proxy_pass http://127.0.0.1:%CLOSED_PORT%; websocket_cause_header on; }",
    )
    .start();
    for (path, cause) in [
        ("gone", "local-not-found"),
        ("moved", "local-redirect"),
        ("slash", "local-redirect"),
        ("slashed?a=b", "local-redirect"),
        ("refused", "upstream-error"),
        ("told", "upstream-refused"),
    ] {
        names(
            &format!("ws://127.0.0.1:{}/{path}", nginx.port()),
            cause,
            &[],
        );
    }
}

#[test]
fn certificates_and_ports() {
    let (other, _) = Certificate::issued(&["other.example", "127.0.0.1"]);
    let backend = ScriptedBackend::on(Listen::Tls(other), backend::standard);
    names(
        &format!("wss://{}/", backend.address()),
        "upstream-tls-failed",
        &[],
    );
    let nginx = Nginx::http(
        "server {
             listen 127.0.0.1:%TLSPORT% ssl;
             listen 127.0.0.1:%TLSPORT2% ssl;
             ssl_certificate cert.pem;
             ssl_certificate_key key.pem;
             ssl_verify_client on;
             ssl_client_certificate cert.pem;
         }",
    )
    .certificate(&Certificate::localhost())
    .start();
    let port = nginx.port_of("TLSPORT");
    let (plain, secure) = (
        format!("ws://127.0.0.1:{port}/"),
        format!("wss://127.0.0.1:{port}/"),
    );
    names(&plain, "local-plain-to-tls", &[]);
    names(&secure, "local-certificate-missing", &["-k"]);
}

/// Each cause is there with the module's own advice, so that one shown by
/// `websocket_cause_header` gets it too.
#[test]
fn it_has_the_advice_of_every_cause() {
    let text = std::fs::read_to_string(script()).expect("the script");
    let (_, table) = text.split_once("p\" <<'END'\n").expect("a table");
    let (table, _) = table.split_once("\nEND\n").expect("its end");
    let expected: Vec<String> = websocket_protocol::Cause::ALL
        .iter()
        .map(|cause| format!("{cause}: {}", cause.advice()))
        .collect();
    let found: Vec<&str> = table.lines().collect();
    assert_eq!(
        found,
        expected,
        "the table should be:\n{}",
        expected.join("\n")
    );
}

#[test]
fn a_server_s_words_are_made_harmless() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 \x1b[2J\r\nContent-Length: 0\r\n\r\n");
    let Some((status, text)) = run(&[&format!("ws://{}/", backend.address())]) else {
        return;
    };
    assert_eq!(status, 1);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_wrong_command_line_has_status_2() {
    for arguments in [
        &[][..],
        &["nowhere"],
        &["-t", "x", "ws://127.0.0.1:9"],
        &["-z"],
        &["ws://a", "ws://b"],
    ] {
        let Some((status, text)) = run(arguments) else {
            return;
        };
        assert_eq!((status, text.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn it_is_clean() {
    let Some(shellcheck) = find_program("shellcheck") else {
        nginx_tests::skipped("shellcheck is not installed");
        return;
    };
    let output = Command::new(shellcheck)
        .arg(script())
        .output()
        .expect("shellcheck runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
