//! WebSocket over HTTP/2: whether it is offered, and what it is against HTTP/1.1.

use nginx_tests::{Certificate, Nginx, ScriptedBackend};
use serde_json::{Value, json};

use crate::program::{examine, failure, step};

const PROXIES: &str = "location / { proxy_pass http://%BACKEND%; }";

/// An nginx with TLS and these servers, of which the last is the one that is asked.
fn listening(backend: &ScriptedBackend, text: &str) -> Nginx {
    Nginx::http(format!(
        "websocket on; ssl_certificate cert.pem; ssl_certificate_key key.pem;
        access_log logs/outcome.log combined;
        {text}"
    ))
    .certificate(&Certificate::localhost())
    .set("BACKEND", backend.address())
    .allow_log("the \"listen ... http2\" directive is deprecated")
    .start()
}

#[track_caller]
fn of(nginx: &Nginx, more: &[&str]) -> Value {
    let url = format!("wss://127.0.0.1:{}/chat", nginx.port());
    let options = ["--insecure", "--no-probes", "--http2"];
    examine(&url, &[&options[..], more].concat())
}

#[test]
fn where_it_works_it_is_as_over_http_1() {
    let backend = ScriptedBackend::standard();
    let nginx = listening(
        &backend,
        &format!("server {{ listen 127.0.0.1:%PORT% ssl http2; websocket_http2 on; {PROXIES} }}"),
    );
    let long = "m".repeat(100_000);
    for more in [&[][..], &["--message", "hello"], &["--message", &long]] {
        let report = of(&nginx, more);
        assert_eq!(failure(&report), "", "{report:#}");
        let found = step(&report, "http2");
        assert_eq!(
            [&found["outcome"], &found["offered"]],
            [&json!("ok"), &json!(true)]
        );
        let sent = report["log"]["requests"].as_array().expect("requests");
        let sent = sent.last().expect("one over HTTP/2");
        assert_eq!(sent["request"], "GET /chat HTTP/2.0");
        let agent = sent["user_agent"].as_str().expect("an agent");
        let lines = nginx.wait_for_access("outcome.log", 2);
        assert!(
            lines
                .iter()
                .any(|line| line.contains("\"GET /chat HTTP/2.0\" 200") && line.contains(agent)),
            "{lines:?}"
        );
    }
}

#[test]
fn where_it_is_not_offered_nothing_is_wrong() {
    let backend = ScriptedBackend::standard();
    for (listen, said) in [
        ("ssl", "speaks no HTTP/2"),
        ("ssl http2", "offers no WebSocket over it"),
    ] {
        let nginx = listening(
            &backend,
            &format!("server {{ listen 127.0.0.1:%PORT% {listen}; {PROXIES} }}"),
        );
        let report = of(&nginx, &[]);
        assert_eq!(failure(&report), "", "{report:#}");
        let found = step(&report, "http2");
        assert_eq!(
            [&found["outcome"], &found["offered"]],
            [&json!("ok"), &json!(false)]
        );
        assert!(
            found["text"]
                .as_str()
                .is_some_and(|text| text.contains(said)),
            "{found}"
        );
    }
}

#[test]
fn where_it_is_offered_and_refused_browsers_fail() {
    let backend = ScriptedBackend::standard();
    let other =
        "server { listen 127.0.0.1:%PORT% ssl http2; server_name other; websocket_http2 on; }";
    let own = |text: &str| {
        format!("server {{ listen 127.0.0.1:%PORT% ssl http2 default_server; {text} {PROXIES} }}")
    };
    let denied = "websocket_http2 on; if ($server_protocol = HTTP/2.0) { return 403; }";
    for (text, status, name) in [
        ("", 501, "local-websocket-off"),
        (denied, 403, "http2-refused"),
    ] {
        let nginx = listening(&backend, &format!("{other} {}", own(text)));
        let report = of(&nginx, &[]);
        assert_eq!(failure(&report), name, "{report:#}");
        let found = step(&report, "http2");
        assert_eq!(
            [&found["status"], &found["offered"]],
            [&json!(status), &json!(true)]
        );
    }
    // Over HTTP/1.1 it is no better.
    let nginx = listening(&backend, &own("websocket_http2 on; deny all;"));
    let report = of(&nginx, &[]);
    assert_eq!(failure(&report), "local-forbidden", "{report:#}");
    let found = step(&report, "http2");
    assert_eq!(
        [&found["outcome"], &found["status"]],
        [&json!("note"), &json!(403)]
    );
}

#[test]
fn a_backend_that_speaks_no_http_2_is_left_in_peace() {
    let backend = ScriptedBackend::standard();
    let report = examine(
        &format!("ws://{}/chat", backend.address()),
        &["--no-probes", "--http2"],
    );
    assert_eq!(failure(&report), "", "{report:#}");
    assert_ne!(step(&report, "http2")["offered"], true);
}
