//! Certificates made for the test: right ones, and each kind of wrong one.

use std::path::Path;

use nginx_tests::{Certificate, Listen, Nginx, ScriptedBackend, backend};
use rcgen::date_time_ymd;
use serde_json::Value;

use crate::program::{examine_with, failure, step};

struct Trust {
    file: tempfile::NamedTempFile,
}

impl Trust {
    fn only(pem: &str) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), pem).expect("its own file");
        Self { file }
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

/// What the doctor says of nginx with this certificate, at this host, trusting this authority.
#[track_caller]
fn examine(certificate: &Certificate, host: &str, trusted: &str, more: &[&str]) -> Value {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "server {
             listen 127.0.0.1:%TLSPORT% ssl;
             ssl_certificate cert.pem;
             ssl_certificate_key key.pem;
             ssl_protocols TLSv1.2 TLSv1.3;
             location / { proxy_pass http://%BACKEND%; websocket on; }
         }",
    )
    .certificate(certificate)
    .set("BACKEND", backend.address())
    .start();
    let port = nginx.port_of("TLSPORT");
    let resolve = format!("--resolve={host}:{port}:127.0.0.1");
    let options: Vec<&str> = [resolve.as_str()].iter().chain(more).copied().collect();
    let trust = Trust::only(trusted);
    let report = examine_with(&format!("wss://{host}:{port}/"), &options, |command| {
        command.env("SSL_CERT_FILE", trust.path());
    });
    if failure(&report) == "upstream-tls-failed" {
        assert_eq!(
            backend.connections(),
            0,
            "nothing is sent to a server that isn't trusted"
        );
    }
    report
}

#[track_caller]
fn refused(report: &Value, problem: &str) {
    assert_eq!(failure(report), "upstream-tls-failed", "{report:#}");
    assert_eq!(report["front"]["failure"]["problem"], problem);
    assert_eq!(step(report, "tls")["outcome"], "failed");
    let failed = report["front"]["failure"].to_string();
    assert!(failed.contains("ssl_certificate"), "{failed}");
    assert!(
        !failed.contains("proxy_pass"),
        "nginx's own listener: {failed}"
    );
}

const HOST: &str = "chat.example";

#[test]
fn a_trusted_certificate() {
    let (certificate, authority) = Certificate::issued(&[HOST]);
    let report = examine(&certificate, HOST, &authority, &["--message=hello"]);
    assert_eq!(failure(&report), "", "{report:#}");
    let tls = step(&report, "tls");
    assert_eq!(
        (&tls["version"], &tls["alpn"]),
        (&"TLS 1.3".into(), &"http/1.1".into())
    );
    let shown = &tls["certificate"];
    assert_eq!(shown["names"], serde_json::json!([HOST]));
    assert_eq!(
        (&shown["name_matches"], &shown["chain_problem"]),
        (&true.into(), &Value::Null)
    );
    assert!(
        shown["days_left"].as_i64().is_some_and(|days| days > 1000),
        "{shown}"
    );
}

#[test]
fn an_expired_certificate() {
    let certificate = Certificate::made(&[HOST], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let report = examine(&certificate, HOST, &certificate.pem, &[]);
    refused(&report, "certificate-expired");
    let days = step(&report, "tls")["certificate"]["days_left"].as_i64();
    assert!(days.is_some_and(|days| days < -1000), "{report:#}");
}

#[test]
fn a_certificate_of_the_future() {
    let certificate = Certificate::made(&[HOST], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    refused(
        &examine(&certificate, HOST, &certificate.pem, &[]),
        "certificate-not-yet-valid",
    );
}

#[test]
fn a_certificate_for_another_name() {
    let (certificate, authority) = Certificate::issued(&["other.example", "127.0.0.1"]);
    let report = examine(&certificate, HOST, &authority, &[]);
    refused(&report, "certificate-name");
    let seen = report["front"]["failure"]["seen"]
        .as_str()
        .unwrap_or_default();
    assert!(
        seen.contains("is for other.example, 127.0.0.1, not for chat.example"),
        "{seen}"
    );
}

#[test]
fn a_self_signed_certificate() {
    let certificate = Certificate::valid_for(&[HOST]);
    let (_, other) = Certificate::issued(&[HOST]);
    refused(
        &examine(&certificate, HOST, &other, &[]),
        "certificate-self-signed",
    );
    // Where this host trusts it, so does the doctor.
    let report = examine(&certificate, HOST, &certificate.pem, &[]);
    assert_eq!(failure(&report), "", "{report:#}");
}

#[test]
fn a_certificate_of_an_unknown_authority() {
    let (certificate, _) = Certificate::issued(&[HOST]);
    let (_, other) = Certificate::issued(&[HOST]);
    refused(
        &examine(&certificate, HOST, &other, &[]),
        "certificate-untrusted",
    );
}

#[test]
fn roots_that_cannot_be_read_are_said_to_be() {
    let (certificate, _) = Certificate::issued(&[HOST]);
    let report = examine(&certificate, HOST, "no certificate", &[]);
    refused(&report, "certificate-untrusted");
    let seen = report["front"]["failure"]["seen"].to_string();
    assert!(seen.contains("SSL_CERT_FILE="), "{seen}");
    assert!(seen.contains("could not be read"), "{seen}");
}

#[test]
fn a_name_that_no_server_has() {
    let nginx = Nginx::http("server { listen 127.0.0.1:%TLSPORT% ssl; ssl_reject_handshake on; }");
    let nginx = nginx.start();
    let url = format!("wss://localhost:{}/", nginx.port_of("TLSPORT"));
    let report = crate::program::examine(&url, &["-4"]);
    assert_eq!(failure(&report), "upstream-tls-failed", "{report:#}");
    let failed = report["front"]["failure"].to_string();
    assert!(failed.contains("server_name"), "{failed}");
    assert!(!failed.contains("ssl_protocols"), "{failed}");
}

#[test]
fn insecure_goes_on_and_says_so() {
    let certificate = Certificate::valid_for(&["other.example"]);
    let (_, other) = Certificate::issued(&[HOST]);
    let report = examine(&certificate, HOST, &other, &["--insecure"]);
    assert_eq!(failure(&report), "", "{report:#}");
    assert_eq!(step(&report, "tls")["outcome"], "note");
}

#[test]
fn a_port_without_tls() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server("location / { proxy_pass http://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    let url = format!("wss://127.0.0.1:{}/", nginx.port());
    let report = crate::program::examine(&url, &[]);
    assert_eq!(failure(&report), "upstream-tls-failed");
    assert_eq!(report["front"]["failure"]["problem"], "not-tls");
}

#[test]
fn plain_to_a_port_with_tls() {
    let nginx = Nginx::http(
        "server {
             listen 127.0.0.1:%TLSPORT% ssl;
             ssl_certificate cert.pem;
             ssl_certificate_key key.pem;
         }",
    )
    .certificate(&Certificate::localhost())
    .start();
    let url = format!("ws://127.0.0.1:{}/", nginx.port_of("TLSPORT"));
    let report = crate::program::examine(&url, &[]);
    assert_eq!(
        report["front"]["failure"]["name"], "local-plain-to-tls",
        "{report:#}"
    );
}

#[test]
fn a_listener_that_wants_a_certificate() {
    let certificate = Certificate::localhost();
    let nginx = Nginx::http(
        "server {
             listen 127.0.0.1:%TLSPORT% ssl;
             ssl_certificate cert.pem;
             ssl_certificate_key key.pem;
             ssl_verify_client on;
             ssl_client_certificate cert.pem;
         }",
    )
    .certificate(&certificate)
    .start();
    let url = format!("wss://127.0.0.1:{}/", nginx.port_of("TLSPORT"));
    let report = crate::program::examine(&url, &["--insecure"]);
    let failed = &report["front"]["failure"];
    assert_eq!(failed["name"], "local-certificate-missing", "{report:#}");
}

/// nginx doesn't verify its upstreams unless told to.
#[test]
fn a_backend_s_certificate_is_noted_only() {
    let certificate = Certificate::valid_for(&["other.example"]);
    let backend = ScriptedBackend::on(Listen::Tls(certificate), backend::standard);
    let nginx = Nginx::server("location / { proxy_pass https://%BACKEND%; websocket on; }")
        .set("BACKEND", backend.address())
        .start();
    let report = crate::program::examine(
        &format!("ws://127.0.0.1:{}/", nginx.port()),
        &[
            "--no-probes",
            &format!("--backend=wss://{}/", backend.address()),
        ],
    );
    assert_eq!(report["comparison"]["verdict"], "both-work", "{report:#}");
}
