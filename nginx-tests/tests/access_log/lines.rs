//! Which requests have such a line, and what it says.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nginx_tests::backend::LONG_HEAD;
use nginx_tests::client::get;
use nginx_tests::environment::is_over_http2;
use nginx_tests::http2::translator::{opened, protocol};
use nginx_tests::nginx::assert_refused;
use nginx_tests::{
    Certificate, Client, EchoBackend, Handshake, Nginx, ScriptedBackend, wait_until,
};

use super::{join, server};

/// As a format of JSON.
fn json(variables: &[&str]) -> String {
    let pairs: Vec<_> = variables
        .iter()
        .map(|name| format!("\"{name}\":\"${name}\""))
        .collect();
    format!("log_format line escape=json '{{{}}}';", pairs.join(","))
}

fn parsed(line: &str) -> BTreeMap<String, String> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn a_line_at_the_101_and_one_at_the_end() {
    let backend = EchoBackend::start();
    let variables = [
        "websocket_event",
        "websocket_state",
        "status",
        "request",
        "request_time",
        "bytes_sent",
        "body_bytes_sent",
        "request_completion",
        "upstream_addr",
        "upstream_status",
        "upstream_header_time",
        "upstream_response_time",
        "websocket_handshake_time",
        "websocket_duration",
        "websocket_bytes_in",
        "websocket_messages_out",
        "websocket_close_reason",
        "websocket_cause",
        "http_user_agent",
    ];
    let nginx = server(
        &backend,
        &json(&variables),
        "access_log logs/line line;
         location / { websocket on; websocket_log_open on; proxy_pass http://%BACKEND%; }",
    )
    .start();
    let mut client = Client::connect(nginx.port());
    let head = client.accepted(&Handshake::new("/chat").add("User-Agent", "a \"b\""));
    let open = parsed(&nginx.wait_for_access("line", 1)[0]);
    let is = |line: &BTreeMap<String, String>, name: &str, value: &str| {
        assert_eq!(line[name], value, "{name} of {line:?}");
    };
    is(&open, "websocket_event", "open");
    is(&open, "websocket_state", "established");
    is(&open, "status", &opened().to_string());
    is(&open, "request", &format!("GET /chat {}", protocol()));
    if is_over_http2() {
        assert!(
            open["bytes_sent"]
                .parse::<usize>()
                .is_ok_and(|sent| sent > 0)
        );
    } else {
        is(&open, "bytes_sent", &head.raw.len().to_string());
    }
    is(&open, "body_bytes_sent", "0");
    is(&open, "upstream_addr", &backend.address());
    is(&open, "upstream_status", "101");
    // The answer has a header and is not over.
    assert!(
        open["upstream_header_time"].parse::<f64>().is_ok(),
        "{open:?}"
    );
    is(&open, "upstream_response_time", "-");
    is(&open, "websocket_duration", "0.000");
    is(&open, "websocket_bytes_in", "0");
    is(&open, "websocket_messages_out", "0");
    is(&open, "websocket_close_reason", "");
    is(&open, "websocket_cause", "");
    is(&open, "http_user_agent", "a \"b\"");

    client.echo("hello");
    assert!(client.silent_for(Duration::from_millis(50)));
    client.close_politely();
    let lines = nginx.wait_for_access("line", 2);
    let close = parsed(&lines[1]);
    is(&close, "websocket_event", "close");
    is(&close, "websocket_state", "established");
    is(&close, "status", &opened().to_string());
    is(&close, "websocket_close_reason", "normal");
    is(&close, "websocket_messages_out", "1");
    is(&close, "upstream_status", "101");
    let number = |line: &BTreeMap<String, String>, name: &str| line[name].parse::<f64>().unwrap();
    // The same moment, or a busy machine's next milliseconds; by two clocks, of which one advances by four milliseconds
    // at a time, and each cuts off what is less than one.
    let earliest = number(&open, "websocket_handshake_time") - 0.0055;
    assert!(number(&open, "request_time") > earliest, "{open:?}");
    assert!(number(&open, "request_time") < number(&close, "request_time"));
    assert!(number(&close, "request_time") >= 0.05, "{close:?}");
    assert!(number(&close, "websocket_duration") >= 0.05, "{close:?}");
    assert!(
        number(&close, "upstream_response_time") >= 0.05,
        "{close:?}"
    );
    assert!(number(&close, "bytes_sent") > number(&open, "bytes_sent"));
    assert_eq!(nginx.access_log("line").lines().count(), 2);
    // What else belongs to the end of a request is done once.
    nginx.wait_for_log("websocket closed after");
    assert_eq!(nginx.log_lines("websocket closed after").len(), 1);
}

#[test]
fn without_the_directive_there_is_one_line() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line $websocket_event;",
        "access_log logs/line line; location / { websocket on; proxy_pass http://%BACKEND%; }",
    )
    .start();
    join(&nginx, "/").close_politely();
    assert_eq!(nginx.wait_for_access("line", 1), ["close"]);
    nginx.stop();
}

#[test]
fn what_never_opens_has_one_line() {
    let refusing =
        ScriptedBackend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let nginx = Nginx::http(
        "log_format line '$websocket_event $websocket_state $status $uri';
         server {
             listen 127.0.0.1:%PORT%;
             access_log logs/line line;
             websocket on;
             websocket_log_open on;
             location / { proxy_pass http://%BACKEND%; }
             location /local { return 404; }
             location /strict { websocket_handshake strict; proxy_pass http://%BACKEND%; }
         }",
    )
    .set("BACKEND", refusing.address())
    .start();
    for (request, line) in [
        (Handshake::new("/"), "fail failed 403 /"),
        (Handshake::new("/local"), "fail rejected 404 /local"),
        (
            Handshake::new("/strict").without("Connection"),
            "fail rejected 400 /strict",
        ),
        (Handshake::plain("/"), "- - 403 /"),
    ] {
        let before = nginx.access_log("line").lines().count();
        Client::connect(nginx.port()).ask(&request);
        assert_eq!(nginx.wait_for_access("line", before + 1)[before..], [line]);
    }
    nginx.stop();
}

#[test]
fn levels_inherit() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line '$websocket_event $uri'; access_log logs/line line; websocket_log_open on;
         websocket on;",
        "location / { proxy_pass http://%BACKEND%; location /in { proxy_pass http://%BACKEND%; } }
         location /off {
             websocket_log_open off; proxy_pass http://%BACKEND%;
             location /off/on { websocket_log_open on; proxy_pass http://%BACKEND%; }
         }
         location /if { if ($arg_a) { proxy_pass http://%BACKEND%; } }",
    )
    .start();
    let mut expected = vec![];
    for (target, path, opens) in [
        ("/", "/", true),
        ("/in", "/in", true),
        ("/off", "/off", false),
        ("/off/on", "/off/on", true),
        ("/if?a=1", "/if", true),
    ] {
        join(&nginx, target).close_politely();
        if opens {
            expected.push(format!("open {path}"));
        }
        expected.push(format!("close {path}"));
        assert_eq!(nginx.wait_for_access("line", expected.len()), expected);
    }
    nginx.stop();
}

#[test]
fn words_that_mean_nothing_are_refused() {
    assert_refused(
        "websocket_log_open open;",
        "invalid value \"open\" in \"websocket_log_open\" directive, it must be \"on\" or \"off\" in",
    );
    assert_refused(
        "websocket_log_open on off;",
        "invalid number of arguments in \"websocket_log_open\" directive in",
    );
    let twice =
        Nginx::server("location / { websocket_log_open on; websocket_log_open on; }").check();
    assert!(
        twice.at_level("emerg")[0].contains("is duplicate"),
        "{twice:?}"
    );
}

#[test]
fn nginx_s_own_loop() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line '$websocket_event $status $websocket_close_reason';",
        "location / {
             websocket on; websocket_tunnel off; websocket_log_open on; proxy_pass http://%BACKEND%;
             access_log logs/line line;
         }",
    )
    .start();
    let client = join(&nginx, "/");
    let lines = ["open", "close"].map(|event| format!("{event} {} -", opened()));
    assert_eq!(nginx.wait_for_access("line", 1), lines[..1]);
    client.close_politely();
    assert_eq!(nginx.wait_for_access("line", 2), lines);
    nginx.stop();
}

/// A client that does not read has no room for the whole 101: nginx gives it up, and nobody carries anything.
#[test]
fn what_cannot_begin_does_not_open() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.accept_at_length(&handshake)?;
        conn.hang()
    });
    let nginx = Nginx::http(format!(
        "log_format line '$websocket_event $websocket_state';
         websocket_zone one:1m;
         server {{
             listen 127.0.0.1:%PORT% sndbuf=4k;
             location / {{
                 websocket on; websocket_log_open on; proxy_pass http://%BACKEND%; {LONG_HEAD}
                 access_log logs/line line;
             }}
             location /metrics {{ access_log off; websocket_status prometheus; }}
         }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect(nginx.port());
    client.send(Handshake::new("/").bytes()).unwrap();
    assert_eq!(nginx.wait_for_access("line", 1), ["close established"]);
    let metrics = get(nginx.port(), "/metrics").text();
    let has = |line: &str| metrics.lines().any(|found| found.starts_with(line));
    assert!(
        has("nginx_websocket_tunnels_own_loop_total{label=\"/\"} 0"),
        "{metrics}"
    );
    assert!(has("nginx_websocket_tunnels{label=\"/\"} 0"), "{metrics}");
    nginx.stop();
}

#[test]
fn over_tls_and_through_a_subrequest() {
    let backend = EchoBackend::start();
    let certificate = Certificate::localhost();
    let nginx = Nginx::http(
        "log_format line '$websocket_event $uri $https';
         server {
             listen 127.0.0.1:%PORT% ssl;
             ssl_certificate cert.pem; ssl_certificate_key key.pem;
             access_log logs/line line;
             log_subrequest on;
             location / {
                 auth_request /auth;
                 websocket on; websocket_log_open on; proxy_pass http://%BACKEND%;
             }
             location /auth { return 204; }
         }",
    )
    .set("BACKEND", backend.address())
    .certificate(&certificate)
    .start();
    let mut client = Client::connect_tls(nginx.port(), &certificate);
    client.establish("/");
    client.echo("over TLS");
    client.close_politely();
    let lines = nginx.wait_for_access("line", 3);
    assert_eq!(lines, ["- /auth on", "open / on", "close / on"]);
    nginx.stop();
}

/// A name with variables is opened for each line. A tunnel has no descriptor for that.
#[test]
fn a_log_that_is_opened_for_a_line_is_closed_behind_it() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line $websocket_event;",
        "root %PREFIX%;
         location / {
             websocket on; websocket_log_open on; proxy_pass http://%BACKEND%;
             access_log logs/of-$arg_user line;
         }",
    )
    .start();
    let client = join(&nginx, "/?user=ada");
    assert_eq!(nginx.wait_for_access("of-ada", 1), ["open"]);
    let path = nginx.path("logs/of-ada");
    let is_open = || {
        let files = fs::read_dir(format!("/proc/{}/fd", nginx.worker_pids()[0])).unwrap();
        let mut paths = files.flatten().flat_map(|file| fs::read_link(file.path()));
        paths.any(|open| open == path)
    };
    wait_until("the log to be closed", || !is_open());
    client.close_politely();
    assert_eq!(nginx.wait_for_access("of-ada", 2), ["open", "close"]);
    nginx.stop();
}

/// The line is one more of each tunnel, also where bytes come right behind the handshake.
#[test]
fn a_hundred_at_once() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line '$websocket_event $arg_n';",
        "location / {
             websocket on; websocket_log_open on; proxy_pass http://%BACKEND%; access_log logs/line line;
         }",
    )
    .workers(2)
    .start();
    let clients: Vec<_> = (0..100)
        .map(|n| join(&nginx, &format!("/?n={n}")))
        .collect();
    nginx.wait_for_access("line", 100);
    for client in clients {
        client.close_politely();
    }
    let mut lines = nginx.wait_for_access("line", 200);
    lines.sort();
    let mut expected: Vec<_> = (0..100)
        .flat_map(|n| [format!("close {n}"), format!("open {n}")])
        .collect();
    expected.sort();
    assert_eq!(lines, expected);
    nginx.stop();
}
