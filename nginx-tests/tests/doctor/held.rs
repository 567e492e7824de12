//! `--nginx-conf` held against nginx: each configuration is run, and what is said of it, with an
//! address and without, has to be what happened.

use std::thread;
use std::time::Duration;

use nginx_tests::environment::nginx_version;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use crate::program::run;

#[path = "held_cases.rs"]
mod cases;

use cases::CASES;

const HAND: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection upgrade;";

/// A server's lines and the path that is asked for. `%PASS%` passes to the backend, `%HAND%` is
/// what carries WebSocket by hand.
struct Case {
    http: &'static str,
    server: &'static str,
    path: &'static str,
    /// Whether what is said without an address is compared, too: the path is one of many then.
    is_all: bool,
    /// What has to be said of it.
    says: &'static str,
    /// Whether it is looked at: what isn't has to be said, and may be otherwise.
    is_seen: bool,
}

const fn case(server: &'static str, path: &'static str) -> Case {
    Case {
        http: "",
        server,
        path,
        is_all: true,
        says: "",
        is_seen: true,
    }
}

impl Case {
    const fn http(mut self, http: &'static str) -> Self {
        self.http = http;
        self
    }

    /// Of a configuration whose locations differ, or that depends on the address.
    const fn with_address_only(mut self) -> Self {
        self.is_all = false;
        self
    }

    /// Of what is not looked at.
    const fn not_seen(self, text: &'static str) -> Self {
        let mut case = self.saying(text);
        case.is_seen = false;
        case
    }

    const fn saying(mut self, text: &'static str) -> Self {
        self.says = text;
        self
    }
}

/// Takes whatever is a handshake, with any Host, Origin, path or body.
fn backend() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let right = head.start.starts_with("GET ")
            && head.start.ends_with("HTTP/1.1")
            && head.has_token("Upgrade", "websocket")
            && head.has_token("Connection", "upgrade")
            && head.header("Sec-WebSocket-Version") == Some("13")
            && head.header("Sec-WebSocket-Key").is_some();
        if right {
            // Long enough for a time of 0 to be over.
            thread::sleep(Duration::from_millis(30));
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
}

/// Whether the client sees a handshake that succeeded.
fn happens(port: u16, path: &str) -> (bool, String) {
    let own = format!("127.0.0.1:{port}");
    let handshake = Handshake::new(path)
        .set("Host", &own)
        .set("Origin", &format!("http://{own}"));
    let head = Client::connect(port).ask(&handshake);
    let is_right = head.status() == 101
        && head.has_token("Upgrade", "websocket")
        && head.has_token("Connection", "upgrade")
        && head.header("Sec-WebSocket-Accept").is_some();
    (is_right, head.start.clone())
}

/// What is wrong with what the doctor says of a case.
fn wrong(case: &Case, backend: &ScriptedBackend) -> Vec<String> {
    let text = |text: &str| {
        text.replace("%PASS%", "proxy_pass http://%BACKEND%;")
            .replace("%HAND%", HAND)
    };
    let http = format!(
        "{} server {{ listen 127.0.0.1:%PORT%; {} }}",
        text(case.http),
        text(case.server)
    );
    let nginx = Nginx::http(http)
        .set("BACKEND", backend.address())
        .file("php.sock", "")
        .allow_log("[crit]")
        .start();
    let (happened, answer) = happens(nginx.port(), case.path);
    let file = nginx.path("nginx.conf").display().to_string();
    let url = format!("ws://127.0.0.1:{}{}", nginx.port(), case.path);
    let mut wrong = Vec::new();
    let mut compare = |arguments: &[&str]| {
        let said = run(arguments);
        let expected = if happened { 0 } else { 1 };
        let is_right = said.status == Some(expected) || !case.is_seen;
        if !is_right || !said.out.contains(case.says) {
            wrong.push(format!(
                "{} {}\n  asked for {}: {answer}, but status {:?}, where it had to say {:?}:\n{}{}",
                case.http, case.server, case.path, said.status, case.says, said.out, said.err
            ));
        }
    };
    compare(&["--nginx-conf", &file, &url]);
    if case.is_all {
        compare(&["--nginx-conf", &file]);
    }
    wrong
}

/// Before 1.19.9 nginx may be late for a time of nothing at all.
fn can_be_held(case: &Case) -> bool {
    nginx_version() >= (1, 19, 9) || !case.server.contains("proxy_connect_timeout 0")
}

#[test]
fn what_is_said_of_a_configuration_is_what_nginx_does() {
    let backend = backend();
    // Most of the time nginx is waited for.
    let wrong: Vec<String> = thread::scope(|scope| {
        let parts: Vec<_> = CASES
            .chunks(CASES.len().div_ceil(4))
            .map(|part| {
                let part = part.iter().filter(|case| can_be_held(case));
                scope.spawn(|| part.flat_map(|case| wrong(case, &backend)).collect())
            })
            .collect();
        let joined = parts.into_iter().map(|part| part.join().expect("no panic"));
        joined.flat_map(|wrong: Vec<String>| wrong).collect()
    });
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        CASES.len(),
        wrong.join("\n")
    );
}
