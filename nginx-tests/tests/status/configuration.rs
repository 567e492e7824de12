//! What can be written, and where.

use nginx_tests::client::get;
use nginx_tests::nginx::assert_refused;
use nginx_tests::{EchoBackend, Nginx};

use crate::case::ask;

#[test]
fn what_is_refused() {
    for (line, words) in [
        (
            "websocket_status xml;",
            "invalid value \"xml\" in \"websocket_status\" directive, it must be \"html\", \"json\" or \"prometheus\"",
        ),
        (
            "websocket_control yes;",
            "invalid value \"yes\" in \"websocket_control\" directive",
        ),
        (
            "proxy_pass http://127.0.0.1:1; websocket_status;",
            "\"websocket_status\" and \"websocket_control\" can't stand beside a directive that answers requests, such as \"proxy_pass\"",
        ),
    ] {
        assert_refused(line, words);
    }
    for (lines, words) in [
        (
            "location / { websocket_status; websocket_status json; }",
            "\"websocket_status\" directive is duplicate",
        ),
        (
            "websocket_control on;",
            "\"websocket_control\" directive is not allowed here",
        ),
        (
            "location = /control { websocket_control on; }",
            "\"websocket_control\" answers to paths that end in \"/close\", which \"location = /control\" never gets",
        ),
    ] {
        let check = Nginx::server(lines).check();
        assert!(!check.ok, "{lines}");
        assert!(check.at_level("emerg")[0].contains(words), "{check:?}");
    }
}

/// A location in a location with control, and one beside it, have none.
#[test]
fn control_is_never_inherited() {
    let nginx = Nginx::server(
        "location /a/ {
            websocket_control on;
            location /a/b/ { websocket_status json; }
            location /a/c/ { return 204; }
        }",
    )
    .start();
    let post = |target| ask(&nginx, "POST", target, &[("X-WebSocket-Control", "1")]).status();
    assert_eq!(post("/a/close?older=0&dry_run=1"), 200);
    assert_eq!(post("/a/b/close?older=0&dry_run=1"), 405);
    assert_eq!(post("/a/c/close?older=0&dry_run=1"), 204);
    assert_eq!(post("/a/other?older=0&dry_run=1"), 404);
    assert_eq!(get(nginx.port(), "/a/").status(), 404);
    let value: serde_json::Value =
        serde_json::from_slice(&get(nginx.port(), "/a/b/").body).unwrap();
    assert_eq!(value["control"], "/a/close");
}

/// Of one that is found by an expression there is no telling at which path.
#[test]
fn a_location_with_a_path_is_named_where_tunnels_are_closed() {
    let nginx = Nginx::server(
        "location ~ ^/any { websocket_status json; websocket_control on; }
        location /plain/ { websocket_control on; }",
    )
    .start();
    let value: serde_json::Value = serde_json::from_slice(&get(nginx.port(), "/any").body).unwrap();
    assert_eq!(value["control"], "/plain/close");
}

/// The blocks of a location belong to it, and access is nginx's business.
#[test]
fn access_is_restricted_as_anywhere() {
    let nginx = Nginx::server(
        "location /status/ {
            websocket_status;
            websocket_control on;
            limit_except GET { deny all; }
        }
        location /open/ {
            websocket_status json;
            websocket_control on;
            limit_except GET { allow 127.0.0.1; deny all; }
        }
        location /closed/ { websocket_status; allow 192.0.2.1; deny all; }",
    )
    .start();
    let post = |target| ask(&nginx, "POST", target, &[("X-WebSocket-Control", "1")]).status();
    assert_eq!(get(nginx.port(), "/status/?format=json").status(), 200);
    assert_eq!(post("/status/close?older=0&dry_run=1"), 403);
    assert_eq!(post("/open/close?older=0&dry_run=1"), 200);
    assert_eq!(get(nginx.port(), "/closed/").status(), 403);
}

#[test]
fn for_a_whole_server_and_with_a_zone_of_its_own() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(
        "websocket_zone chat:2m;
        server { listen 127.0.0.1:%PORT%; websocket_status json; location /x { return 204; } }",
    )
    .set("BACKEND", backend.address())
    .start();
    let value: serde_json::Value = serde_json::from_slice(&get(nginx.port(), "/y").body).unwrap();
    assert_eq!(value["zone"]["name"], "chat");
    assert_eq!(value["control"], serde_json::Value::Null);
    assert_eq!(get(nginx.port(), "/x").status(), 204);
}
