//! A handshake's headers without Upgrade: a plain request, which is named only where it fails.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::nginx::lines_with;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, http2};

use super::case::{ON, STRICT, sample};

fn left_behind() -> [Handshake; 3] {
    [
        sample().without("Upgrade"),
        Handshake::plain("/").add("Sec-WebSocket-Key", SAMPLE_KEY),
        Handshake::plain("/").add("Sec-WebSocket-Version", "13"),
    ]
}

#[test]
fn it_goes_on_as_the_plain_request_it_is() {
    for server in [ON, STRICT] {
        for request in left_behind() {
            let backend = ScriptedBackend::standard();
            let nginx = Nginx::server(server)
                .set("BACKEND", backend.address())
                .start();
            let answer = Client::connect(nginx.port()).exchange(&request);
            assert_eq!((answer.status(), &*answer.text()), (200, "plain"));
            assert_eq!(lines_with(&nginx.stop(), "websocket"), [""; 0]);
            let got = backend.request(0);
            assert_eq!(got.head.lines("Upgrade"), [""; 0]);
            assert!(!got.head.has_token("Connection", "upgrade"));
        }
    }
}

#[test]
fn it_is_named_where_the_upstream_answers_with_an_error() {
    for status in [400, 404, 426, 500] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        for request in left_behind() {
            let backend = ScriptedBackend::answering(answer.clone());
            let nginx = Nginx::server(format!("websocket_cause_header on; {ON}"))
                .set("BACKEND", backend.address())
                .start();
            let head = Client::connect(nginx.port()).ask(&request);
            assert_eq!(head.status(), status);
            assert_eq!(head.all("X-WebSocket-Cause"), ["upgrade-missing"]);
            let lines = lines_with(&nginx.stop(), "websocket");
            assert_eq!(lines.len(), 1, "{lines:#?}");
            let named = format!(
                "failed: upgrade-missing: no Upgrade header, and upstream answered {status}"
            );
            assert!(lines[0].contains(&named), "{lines:#?}");
        }
    }
}

#[test]
fn it_is_named_where_the_upstream_closes_without_an_answer() {
    for request in left_behind() {
        let backend = ScriptedBackend::start(|conn| conn.read_request().map(drop));
        let nginx = Nginx::server(ON)
            .set("BACKEND", backend.address())
            .allow_log("upstream prematurely closed connection")
            .start();
        assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 502);
        let lines = lines_with(&nginx.stop(), "websocket");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let named = "failed: upgrade-missing: no Upgrade header, and upstream closed the connection \
                     without an answer";
        assert!(lines[0].contains(named), "{lines:#?}");
    }
}

#[test]
fn what_nginx_itself_answers_keeps_its_own_cause() {
    let server = "location / { deny all; proxy_pass http://%BACKEND%; websocket on; }";
    let nginx = Nginx::server(server)
        .set("BACKEND", "127.0.0.1:1")
        .allow_log("access forbidden by rule")
        .start();
    let head = Client::connect(nginx.port()).ask(&sample().without("Upgrade"));
    assert_eq!(head.status(), 403);
    let lines = lines_with(&nginx.stop(), "websocket");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("failed: local-forbidden: "), "{lines:#?}");
}

/// A location that asks another nginx, where `websocket` is on, whether a handshake may go on.
#[test]
fn an_auth_request_with_a_handshake_s_headers_is_answered() {
    let backend = ScriptedBackend::standard();
    let authority = Nginx::server("websocket on; location / { proxy_pass http://%BACKEND%; }")
        .set("BACKEND", backend.address())
        .start();
    let nginx = Nginx::server(
        "location / { auth_request /auth; websocket on; proxy_pass http://%BACKEND%; }
        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:%AUTHORITY%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length '';
        }",
    )
    .set("BACKEND", backend.address())
    .set("AUTHORITY", authority.port())
    .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    drop(client);
    assert_eq!(lines_with(&authority.stop(), "websocket"), [""; 0]);
}

#[test]
fn over_http_2_likewise() {
    for (status, lines_due) in [(200, 0), (400, 1)] {
        let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
        let backend = ScriptedBackend::answering(answer);
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
        assert_eq!(http2::get(&mut wire, "/", &headers).unwrap().status, status);
        drop(wire);
        let lines = lines_with(&nginx.stop(), "websocket handshake");
        assert_eq!(lines.len(), lines_due, "{lines:#?}");
        assert!(
            lines
                .iter()
                .all(|line| line.contains("failed: over-http2: ")),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_return_before_it_could_be_judged_is_no_failure() {
    let server = "location = /auth { websocket on; return 204; }
        location = /no { websocket on; return 404; }";
    let nginx = Nginx::server(server).start();
    let ask = |target: &str| {
        let request = Handshake::plain(target).add("Sec-WebSocket-Key", SAMPLE_KEY);
        Client::connect(nginx.port()).ask(&request).status()
    };
    assert_eq!((ask("/auth"), ask("/no")), (204, 404));
    let lines = lines_with(&nginx.stop(), "websocket handshake");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("failed: local-not-found: "), "{lines:#?}");
}

/// An error page, most often a file in a location that is off, does not hide that an upstream was asked.
#[test]
fn it_is_named_behind_an_error_page_too() {
    let backend = ScriptedBackend::answering("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let nginx = Nginx::server(
        "error_page 403 404 502 /page;
        location /page { return 200 page; }
        location /answered {
            websocket on; proxy_intercept_errors on; proxy_pass http://%BACKEND%;
        }
        location /closed { websocket on; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location /fastcgi { websocket on; fastcgi_pass 127.0.0.1:%CLOSED_PORT%; }
        location /absent { websocket on; try_files /absent =404; }
        location /proxied {
            websocket on; error_page 404 /from/backend; try_files /absent =404;
        }
        location /from/ { proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let expected = [
        (
            "/answered",
            "upgrade-missing: no Upgrade header, and upstream answered 403",
        ),
        ("/closed", "upstream-refused: "),
        ("/fastcgi", "upstream-refused: "),
        (
            "/absent",
            "local-not-found: nginx answered 404 before any upstream was asked",
        ),
        ("/proxied", "local-not-found: "),
    ];
    for (target, _) in expected {
        let request = Handshake::new(target).without("Upgrade");
        let _ = Client::connect(nginx.port()).ask(&request);
    }
    let lines = lines_with(&nginx.stop(), "websocket handshake failed: ");
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (target, cause)) in lines.iter().zip(expected) {
        let named = format!("websocket handshake failed: {cause}");
        assert!(line.contains(&named), "{target}: {line}");
    }
}
