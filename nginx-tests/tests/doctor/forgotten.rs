//! `websocket on` forgotten, and other ways in which nginx asks the upstream for something else.

use nginx_tests::{Nginx, ScriptedBackend};
use serde_json::Value;

use crate::program::{examine, failure, run};

/// A server that opens a WebSocket for a handshake, and answers anything else like this.
fn server(status: &'static str, headers: &'static str, body: &'static str) -> ScriptedBackend {
    ScriptedBackend::start(move |conn| {
        let head = conn.read_request()?.head;
        if head.has_token("Upgrade", "websocket") && head.has_token("Connection", "upgrade") {
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        conn.send(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    })
}

fn nginx(backend: &ScriptedBackend, location: &str) -> Nginx {
    Nginx::server(format!(
        "location / {{ proxy_pass http://%BACKEND%; {location} }}"
    ))
    .set("BACKEND", backend.address())
    .start()
}

fn url(nginx: &Nginx) -> String {
    format!("ws://127.0.0.1:{}/", nginx.port())
}

/// How servers answer what is no handshake.
const WITHOUT_UPGRADE: [(&str, &str, &str); 8] = [
    (
        "400 Bad Request",
        "",
        "Can \"Upgrade\" only to \"WebSocket\".",
    ),
    ("400 Bad Request", "", "No WebSocket UPGRADE hdr: None"),
    (
        "400 Bad Request",
        "Content-Type: application/json\r\n",
        "{\"code\":0,\"message\":\"Transport unknown\"}",
    ),
    ("403 Forbidden", "", ""),
    (
        "404 Not Found",
        "Content-Type: application/json\r\n",
        "{\"detail\":\"Not Found\"}",
    ),
    ("426 Upgrade Required", "", "Upgrade Required"),
    ("500 Internal Server Error", "", "Internal Server Error"),
    (
        "200 OK",
        "Content-Type: text/html\r\n",
        "<p>Nothing to see</p>",
    ),
];

#[test]
fn the_same_answer_without_upgrade() {
    for (status, headers, body) in WITHOUT_UPGRADE {
        let backend = server(status, headers, body);
        let nginx = nginx(&backend, "proxy_http_version 1.1;");
        let report = examine(&url(&nginx), &[]);
        assert_eq!(failure(&report), "upgrade-missing", "{status} {report:#}");
        let failed = &report["front"]["failure"];
        let text = |name: &str| failed[name].as_str().unwrap_or_default();
        let is_sure = status.starts_with("426");
        assert_eq!(
            text("seen").ends_with("Upgrade does not reach the upstream"),
            is_sure,
            "{report:#}"
        );
        let candidates = failed["candidates"].as_array().map_or(0, Vec::len);
        assert_eq!(candidates, if is_sure { 0 } else { 3 }, "{report:#}");
        assert_eq!(failed["fault"].is_string(), is_sure, "{report:#}");
        assert!(text("change").starts_with("`websocket on;`"), "{report:#}");
        // The handshake, and one request to compare.
        assert_eq!(backend.connections(), 2, "{status}");
    }
}

#[test]
fn a_404_may_also_be_a_404() {
    let backend = server("404 Not Found", "", "no");
    let report = examine(&url(&nginx(&backend, "")), &[]);
    assert_eq!(
        report["front"]["failure"]["candidates"],
        serde_json::json!(["upgrade-missing", "upstream-not-found", "local-not-found"])
    );
    let outcome = run([&url(&nginx(&backend, ""))]);
    let names = "could be:   upgrade-missing, upstream-not-found or local-not-found\n";
    assert!(outcome.out.contains(names), "{}", outcome.out);
}

/// Upgrade is passed on, and what refuses it refuses everything.
#[test]
fn the_same_answer_for_another_reason() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    for (location, cause) in [
        ("websocket on;", "upstream-error"),
        ("return 200 hello;", "local-status"),
    ] {
        let report = examine(&url(&nginx(&backend, location)), &[]);
        let failed = &report["front"]["failure"];
        let candidates = failed["candidates"].to_string();
        assert!(candidates.contains(cause), "{report:#}");
        assert!(!failed["seen"].to_string().contains("does not reach"));
        let told = failed["advice"].to_string();
        assert!(told.contains("--backend"), "{told}");
        assert!(told.contains("websocket_cause_header"), "{told}");
    }
}

/// Where Upgrade does reach the upstream, its refusal is its own.
#[test]
fn another_answer_without_upgrade() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let status = match head.has_token("Upgrade", "websocket") {
            true => "403 Forbidden",
            false => "426 Upgrade Required",
        };
        conn.send(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    });
    let report = examine(&url(&nginx(&backend, "websocket on;")), &[]);
    assert_eq!(failure(&report), "upstream-forbidden", "{report:#}");
}

#[test]
fn a_server_that_is_no_nginx_is_not_blamed_for_it() {
    let backend = ScriptedBackend::answering("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
    let report = examine(&format!("ws://{}/", backend.address()), &[]);
    assert_eq!(failure(&report), "upstream-bad-request");
    assert_eq!(backend.connections(), 1);
}

/// Python's `http.server` and others refuse a version of HTTP that they don't speak.
#[test]
fn http_1_0_reaches_the_backend() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        if head.start.ends_with("HTTP/1.1") {
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        conn.send("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    let nginx = nginx(&backend, "proxy_http_version 1.0;");
    let report = examine(&url(&nginx), &[]);
    assert_eq!(failure(&report), "http-version", "{report:#}");
    let seen = report["front"]["failure"]["seen"]
        .as_str()
        .unwrap_or_default();
    assert!(seen.contains("HTTP/1.0 may have reached"), "{seen}");
    assert_eq!(
        report["front"]["failure"]["candidates"],
        serde_json::json!(["http-version", "upstream-error"])
    );

    let direct = format!("--backend=ws://{}/", backend.address());
    let compared = examine(&url(&nginx), &[&direct]);
    assert_eq!(failure(&compared), "http-version", "{compared:#}");
    assert_eq!(
        compared["front"]["failure"]["candidates"],
        serde_json::json!([])
    );
    assert_eq!(compared["comparison"]["verdict"], "nginx-fails");
}

/// Some close instead, as Python's `websockets` does: nginx makes its 502 of that.
#[test]
fn http_1_0_makes_the_backend_close() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        if head.start.ends_with("HTTP/1.1") && head.has_token("Upgrade", "websocket") {
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        Ok(())
    });
    let nginx = nginx(&backend, "proxy_http_version 1.0;");
    let report = examine(&url(&nginx), &[]);
    let candidates = report["front"]["failure"]["candidates"].to_string();
    assert!(candidates.contains("upgrade-missing"), "{report:#}");

    let direct = format!("--backend=ws://{}/", backend.address());
    let compared = examine(&url(&nginx), &[&direct]);
    assert_eq!(failure(&compared), "upgrade-missing", "{compared:#}");
    assert_eq!(compared["comparison"]["header"], "Upgrade");
}

/// A location without proxy_pass: what comes is no upstream's answer.
#[test]
fn a_page_from_nginx_s_disk() {
    let nginx = Nginx::server(
        "root html;
         error_page 404 /gone.html;
         location /chat { }",
    )
    .file("html/index.html", "<p>Welcome</p>")
    .file("html/chat/index.html", "<p>Chat</p>")
    .file("html/gone.html", "<p>Gone</p>")
    .start();
    for (path, cause) in [
        ("", "local-status"),
        ("chat/", "local-status"),
        ("chat/none", "local-not-found"),
    ] {
        let report = examine(&format!("{}{path}", url(&nginx)), &[]);
        assert_eq!(failure(&report), cause, "{path} {report:#}");
        let seen = report["front"]["failure"]["seen"]
            .as_str()
            .unwrap_or_default();
        assert!(seen.contains("no upstream was asked"), "{seen}");
    }
}

/// What the report says of the logs is what the logs have.
#[test]
fn its_own_lines_in_the_logs() {
    let backend = server("400 Bad Request", "", "no");
    let nginx = nginx(&backend, "websocket on;");
    let works = examine(&url(&nginx), &[]);
    assert_eq!(failure(&works), "");
    assert_eq!(in_access_log(&nginx), requests(&works));
    assert_eq!(requests(&works).len(), 3);
    let agents: Vec<&str> = works["log"]["requests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|sent| sent["user_agent"].as_str())
        .collect();
    assert!(agents[1].ends_with(" (without-upgrade)"), "{agents:?}");
    assert!(agents[2].ends_with(" (http-1.0)"), "{agents:?}");

    let outcome = run([&url(&nginx)]);
    assert!(
        outcome
            .out
            .contains("in nginx's logs        client 127.0.0.1:"),
        "{}",
        outcome.out
    );
    assert!(
        outcome
            .out
            .contains("      request \"GET / HTTP/1.1\", User-Agent \"check-websocket/"),
        "{}",
        outcome.out
    );
}

#[test]
fn the_failing_handshake_is_found_in_the_error_log() {
    let backend = ScriptedBackend::answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let nginx = nginx(&backend, "websocket on;");
    let report = examine(&url(&nginx), &["--repeat=2"]);
    // The request for comparison came through, and left no line.
    nginx_tests::wait_until("three requests", || backend.connections() == 3);
    let lines = nginx.log_lines("websocket handshake failed: ");
    let client = report["log"]["client"].as_str().expect("an address");
    let sent = &report["log"]["requests"][0];
    assert_eq!(sent["count"], lines.len(), "{lines:?}");
    for line in lines {
        assert!(line.contains(&format!("client: {client},")), "{line}");
        let request = sent["request"].as_str().expect("a request line");
        assert!(line.contains(&format!("request: \"{request}\"")), "{line}");
    }
}

/// Request lines with User-Agent, as the report has them.
fn requests(report: &Value) -> Vec<String> {
    let requests = report["log"]["requests"].as_array().expect("a list");
    let text = |sent: &Value| format!("{}|{}", sent["request"], sent["user_agent"]);
    requests.iter().map(text).collect()
}

/// The same, of the access log in nginx's own format `combined`.
fn in_access_log(nginx: &Nginx) -> Vec<String> {
    nginx_tests::wait_until("three lines", || {
        nginx.access_log("access.log").lines().count() == 3
    });
    let log = nginx.access_log("access.log");
    let mut found: Vec<String> = log
        .lines()
        .map(|line| {
            let quoted: Vec<&str> = line.split('"').collect();
            format!("\"{}\"|\"{}\"", quoted[1], quoted[5])
        })
        .collect();
    // A tunnel is written when it ends, which is after the probes have begun.
    found.sort_by_key(|line| (line.contains("HTTP/1.0"), line.contains('(')));
    found
}
