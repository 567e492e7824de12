//! `--nginx-conf FILE URL`: the way it tells is the one that a handshake then goes.

use nginx_tests::http::Head;
use nginx_tests::{Nginx, ScriptedBackend};
use serde_json::Value;

use crate::configuration::judged;
use crate::program::{examine, failure, run};

/// A backend that takes whatever has an Upgrade.
fn backend() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        if head.has_token("Upgrade", "websocket") && head.start.ends_with("HTTP/1.1") {
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
}

fn nginx(backend: &ScriptedBackend, http: &str) -> Nginx {
    Nginx::http(format!("proxy_read_timeout 5s; {http}"))
        .set("BACKEND", backend.address())
        .start()
}

/// What is said of an address in the configuration of this nginx.
#[track_caller]
fn told(nginx: &Nginx, url: &str, more: &[&str]) -> Value {
    let file = nginx.path("nginx.conf").display().to_string();
    let first = ["--nginx-conf", &file, url];
    let arguments: Vec<&str> = first.iter().chain(more).copied().collect();
    let value = judged(&arguments);
    assert_eq!(value["works"], value["address"]["websocket"]);
    value["address"].clone()
}

/// Request line and headers, in an order of their own and without what differs each time.
fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines
        .map(|line| match line.split_once(": ") {
            Some((name, _)) if name.eq_ignore_ascii_case("Sec-WebSocket-Key") => {
                "sec-websocket-key".to_owned()
            }
            Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
            None => line,
        })
        .collect();
    lines.sort();
    lines
}

fn lines_of(head: &Head) -> Vec<String> {
    let text = head.text();
    sorted(
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned),
    )
}

fn lines_told(address: &Value) -> Vec<String> {
    let sent = address["sent"].as_array().expect("a list");
    sorted(sent.iter().filter_map(Value::as_str).map(str::to_owned))
}

/// Locations, and a path that reaches each.
const LOCATIONS: &[(&str, &str)] = &[
    (
        "location /plain { proxy_pass http://%BACKEND%; }",
        "/plain/a%20b?x=1",
    ),
    (
        "location /cut/ { proxy_pass http://%BACKEND%/; }",
        "/cut/a%20b/%41?x=1",
    ),
    (
        "location /other/ { proxy_pass http://%BACKEND%/v1/; }",
        "/other/../other//a",
    ),
    (
        "location = /exact { proxy_pass http://%BACKEND%/socket; }",
        "/exact",
    ),
    (
        "location ~ ^/number/\\d+$ { proxy_pass http://%BACKEND%; }",
        "/number/12",
    ),
    (
        "location ~* \\.SOCKET$ { proxy_pass http://%BACKEND%; }",
        "/number/a.socket",
    ),
    (
        "location ^~ /first/ { proxy_pass http://%BACKEND%; }",
        "/first/a.socket",
    ),
    (
        "location /outer/ { proxy_pass http://%BACKEND%/out/;
       location /outer/inner/ { proxy_pass http://%BACKEND%/in/; } }",
        "/outer/inner/a",
    ),
    (
        "location /rewritten/ { rewrite ^/rewritten(/.*) $1 break; proxy_pass http://%BACKEND%/no/; }",
        "/rewritten/a%20b?x=1",
    ),
    ("rewrite ^/old/(.*) /plain/$1?old=1;", "/old/b?x=1"),
    (
        "location /again/ { rewrite ^/again/(.*) /cut/$1 last; }",
        "/again/c",
    ),
    (
        "location /tried/ { try_files /none @up; } location @up { proxy_pass http://%BACKEND%; }",
        "/tried/a",
    ),
    (
        "location /if/ { if ($http_upgrade = websocket) { proxy_pass http://%BACKEND%; break; } return 404; }",
        "/if/a",
    ),
    (
        "location /var/ { set $to %BACKEND%; proxy_pass http://$to; }",
        "/var/a?x",
    ),
    (
        "location /fixed/ { set $to %BACKEND%; proxy_pass http://$to/fixed; }",
        "/fixed/a?x",
    ),
    (
        "location /uri/ { proxy_pass http://%BACKEND%$request_uri; }",
        "/uri/a?x",
    ),
    (
        "location /host/ { proxy_pass http://%BACKEND%; proxy_set_header Host $host; }",
        "/host/",
    ),
    (
        "location /http-host/ { proxy_pass http://%BACKEND%; proxy_set_header Host $http_host; }",
        "/http-host/",
    ),
    (
        "location /none/ { proxy_pass http://%BACKEND%; proxy_pass_request_headers off; }",
        "/none/",
    ),
    (
        "location /key/ { proxy_pass http://%BACKEND%; proxy_set_header Sec-WebSocket-Key '';
       proxy_set_header Origin ''; proxy_set_header X-Scheme $scheme; }",
        "/key/",
    ),
    (
        "location /by-hand/ { websocket off; proxy_http_version 1.1; proxy_pass http://%BACKEND%;
       proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }",
        "/by-hand/",
    ),
];

#[test]
fn what_is_told_is_what_is_sent() {
    let backend = backend();
    let locations: String = LOCATIONS
        .iter()
        .map(|(text, _)| format!("{text}\n"))
        .collect();
    let nginx = nginx(
        &backend,
        &format!("server {{ listen 127.0.0.1:%PORT%; websocket on; {locations} }}"),
    );
    for (number, (location, path)) in LOCATIONS.iter().enumerate() {
        let url = format!("ws://127.0.0.1:{}{path}", nginx.port());
        let address = told(
            &nginx,
            &url,
            &["--subprotocol=chat", "--header=Cookie: a=b"],
        );
        assert_eq!(address["websocket"], true, "{location} {address:#}");
        let options = ["--no-probes", "--subprotocol=chat", "--header=Cookie: a=b"];
        let report = examine(&url, &options);
        assert_eq!(failure(&report), "", "{location} {report:#}");
        let head = backend.request(number).head;
        let received: Vec<String> = lines_of(&head)
            .into_iter()
            // A credential is sent, and not shown.
            .map(|line| line.replace("cookie: a=b", "cookie: (not shown)"))
            .collect();
        assert_eq!(lines_told(&address), received, "{location}");
    }
}

/// Ways that end before an upstream, and ones on which Upgrade is lost.
#[test]
fn what_fails_fails_for_the_reason_told() {
    let backend = backend();
    let nginx = nginx(
        &backend,
        "server {
             listen 127.0.0.1:%PORT%;
             location /files { root html; }
             location /slash/ { proxy_pass http://%BACKEND%; websocket on; }
             location /gone { return 404; proxy_pass http://%BACKEND%; websocket on; }
             location /inside { internal; proxy_pass http://%BACKEND%; websocket on; }
             location /forgotten { proxy_pass http://%BACKEND%; proxy_http_version 1.1; }
         }",
    );
    for (path, said, cause) in [
        (
            "/files/a",
            "location /files does not proxy",
            "local-not-found",
        ),
        ("/slash", "redirects to /slash/ (301)", "local-redirect"),
        ("/gone", "return 404 (", "local-not-found"),
        ("/inside", "internal (", "local-not-found"),
        (
            "/elsewhere",
            "no location matches /elsewhere",
            "local-not-found",
        ),
        (
            "/forgotten",
            "`websocket on;` is missing",
            "upgrade-missing",
        ),
    ] {
        let url = format!("ws://127.0.0.1:{}{path}", nginx.port());
        let address = told(&nginx, &url, &[]);
        assert_eq!(address["websocket"], false, "{path}");
        let problems = address["problems"].to_string();
        assert!(problems.contains(said), "{path}: {problems}");
        let report = examine(&url, &[]);
        assert_eq!(failure(&report), cause, "{path} {report:#}");
    }
}

/// The server is chosen by port, and then by name.
#[test]
fn the_server_that_is_told_is_the_one_that_answers() {
    let backend = backend();
    let server = |listen: &str, name: &str| {
        format!(
            "server {{ listen 127.0.0.1:{listen}; server_name {name}; websocket on;
             location / {{ proxy_pass http://%BACKEND%; proxy_set_header X-Server \"{name}\"; }} }}"
        )
    };
    let names = [
        "a.example",
        "*.example",
        "www.*",
        "~^db\\\\d",
        "*.b.example",
    ];
    let mut http: String = names.iter().map(|name| server("%PORT%", name)).collect();
    http += &server("%PORT% default_server", "default");
    http += &server("%PORT2%", "other-port");
    let nginx = nginx(&backend, &http.replace("\\\\", "\\"));
    let hosts = [
        ("PORT", "a.example"),
        ("PORT", "x.example"),
        ("PORT", "x.b.example"),
        ("PORT", "www.net"),
        ("PORT", "db1.net"),
        ("PORT", "nobody.net"),
        ("PORT2", "a.example"),
    ];
    for (number, (port, host)) in hosts.iter().enumerate() {
        let port = nginx.port_of(port);
        let url = format!("ws://{host}:{port}/");
        let resolve = format!("--resolve={host}:{port}:127.0.0.1");
        let address = told(&nginx, &url, &[&resolve]);
        assert_eq!(failure(&examine(&url, &["--no-probes", &resolve])), "");
        let head = backend.request(number).head;
        assert_eq!(lines_told(&address), lines_of(&head), "{host}");
    }
}

#[test]
fn people_read_it_too() {
    let backend = backend();
    let nginx = nginx(
        &backend,
        "server {
             listen 127.0.0.1:%PORT%;
             server_name chat.example;
             location / { proxy_pass http://%BACKEND%; }
         }",
    );
    let file = nginx.path("nginx.conf").display().to_string();
    let url = format!("ws://chat.example:{}/a", nginx.port());
    let outcome = run(["--nginx-conf", &file, &url]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    for said in [
        format!("{url}: fails\n"),
        " chat.example: its server_name chat.example matches\n".to_owned(),
        " location /: it is the longest prefix\n".to_owned(),
        format!(
            "  upstream  proxy_pass http://{} (not set up)\n",
            backend.address()
        ),
        format!("      > Host: {}\n", backend.address()),
        "  - `websocket on;` is missing in this location".to_owned(),
    ] {
        assert!(outcome.out.contains(&said), "{said}: {}", outcome.out);
    }
    let quiet = run(["-q", "--nginx-conf", &file, &url]);
    assert_eq!(quiet.status, Some(1));
    assert!(
        quiet
            .out
            .starts_with(&format!("{url} fails: `websocket on;` is missing")),
        "{}",
        quiet.out
    );
    // Nothing was sent.
    assert_eq!(backend.connections(), 0);
}
