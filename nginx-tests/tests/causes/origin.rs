//! `websocket_allow_origin`.

use nginx_tests::environment::is_over_http2;
use nginx_tests::{Certificate, Client, Handshake, Nginx, ScriptedBackend};

use crate::case::{lines, server};

/// Which of these origins (an empty one is no header) get through, at `chat.example:8080`.
#[track_caller]
fn check(rules: &str, allowed: &[&str], refused: &[&str]) {
    let backend = ScriptedBackend::standard();
    let nginx = server(format!(
        "{rules} location / {{ proxy_pass http://%BACKEND%; }}"
    ))
    .set("BACKEND", backend.address())
    .start();
    for (origins, status) in [(allowed, 101), (refused, 403)] {
        for origin in origins {
            let handshake = from(origin).set("Host", "chat.example:8080");
            let head = Client::connect(nginx.port()).ask(&handshake);
            assert_eq!(head.status(), status, "{origin:?} with {rules}");
        }
    }
    assert_eq!(backend.requests().len(), allowed.len());
    nginx.wait_for_access("outcome.log", refused.len());
    let log = nginx.stop();
    let failed = lines(&log, "websocket handshake failed: origin-not-allowed: ");
    assert_eq!(failed.len(), refused.len(), "{log}");
}

fn from(origin: &str) -> Handshake {
    match origin {
        "" => Handshake::new("/"),
        _ => Handshake::new("/").add("Origin", origin),
    }
}

#[test]
fn absent_allows_any() {
    check(
        "",
        &["", "null", "https://evil.example", "no origin at all"],
        &[],
    );
}

#[test]
fn none_is_a_request_without() {
    check(
        "websocket_allow_origin none;",
        &[""],
        &["https://chat.example", "http://chat.example:8080", "null"],
    );
}

#[test]
fn same_is_the_request_s_own_host_and_port() {
    check(
        "websocket_allow_origin same;",
        &["http://chat.example:8080", "https://CHAT.example:8080"],
        &[
            "",
            "http://chat.example",
            "http://chat.example:80",
            "http://other.example:8080",
            "null",
            "http://chat.example:8080.evil.example",
            "http://chat.example:8080/",
        ],
    );
}

#[test]
fn same_fills_in_the_port_by_the_scheme_of_the_server() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = server(
        "listen 127.0.0.1:%TLSPORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;
        websocket_allow_origin same;
        location / { proxy_pass http://%BACKEND%; }",
    )
    .certificate(&certificate)
    .set("BACKEND", backend.address())
    .start();
    for (origin, plain, secure) in [
        ("http://chat.example", 101, 403),
        ("https://chat.example", 101, 101),
        ("https://chat.example:443", 101, 101),
        ("http://chat.example:8080", 403, 403),
    ] {
        let handshake = from(origin).set("Host", "chat.example");
        let head = Client::connect(nginx.port()).ask(&handshake);
        // The tests go over HTTP/2 by TLS.
        let status = if is_over_http2() { secure } else { plain };
        assert_eq!(head.status(), status, "{origin}");
        let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
        assert_eq!(client.ask(&handshake).status(), secure, "{origin} by TLS");
    }
}

#[test]
fn an_exact_origin() {
    check(
        "websocket_allow_origin https://example.com http://localhost:3000;",
        &[
            "https://example.com",
            "https://EXAMPLE.com:443",
            "http://localhost:3000",
        ],
        &[
            "",
            "http://example.com",
            "https://example.com:8443",
            "https://www.example.com",
            "https://example.com.evil.example",
            "https://example.com/",
            "http://localhost",
            "null",
        ],
    );
}

#[test]
fn a_wildcard() {
    check(
        "websocket_allow_origin https://*.example.com;",
        &[
            "https://www.example.com",
            "https://a.b.EXAMPLE.com",
            "https://www.example.com:443",
        ],
        &[
            "https://example.com",
            "http://www.example.com",
            "https://wwwexample.com",
            "https://www.example.com.evil.example",
            "https://evil.example/.example.com",
            "https://.example.com",
        ],
    );
}

#[test]
fn a_regular_expression() {
    check(
        r#"websocket_allow_origin "~^https://(app|api)\d{1,2}\.example\.com$";"#,
        &["https://app1.example.com", "https://API22.example.com"],
        &[
            "",
            "https://app.example.com",
            "https://app1.example.com.evil.example",
        ],
    );
}

#[test]
fn null_and_any_of_several() {
    check(
        "websocket_allow_origin none same null https://*.example.com ~^app://;",
        &[
            "",
            "http://chat.example:8080",
            "null",
            "https://a.example.com",
            "app://local",
        ],
        &["https://evil.example", "nullx"],
    );
}

#[test]
fn a_location_s_own_rules_replace_those_above() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "websocket_allow_origin https://one.example;
        server {
            listen 127.0.0.1:%PORT%; websocket on;
            location / { proxy_pass http://%BACKEND%; }
            location /two {
                proxy_pass http://%BACKEND%;
                websocket_allow_origin https://two.example;
            }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    for (target, origin, status) in [
        ("/", "https://one.example", 101),
        ("/", "https://two.example", 403),
        ("/two", "https://one.example", 403),
        ("/two", "https://two.example", 101),
    ] {
        let handshake = Handshake::new(target).add("Origin", origin);
        let head = Client::connect(nginx.port()).ask(&handshake);
        assert_eq!(head.status(), status, "{target} from {origin}");
    }
}

#[test]
fn a_lenient_handshake_is_checked_too() {
    let backend = ScriptedBackend::standard();
    let nginx = server(
        "websocket_handshake lenient; websocket_allow_origin https://example.com;
        location / { proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let handshake = from("https://evil.example").without("Sec-WebSocket-Version");
    assert_eq!(Client::connect(nginx.port()).ask(&handshake).status(), 403);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_plain_request_is_not_checked() {
    let backend = ScriptedBackend::standard();
    let nginx = server(
        "websocket_allow_origin https://example.com; location / { proxy_pass http://%BACKEND%; }",
    )
    .set("BACKEND", backend.address())
    .start();
    let request = Handshake::plain("/").add("Origin", "https://evil.example");
    assert_eq!(
        Client::connect(nginx.port()).exchange(&request).text(),
        "plain"
    );
}

#[test]
fn a_wrong_rule_is_refused_with_file_and_line() {
    for (rule, said) in [
        (
            "example.com",
            "it must be \"none\", \"same\", \"null\", an origin such as",
        ),
        ("https://", "host is missing or invalid"),
        ("https://exa$mple.com", "host is missing or invalid"),
        (
            "https://example.com:http",
            "port must be a number from 1 to 65535",
        ),
        (
            "https://example.com:70000",
            "port must be a number from 1 to 65535",
        ),
        ("https://example.com/", "without a slash or path"),
        ("https://example.com/chat", "without a slash or path"),
        (
            "https://www.*.com",
            "wildcard must be the whole first label",
        ),
        ("https://*", "wildcard must be the whole first label"),
        ("\"~^https://(\"", "missing"),
        ("", "invalid number of arguments"),
        ("none; websocket_allow_origin same", "is duplicate"),
    ] {
        let check = server(format!("websocket_allow_origin {rule};")).check();
        assert!(!check.ok, "{rule}");
        let line = check.line_of("websocket_allow_origin");
        let emerg = check.at_level("emerg");
        assert_eq!(emerg.len(), 1, "{rule}: {}", check.output);
        assert!(emerg[0].contains(said), "{rule}: {}", check.output);
        assert!(
            emerg[0].contains("websocket_allow_origin"),
            "{rule}: {}",
            check.output
        );
        assert!(
            emerg[0].ends_with(&format!("nginx.conf:{line}")),
            "{rule}: {}",
            check.output
        );
    }
}
