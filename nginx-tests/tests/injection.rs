//! What reaches the upstream from a location with `websocket on`: handshakes whole, plain
//! requests untouched, for every form of passing.
//!
//! A long file of short tests: what they share is at the top, and each is read by itself.

use nginx_tests::backend::{Recorded, standard};
use nginx_tests::client::{self, SAMPLE_KEY};
use nginx_tests::environment::{is_over_http2, nginx_version};
use nginx_tests::http2::translator::{is_skipped_over_http2, received};
use nginx_tests::nginx::Setup;
use nginx_tests::{Certificate, Client, Handshake, Listen, Nginx, ScriptedBackend, wait_until};

/// The lines of a request that reached a backend, headers sorted.
fn lines(request: &Recorded) -> Vec<String> {
    let text = request.head.text();
    let mut lines: Vec<String> = text.trim_end().split("\r\n").map(received).collect();
    lines[1..].sort();
    lines
}

/// The lines of the sample handshake as an upstream must get it, and more lines.
fn handshake(target: &str, host: &str, more: &[&str]) -> Vec<String> {
    let mut lines = vec![
        "Connection: upgrade".to_owned(),
        format!("Host: {host}"),
        format!("Sec-WebSocket-Key: {SAMPLE_KEY}"),
        "Sec-WebSocket-Version: 13".to_owned(),
        "Upgrade: websocket".to_owned(),
    ];
    lines.extend(more.iter().map(|&line| line.to_owned()));
    lines.sort();
    lines.insert(0, format!("GET {target} HTTP/1.1"));
    lines
}

/// The Connection line that nginx sends where no one says otherwise.
fn default_connection() -> Vec<String> {
    if nginx_version() < (1, 29, 7) {
        vec!["Connection: close".to_owned()]
    } else {
        vec![]
    }
}

/// The version that nginx speaks where no one says otherwise.
fn default_version() -> &'static str {
    if nginx_version() < (1, 29, 7) {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    }
}

/// A handshake and an echo through nginx and back.
#[track_caller]
fn tunnel(nginx: &Nginx, target: &str) {
    let mut client = Client::connect(nginx.port());
    client.establish(target);
    client.echo("hello");
    client.close_politely();
}

/// Starts nginx with this server, passes a handshake for `target` through it, and expects it
/// at the backend as a handshake for `passed`.
#[track_caller]
fn passes(server: &str, target: &str, passed: &str) {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(server)
        .set("BACKEND", backend.address())
        .start();
    tunnel(&nginx, target);
    assert_eq!(
        lines(&backend.request(0)),
        handshake(passed, &backend.address(), &[])
    );
    assert_eq!(backend.connections(), 1);
}

/// Every request that reaches the backend on its way through this server.
fn requests_through(
    setup: Setup,
    backend: &ScriptedBackend,
    requests: &[Handshake],
) -> Vec<String> {
    let before = backend.requests().len();
    let nginx = setup.set("BACKEND", backend.address()).start();
    for request in requests {
        let mut client = Client::connect(nginx.port());
        let status = client.ask(request).status();
        assert!(matches!(status, 101 | 200), "{status}");
    }
    let passed = backend.requests();
    passed[before..]
        .iter()
        .map(|request| request.head.text() + &String::from_utf8_lossy(&request.body))
        .collect()
}

/// Plain requests of many kinds.
fn plain_requests() -> Vec<Handshake> {
    let plain = || Handshake::plain("/a%20b?c=d");
    vec![
        plain(),
        plain().version("HTTP/1.0"),
        plain()
            .add("Connection", "keep-alive")
            .add("Keep-Alive", "timeout=5"),
        plain().add("Connection", "close").add("TE", "trailers"),
        plain()
            .add("Cookie", "a=b")
            .add("Accept", "*/*")
            .add("X-Own", "1")
            .add("X-Own", "2"),
        plain().method("HEAD"),
        plain().method("OPTIONS"),
        plain()
            .method("POST")
            .add("Content-Length", "4")
            .body("abcd"),
        plain()
            .method("PUT")
            .add("Transfer-Encoding", "chunked")
            .body("3\r\nabc\r\n0\r\n\r\n"),
        plain().method("POST").add("Content-Length", "0"),
    ]
}

// Forms of passing.

#[test]
fn a_literal_proxy_pass() {
    passes(
        "location / { proxy_pass http://%BACKEND%; websocket on; }",
        "/chat?a=b",
        "/chat?a=b",
    );
}

#[test]
fn websocket_on_at_server_level() {
    passes(
        "websocket on; location / { proxy_pass http://%BACKEND%; }",
        "/",
        "/",
    );
}

#[test]
fn websocket_on_at_http_level() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "websocket on;
        server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%BACKEND%; } }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &[])
    );
}

#[test]
fn an_upstream_block() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "upstream group { server %BACKEND%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://group; websocket on; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    assert_eq!(lines(&backend.request(0)), handshake("/", "group", &[]));
}

#[test]
fn an_upstream_block_with_keepalive() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "upstream group { server %BACKEND%; keepalive 4; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://group; websocket on; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    tunnel(&nginx, "/");
    assert_eq!(lines(&backend.request(0)), handshake("/", "group", &[]));
    assert_eq!(lines(&backend.request(1)), handshake("/", "group", &[]));
    assert_eq!(
        backend.connections(),
        2,
        "a tunnel's connection is not used again"
    );
}

#[test]
fn a_proxy_pass_with_a_path() {
    let server = "location /ws/ { proxy_pass http://%BACKEND%/app/; websocket on; }";
    passes(server, "/ws/chat", "/app/chat");
}

#[test]
fn a_proxy_pass_with_a_variable() {
    let server = "location / {
        set $backend %BACKEND%;
        proxy_pass http://$backend;
        websocket on;
    }";
    passes(server, "/chat", "/chat");
}

#[test]
fn a_proxy_pass_with_regex_captures() {
    let server = "location ~ ^/ws/(.*)$ { proxy_pass http://%BACKEND%/app/$1; websocket on; }";
    passes(server, "/ws/chat", "/app/chat");
}

#[test]
fn an_https_upstream() {
    let backend = ScriptedBackend::on(Listen::Tls(Certificate::localhost()), standard);
    let nginx = Nginx::server("location / { proxy_pass https://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &[])
    );
}

/// nginx asks for a server by its name only where it is told to.
#[test]
fn the_name_of_an_https_upstream() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "location / {
            proxy_pass https://127.0.0.1:%TLSPORT%/named;
            proxy_ssl_server_name on;
            proxy_ssl_name chat.example;
            websocket on;
        }
        listen 127.0.0.1:%TLSPORT% ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        server_name chat.example;
        location /named {
            proxy_pass http://%BACKEND%;
            proxy_set_header X-Asked-For $ssl_server_name;
            websocket on;
        }",
    )
    .certificate(&Certificate::localhost())
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    let asked_for = "X-Asked-For: chat.example".to_owned();
    assert!(lines(&backend.request(0)).contains(&asked_for));
}

#[test]
fn a_unix_socket() {
    let setup = Nginx::server(
        "location / { proxy_pass http://unix:%PREFIX%/backend.sock:/; websocket on; }",
    );
    let backend = ScriptedBackend::on(Listen::Unix(setup.path("backend.sock")), standard);
    let nginx = setup.start();
    tunnel(&nginx, "/");
    assert_eq!(lines(&backend.request(0)), handshake("/", "localhost", &[]));
}

#[test]
fn a_proxy_pass_inside_an_if_block() {
    let server = "location / {
        websocket on;
        if ($arg_via = if) { proxy_pass http://%BACKEND%; break; }
        return 403;
    }";
    passes(server, "/?via=if", "/?via=if");
}

#[test]
fn an_if_block_that_inherits_its_proxy_pass() {
    let server = "location / {
        websocket on;
        proxy_pass http://%BACKEND%;
        if ($arg_via = if) { set $unused 1; }
    }";
    passes(server, "/?via=if", "/?via=if");
}

#[test]
fn an_if_block_that_is_on_by_itself() {
    let server = "location / {
        proxy_pass http://%BACKEND%;
        if ($http_upgrade) { websocket on; }
    }";
    // nginx takes directives of other modules in an if block only where these allow it.
    let check = Nginx::server(server).set("BACKEND", "127.0.0.1:1").check();
    assert!(
        !check.ok && check.at_level("emerg")[0].contains("not allowed here"),
        "{check:?}"
    );
}

#[test]
fn a_limit_except_block_that_inherits_its_proxy_pass() {
    let server = "location / {
        websocket on;
        proxy_pass http://%BACKEND%;
        limit_except POST { allow all; }
    }";
    passes(server, "/", "/");
}

#[test]
fn a_proxy_pass_inside_a_limit_except_block() {
    let server = "location / {
        websocket on;
        limit_except POST { proxy_pass http://%BACKEND%; }
    }";
    passes(server, "/", "/");
}

#[test]
fn a_limit_except_block_goes_on_limiting() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "location / {
            websocket on;
            proxy_pass http://%BACKEND%;
            limit_except GET { deny all; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    let mut client = Client::connect(nginx.port());
    assert_eq!(
        client.ask(&Handshake::plain("/").method("PUT")).status(),
        403
    );
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_nested_location_inherits_websocket_on() {
    let server = "location / {
        websocket on;
        location /nested/ { proxy_pass http://%BACKEND%; }
        location / { return 403; }
    }";
    passes(server, "/nested/", "/nested/");
}

#[test]
fn nested_locations_that_both_proxy() {
    let server = "location / {
        websocket on;
        proxy_pass http://127.0.0.1:1;
        location /nested/ { proxy_pass http://%BACKEND%; }
    }";
    passes(server, "/nested/", "/nested/");
}

#[test]
fn a_named_location_reached_by_try_files() {
    let server = "
        root .;
        location / { try_files $uri/none @backend; }
        location @backend { proxy_pass http://%BACKEND%; websocket on; }";
    passes(server, "/chat", "/chat");
}

#[test]
fn a_named_location_reached_by_error_page() {
    let server = "
        location / { error_page 418 = @backend; return 418; }
        location @backend { proxy_pass http://%BACKEND%; websocket on; }";
    passes(server, "/chat", "/chat");
}

#[test]
fn a_location_reached_by_an_internal_redirect() {
    let server = "
        location / { error_page 418 = /moved; return 418; }
        location /moved { internal; proxy_pass http://%BACKEND%; websocket on; }";
    passes(server, "/chat", "/moved");
}

#[test]
fn an_internal_redirect_between_locations_that_are_on() {
    let server = "
        websocket on;
        location / { try_files /none @backend; root .; proxy_pass http://127.0.0.1:1; }
        location @backend { proxy_pass http://%BACKEND%; }";
    passes(server, "/chat", "/chat");
}

#[test]
fn a_rewrite_to_a_location_that_is_on() {
    let server = "
        rewrite ^/old/(.*)$ /new/$1 last;
        location /new/ { proxy_pass http://%BACKEND%; websocket on; }";
    passes(server, "/old/chat", "/new/chat");
}

// Retries and subrequests.

const TWO_SERVERS: &str = "
    upstream group { server %FIRST%; server %SECOND% backup; }
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            proxy_pass http://group;
            proxy_next_upstream error timeout invalid_header http_503;
            websocket on;
        }
    }";

/// A handshake that the first server fails and the second gets in the same form.
#[track_caller]
fn retried(first: ScriptedBackend) {
    let second = ScriptedBackend::standard();
    let nginx = Nginx::http(TWO_SERVERS)
        .set("FIRST", first.address())
        .set("SECOND", second.address())
        .start();
    tunnel(&nginx, "/");
    assert_eq!(lines(&first.request(0)), handshake("/", "group", &[]));
    assert_eq!(first.request(0).head, second.request(0).head);
}

#[test]
fn a_retry_after_a_closed_connection() {
    retried(ScriptedBackend::start(|conn| conn.read_request().map(drop)));
}

#[test]
fn a_retry_after_a_reset() {
    retried(ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.reset();
        Ok(())
    }));
}

#[test]
fn a_retry_after_a_status() {
    retried(ScriptedBackend::answering(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    ));
}

#[test]
fn a_retry_after_an_answer_that_breaks_off_in_its_header() {
    retried(ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 101 Switching")
    }));
}

#[test]
fn a_retry_after_a_refused_connection() {
    let second = ScriptedBackend::standard();
    let nginx = Nginx::http(TWO_SERVERS)
        .set("FIRST", "127.0.0.1:1")
        .set("SECOND", second.address())
        .start();
    tunnel(&nginx, "/");
    assert_eq!(lines(&second.request(0)), handshake("/", "group", &[]));
}

#[test]
fn an_auth_request_carries_no_upgrade() {
    let backend = ScriptedBackend::standard();
    let auth = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "websocket on;
        location / { auth_request /auth; proxy_pass http://%BACKEND%; }
        location = /auth { internal; proxy_pass http://%AUTH%; }",
    )
    .set("BACKEND", backend.address())
    .set("AUTH", auth.address())
    .start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &[])
    );
    let asked = auth.request(0).head;
    assert_eq!(asked.start, format!("GET /auth {}", default_version()));
    assert_eq!(asked.lines("Upgrade"), [""; 0]);
    assert_eq!(asked.lines("Connection"), default_connection());
}

#[test]
fn an_auth_request_carries_no_upgrade_even_by_the_user_s_own_lines() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "websocket on;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
        location / { auth_request /auth; proxy_pass http://%BACKEND%; }
        location = /auth { internal; proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    let asked = backend.request(0).head;
    assert_eq!(asked.start, format!("GET /auth {}", default_version()));
    assert_eq!(asked.lines("Upgrade"), [""; 0]);
    assert!(
        !asked.has_token("Connection", "upgrade"),
        "{}",
        asked.text()
    );
    assert_eq!(
        lines(&backend.request(1)),
        handshake("/", &backend.address(), &[])
    );
}

#[test]
fn an_auth_request_may_refuse_a_handshake() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "websocket on;
        location / { auth_request /auth; proxy_pass http://%BACKEND%; }
        location = /auth { return 403; }",
    )
    .set("BACKEND", backend.address())
    .start();
    assert_eq!(
        Client::connect(nginx.port())
            .ask(&Handshake::new("/"))
            .status(),
        403
    );
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_mirror_carries_no_upgrade() {
    let backend = ScriptedBackend::standard();
    let mirror = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "websocket on;
        location / { mirror /mirror; proxy_pass http://%BACKEND%; }
        location = /mirror { internal; proxy_pass http://%MIRROR%; }",
    )
    .set("BACKEND", backend.address())
    .set("MIRROR", mirror.address())
    .start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &[])
    );
    let asked = mirror.request(0).head;
    assert_eq!(asked.start, format!("GET /mirror {}", default_version()));
    assert_eq!(asked.lines("Upgrade"), [""; 0]);
    assert_eq!(asked.lines("Connection"), default_connection());
}

// The cache.

const CACHED: &str = "
    proxy_cache_path cache keys_zone=zone:1m;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            proxy_pass http://%BACKEND%;
            proxy_cache zone;
            proxy_cache_valid any 1h;
            websocket on;
        }
    }";

#[test]
fn a_handshake_is_not_served_from_a_cache() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(CACHED)
        .set("BACKEND", backend.address())
        .start();
    assert_eq!(client::get(nginx.port(), "/").text(), "plain");
    assert_eq!(client::get(nginx.port(), "/").text(), "plain");
    assert_eq!(
        backend.requests().len(),
        1,
        "the second came from the cache"
    );
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(1)),
        handshake("/", &backend.address(), &[])
    );
    assert_eq!(client::get(nginx.port(), "/").text(), "plain");
    assert_eq!(backend.requests().len(), 2, "the cache is as it was");
}

#[test]
fn off_under_on_is_served_from_a_cache_as_by_stock() {
    if is_skipped_over_http2("it is refused there") {
        return;
    }
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "proxy_cache_path cache keys_zone=zone:1m;
        proxy_cache zone; proxy_cache_valid 1m;
        server {
            listen 127.0.0.1:%PORT%;
            location / {
                websocket on; proxy_pass http://%BACKEND%;
                location /nested/ { websocket off; proxy_pass http://%BACKEND%; }
            }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    assert_eq!(client::get(nginx.port(), "/nested/").text(), "plain");
    let answer = Client::connect(nginx.port()).exchange(&Handshake::new("/nested/"));
    assert_eq!((answer.status(), &*answer.text()), (200, "plain"));
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn the_answer_to_a_handshake_is_not_stored_in_a_cache() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        let word = if request.header("Upgrade").is_some() {
            "to a shake"
        } else {
            "to a plain"
        };
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{word}"
        ))
    });
    let nginx = Nginx::http(CACHED)
        .set("BACKEND", backend.address())
        .start();
    for _ in 0..2 {
        let mut client = Client::connect(nginx.port());
        let answer = client.exchange(&Handshake::new("/"));
        if is_over_http2() {
            assert_eq!(answer.status(), 502);
        } else {
            assert_eq!(answer.text(), "to a shake");
        }
    }
    assert_eq!(client::get(nginx.port(), "/").text(), "to a plain");
    assert_eq!(client::get(nginx.port(), "/").text(), "to a plain");
    assert_eq!(backend.requests().len(), 3);
}

#[test]
fn a_user_s_own_reasons_not_to_cache_still_hold() {
    let backend = ScriptedBackend::standard();
    let config = CACHED.replace(
        "websocket on;",
        "proxy_no_cache $arg_no; proxy_cache_bypass $arg_no; websocket on;",
    );
    let nginx = Nginx::http(config)
        .set("BACKEND", backend.address())
        .start();
    for target in ["/?no=1", "/?no=1", "/", "/"] {
        assert_eq!(client::get(nginx.port(), target).text(), "plain");
    }
    assert_eq!(backend.requests().len(), 3);
    tunnel(&nginx, "/");
    assert_eq!(backend.requests().len(), 4);
}

// The user's own headers.

#[test]
fn proxy_set_header_lines_of_server_and_http_level_still_apply() {
    for server_level in [false, true] {
        let backend = ScriptedBackend::standard();
        let line = "proxy_set_header Host example.com; proxy_set_header X-Real-IP $remote_addr;";
        let (http, server) = if server_level { ("", line) } else { (line, "") };
        let nginx = Nginx::http(format!(
            "{http}
            server {{
                listen 127.0.0.1:%PORT%;
                {server}
                location / {{ proxy_pass http://%BACKEND%; websocket on; }}
            }}"
        ))
        .set("BACKEND", backend.address())
        .start();
        tunnel(&nginx, "/");
        let expected = handshake("/", "example.com", &["X-Real-IP: 127.0.0.1"]);
        assert_eq!(lines(&backend.request(0)), expected);
        assert_eq!(client::get(nginx.port(), "/").text(), "plain");
        let plain = backend.request(1).head;
        assert_eq!(plain.header("Host"), Some("example.com"));
        assert_eq!(plain.header("X-Real-IP"), Some("127.0.0.1"));
        assert_eq!(plain.lines("Connection"), default_connection());
    }
}

#[test]
fn proxy_set_header_lines_of_the_location_apply_and_hide_inherited_ones() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "proxy_set_header X-Server 1;
        location / { proxy_pass http://%BACKEND%; proxy_set_header X-Own 2; websocket on; }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &["X-Own: 2"])
    );
}

#[test]
fn locations_of_one_server_keep_lines_of_their_own() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "websocket on;
        location /a { proxy_set_header X-A a; proxy_pass http://%BACKEND%; }
        location /b { proxy_set_header X-B b; proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/a");
    tunnel(&nginx, "/b");
    let of = |number: usize, name| backend.request(number).head.header(name).map(String::from);
    assert_eq!((of(0, "X-A"), of(0, "X-B")), (Some("a".into()), None));
    assert_eq!((of(1, "X-A"), of(1, "X-B")), (None, Some("b".into())));
}

#[test]
fn the_user_s_own_upgrade_and_connection_lines_give_way_for_handshakes_alone() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(
        "location / {
            proxy_pass http://%BACKEND%;
            proxy_set_header UPGRADE own/$arg_v;
            proxy_set_header connection keep-alive;
            websocket on;
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &[])
    );
    assert_eq!(client::get(nginx.port(), "/?v=2").text(), "plain");
    let plain = backend.request(1).head;
    assert_eq!(plain.all("Upgrade"), ["own/2"]);
    assert_eq!(plain.all("Connection"), ["keep-alive"]);
}

#[test]
fn an_empty_connection_line_keeps_upstream_connections_while_handshakes_succeed() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "upstream group { server %BACKEND%; keepalive 4; }
        server {
            listen 127.0.0.1:%PORT%;
            location / {
                proxy_pass http://group;
                proxy_http_version 1.1;
                proxy_set_header Connection \"\";
                websocket on;
            }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let port = nginx.port();
    assert_eq!(client::get(port, "/1").text(), "plain");
    assert_eq!(client::get(port, "/2").text(), "plain");
    // The handshake takes the kept connection, and keeps it.
    let mut open = Client::connect(port);
    open.establish("/3");
    open.echo("hello");
    assert_eq!(client::get(port, "/4").text(), "plain");
    assert_eq!(client::get(port, "/5").text(), "plain");
    open.echo("hello again");

    let seen: Vec<(usize, String)> = backend
        .requests()
        .iter()
        .map(|request| (request.connection, request.head.target().to_owned()))
        .collect();
    let expected = [(0, "/1"), (0, "/2"), (0, "/3"), (1, "/4"), (1, "/5")];
    assert_eq!(
        seen,
        expected.map(|(connection, target)| (connection, target.to_owned()))
    );
    assert_eq!(lines(&backend.request(2)), handshake("/3", "group", &[]));
    for number in [0, 1, 3, 4] {
        assert_eq!(backend.request(number).head.lines("Connection"), [""; 0]);
        assert_eq!(backend.request(number).head.lines("Upgrade"), [""; 0]);
    }
}

// Plain requests.

/// Plain requests through `location` with `websocket on` and through a stock nginx reach the backend as the same bytes.
#[track_caller]
fn plain_requests_are_as_without_the_module(lines: &str) {
    let backend = ScriptedBackend::standard();
    let with = format!("location / {{ proxy_pass http://%BACKEND%; {lines} websocket on; }}");
    let without = format!("location / {{ proxy_pass http://%BACKEND%; {lines} }}");
    let ours = requests_through(Nginx::server(with), &backend, &plain_requests());
    let stock = requests_through(
        Nginx::server(without).without_module(),
        &backend,
        &plain_requests(),
    );
    assert_eq!(ours.len(), plain_requests().len());
    assert_eq!(ours, stock);
}

#[test]
fn plain_requests_are_as_through_a_stock_nginx() {
    plain_requests_are_as_without_the_module("");
}

#[test]
fn plain_requests_with_a_host_line_are_as_through_a_stock_nginx() {
    plain_requests_are_as_without_the_module(
        "proxy_set_header X-A a; proxy_set_header Host $host; proxy_set_header X-B b;",
    );
}

#[test]
fn plain_requests_with_a_connection_line_are_as_through_a_stock_nginx() {
    plain_requests_are_as_without_the_module(
        "proxy_set_header X-A a; proxy_set_header Connection \"\"; proxy_set_header X-B b;",
    );
}

#[test]
fn plain_requests_with_both_lines_are_as_through_a_stock_nginx() {
    plain_requests_are_as_without_the_module(
        "proxy_set_header Upgrade $http_x_own; proxy_set_header X-A a;
        proxy_set_header Connection $http_connection;",
    );
}

#[test]
fn plain_requests_with_a_repeated_line_are_as_through_a_stock_nginx() {
    plain_requests_are_as_without_the_module(
        "proxy_set_header Connection $http_connection; proxy_set_header Connection x-own;",
    );
}

#[test]
fn the_answer_to_a_plain_request_is_as_through_a_stock_nginx() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 201 Created\r\nServer: backend\r\nX-Own: 1\r\nUpgrade: h2c\r\n\
         Connection: keep-alive, upgrade\r\nContent-Length: 4\r\n\r\nbody",
    );
    let answer = |setup: Setup| {
        let nginx = setup.set("BACKEND", backend.address()).start();
        let mut client = Client::connect(nginx.port());
        let request = Handshake::plain("/").add("Connection", "close");
        client.send(request.bytes()).unwrap();
        let text = String::from_utf8(client.read_until_close()).unwrap();
        text.lines()
            .filter(|line| !line.starts_with("Date:"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let ours = answer(Nginx::server(
        "location / { proxy_pass http://%BACKEND%; websocket on; }",
    ));
    let stock = answer(
        Nginx::server("location / { proxy_pass http://%BACKEND%; proxy_http_version 1.1; }")
            .without_module(),
    );
    assert_eq!(ours, stock);
}

// Off under on.

/// A nested location that is off under one that is on passes everything as a stock nginx does.
#[track_caller]
fn off_under_on_is_stock(outer: &str, inner: &str) {
    if is_skipped_over_http2("it is refused there") {
        return;
    }
    let backend = ScriptedBackend::standard();
    let config = |on: &str, off: &str| {
        format!(
            "location / {{
                {on} {outer}
                proxy_pass http://%BACKEND%;
                location /nested/ {{ {off} {inner} proxy_pass http://%BACKEND%; }}
            }}"
        )
    };
    let requests = [Handshake::plain("/nested/"), Handshake::new("/nested/")];
    let ours = Nginx::server(config("websocket on;", "websocket off;"));
    let ours = requests_through(ours, &backend, &requests);
    let stock = requests_through(
        Nginx::server(config("", "")).without_module(),
        &backend,
        &requests,
    );
    assert_eq!(ours.len(), 2);
    assert_eq!(ours, stock);
}

#[test]
fn off_under_on_with_nothing_written() {
    off_under_on_is_stock("", "");
}

#[test]
fn off_under_on_with_headers_above() {
    off_under_on_is_stock(
        "proxy_set_header X-A a; proxy_set_header Connection \"\";",
        "",
    );
}

#[test]
fn off_under_on_with_headers_of_its_own() {
    off_under_on_is_stock("proxy_set_header X-A a;", "proxy_set_header X-B b;");
}

#[test]
fn off_under_on_with_a_version_above() {
    off_under_on_is_stock("proxy_http_version 1.1;", "");
}

#[test]
fn off_under_on_with_the_hand_written_lines() {
    off_under_on_is_stock(
        "",
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;",
    );
}

#[test]
fn on_under_off_under_on() {
    let server = "location / {
        websocket on;
        proxy_pass http://127.0.0.1:1;
        location /a/ {
            websocket off;
            proxy_pass http://127.0.0.1:1;
            location /a/b/ { websocket on; proxy_pass http://%BACKEND%; }
        }
    }";
    passes(server, "/a/b/", "/a/b/");
}

// What would keep a handshake from being one.

/// A handshake with a cookie passes a location with these lines, and its request is as expected.
#[track_caller]
fn passes_in_spite_of(config: &str, more: &[&str]) {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(format!(
        "location / {{ proxy_pass http://%BACKEND%; {config} websocket on; }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    client.accepted(&Handshake::new("/").add("Cookie", "a=b"));
    client.echo("hello");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), more)
    );
}

#[test]
fn a_method_of_its_own() {
    passes_in_spite_of("proxy_method POST;", &["Cookie: a=b"]);
}

#[test]
fn a_body_of_its_own() {
    passes_in_spite_of("proxy_set_body x;", &["Cookie: a=b"]);
    passes_in_spite_of(
        "proxy_set_body x; proxy_set_header Content-Length 1;",
        &["Cookie: a=b"],
    );
}

#[test]
fn request_headers_that_are_not_passed() {
    passes_in_spite_of("proxy_pass_request_headers off;", &[]);
    passes_in_spite_of(
        "proxy_pass_request_headers off; proxy_set_header X-Own own;
        proxy_set_header Sec-WebSocket-Version 13;",
        &["X-Own: own"],
    );
}

#[test]
fn a_key_and_version_that_are_blanked() {
    passes_in_spite_of(
        "proxy_set_header Sec-WebSocket-Key ''; proxy_set_header Sec-WebSocket-Version '';",
        &["Cookie: a=b"],
    );
}

// The version towards the upstream.

/// Handshakes go out over HTTP/1.1, plain requests by the version that is written.
#[track_caller]
fn version_is_for_plain_requests(config: &str, plain: &str) {
    let backend = ScriptedBackend::standard();
    let setup = || Nginx::server(config).set("BACKEND", backend.address());
    let check = setup().check();
    assert!(check.ok && check.at_level("warn").is_empty(), "{check:?}");
    let nginx = setup().start();
    tunnel(&nginx, "/");
    assert_eq!(
        lines(&backend.request(0)),
        handshake("/", &backend.address(), &[])
    );
    client::get(nginx.port(), "/");
    assert_eq!(backend.request(1).head.start, format!("GET / {plain}"));
}

#[test]
fn version_1_0_in_the_location() {
    version_is_for_plain_requests(
        "location / {
            proxy_http_version 1.0;
            proxy_pass http://%BACKEND%;
            websocket on;
        }",
        "HTTP/1.0",
    );
}

#[test]
fn version_1_1_above_the_location() {
    version_is_for_plain_requests(
        "proxy_http_version 1.1;
        location / {
            proxy_pass http://%BACKEND%;
            websocket on;
        }",
        "HTTP/1.1",
    );
}

#[test]
fn a_location_that_does_not_proxy_brings_no_warning() {
    let check = Nginx::server(
        "proxy_http_version 1.0;
        websocket on;
        location / { return 204; }
        location /uwsgi/ { uwsgi_pass 127.0.0.1:1; }",
    )
    .check();
    assert!(check.ok && check.at_level("warn").is_empty(), "{check:?}");
}

#[test]
fn many_locations_that_are_on() {
    let backend = ScriptedBackend::standard();
    let locations: String = (0..200)
        .map(|n| format!("location /{n}/ {{ proxy_pass http://%BACKEND%; websocket on; }}\n"))
        .collect();
    let nginx = Nginx::server(locations)
        .set("BACKEND", backend.address())
        .start();
    tunnel(&nginx, "/0/");
    tunnel(&nginx, "/199/");
    wait_until("both handshakes", || backend.requests().len() == 2);
    assert_eq!(
        lines(&backend.request(1)),
        handshake("/199/", &backend.address(), &[])
    );
}
