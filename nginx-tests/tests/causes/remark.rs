//! What the upstream says of its refusal is in a line of its own at `info`.

use std::fmt::Display;

use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

use crate::case::{ask, http, lines, outcomes, server};

#[test]
fn text_and_json_are_shown() {
    let long = "a".repeat(300);
    for (head, body, shown) in [
        ("Content-Type: text/plain", "Invalid Host\n", "Invalid Host"),
        ("X-A: b", "Invalid Host", "Invalid Host"),
        (
            "Content-Type: application/json",
            "{\"code\": 3,\n \"message\": \"Bad\\tHost\"}",
            "{\\\"code\\\": 3, \\\"message\\\": \\\"Bad\\\\tHost\\\"}",
        ),
        ("Content-Type: text/html", "Missing key", "Missing key"),
        (
            "Content-Type: text/plain",
            "x\", client: 10.0.0.1, server: forged",
            "x\\\", client: 10.0.0.1, server: forged",
        ),
        (
            "Content-Type: text/plain",
            &*long,
            &(long[..200].to_owned() + "..."),
        ),
    ] {
        assert_eq!(
            said("", with_length(403, head, body)),
            [shown],
            "{head} {body}"
        );
    }
}

#[test]
fn pages_and_bytes_are_not() {
    for (head, body) in [
        ("Content-Type: text/html", "<h1>Forbidden</h1>"),
        ("Content-Type: image/png", "PNG"),
        ("Content-Type: application/octet-stream", "abc"),
        ("Content-Type: text/plain", "a\0b"),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip", "abc"),
        ("Content-Type: text/plain", ""),
    ] {
        assert_eq!(
            said("", with_length(403, head, body)),
            [""; 0],
            "{head} {body}"
        );
    }
}

#[test]
fn chunks_are_put_together_where_the_body_goes_on_to_the_client() {
    let answer = "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n\
                  8\r\nInvalid \r\n4\r\nHost\r\n0\r\n\r\n";
    assert_eq!(said("", answer), ["Invalid Host"]);
    let page = "proxy_intercept_errors on; error_page 404 /page;";
    assert_eq!(said(page, answer), ["Invalid"]);
}

#[test]
fn it_may_come_after_the_header() {
    if is_skipped_over_http2("the translator gives an answer on when it is whole") {
        return;
    }
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 400 Bad\r\nContent-Length: 12\r\n\r\n")?;
        conn.pause()?;
        conn.send("Invalid ")?;
        conn.pause()?;
        conn.send("Host")?;
        conn.hang()
    });
    // So the header is forwarded at once.
    let nginx = to(&backend, "proxy_buffering off;").start();
    let mut client = Client::connect(nginx.port());
    let head = client.ask(&Handshake::new("/"));
    assert_eq!(head.status(), 400);
    backend.resume();
    assert_eq!(client.read_bytes(8).expect("some of it"), b"Invalid ");
    backend.resume();
    assert_eq!(client.read_bytes(4).expect("the rest"), b"Host");
    assert_eq!(spoken(nginx), ["Invalid Host"]);
}

#[test]
fn what_came_with_the_header_is_shown_though_a_page_takes_its_place() {
    for page in [
        "error_page 403 /page;",
        "error_page 403 = /page;",
        "error_page 403 = @off;",
        "error_page 403 = @upstream;",
    ] {
        let lines = format!("proxy_intercept_errors on; {page}");
        let answer = with_length(403, "Content-Type: text/plain", "Invalid Host");
        assert_eq!(said(&lines, answer), ["Invalid Host"], "{page}");
    }
}

#[test]
fn it_is_the_last_server_s() {
    let first = ScriptedBackend::answering(with_length(403, "X-A: b", "the first"));
    for (second, shown) in [
        (with_length(403, "X-A: b", "the second"), vec!["the second"]),
        (with_length(403, "X-A: b", ""), vec![]),
        (String::new(), vec![]),
    ] {
        let second = ScriptedBackend::start(move |conn| {
            conn.read_request()?;
            conn.send(&second)
        });
        let nginx = http(
            "upstream chat { server %BACKEND%; server %BACKEND2%; }",
            "location / { proxy_pass http://chat; proxy_next_upstream http_403 error; }",
        )
        .set("BACKEND", first.address())
        .set("BACKEND2", second.address())
        .start();
        assert!(ask(&nginx, "/").status() >= 400);
        assert_eq!(spoken(nginx), shown);
    }
}

#[test]
fn nothing_is_shown_above_info() {
    let backend = ScriptedBackend::answering(with_length(403, "X-A: b", "Invalid Host"));
    let nginx = to(&backend, "").log_level("notice").start();
    assert_eq!(ask(&nginx, "/").status(), 403);
    assert_eq!(spoken(nginx), [""; 0]);
}

#[test]
fn a_page_of_nginx_s_own_says_nothing() {
    let nginx = server(
        "location / { deny all; error_page 403 /page; }
        location = /page { return 200 page; }",
    )
    .start();
    assert_eq!(ask(&nginx, "/").status(), 403);
    assert_eq!(spoken(nginx), [""; 0]);
}

/// What is said of an answer that comes in one piece.
#[track_caller]
fn said(lines: &str, answer: impl Into<Vec<u8>>) -> Vec<String> {
    let backend = ScriptedBackend::answering(answer);
    let nginx = to(&backend, lines).start();
    ask(&nginx, "/");
    spoken(nginx)
}

fn to(backend: &ScriptedBackend, lines: impl Display) -> Setup {
    server(format!(
        "location / {{ proxy_pass http://%BACKEND%; {lines} }}
        location = /page {{ return 200 page; }}
        location @off {{ websocket off; return 200 page; }}
        location @upstream {{ rewrite ^ /other break; proxy_pass http://%BACKEND%; }}"
    ))
    .set("BACKEND", backend.address())
}

/// The remarks in the log, once there is a line on the failure.
#[track_caller]
fn spoken(nginx: Nginx) -> Vec<String> {
    outcomes(&nginx, 1);
    let log = nginx.stop();
    assert_eq!(
        lines(&log, "websocket handshake failed: ").len(),
        1,
        "{log}"
    );
    let remark = |line: &str| {
        let (_, said) = line.split_once("websocket upstream says \"")?;
        let (said, _) = said.rsplit_once("\", client: 127.0.0.1, server: ")?;
        assert!(line.contains(" [info] "), "{line}");
        Some(said.to_owned())
    };
    log.lines().filter_map(remark).collect()
}

fn with_length(status: u16, head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} No\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
