//! The handshake's rules: what nginx answers by itself, what it passes on, and what it says.
//!
//! A long file of short tests: what they share is at the top, and each is read by itself.

use nginx_tests::backend::Recorded;
use nginx_tests::client::{self, SAMPLE_KEY};
use nginx_tests::environment::nginx_version;
use nginx_tests::http::Head;
use nginx_tests::nginx::lines_with;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, http2};

const ON: &str = "location / { proxy_pass http://%BACKEND%; websocket on; }";
const LENIENT: &str =
    "location / { proxy_pass http://%BACKEND%; websocket on; websocket_handshake lenient; }";

/// The Connection line that nginx sends where no one says otherwise.
fn default_connection() -> &'static str {
    if nginx_version() < (1, 29, 7) {
        "close"
    } else {
        ""
    }
}

/// Asserts that nginx refuses this request with this status: nothing reaches the backend, and
/// one line of the error log says why. Gives the answer's head.
#[track_caller]
fn refused_by(server: &str, request: &Handshake, cause: &str, status: u16) -> Head {
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

#[track_caller]
fn refused(request: &Handshake, cause: &str, status: u16) -> Head {
    refused_by(ON, request, cause, status)
}

/// Asserts that this handshake is right: the tunnel opens, and the backend got the same request
/// whatever the client's spelling was.
#[track_caller]
fn accepted(request: &Handshake) -> Recorded {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    let head = client.ask(request);
    assert_eq!(head.status(), 101, "{}", head.text());
    client.echo("hello");
    drop(client);
    assert_eq!(lines_with(&nginx.stop(), "[error]"), [""; 0]);
    let got = backend.request(0);
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.head.lines("Connection"), ["Connection: upgrade"]);
    got
}

/// What the backend gets when this request is answered by `server` with a 101 or a 200.
#[track_caller]
fn passed_on(server: &str, request: &Handshake) -> (Recorded, Vec<String>) {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.ask(request);
    drop(client);
    (
        backend.request(0),
        lines_with(&nginx.stop(), "websocket handshake passed on"),
    )
}

fn sample() -> Handshake {
    Handshake::new("/chat")
}

// What is right.

#[test]
fn a_handshake_reaches_the_backend_with_every_header_of_its_own() {
    let got = accepted(
        &sample()
            .add("Origin", "http://localhost")
            .add("Sec-WebSocket-Protocol", "chat, superchat")
            .add(
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits",
            )
            .add("Cookie", "a=b"),
    );
    for (name, value) in [
        ("Sec-WebSocket-Key", SAMPLE_KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Origin", "http://localhost"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("Cookie", "a=b"),
    ] {
        assert_eq!(got.head.all(name), [value], "{name}");
    }
    assert_eq!(got.head.start, "GET /chat HTTP/1.1");
}

#[test]
fn names_and_tokens_in_any_case() {
    accepted(
        &sample()
            .without("Upgrade")
            .without("Connection")
            .add("UPGRADE", "WebSocket")
            .add("connection", "uPGRADE"),
    );
}

#[test]
fn connection_as_a_list() {
    accepted(&sample().set("Connection", "keep-alive, Upgrade"));
    accepted(&sample().set("Connection", "Upgrade,keep-alive"));
    accepted(&sample().set("Connection", ",\t upgrade ,"));
}

#[test]
fn connection_repeated() {
    accepted(
        &sample()
            .set("Connection", "keep-alive")
            .add("Connection", "Upgrade"),
    );
}

#[test]
fn upgrade_as_a_list() {
    accepted(&sample().set("Upgrade", "h2c, websocket"));
    accepted(&sample().set("Upgrade", "websocket,h2c"));
}

#[test]
fn upgrade_repeated() {
    accepted(&sample().set("Upgrade", "h2c").add("Upgrade", "websocket"));
    accepted(&sample().add("Upgrade", "h2c"));
}

#[test]
fn content_length_0_is_no_body() {
    accepted(&sample().add("Content-Length", "0"));
}

#[test]
fn subprotocols_over_several_lines() {
    let request = sample()
        .add("Sec-WebSocket-Protocol", "a")
        .add("Sec-WebSocket-Protocol", "b, c");
    assert_eq!(
        accepted(&request).head.all("Sec-WebSocket-Protocol"),
        ["a", "b, c"]
    );
}

// What is refused.

#[test]
fn another_method_is_refused_with_allow_get() {
    for method in ["POST", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let backend = ScriptedBackend::standard();
        let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
        let head = Client::connect(nginx.port()).ask(&sample().method(method));
        assert_eq!(head.status(), 405, "{method}");
        assert_eq!(head.all("Allow"), ["GET"], "{method}");
        let lines = lines_with(&nginx.stop(), "websocket");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].contains("websocket handshake failed: method-not-get"),
            "{lines:#?}"
        );
        assert_eq!(backend.connections(), 0);
    }
}

#[test]
fn http_1_0_is_refused() {
    refused(&sample().version("HTTP/1.0"), "http-version", 400);
}

#[test]
fn a_missing_upgrade_is_refused_with_the_upgrade_that_is_required() {
    let head = refused(&sample().without("Upgrade"), "upgrade-missing", 426);
    assert_eq!(head.all("Upgrade"), ["websocket"]);
    // RFC 9110 section 7.8: Upgrade is in force by Connection alone.
    assert!(head.has_token("Connection", "upgrade"), "{}", head.text());
}

#[test]
fn a_key_alone_is_an_attempt() {
    let request = Handshake::plain("/").add("Sec-WebSocket-Key", SAMPLE_KEY);
    refused(&request, "upgrade-missing", 426);
}

#[test]
fn a_version_alone_is_an_attempt() {
    let request = Handshake::plain("/").add("Sec-WebSocket-Version", "13");
    refused(&request, "upgrade-missing", 426);
}

#[test]
fn an_upgrade_to_something_else_with_a_key_is_refused() {
    refused(
        &sample().set("Upgrade", "h2c"),
        "upgrade-not-websocket",
        400,
    );
    refused(
        &sample().set("Upgrade", "websocket2"),
        "upgrade-not-websocket",
        400,
    );
    refused(
        &sample().set("Upgrade", "web socket"),
        "upgrade-not-websocket",
        400,
    );
}

#[test]
fn an_empty_upgrade_is_refused() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let head = Client::connect(nginx.port()).ask(&sample().set("Upgrade", ""));
    assert!(matches!(head.status(), 400 | 426), "{}", head.text());
    assert_eq!(
        lines_with(&nginx.stop(), "websocket handshake failed: upgrade-").len(),
        1
    );
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_missing_connection_is_refused() {
    refused(
        &sample().without("Connection"),
        "connection-not-upgrade",
        400,
    );
}

#[test]
fn a_connection_without_upgrade_is_refused() {
    refused(
        &sample().set("Connection", "keep-alive"),
        "connection-not-upgrade",
        400,
    );
    refused(
        &sample().set("Connection", "upgraded, keep-alive"),
        "connection-not-upgrade",
        400,
    );
    refused(
        &sample().set("Connection", "close"),
        "connection-not-upgrade",
        400,
    );
}

#[test]
fn a_missing_key_is_refused() {
    refused(&sample().without("Sec-WebSocket-Key"), "key-missing", 400);
}

#[test]
fn a_key_that_is_not_16_bytes_in_base64_is_refused() {
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZ!==",
    ] {
        refused(&sample().set("Sec-WebSocket-Key", key), "key-invalid", 400);
    }
}

#[test]
fn a_repeated_key_is_refused() {
    let twice = format!("{SAMPLE_KEY}, {SAMPLE_KEY}");
    refused(
        &sample().set("Sec-WebSocket-Key", &twice),
        "key-repeated",
        400,
    );
    refused(
        &sample().add("Sec-WebSocket-Key", SAMPLE_KEY),
        "key-repeated",
        400,
    );
}

#[test]
fn a_missing_version_is_refused() {
    refused(
        &sample().without("Sec-WebSocket-Version"),
        "version-missing",
        400,
    );
}

#[test]
fn another_version_is_refused_with_the_version_that_is_supported() {
    for version in ["8", "7", "12", "14", "013", "13x", ""] {
        let request = sample().set("Sec-WebSocket-Version", version);
        let head = refused(&request, "version-unsupported", 426);
        assert_eq!(head.all("Sec-WebSocket-Version"), ["13"], "{version:?}");
    }
}

#[test]
fn a_repeated_version_is_refused() {
    for request in [
        sample().add("Sec-WebSocket-Version", "13"),
        sample().set("Sec-WebSocket-Version", "13, 8"),
    ] {
        refused(&request, "version-repeated", 400);
    }
}

#[test]
fn a_body_is_refused() {
    refused(
        &sample().add("Content-Length", "5").body("hello"),
        "body-present",
        400,
    );
    let chunked = sample()
        .add("Transfer-Encoding", "chunked")
        .body("0\r\n\r\n");
    refused(&chunked, "body-present", 400);
}

#[test]
fn malformed_subprotocols_are_refused() {
    for value in ["a b", "a;b", "chat, chat", "\"chat\"", "a/b"] {
        let request = sample().add("Sec-WebSocket-Protocol", value);
        refused(&request, "subprotocol-malformed", 400);
    }
}

#[test]
fn malformed_extensions_are_refused() {
    for value in ["a b", "a;", "a; =1", "a; b=", "a; b=\"", "; a"] {
        let request = sample().add("Sec-WebSocket-Extensions", value);
        refused(&request, "extensions-malformed", 400);
    }
}

#[test]
fn handshake_headers_over_http_2_are_refused() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "server {
            listen 127.0.0.1:%PORT% http2;
            location / { proxy_pass http://%BACKEND%; websocket on; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut wire = Wire::connect(nginx.port()).unwrap();
    let headers = [
        ("sec-websocket-key", SAMPLE_KEY),
        ("sec-websocket-version", "13"),
    ];
    assert_eq!(http2::get(&mut wire, "/", &headers).unwrap().status, 400);
    drop(wire);
    let lines = lines_with(&nginx.stop(), "websocket handshake");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("[error]"), "{lines:#?}");
    assert!(
        lines[0].contains("websocket handshake failed: over-http2"),
        "{lines:#?}"
    );
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_refusal_leaves_the_connection_fit_for_another_request() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    let answer = client.exchange(&sample().without("Upgrade"));
    assert_eq!(answer.status(), 426);
    client.establish("/");
    client.echo("hello");
}

#[test]
fn a_refusal_takes_an_error_page() {
    let server = "
        error_page 426 /hint;
        location = /hint { internal; return 200 'use a WebSocket'; }
        location / { proxy_pass http://%BACKEND%; websocket on; }";
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    let answer = Client::connect(nginx.port()).exchange(&sample().without("Upgrade"));
    assert_eq!((answer.status(), &*answer.text()), (426, "use a WebSocket"));
    assert_eq!(
        lines_with(&nginx.stop(), "websocket handshake failed").len(),
        1
    );
}

#[test]
fn nothing_is_refused_where_websocket_is_off() {
    let server = "location / { proxy_pass http://%BACKEND%; }";
    let (got, lines) = passed_on(server, &sample().without("Sec-WebSocket-Key"));
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert_eq!(lines, [""; 0]);
}

#[test]
fn plain_requests_are_never_logged() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    client::get(nginx.port(), "/");
    Client::connect(nginx.port()).exchange(
        &Handshake::plain("/")
            .method("POST")
            .add("Content-Length", "1")
            .body("a"),
    );
    assert_eq!(lines_with(&nginx.stop(), "websocket"), [""; 0]);
}

// Lenient.

/// Asserts that a broken attempt reaches the backend, with one line in the error log.
#[track_caller]
fn lenient(request: &Handshake, cause: &str) -> Head {
    let (got, lines) = passed_on(LENIENT, request);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains(&format!("websocket handshake passed on: {cause}")),
        "{lines:#?}"
    );
    got.head
}

#[test]
fn lenient_logs_what_it_passes_on_where_an_operator_sees_it() {
    let (_, lines) = passed_on(LENIENT, &sample().without("Sec-WebSocket-Key"));
    assert!(lines[0].contains("[error]"), "{lines:#?}");
}

#[test]
fn lenient_passes_a_broken_handshake_on_with_its_upgrade() {
    let got = lenient(&sample().without("Sec-WebSocket-Key"), "key-missing");
    assert_eq!(got.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.lines("Connection").len(), 1);
    assert!(got.has_token("Connection", "upgrade"));
    assert_eq!(got.lines("Sec-WebSocket-Key"), [""; 0]);
}

#[test]
fn lenient_sends_the_connection_that_upgrades() {
    let got = lenient(
        &sample().set("Connection", "keep-alive"),
        "connection-not-upgrade",
    );
    assert_eq!(got.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.lines("Connection"), ["Connection: upgrade"]);
}

#[test]
fn lenient_passes_wrong_versions_and_keys_on_unchanged() {
    let got = lenient(
        &sample().set("Sec-WebSocket-Version", "8"),
        "version-unsupported",
    );
    assert_eq!(got.all("Sec-WebSocket-Version"), ["8"]);
    let got = lenient(&sample().set("Sec-WebSocket-Key", "short"), "key-invalid");
    assert_eq!(got.all("Sec-WebSocket-Key"), ["short"]);
    let got = lenient(
        &sample().add("Sec-WebSocket-Key", SAMPLE_KEY),
        "key-repeated",
    );
    assert_eq!(got.all("Sec-WebSocket-Key"), [SAMPLE_KEY, SAMPLE_KEY]);
}

#[test]
fn lenient_passes_another_method_on() {
    let got = lenient(&sample().method("PUT"), "method-not-get");
    assert_eq!(got.start, "PUT /chat HTTP/1.1");
    assert_eq!(got.lines("Upgrade"), ["Upgrade: websocket"]);
}

#[test]
fn lenient_passes_an_attempt_without_upgrade_on_as_it_came() {
    let got = lenient(&sample().without("Upgrade"), "upgrade-missing");
    assert_eq!(got.lines("Upgrade"), [""; 0]);
    assert_eq!(got.all("Sec-WebSocket-Key"), [SAMPLE_KEY]);
}

#[test]
fn lenient_strips_another_upgrade_all_the_same() {
    let got = lenient(&sample().set("Upgrade", "h2c"), "upgrade-not-websocket");
    assert_eq!(got.lines("Upgrade"), [""; 0]);
    assert!(!got.has_token("Connection", "upgrade"), "{}", got.text());
}

#[test]
fn lenient_lets_a_right_handshake_be() {
    let (got, lines) = passed_on(LENIENT, &sample());
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.head.lines("Connection"), ["Connection: upgrade"]);
    assert_eq!(lines, [""; 0]);
}

#[test]
fn lenient_makes_a_tunnel_where_the_upstream_agrees() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(LENIENT)
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.accepted(&sample().without("Sec-WebSocket-Version"));
    client.echo("hello");
}

// Upgrades to other protocols.

fn h2c() -> Handshake {
    Handshake::plain("/")
        .add("Upgrade", "h2c")
        .add("Connection", "Upgrade, HTTP2-Settings")
        .add("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
}

fn other_upgrades(policy: &str, lines: &str) -> String {
    let policy = if policy.is_empty() {
        "".to_owned()
    } else {
        format!("websocket_other_upgrades {policy};")
    };
    format!("location / {{ proxy_pass http://%BACKEND%; websocket on; {policy} {lines} }}")
}

const BY_HAND: &str =
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;";

#[test]
fn another_upgrade_is_stripped() {
    for policy in ["", "strip"] {
        let (got, lines) = passed_on(&other_upgrades(policy, ""), &h2c());
        assert_eq!(got.head.lines("Upgrade"), [""; 0]);
        assert!(
            !got.head.has_token("Connection", "upgrade"),
            "{}",
            got.head.text()
        );
        assert_eq!(lines, [""; 0]);
    }
}

#[test]
fn another_upgrade_is_stripped_in_spite_of_the_user_s_own_lines() {
    let (got, _) = passed_on(&other_upgrades("strip", BY_HAND), &h2c());
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert!(
        !got.head.has_token("Connection", "upgrade"),
        "{}",
        got.head.text()
    );
}

#[test]
fn a_stripped_upgrade_makes_no_tunnel_of_a_101() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        )?;
        conn.hang()
    });
    let nginx = Nginx::server(other_upgrades("strip", BY_HAND) + "proxy_read_timeout 300ms;")
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.send(h2c().bytes()).unwrap();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let _ = client.read_to_close();
    let got = String::from_utf8_lossy(&backend.received(0)).into_owned();
    assert!(
        !got.contains("PRI * HTTP/2.0"),
        "the client spoke to the backend: {got}"
    );
}

#[test]
fn another_upgrade_is_passed_by_the_user_s_own_lines() {
    let (got, lines) = passed_on(&other_upgrades("pass", BY_HAND), &h2c());
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: h2c"]);
    assert_eq!(
        got.head.lines("Connection"),
        ["Connection: Upgrade, HTTP2-Settings"]
    );
    assert_eq!(lines, [""; 0]);
}

#[test]
fn another_upgrade_is_not_passed_without_lines_of_the_user_s() {
    let (got, _) = passed_on(&other_upgrades("pass", ""), &h2c());
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert_eq!(
        got.head.header("Connection").unwrap_or_default(),
        default_connection()
    );
}

#[test]
fn another_upgrade_is_rejected() {
    for lines in ["", BY_HAND] {
        let server = other_upgrades("reject", lines);
        refused_by(&server, &h2c(), "upgrade-not-websocket", 400);
    }
}

#[test]
fn reject_lets_websocket_and_plain_requests_be() {
    let server = other_upgrades("reject", "");
    assert_eq!(
        passed_on(&server, &sample()).0.head.lines("Upgrade"),
        ["Upgrade: websocket"]
    );
    assert_eq!(
        passed_on(&server, &Handshake::plain("/"))
            .0
            .head
            .lines("Upgrade"),
        [""; 0]
    );
}

// Variables.

#[track_caller]
fn variables(request: &Handshake, location: &str) -> String {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(format!(
        "log_format variables '[$websocket|$websocket_upgrade|$websocket_connection]';
        server {{
            listen 127.0.0.1:%PORT%;
            access_log logs/variables variables;
            location / {{ proxy_pass http://%BACKEND%; {location} }}
        }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    client.ask(request);
    drop(client);
    nginx.wait_for_access("variables", 1)[0].replace('-', "")
}

#[test]
fn variables_of_a_handshake() {
    assert_eq!(
        variables(&sample(), "websocket on;"),
        "[1|websocket|upgrade]"
    );
    let list = sample()
        .set("Upgrade", "h2c, WebSocket")
        .set("Connection", "keep-alive, Upgrade");
    assert_eq!(variables(&list, "websocket on;"), "[1|websocket|upgrade]");
}

#[test]
fn variables_of_a_plain_request() {
    let expected = format!("[||{}]", default_connection());
    assert_eq!(variables(&Handshake::plain("/"), "websocket on;"), expected);
}

#[test]
fn variables_of_a_refused_attempt() {
    let line = variables(&sample().without("Upgrade"), "websocket on;");
    assert!(line.starts_with("[1||"), "{line}");
    assert!(!line.contains("upgrade"), "{line}");
}

#[test]
fn variables_of_another_upgrade() {
    let line = variables(&h2c(), "websocket on;");
    assert_eq!(line, format!("[||{}]", default_connection()));
}

#[test]
fn variables_in_the_user_s_own_lines() {
    let server = "location / {
        proxy_pass http://%BACKEND%;
        proxy_set_header X-WebSocket $websocket;
        proxy_set_header X-Upgrade $websocket_upgrade;
        proxy_set_header X-Connection $websocket_connection;
        websocket on;
    }";
    let (got, _) = passed_on(server, &sample());
    assert_eq!(got.head.all("X-WebSocket"), ["1"]);
    assert_eq!(got.head.all("X-Upgrade"), ["websocket"]);
    assert_eq!(got.head.all("X-Connection"), ["upgrade"]);
    let (got, _) = passed_on(server, &Handshake::plain("/"));
    assert_eq!(got.head.header("X-WebSocket"), None);
    assert_eq!(got.head.header("X-Upgrade"), None);
    assert_eq!(
        got.head.header("X-Connection").unwrap_or_default(),
        default_connection()
    );
}

#[test]
fn variables_in_the_lines_that_people_write_by_hand() {
    let server = "location / {
        proxy_pass http://%BACKEND%;
        proxy_set_header Upgrade $websocket_upgrade;
        proxy_set_header Connection $websocket_connection;
        websocket on;
    }";
    let (got, _) = passed_on(server, &sample());
    assert_eq!(got.head.lines("Upgrade"), ["Upgrade: websocket"]);
    assert_eq!(got.head.lines("Connection"), ["Connection: upgrade"]);
    let (got, _) = passed_on(server, &Handshake::plain("/"));
    assert_eq!(got.head.lines("Upgrade"), [""; 0]);
    assert_eq!(
        got.head.header("Connection").unwrap_or_default(),
        default_connection()
    );
}
