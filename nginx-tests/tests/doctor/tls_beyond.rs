//! TLS that nginx speaks and the doctor may not: what it can't judge it does not call a failure.

use std::path::Path;
use std::process::{Command, Stdio};

use nginx_tests::environment::{find_program, nginx_version};
use nginx_tests::{Certificate, Listen, Nginx, ScriptedBackend, backend};

use crate::program::{Outcome, run};

/// How the certificate is made, what the server says of TLS, and what the doctor has to say: nothing
/// where it can go on.
const SERVERS: &[(&str, &[&str], &str, &str)] = &[
    (
        "a usual one",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        "",
        "",
    ),
    ("version 1", &["req", "-newkey", "rsa:2048"], "", ""),
    (
        "an extension that is not known",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-addext",
            "1.2.3.4=critical,ASN1:UTF8String:a",
        ],
        "",
        "",
    ),
    (
        "a short key",
        &["req", "-x509", "-newkey", "rsa:1024"],
        "ssl_ciphers DEFAULT:@SECLEVEL=0;",
        "an RSA key of 1024 bits",
    ),
    (
        "P-521",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-521",
        ],
        "",
        "HandshakeFailure",
    ),
    (
        "CBC",
        &["req", "-x509", "-newkey", "rsa:2048"],
        "ssl_ciphers ECDHE-RSA-AES128-SHA;",
        "HandshakeFailure",
    ),
    (
        "RSA without Diffie-Hellman",
        &["req", "-x509", "-newkey", "rsa:2048"],
        "ssl_ciphers AES128-GCM-SHA256;",
        "HandshakeFailure",
    ),
];

/// A certificate and its key, by OpenSSL: no library here makes the like.
fn make(directory: &Path, arguments: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .expect("openssl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let files = [
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ];
    openssl(&[arguments, &files].concat());
    if !arguments.contains(&"-x509") {
        let sign = [
            "x509", "-req", "-in", "cert.pem", "-signkey", "key.pem", "-days", "30", "-out",
            "v1.pem",
        ];
        openssl(&sign);
        std::fs::rename(directory.join("v1.pem"), directory.join("cert.pem"))
            .expect("its own file");
    }
    let read = |name: &str| std::fs::read(directory.join(name)).expect("openssl wrote it");
    (read("cert.pem"), read("key.pem"))
}

#[track_caller]
fn unknown(outcome: &Outcome, what: &str, who: &str) {
    assert_eq!(outcome.status, Some(3), "{what}: {outcome:?}");
    for text in [
        "can't tell: tls-unsupported: ",
        what,
        "this program can't go on, ",
        who,
    ] {
        assert!(outcome.out.contains(text), "{text}: {}", outcome.out);
    }
}

#[test]
fn what_it_cannot_speak_is_no_failure() {
    if nginx_version() < (1, 21, 2) {
        return nginx_tests::skipped(
            "this nginx loads certificates before it knows which ciphers to trust",
        );
    }
    if find_program("openssl").is_none() {
        nginx_tests::skipped("openssl is not installed");
        return;
    }
    for (name, arguments, lines, told) in SERVERS {
        let directory = tempfile::tempdir().expect("a directory");
        let (certificate, key) = make(directory.path(), arguments);
        let backend = ScriptedBackend::standard();
        let nginx = Nginx::http(format!(
            "server {{
                 listen 127.0.0.1:%TLSPORT% ssl;
                 ssl_certificate own.pem; ssl_certificate_key own-key.pem;
                 ssl_protocols TLSv1.2; {lines}
                 location / {{ proxy_pass http://%BACKEND%; websocket on; }}
             }}
             server {{
                 listen 127.0.0.1:%PORT%;
                 location / {{ proxy_pass https://127.0.0.1:%TLSPORT%; proxy_ssl_ciphers DEFAULT:@SECLEVEL=0; proxy_ssl_session_reuse off; websocket on; }}
             }}"
        ))
        .file("own.pem", certificate)
        .file("own-key.pem", key)
        .set("BACKEND", backend.address())
        .start();
        let tls = format!("wss://127.0.0.1:{}/", nginx.port_of("TLSPORT"));
        let front = format!("ws://127.0.0.1:{}/", nginx.port());

        // nginx goes on, whatever the doctor can.
        let through = run([front.as_str(), "--backend", &tls, "--timeout=9s"]);
        assert_eq!(through.status, Some(0), "{name}: {through:?}");
        let direct = run([tls.as_str(), "--insecure", "--timeout=9s"]);
        if told.is_empty() {
            assert!(
                through.out.contains("works through nginx and directly"),
                "{name}: {through:?}"
            );
            assert_eq!(direct.status, Some(0), "{name}: {direct:?}");
        } else {
            assert!(
                through.out.contains("nothing to compare with"),
                "{name}: {through:?}"
            );
            assert!(through.out.contains("nginx may"), "{name}: {through:?}");
            unknown(&direct, told, "browsers may");
        }
        // Without leave it goes no further than a browser.
        let trusting = run([tls.as_str()]);
        assert_eq!(
            trusting.status,
            Some(if told.is_empty() { 1 } else { 3 }),
            "{name}: {trusting:?}"
        );
    }
}

/// Whoever shows a certificate has to own its key, whatever the certificate is.
#[test]
fn a_certificate_of_another_is_a_failure() {
    let thief = Certificate::localhost();
    let certificate = Certificate::localhost().stolen_by(&thief);
    let server = ScriptedBackend::on(Listen::Tls(certificate), backend::standard);
    let outcome = run([
        format!("wss://{}/", server.address()),
        "--insecure".to_owned(),
    ]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(
        outcome.out.contains("fails: upstream-tls-failed: "),
        "{outcome:?}"
    );
}
