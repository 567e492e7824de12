//! Access is refused, and `error_page` makes something else of it: the cause stays.

use nginx_tests::http2::translator::without_tunnel;
use nginx_tests::{Client, Handshake, ScriptedBackend, client};

use crate::case::{ask, glob, http, lines, only_failure, outcomes, said, server};

const ELSEWHERE: &str = "
    location = /yes { return 204; }
    location = /no { return 403; }
    location = /who { return 401; }
    location = /who-upstream { proxy_pass http://%BACKEND%/who; }
    location = /broken { return 404; }
    location = /page { return 200 page; }
    location = /login { return 302 https://login.example/?next=secret; }
    location = /login-off { websocket off; return 302 /login; }
    location @page { return 200 page; }
    location @login { return 302 https://login.example/; }
    location @off { websocket off; return 200 page; }
    location @upstream { proxy_pass http://%BACKEND%; }
    location @upstream-off { websocket off; proxy_pass http://%BACKEND%; }";

/// How a handshake is refused and what becomes of that; the status, the cause, and what was seen.
const REFUSALS: &[(&str, u16, &str, &str)] = &[
    // auth_request
    (
        "auth_request /no;",
        403,
        "local-forbidden",
        "nginx answered 403 before any upstream was asked",
    ),
    (
        "auth_request /who;",
        401,
        "local-unauthorized",
        "nginx answered 401 before any upstream was asked",
    ),
    (
        "auth_request /who; error_page 401 https://login.example/;",
        302,
        "local-unauthorized",
        "nginx refused access, and answered 302, redirecting to \"https://login.example/\"",
    ),
    (
        "auth_request /who-upstream; error_page 401 =301 https://login.example/?token=secret;",
        301,
        "local-unauthorized",
        "nginx refused access, and answered 301, redirecting to \"https://login.example/?...\"",
    ),
    (
        "auth_request /who; error_page 401 = /login;",
        302,
        "local-unauthorized",
        "nginx refused access, and answered 302, redirecting to \"https://login.example/?...\"",
    ),
    (
        "auth_request /who; error_page 401 = /login-off;",
        302,
        "local-unauthorized",
        "nginx refused access, and answered 302, redirecting to \"/login\"",
    ),
    (
        "auth_request /who; error_page 401 = @login;",
        302,
        "local-unauthorized",
        "nginx refused access, and answered 302, redirecting to \"https://login.example/\"",
    ),
    (
        "auth_request /no; error_page 403 = @off;",
        200,
        "local-forbidden",
        "nginx refused access, and answered 200",
    ),
    (
        "auth_request /no; error_page 403 @off;",
        403,
        "local-forbidden",
        "nginx answered 403 before any upstream was asked",
    ),
    (
        "auth_request /no; error_page 403 = @page;",
        200,
        "local-forbidden",
        "nginx refused access, and answered 200",
    ),
    (
        "auth_request /no; error_page 403 =200 /page;",
        200,
        "local-forbidden",
        "nginx refused access, and answered 200",
    ),
    (
        "auth_request /no; error_page 403 = @upstream;",
        404,
        "local-forbidden",
        "nginx refused access, and answered 404",
    ),
    (
        "auth_request /no; error_page 403 = @upstream-off;",
        404,
        "local-forbidden",
        "nginx refused access, and answered 404",
    ),
    (
        "auth_request /broken; error_page 500 = @off;",
        200,
        "local-status",
        "nginx answered 200 before any upstream was asked",
    ),
    // Others of the access phase.
    (
        "deny all; error_page 403 = @login;",
        302,
        "local-forbidden",
        "nginx refused access, and answered 302, redirecting to \"https://login.example/\"",
    ),
    (
        "deny all; error_page 403 = @off;",
        200,
        "local-forbidden",
        "nginx refused access, and answered 200",
    ),
    (
        "auth_basic closed; auth_basic_user_file users; error_page 401 = @off;",
        200,
        "local-unauthorized",
        "nginx refused access, and answered 200",
    ),
    (
        "auth_request /yes; deny all; error_page 403 = @off;",
        200,
        "local-forbidden",
        "nginx refused access, and answered 200",
    ),
    (
        "satisfy any; deny all; auth_request /who; error_page 401 403 = @off;",
        200,
        "local-unauthorized",
        "nginx refused access, and answered 200",
    ),
    // A limit.
    (
        "limit_req zone=one; error_page 503 @off;",
        503,
        "local-limited",
        "nginx answered 503 before any upstream was asked",
    ),
    (
        "limit_req zone=one; error_page 503 @upstream;",
        503,
        "local-limited",
        "nginx answered 503 before any upstream was asked",
    ),
    (
        "limit_req zone=one; error_page 503 = @off;",
        200,
        "local-status",
        "nginx answered 200 before any upstream was asked",
    ),
    // No refusal.
    (
        "auth_request /yes; try_files /none @login;",
        302,
        "local-redirect",
        "nginx answered 302, redirecting to \"https://login.example/\", before any upstream was asked",
    ),
    (
        "satisfy any; allow all; auth_request /no; try_files /none @page;",
        200,
        "local-status",
        "nginx answered 200 before any upstream was asked",
    ),
    (
        "auth_request /yes; proxy_intercept_errors on; error_page 404 = @off;",
        200,
        "upstream-not-found",
        "upstream answered 404 where 101 was expected, for path \"/\"",
    ),
];

#[test]
fn whatever_error_page_makes_of_it() {
    for &(location, status, cause, seen) in REFUSALS {
        let backend = ScriptedBackend::start(|conn| {
            loop {
                let status = match conn.read_request()?.head.target() {
                    "/who" => "401 Unauthorized",
                    _ => "404 Not Found",
                };
                conn.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))?;
            }
        });
        let nginx = http(
            "limit_req_zone $remote_addr zone=one:64k rate=1r/m;",
            format!(
                "location / {{ {location} proxy_pass http://%BACKEND%; }} {ELSEWHERE}
                location = /first {{ websocket off; limit_req zone=one; root files; }}"
            ),
        )
        .set("BACKEND", backend.address())
        .file("users", "user:{PLAIN}password\n")
        .start();
        if location.starts_with("limit_req ") {
            assert_eq!(client::get(nginx.port(), "/first").status(), 404);
        }
        let status = without_tunnel(status);
        assert_eq!(ask(&nginx, "/").status(), status, "{location}");
        let outcome = outcomes(&nginx, 1).remove(0);
        assert_eq!(
            (outcome.status, &*outcome.cause),
            (status, cause),
            "{location}"
        );
        let said = said(&nginx);
        assert!(
            said.starts_with(&format!("{cause}: {seen}; ")),
            "{location}: {said}"
        );
        only_failure(&nginx.stop());
    }
}

#[test]
fn a_location_that_lets_it_in_makes_a_tunnel_of_it() {
    let backend = ScriptedBackend::standard();
    let nginx = server(
        "location / { auth_request /no; error_page 403 = @open; proxy_pass http://%BACKEND%; }
        location = /no { return 403; }
        location @open { proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.close_politely();
    assert_eq!(outcomes(&nginx, 1)[0].state, "established");
    assert_eq!(lines(&nginx.stop(), "handshake failed"), [""; 0]);
}

/// The location of the request decides how it is told, not that of its page.
#[test]
fn the_line_and_the_header_are_those_of_the_request_s_location() {
    let nginx = server(
        "websocket_log_level error; websocket_cause_header off;
        location / {
            websocket_log_level warn; websocket_cause_header on;
            deny all; error_page 403 /page; proxy_pass http://127.0.0.1:%CLOSED_PORT%;
        }
        location /upstream/ {
            websocket_log_level notice; websocket_cause_header on;
            error_page 502 /page; proxy_pass http://127.0.0.1:%CLOSED_PORT%;
        }
        location = /page { return 200 page; }",
    )
    .start();
    for (target, level, cause) in [
        ("/", "warn", "local-forbidden"),
        ("/upstream/", "notice", "upstream-refused"),
    ] {
        let head = Client::connect(nginx.port()).ask(&Handshake::new(target));
        assert_eq!(head.all("X-WebSocket-Cause"), [cause]);
        let line = nginx.wait_for_log(&format!("handshake failed: {cause}"));
        assert!(glob(&format!("*[{level}]*"), &line), "{line}");
    }
}
