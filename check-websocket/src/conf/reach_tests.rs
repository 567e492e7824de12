//! Addresses, and what is said of their way.

use super::*;
use crate::conf::parse::parse;
use crate::options::{self, Task};

fn walk(arguments: &[&str]) -> Walk {
    let arguments = ["check-websocket"].iter().chain(arguments);
    match options::parse(arguments.map(|text| text.into())).expect("a right command line") {
        Task::Walk(walk) => *walk,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn followed(conf: &str, arguments: &[&str]) -> Reached {
    let directives = parse("nginx.conf", conf).expect("right syntax");
    reach(&directives, &walk(arguments), Some((1, 26, 3)))
}

/// With `websocket on` in the only server, which has this text.
#[track_caller]
fn in_server(server: &str, path: &str) -> Reached {
    let conf = format!("http {{ websocket on; server {{ {server} }} }}");
    followed(&conf, &[&format!("ws://a.example{path}")])
}

#[track_caller]
fn line(reached: &Reached, name: &str) -> String {
    let start = format!("{name}: ");
    let found = reached
        .sent
        .iter()
        .find_map(|line| line.strip_prefix(&start));
    found.unwrap_or_default().to_owned()
}

#[test]
fn the_path_that_goes_upstream() {
    for (location, path, sent) in [
        (
            "location / { proxy_pass http://b; }",
            "/chat?x=1",
            "/chat?x=1",
        ),
        (
            "location /ws/ { proxy_pass http://b; }",
            "/ws/%61",
            "/ws/%61",
        ),
        (
            "location /ws/ { proxy_pass http://b/; }",
            "/ws/a?x=1",
            "/a?x=1",
        ),
        ("location /ws { proxy_pass http://b/; }", "/ws/a", "//a"),
        (
            "location /ws/ { proxy_pass http://b/v1/; }",
            "/ws/a%20b",
            "/v1/a%20b",
        ),
        (
            "location = /ws { proxy_pass http://b/socket; }",
            "/ws",
            "/socket",
        ),
        ("location ~ ^/ws { proxy_pass http://b; }", "/ws/a", "/ws/a"),
        (
            "location /ws { proxy_pass http://unix:/run/a.sock:/v1; }",
            "/ws/a",
            "/v1/a",
        ),
        (
            "set $up b; location / { proxy_pass http://$up; }",
            "/a",
            "/a",
        ),
        (
            "set $up b; location / { proxy_pass http://$up/fixed; }",
            "/a?x",
            "/fixed",
        ),
        (
            "location / { proxy_pass http://b$request_uri; }",
            "/a?x=1",
            "/a?x=1",
        ),
        (
            "location /ws/ { rewrite ^/ws(/.*) $1 break; proxy_pass http://b; }",
            "/ws/a?x=1",
            "/a?x=1",
        ),
        (
            "location /ws/ { rewrite ^/ws(/.*) $1 break; proxy_pass http://b/not/; }",
            "/ws/a",
            "/a",
        ),
        (
            "rewrite ^/old(.*) /new$1; location /new { proxy_pass http://b; }",
            "/old/a",
            "/new/a",
        ),
        (
            "location /a { rewrite ^ /b last; } location /b { proxy_pass http://b; }",
            "/a",
            "/b",
        ),
        (
            "location /a { rewrite ^/a(.*) /b$1 last; } location /b { proxy_pass http://b/v1; }",
            "/a/c",
            "/v1/c",
        ),
        (
            "location / { try_files $uri @up; } location @up { proxy_pass http://b; }",
            "/a",
            "/a",
        ),
    ] {
        let reached = in_server(location, path);
        assert_eq!(reached.problems, [""; 0], "{location}");
        assert!(reached.passes(), "{location}");
        assert_eq!(
            reached.sent[0],
            format!("GET {sent} HTTP/1.1"),
            "{location}"
        );
    }
}

#[test]
fn the_headers_that_go_upstream() {
    let reached = in_server("location / { proxy_pass http://b:8080; }", "/");
    assert_eq!(line(&reached, "Host"), "b:8080");
    assert_eq!(line(&reached, "Upgrade"), "websocket");
    assert_eq!(line(&reached, "Connection"), "upgrade");
    assert_eq!(line(&reached, "Origin"), "http://a.example");
    assert_eq!(line(&reached, "Sec-WebSocket-Key"), "(the client's)");
    assert!(
        reached
            .remarks
            .iter()
            .any(|remark| remark.contains("proxy_set_header Host $http_host")),
        "{:?}",
        reached.remarks
    );
    for (host, sent) in [
        ("$http_host", "a.example:81"),
        ("$host", "a.example"),
        ("$host:$server_port", "a.example:81"),
        ("$proxy_host", "b"),
        ("x", "x"),
    ] {
        let conf = format!(
            "http {{ server {{ listen 81; location / {{ websocket on; proxy_set_header X-Ip $remote_addr;
             proxy_set_header Origin ''; proxy_set_header Host {host}; proxy_pass http://b:80; }} }} }}"
        );
        let reached = followed(&conf, &["ws://A.example:81/", "--subprotocol=chat"]);
        assert_eq!(line(&reached, "Host"), sent, "{host}");
        assert_eq!(line(&reached, "X-Ip"), "$remote_addr");
        assert_eq!(line(&reached, "Origin"), "");
        assert_eq!(line(&reached, "Sec-WebSocket-Protocol"), "chat");
    }
    let agreed = in_server(
        "location / { proxy_pass http://b; proxy_set_header Host $http_host; }",
        "/",
    );
    assert!(
        !agreed
            .remarks
            .iter()
            .any(|remark| remark.contains("Origin"))
    );
}

#[test]
fn what_is_missing() {
    let conf = "http { server { location / { proxy_pass http://b; } } }";
    let without = followed(conf, &["ws://a/"]);
    assert!(!without.passes());
    assert!(without.problems[0].starts_with("`websocket on;` is missing"));
    assert_eq!(without.sent[0], "GET / HTTP/1.0");
    assert_eq!(line(&without, "Connection"), "close");
    assert_eq!(line(&without, "Upgrade"), "");

    let lost = "http { server { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade; location / { proxy_set_header X y; proxy_pass http://b; } } }";
    let lost = followed(lost, &["ws://a/"]);
    assert!(
        lost.problems[0].contains("is not inherited"),
        "{:?}",
        lost.problems
    );
}

#[test]
fn where_it_ends_without_an_upstream() {
    for (server, path, why) in [
        (
            "location / { root /srv; }",
            "/",
            "location / does not proxy: nginx answers with files below /srv",
        ),
        (
            "location /b { proxy_pass http://b; }",
            "/a",
            "no location matches /a",
        ),
        (
            "location /b/ { proxy_pass http://b; }",
            "/b",
            "redirects to /b/ (301)",
        ),
        (
            "return 301 https://$host; location / { proxy_pass http://b; }",
            "/",
            "return 301",
        ),
        (
            "location / { return 404; proxy_pass http://b; }",
            "/",
            "return 404",
        ),
        (
            "location / { rewrite ^ /x permanent; proxy_pass http://b; }",
            "/",
            "redirect to /x",
        ),
        (
            "location / { internal; proxy_pass http://b; }",
            "/",
            "internal",
        ),
        (
            "location / { try_files $uri =404; proxy_pass http://b; }",
            "/",
            "answers 404",
        ),
        (
            "location / { stub_status; }",
            "/",
            "stub_status (nginx.conf:1) answers",
        ),
        (
            "location / { content_by_lua_block { ngx.say('}') } }",
            "/",
            "content_by_lua_block",
        ),
        (
            "location / { rewrite ^ /a last; } location /a { rewrite ^ / last; }",
            "/",
            "in a circle",
        ),
        (
            "location / { try_files a @b; }",
            "/",
            "there is no location @b",
        ),
        (
            "location / { fastcgi_pass b; }",
            "/",
            "fastcgi_pass cannot carry a WebSocket",
        ),
    ] {
        let reached = in_server(server, path);
        assert!(!reached.passes(), "{server}");
        assert!(
            reached.problems.iter().any(|problem| problem.contains(why)),
            "{server}: {:?}",
            reached.problems
        );
    }
}

#[test]
fn which_server() {
    let conf = "http { server { listen 443 ssl; server_name a.example;
            location / { websocket on; proxy_pass http://a; } }
        server { listen 80 default_server; server_name _; location / { return 301 https://$host; } } }";
    let secure = followed(conf, &["wss://a.example/"]);
    assert!(secure.passes(), "{:?}", secure.problems);
    let server = secure.server.as_ref().expect("a server");
    assert_eq!(
        (server.line, server.why.as_str()),
        (1, "its server_name a.example matches")
    );
    let plain = followed(conf, &["ws://a.example/"]);
    assert!(
        plain.problems[0].contains("return 301"),
        "{:?}",
        plain.problems
    );
    assert!(
        plain
            .server
            .is_some_and(|server| server.why.contains("default server of port 80"))
    );
    let other = followed(conf, &["ws://a.example:81/"]);
    assert!(other.problems[0].contains("no server listens on port 81"));
    assert!(other.server.is_none());
    assert!(followed(conf, &["ws://a.example:443/"]).problems[0].contains("nginx answers 400"));
    assert!(followed(conf, &["wss://a.example:80/"]).problems[0].contains("no `listen` has ssl"));
    // The name is that of Host, the address that of the connection.
    let given = followed(conf, &["wss://b.example/", "--header=Host: a.example"]);
    assert!(
        given
            .server
            .is_some_and(|server| server.why.contains("a.example matches"))
    );
}

#[test]
fn what_is_not_followed_is_said() {
    let reached = in_server(
        "if ($remote_addr = 192.0.2.1) { return 403; }
         location / { proxy_pass http://b; }",
        "/",
    );
    assert!(reached.passes(), "{:?}", reached.problems);
    let says = |remark: &String| remark.contains("if ($remote_addr");
    assert!(reached.remarks.iter().any(says), "{:?}", reached.remarks);
}

#[test]
fn an_expression_that_may_come_first_leaves_no_verdict() {
    let conf = "location ~ ^/(?!x) { return 403; } location / { proxy_pass http://b; }
                location ^~ /x { proxy_pass http://b; }";
    let unsure = in_server(conf, "/y");
    assert!(!unsure.passes());
    assert_eq!(unsure.problems, [""; 0]);
    let why = unsure.unjudged.unwrap_or_default();
    assert!(
        why.contains("location ~ ^/(?!x) (nginx.conf:1) may come first"),
        "{why}"
    );
    // Not where it is not asked, and not where it can't match.
    assert!(in_server(conf, "/x").passes());
    let hidden = "location ~ /\\.(?!well-known) { deny all; } location / { proxy_pass http://b; }";
    assert!(in_server(hidden, "/ws").passes());
    assert!(!in_server(hidden, "/.git").passes());
}

#[test]
fn error_page_leads_on_from_what_nginx_answers_by_itself() {
    const APP: &str = "location @app { allow all; proxy_pass http://b; }";
    for (location, why) in [
        ("location / { error_page 404 = @app; }", "answers 404"),
        (
            "location / { error_page 404 = @app; try_files $uri =404; }",
            "answers 404",
        ),
        (
            "location / { error_page 403 = @app; deny all; }",
            "answers 403",
        ),
        (
            "location / { error_page 403 = @app; deny all; proxy_pass http://c; }",
            "answers 403",
        ),
        (
            "location / { error_page 401 = @app; auth_basic a; }",
            "answers 401",
        ),
        (
            "error_page 404 = @app; location /b { }",
            "no location matches /ws",
        ),
        (
            "location / { error_page 404 = @app; internal; proxy_pass http://c; }",
            "answers clients with 404",
        ),
    ] {
        let reached = in_server(&format!("{location} {APP}"), "/ws");
        assert_eq!(reached.problems, [""; 0], "{location}");
        assert!(reached.passes(), "{location}");
        let stop = reached.location.expect("a location");
        assert_eq!(stop.name, "location @app", "{location}");
        let says = |remark: &String| remark.contains(why) && remark.contains("leads to @app");
        assert!(reached.remarks.iter().any(says), "{:?}", reached.remarks);
    }
    for location in [
        "location / { error_page 403 = @app; }",
        "location / { error_page 404 = @app; deny all; }",
        "location / { error_page 404 = @app; stub_status; }",
        "location / { error_page 404 = /gone.html; }",
    ] {
        let reached = in_server(&format!("{location} {APP}"), "/ws");
        assert!(!reached.problems.is_empty(), "{location}");
        assert!(reached.unjudged.is_none(), "{location}");
    }
    // A folder is likely to be there.
    let conf = format!("location / {{ error_page 404 = @app; }} {APP}");
    let folder = in_server(&conf, "/");
    assert_eq!(folder.problems, [""; 0]);
    let why = folder.unjudged.unwrap_or_default();
    assert!(why.contains("whether there is such a folder"), "{why}");
}

/// Each as nginx has it, where a simpler reading would say something else.
#[test]
fn what_nginx_passes_on() {
    for (server, path) in [
        (
            "location / { if ($http_upgrade = websocket) { proxy_pass http://b; } try_files $uri /index.html; }",
            "/",
        ),
        (
            "location / { if ($host = a.example) { set $a 1; } proxy_pass http://b; try_files $uri =404; }",
            "/",
        ),
        (
            "set $ok 0; if ($remote_addr ~ ^10) { set $ok 1; } if ($ok = 0) { return 403; }
             location / { proxy_pass http://b; }",
            "/",
        ),
        (
            "rewrite ^/s$ /w; location = /w { internal; proxy_pass http://b; }",
            "/s",
        ),
        (
            "auth_basic $http_connection; location / { auth_basic off; proxy_pass http://b; }",
            "/",
        ),
        ("listen 80-81; location / { proxy_pass http://b; }", "/"),
        ("listen *:79-81; location / { proxy_pass http://b; }", "/"),
    ] {
        let reached = in_server(server, path);
        assert_eq!(reached.problems, [""; 0], "{server}");
        assert!(reached.passes(), "{server}");
    }
    // Of what a variable is, too.
    let conf = "http { websocket on; map $http_upgrade $realm { default Private; websocket off; }
        server { auth_basic $realm; location / { proxy_pass http://b; } } }";
    assert_eq!(followed(conf, &["ws://a.example/"]).problems, [""; 0]);
    // nginx makes a tunnel of a 101 there by itself.
    let conf = "http { server { location / { uwsgi_pass b; } } }";
    assert_eq!(followed(conf, &["ws://a.example/"]).problems, [""; 0]);
}

#[test]
fn the_query_of_try_files() {
    for (last, sent) in [
        ("/app", "/app"),
        ("/app?$args", "/app?x=1"),
        ("/app?y=2", "/app?y=2"),
    ] {
        let server = format!(
            "location / {{ try_files $uri {last}; }} location = /app {{ proxy_pass http://b; }}"
        );
        let reached = in_server(&server, "/?x=1");
        assert_eq!(reached.sent[0], format!("GET {sent} HTTP/1.1"));
    }
}

#[test]
fn both_addresses_of_localhost() {
    let conf =
        "http { websocket on; server { listen [::1]:8080; location / { proxy_pass http://b; } } }";
    assert!(followed(conf, &["ws://localhost:8080/"]).passes());
    let to = |address: &str| {
        let resolve = format!("localhost:8080:{address}");
        followed(conf, &["ws://localhost:8080/", "--resolve", &resolve]).passes()
    };
    assert!(to("::1"));
    assert!(!to("127.0.0.1"));
}

/// A report is passed on.
#[test]
fn no_credentials() {
    let conf = "http { websocket on; map $http_authorization $token { \"~Bearer (?<t>.*)\" x; default $http_authorization; }
        server { location / {
            set $sid $cookie_sid;
            proxy_set_header Authorization $http_authorization;
            proxy_set_header Proxy-Authorization \"Basic c2VjcmV0\";
            proxy_set_header Cookie \"\";
            proxy_set_header X-Sid \"sid $sid\";
            proxy_set_header X-Short $cookie_short;
            proxy_set_header X-Proxy $http_proxy_authorization;
            proxy_set_header X-Port 7777;
            proxy_pass http://b;
        } } }";
    let headers = [
        "ws://a.example/",
        "--header",
        "Authorization: Bearer s3cret",
        "--header",
        "Cookie: sid=t0psecret; short=7",
        "--header",
        "Proxy-Authorization: t0ken",
    ];
    let reached = followed(conf, &headers);
    let text = reached.sent.join("\n");
    for secret in ["s3cret", "c2VjcmV0", "t0psecret", "t0ken", ": 7\n"] {
        assert!(!text.contains(secret), "{text}");
    }
    for name in ["Authorization", "Proxy-Authorization", "X-Sid", "X-Short"] {
        assert_eq!(line(&reached, name), "(not shown)", "{text}");
    }
    assert_eq!(line(&reached, "X-Port"), "7777");
    assert!(!text.contains("Cookie"), "{text}");
}
