//! Internal redirects, error pages and subrequests: one handshake has one line and one outcome.

use std::sync::atomic::{AtomicBool, Ordering};

use nginx_tests::http2::translator::without_tunnel;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};
use websocket_protocol::{Cause, Finding};

use crate::case::{ask, failure, glob, lines, only_failure, outcomes, said, server, states};

#[test]
fn the_page_of_a_refusal_is_not_refused_again() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "websocket_handshake strict; error_page 400 /page.html;
        location / { proxy_pass http://%BACKEND%; }
        location = /page.html { root files; }",
    )
    .file("files/page.html", "a page of its own")
    .start();
    let message = Client::connect(nginx.port()).exchange(&broken());
    assert_eq!(
        (message.status(), message.text().as_str()),
        (400, "a page of its own")
    );
    finish(nginx, "400 rejected version-missing");
}

#[test]
fn a_page_with_another_status() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "websocket_handshake strict; error_page 400 =200 /page.html; websocket_cause_header on;
        location / { proxy_pass http://%BACKEND%; }
        location = /page.html { root files; }",
    )
    .file("files/page.html", "a page of its own")
    .start();
    let head = Client::connect(nginx.port()).ask(&broken());
    assert_eq!(
        (head.status(), head.all("X-WebSocket-Cause")),
        (without_tunnel(200), vec!["version-missing"])
    );
    finish(
        nginx,
        &format!("{} rejected version-missing", without_tunnel(200)),
    );
}

#[test]
fn the_page_of_a_refusal_may_come_from_an_upstream() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "websocket_handshake strict; error_page 400 @page;
        location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location @page { proxy_pass http://%BACKEND%; }",
    )
    .start();
    let message = Client::connect(nginx.port()).exchange(&broken());
    assert_eq!((message.status(), message.text().as_str()), (400, "plain"));
    assert_eq!(backend.request(0).head.header("Upgrade"), None);
    finish(nginx, "400 rejected version-missing");
}

#[test]
fn the_page_of_nginx_s_own_answer_may_come_from_an_upstream() {
    let backend = ScriptedBackend::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage");
    let nginx = to(
        &backend,
        "location / { error_page 403 @page; deny all; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location @page { proxy_pass http://%BACKEND%; }",
    )
    .start();
    assert_eq!(ask(&nginx, "/").status(), 403);
    let outcome = outcomes(&nginx, 1).remove(0);
    assert_eq!(
        (outcome.status, outcome.cause.as_str()),
        (403, "local-forbidden")
    );
    let log = nginx.stop();
    only_failure(&log);
}

#[test]
fn a_page_of_a_refused_upstream() {
    let nginx = server(
        "location / { error_page 502 /page.html; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location = /page.html { root files; }",
    )
    .file("files/page.html", "a page of its own")
    .start();
    let message = Client::connect(nginx.port()).exchange(&Handshake::new("/"));
    assert_eq!(
        (message.status(), message.text().as_str()),
        (502, "a page of its own")
    );
    finish(nginx, "502 failed upstream-refused");
}

#[test]
fn a_missing_page_of_a_refused_upstream() {
    let nginx = server(
        "location / { error_page 502 /page.html; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location = /page.html { root files; }",
    )
    .start();
    assert_eq!(ask(&nginx, "/").status(), 404);
    finish(nginx, "404 failed upstream-refused");
}

#[test]
fn a_page_instead_of_an_upstream_s_answer() {
    let backend = ScriptedBackend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let nginx = to(
        &backend,
        "location / {
            proxy_pass http://%BACKEND%; proxy_intercept_errors on; error_page 403 =404 /page.html;
        }
        location = /page.html { root files; }",
    )
    .file("files/page.html", "a page of its own")
    .start();
    let message = Client::connect(nginx.port()).exchange(&Handshake::new("/"));
    assert_eq!(
        (message.status(), message.text().as_str()),
        (404, "a page of its own")
    );
    let line = nginx.wait_for_log("handshake failed");
    assert!(
        line.contains(": upstream answered 403 where 101 was expected, for path \"/\" with Host "),
        "{line}"
    );
    finish(nginx, "404 failed upstream-forbidden");
}

#[test]
fn a_second_location_may_save_a_handshake() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "location / { error_page 502 = @other; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location @other { proxy_pass http://%BACKEND%; }",
    )
    .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    client.close_politely();
    assert_eq!(states(&nginx, 1), ["101 established "]);
    let log = nginx.stop();
    assert_eq!(lines(&log, "handshake failed"), [""; 0]);
    assert_eq!(lines(&log, "websocket established").len(), 1);
    assert_eq!(lines(&log, "websocket closed").len(), 1);
}

#[test]
fn a_second_location_that_fails_too_names_the_cause() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let nginx = to(
        &backend,
        "location / { error_page 502 = @other; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location @other { proxy_pass http://%BACKEND%; }",
    )
    .start();
    assert_eq!(ask(&nginx, "/").status(), 404);
    let closed = nginx.port_of("CLOSED_PORT");
    let expected = format!(
        "upstream-not-found: upstream answered 404 where 101 was expected, for path \"/\", 2 upstreams tried: \
         127.0.0.1:{closed} upstream-refused, {} upstream-not-found; *",
        backend.address()
    );
    let said = said(&nginx);
    assert!(glob(&expected, &said), "{said}");
    finish(nginx, "404 failed upstream-not-found");
}

#[test]
fn a_rewrite_and_a_file_that_is_not_there() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "location /old { rewrite ^ /chat last; }
        location /files { root files; try_files $uri /chat; }
        location /named { root files; try_files $uri @chat; }
        location /chat { proxy_pass http://%BACKEND%; }
        location @chat { proxy_pass http://%BACKEND%; }",
    )
    .start();
    for target in ["/old", "/files", "/named"] {
        let mut client = Client::connect(nginx.port());
        client.establish(target);
        client.echo("hello");
        client.close_politely();
    }
    assert_eq!(states(&nginx, 3), ["101 established "; 3]);
    let log = nginx.stop();
    assert_eq!(lines(&log, "websocket established").len(), 3);
    assert_eq!(lines(&log, "websocket closed").len(), 3);
    assert_eq!(lines(&log, "handshake failed"), [""; 0]);
}

#[test]
fn an_upstream_that_sends_nginx_elsewhere() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inner\r\nContent-Length: 0\r\n\r\n",
    );
    let nginx = to(
        &backend,
        "location / { proxy_pass http://%BACKEND%; } location /inner { internal; return 204; }",
    )
    .start();
    let status = without_tunnel(204);
    assert_eq!(ask(&nginx, "/").status(), status);
    finish(nginx, &format!("{status} failed upstream-not-websocket"));
}

#[test]
fn subrequests_are_not_spoken_of() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "location /allowed { auth_request /yes; proxy_pass http://%BACKEND%; }
        location /asked { auth_request /ask; proxy_pass http://%BACKEND%; }
        location /mirrored { mirror /refused; proxy_pass http://%BACKEND%; }
        location = /yes { return 204; }
        location = /ask { proxy_pass http://%BACKEND%; }
        location = /refused { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }",
    )
    .start();
    for target in ["/allowed", "/asked", "/mirrored"] {
        let mut client = Client::connect(nginx.port());
        client.establish(target);
        client.close_politely();
    }
    assert_eq!(states(&nginx, 3), ["101 established "; 3]);
    let log = nginx.stop();
    assert_eq!(lines(&log, "websocket established").len(), 3, "{log}");
    assert_eq!(lines(&log, "websocket closed").len(), 3, "{log}");
    assert_eq!(lines(&log, "handshake failed"), [""; 0], "{log}");
}

#[test]
fn a_subrequest_that_fails_is_nginx_s_own_answer() {
    let nginx = server(
        "location / { auth_request /ask; proxy_pass http://127.0.0.1:%CLOSED_PORT%; }
        location = /ask { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }",
    )
    .start();
    assert_eq!(ask(&nginx, "/").status(), 500);
    let seen = "nginx answered 500 before any upstream was asked";
    let line = nginx.wait_for_log("handshake failed");
    let expected = failure(
        Cause::LocalStatus,
        seen,
        Finding::AuthRequestFailed.advice(),
    );
    assert!(glob(&format!("*{expected}"), &line), "{line}");
    finish(nginx, "500 rejected local-status");
}

/// nginx tells of the request that had its turn last, which a mirror's may be: all ends with it.
#[test]
fn a_mirror_is_no_part_of_the_line() {
    static IS_ANSWERED: AtomicBool = AtomicBool::new(false);
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?;
        let is_mirror = request.head.target() == "/mirrored";
        if is_mirror {
            wait_until("the handshake to be answered", || {
                IS_ANSWERED.load(Ordering::Relaxed)
            });
        }
        conn.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        Ok(())
    });
    let nginx = to(
        &backend,
        "location / { mirror /mirrored; proxy_pass http://%BACKEND%; }
        location /mirrored { websocket off; proxy_pass http://%BACKEND%; }",
    )
    .start();
    assert_eq!(ask(&nginx, "/").status(), 404);
    IS_ANSWERED.store(true, Ordering::Relaxed);
    let line = nginx.wait_for_log("handshake failed");
    assert!(!line.contains("subrequest:"), "{line}");
    assert!(line.contains("request: \"GET / HTTP"), "{line}");
}

#[test]
fn a_kept_connection_carries_several_failures_each_with_its_line() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let nginx = to(&backend, "location / { proxy_pass http://%BACKEND%; }").start();
    let mut client = Client::connect(nginx.port());
    assert_eq!(client.exchange(&Handshake::new("/one")).status(), 404);
    assert_eq!(client.exchange(&Handshake::plain("/two")).status(), 404);
    assert_eq!(client.exchange(&Handshake::new("/three")).status(), 404);
    assert_eq!(states(&nginx, 2), ["404 failed upstream-not-found"; 2]);
    let log = nginx.stop();
    let failed = lines(&log, "handshake failed");
    assert_eq!(failed.len(), 2, "{log}");
    assert!(
        failed[0].contains("GET /one ") && failed[1].contains("GET /three "),
        "{log}"
    );
}

fn to(backend: &ScriptedBackend, text: &str) -> Setup {
    server(text).set("BACKEND", backend.address())
}

/// A handshake that breaks a rule.
fn broken() -> Handshake {
    Handshake::new("/").without("Sec-WebSocket-Version")
}

/// There is one outcome and one line. Gives the error log.
#[track_caller]
fn finish(nginx: Nginx, outcome: &str) -> String {
    assert_eq!(states(&nginx, 1), [outcome]);
    nginx.wait_for_log("handshake failed");
    let log = nginx.stop();
    only_failure(&log);
    log
}
