//! What a server can do to who asks.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nginx_tests::environment::find_program;
use nginx_tests::{Certificate, Listen, ScriptedBackend, backend};
use rcgen::string::Ia5String;
use rcgen::{DnType, SanType};

use crate::program::{Outcome, examine, failure, program, run, step};

/// A screen cleared, a bell, lines that look like the program's own, C1, and writing that turns.
const TRICKS: &str = "\u{1b}[2J\u{7}a\r\nworks\n\u{9b}1m\u{202e}b\u{2028}\u{feff}";

fn is_raw(c: char) -> bool {
    c.is_control() && c != '\n' || "\u{202e}\u{2028}\u{feff}".contains(c)
}

#[track_caller]
fn is_clean(outcome: &Outcome) {
    for text in [&outcome.out, &outcome.err] {
        assert!(!text.contains(is_raw), "{text:?}");
        let forged = text.lines().filter(|line| line.trim() == "works").count();
        assert!(forged <= usize::from(outcome.status == Some(0)), "{text:?}");
    }
}

#[test]
fn a_certificate_writes_nothing_to_the_terminal() {
    let certificate = Certificate::made(&["localhost"], |params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, TRICKS);
        name.push(DnType::OrganizationName, TRICKS);
        let ascii: String = TRICKS.chars().filter(char::is_ascii).collect();
        let other = Ia5String::try_from(ascii).expect("it is ASCII");
        params.subject_alt_names.push(SanType::DnsName(other));
    });
    let server = ScriptedBackend::on(Listen::Tls(certificate), backend::standard);
    let url = format!("wss://localhost:{}/", server.port());
    let other = format!("wss://127.0.0.1:{}/", server.port());
    for url in [url, other] {
        for options in [&["--insecure"][..], &[], &["-q"], &["--json"]] {
            let arguments = [url.as_str(), "-4", "--timeout=3s"];
            let outcome = run(arguments.iter().chain(options));
            is_clean(&outcome);
            assert_ne!(outcome.status, Some(2), "{}", outcome.err);
        }
    }
}

#[test]
fn a_configuration_and_a_command_line_write_nothing_either() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let word = TRICKS.replace(['\r', '\n'], " ");
    for text in [
        format!(
            "server {{ server_name \"{TRICKS}\"; location \"/{word}\" {{ proxy_pass \"http://{word}\"; websocket on; proxy_hide_header \"Upgrade\"; }} }}"
        ),
        format!("location \"{TRICKS}\" {{"),
        format!("include \"{TRICKS}\";"),
    ] {
        std::fs::write(file.path(), text).expect("its own file");
        let path = file.path().display().to_string();
        for options in [&[][..], &["--json"], &["-q"], &["ws://localhost/"]] {
            is_clean(&run(["--nginx-conf", path.as_str()].iter().chain(options)));
        }
    }
    is_clean(&run([format!("ws://{TRICKS}/")]));
    is_clean(&run([format!("--{TRICKS}")]));
}

/// One that a browser may still take.
#[test]
fn a_header_that_is_longer_than_is_read() {
    let server = ScriptedBackend::answering(format!(
        "HTTP/1.1 101 Switching Protocols\r\nX-Long: {}\r\n\r\n",
        "a".repeat(40_000)
    ));
    let outcome = run([format!("ws://{}/", server.address())]);
    assert_eq!(outcome.status, Some(3), "{outcome:?}");
    let said = "the header of the answer is longer than 32768 bytes";
    assert!(outcome.out.contains(said), "{}", outcome.out);
}

/// A server may repeat what it was sent: in headers, in its text, and in a Close.
#[test]
fn credentials_do_not_come_back() {
    const KEY: &str = "s3cret-t0ken";
    let refuses = ScriptedBackend::answering(format!(
        "HTTP/1.1 403 {KEY}\r\nX-Key: {KEY}\r\nLocation: /?k=other\r\nContent-Length: 30\r\n\r\n\
         {{\"key\": \"{KEY}\"}}          "
    ));
    let closes = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        let reason = [&[0x88, 14, 3, 0xe8], KEY.as_bytes()].concat();
        conn.send(reason)
    });
    for server in [refuses, closes] {
        let url = format!("ws://{}/", server.address());
        let backend = format!("--backend={url}");
        for option in ["--json", "--no-probes", "-q"] {
            let header = format!("--header=Authorization: Bearer {KEY}");
            let outcome = run([&url, &backend, &header, option]);
            assert_eq!(outcome.status, Some(1), "{outcome:?}");
            for secret in [KEY, "k=other"] {
                assert!(!outcome.out.contains(secret), "{}", outcome.out);
            }
        }
    }
}

#[test]
fn the_whole_has_an_end() {
    // It takes every connection, and says nothing.
    let server = ScriptedBackend::start(|conn| conn.read_bytes(1 << 20).map(drop));
    let url = format!("ws://{}/", server.address());
    // To build it may take longer.
    program();
    let start = Instant::now();
    let backend = format!("--backend={url}");
    let arguments = [&url, &backend, "--deadline=1s", "--timeout=20s"];
    let outcome = run(arguments);
    assert!(start.elapsed() < Duration::from_secs(10), "{outcome:?}");
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    for text in ["--deadline ended it after 1 s", "left out", "the backend"] {
        assert!(outcome.out.contains(text), "{text}: {}", outcome.out);
    }
    let report = examine(&url, &["--deadline=1s", "--repeat=9"]);
    assert_eq!(failure(&report), "upstream-response-timeout");
    let left_out = report["left_out"].to_string();
    assert!(left_out.contains("8 of 9 times"), "{left_out}");
    // One that is cut short was not done, and says nothing of the others.
    let server = slow_from_the_third();
    let url = format!("ws://{}/", server.address());
    let report = examine(&url, &["--deadline=1s", "--repeat=9", "--no-probes"]);
    assert_eq!(failure(&report), "", "{report:#}");
    assert_eq!(report["repeat"]["count"], 2, "{report:#}");
    assert_eq!(report["repeat"]["failed"], 0, "{report:#}");
    assert_eq!(report["log"]["requests"][0]["count"], 3, "{report:#}");
    let left_out = report["left_out"].to_string();
    assert!(left_out.contains("7 of 9 times"), "{left_out}");
    // What is asked for by --hold is not cut short.
    let server = ScriptedBackend::standard();
    let url = format!("ws://{}/", server.address());
    let report = examine(&url, &["--deadline=1s", "--hold=1500ms", "--no-probes"]);
    assert_eq!(failure(&report), "", "{report:#}");
}

/// Takes two handshakes, and leaves those after them without an answer.
fn slow_from_the_third() -> ScriptedBackend {
    let taken = AtomicUsize::new(0);
    ScriptedBackend::start(move |conn| {
        if taken.fetch_add(1, Ordering::Relaxed) >= 2 {
            return conn.read_bytes(1 << 20).map(drop);
        }
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        conn.echo_frames()
    })
}

#[test]
fn on_a_terminal_it_says_what_is_waited_for() {
    let Some(script) = find_program("script") else {
        nginx_tests::skipped("script(1) is not installed, so there is no terminal");
        return;
    };
    let server = ScriptedBackend::standard();
    let url = format!("ws://{}/", server.address());
    let on_terminal = |more: &str| {
        let command = format!("{} {url} {more} >/dev/null", program().display());
        let output = std::process::Command::new(&script)
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .expect("script runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = on_terminal("");
    for text in [
        "waiting for a connection to ",
        "waiting for the answer to the handshake, ",
    ] {
        assert!(said.contains(text), "{said:?}");
    }
    // The last one is gone when the report is there.
    assert!(said.trim_end_matches('\r').ends_with(' '), "{said:?}");
    assert_eq!(on_terminal("-q"), "");
    // And no terminal, no line.
    assert_eq!(run([url.as_str()]).err, "");
}

#[test]
fn a_cookie_in_a_line_that_is_no_header_is_not_shown() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nSet-Cookie : s3cret\r\n\r\n";
    let server = ScriptedBackend::answering(answer);
    let url = format!("ws://{}/", server.address());
    for options in [&[][..], &["--json"], &["-q"]] {
        let outcome = run([url.as_str()].iter().chain(options));
        assert_eq!(outcome.status, Some(1));
        let text = format!("{}{}", outcome.out, outcome.err);
        assert!(
            text.contains("(not shown)") && !text.contains("s3cret"),
            "{text}"
        );
    }
}

#[test]
fn a_status_of_four_digits_is_none() {
    let server = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let accept = tungstenite::handshake::derive_accept_key(
            head.header("Sec-WebSocket-Key")
                .unwrap_or_default()
                .as_bytes(),
        );
        conn.send(format!(
            "HTTP/1.1 1019 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ))
    });
    let report = examine(&format!("ws://{}/", server.address()), &[]);
    assert_eq!(failure(&report), "upstream-response-invalid", "{report:#}");
}

/// A server that takes the handshake, then sends this.
fn after_handshake(bytes: Vec<u8>) -> ScriptedBackend {
    ScriptedBackend::start(move |conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        conn.send(&bytes)?;
        conn.echo_frames()
    })
}

#[test]
fn a_close_is_told_as_it_was_sent() {
    for (bytes, text) in [
        (&[0x88, 2, 0, 0][..], "code 0, which must not be sent"),
        (&[0x88, 2, 0x03, 0xed], "code 1005, which must not be sent"),
        (&[0x88, 2, 0x03, 0xea], "code 1002 \"\""),
        (&[0x88, 3, 0x0f, 0xa0, b'a'], "code 4000 \"a\""),
        (&[0x88, 0], "without a code"),
    ] {
        let server = after_handshake(bytes.to_vec());
        let report = examine(&format!("ws://{}/", server.address()), &["--no-probes"]);
        assert_eq!(failure(&report), "closed", "{report:#}");
        let seen = report["front"]["failure"]["seen"]
            .as_str()
            .unwrap_or_default();
        assert!(seen.contains(text), "{text}: {seen}");
    }
}

#[test]
fn long_frames_are_frames() {
    let frame = |length: u64, sent: usize| {
        let mut bytes = vec![0x82, 127];
        bytes.extend(length.to_be_bytes());
        bytes.resize(bytes.len() + sent, 0);
        bytes
    };
    let server = after_handshake(frame(17 << 20, 17 << 20));
    let url = format!("ws://{}/", server.address());
    let outcome = run([&url, "--timeout=50s", "--no-probes"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");

    let server = after_handshake(frame(1 << 40, 100));
    let outcome = run([format!("ws://{}/", server.address())]);
    assert_eq!(outcome.status, Some(3), "{outcome:?}");
    assert!(
        outcome.out.contains("can't tell: message-too-big: "),
        "{}",
        outcome.out
    );
}

#[test]
fn host_and_origin_are_in_small_letters() {
    let server = ScriptedBackend::standard();
    let url = format!("ws://LocalHost:{}/A", server.port());
    let report = examine(&url, &["-4", "--no-probes"]);
    assert_eq!(failure(&report), "", "{report:#}");
    let head = server.request(0).head;
    assert_eq!(
        head.header("Host"),
        Some(&*format!("localhost:{}", server.port()))
    );
    assert_eq!(
        head.header("Origin"),
        Some(&*format!("http://localhost:{}", server.port()))
    );
    assert_eq!(head.start, "GET /A HTTP/1.1");
    assert!(
        step(&report, "lookup")["text"]
            .to_string()
            .contains("localhost is ")
    );
}

#[test]
fn a_mistake_quotes_no_credential() {
    for arguments in [
        &["ws://user:s3cret@a.example/"][..],
        &["ws://a.example/", "--header", "Authorization Bearer s3cret"],
    ] {
        let outcome = run(arguments);
        assert_eq!(outcome.status, Some(2));
        let text = format!("{}{}", outcome.out, outcome.err);
        assert!(
            text.contains("(not shown)") && !text.contains("s3cret"),
            "{text}"
        );
    }
}
