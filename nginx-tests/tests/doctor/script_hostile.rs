//! scripts/check-websocket.sh before servers and settings that mean it no good.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nginx_tests::ScriptedBackend;
use nginx_tests::environment::find_program;

/// What it printed, and its exit status.
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

/// Each shell that is here; busybox has one, too.
fn shells() -> Vec<Vec<String>> {
    let found = [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]];
    let shells = found
        .iter()
        .filter(|shell| find_program(shell[0]).is_some());
    shells
        .map(|shell| shell.iter().map(|&word| word.to_owned()).collect())
        .collect()
}

#[track_caller]
fn run_in<S: AsRef<OsStr>>(
    shell: &[String],
    arguments: &[S],
    change: impl FnOnce(&mut Command),
) -> Outcome {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/check-websocket.sh");
    let mut command = Command::new(&shell[0]);
    command
        .args(&shell[1..])
        .arg(script)
        .args(arguments)
        .stdin(Stdio::null());
    change(&mut command);
    let output = command.output().expect("a shell runs it");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Outcome {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// What it does in each shell. Nothing where there is no curl.
#[track_caller]
fn outcomes<S: AsRef<OsStr>>(arguments: &[S]) -> Vec<Outcome> {
    if find_program("curl").is_none() {
        nginx_tests::skipped("curl is not installed");
        return Vec::new();
    }
    let shells = shells();
    shells
        .iter()
        .map(|shell| run_in(shell, arguments, |_| ()))
        .collect()
}

#[test]
fn a_body_without_an_end_fills_no_disk() {
    if find_program("curl").is_none() {
        return nginx_tests::skipped("curl is not installed");
    }
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let server = ScriptedBackend::start(move |conn| {
            conn.read_request()?;
            conn.send(head)?;
            let line = format!("X: {}\r\n", "a".repeat(60_000));
            loop {
                conn.send(&line)?;
            }
        });
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("ws://{}/", server.address());
        let start = Instant::now();
        let watched = std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                run_in(&shells()[0], &["-t", "3", &url], |command| {
                    command.env("TMPDIR", directory.path());
                })
            });
            let mut most = 0;
            while !running.is_finished() {
                most = most.max(size_of(directory.path()));
                std::thread::sleep(Duration::from_millis(2));
            }
            (running.join().expect("it ran"), most)
        });
        let (outcome, most) = watched;
        assert_eq!(outcome.status, Some(1), "{}{}", outcome.out, outcome.err);
        assert_eq!(outcome.err, "");
        assert!(most < 4 << 20, "{most} bytes");
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(size_of(directory.path()), 0, "it leaves nothing");
    }
}

fn size_of(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn quiet_is_silent_in_every_shell() {
    let server = ScriptedBackend::standard();
    let url = format!("ws://{}/", server.address());
    for outcome in outcomes(&["-q", &url]) {
        assert_eq!(
            (outcome.status, outcome.out.as_str(), outcome.err.as_str()),
            (Some(0), "", "")
        );
    }
}

/// A run that was killed leaves its directory, and another process has its number later.
#[test]
fn what_others_left_in_its_place_stops_nothing() {
    if find_program("curl").is_none() {
        return nginx_tests::skipped("curl is not installed");
    }
    let server = ScriptedBackend::standard();
    let url = format!("ws://{}/", server.address());
    let directory = tempfile::tempdir().expect("a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/check-websocket.sh");
    // The number of the shell that then becomes the script.
    let taken = "mkdir \"$TMPDIR/check-websocket.$$.0\" && exec sh \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", taken])
        .args([script.as_os_str(), url.as_ref()])
        .env("TMPDIR", directory.path())
        .output()
        .expect("a shell runs it");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let none = run_in(&shells()[0], &[&url], |command| {
        command.env("TMPDIR", directory.path().join("none"));
    });
    assert_eq!(none.status, Some(2), "{}", none.out);
    assert!(
        none.err.starts_with("error: no directory can be made in "),
        "{}",
        none.err
    );
}

#[test]
fn the_origin_is_that_of_a_browser() {
    let server = ScriptedBackend::standard();
    let port = server.port();
    let sent = |url: &str, header: &str| {
        let before = server.connections();
        let outcomes = outcomes(&["-q", url]);
        let values = (before..before + outcomes.len()).map(|connection| {
            server
                .request(connection)
                .head
                .header(header)
                .map(str::to_owned)
        });
        values.collect::<Vec<_>>()
    };
    for url in [
        format!("ws://user:s3cret@127.0.0.1:{port}/"),
        format!("ws://user:s3cret@127.0.0.1:{port}?a=b@c"),
    ] {
        for origin in sent(&url, "Origin") {
            assert_eq!(origin, Some(format!("http://127.0.0.1:{port}")), "{url}");
        }
    }
    for header in ["Host", "Origin"] {
        for value in sent(&format!("WS://LocalHost:{port}/A"), header) {
            let value = value.unwrap_or_default();
            assert_eq!(
                value.trim_start_matches("http://"),
                format!("localhost:{port}")
            );
        }
    }
}

#[test]
fn curl_s_own_settings_are_left_out() {
    let server = ScriptedBackend::standard();
    let home = tempfile::tempdir().expect("a directory");
    fs::write(
        home.path().join(".curlrc"),
        "header = \"X-Mine: 1\"\nuser-agent = mine\n",
    )
    .expect("a file");
    if find_program("curl").is_none() {
        return;
    }
    let url = format!("ws://{}/", server.address());
    let outcome = run_in(&shells()[0], &[&url], |command| {
        command
            .env("HOME", home.path())
            .env("CURL_HOME", home.path());
    });
    assert_eq!(outcome.status, Some(0), "{}", outcome.out);
    assert_eq!(server.request(0).head.header("X-Mine"), None);
}

#[test]
fn numbers_and_headers_that_are_none() {
    let server = ScriptedBackend::standard();
    let url = format!("ws://{}/", server.address());
    for outcome in outcomes(&["-t", "09", &url]) {
        assert_eq!((outcome.status, outcome.err.as_str()), (Some(0), ""));
    }
    for wrong in [
        ["-t", "0"],
        ["-t", "00"],
        ["-t", "-1"],
        ["-t", "1x"],
        ["-t", "99999999999999999999"],
        ["-H", "@/etc/hostname"],
        ["-H", "none"],
        ["-H", "A: b\nC: d"],
    ] {
        for outcome in outcomes(&[wrong[0], wrong[1], &url]) {
            assert_eq!(
                (outcome.status, outcome.out.as_str()),
                (Some(2), ""),
                "{wrong:?}"
            );
            assert!(outcome.err.starts_with("error: -"), "{}", outcome.err);
            assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
        }
    }
}

#[test]
fn nothing_that_a_terminal_obeys_comes_out() {
    const TRICKS: &str = "\u{1b}[2J\u{7}\u{9b}1m\u{202e}b\u{7f}";
    let is_clean = |outcome: &Outcome| {
        for text in [&outcome.out, &outcome.err] {
            assert!(
                text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
                "{text:?}"
            );
        }
    };
    for (answer, status) in [
        (
            format!("HTTP/1.1 404 {TRICKS}\r\nX: {TRICKS}\r\n\r\n{TRICKS}"),
            1,
        ),
        (
            format!("HTTP/1.1 101 {TRICKS}\r\nUpgrade: {TRICKS}\r\n\r\n"),
            1,
        ),
        (
            format!("HTTP/1.1 101 {TRICKS}\r\nUpgrade: websocket\r\nConnection: {TRICKS}\r\n\r\n"),
            1,
        ),
        (
            format!("HTTP/1.1 500 {TRICKS}\r\nX-WebSocket-Cause: {TRICKS}\r\n\r\n"),
            1,
        ),
        (format!("{TRICKS}\r\n\r\n"), 1),
        ("HTTP/1.1 1019 Switching\r\n\r\n".to_owned(), 1),
    ] {
        let server = ScriptedBackend::start(move |conn| {
            conn.read_request()?;
            conn.send(&answer)
        });
        for outcome in outcomes(&["-t", "3", &format!("ws://{}/", server.address())]) {
            is_clean(&outcome);
            assert_eq!(
                outcome.status,
                Some(status),
                "{}{}",
                outcome.out,
                outcome.err
            );
            assert!(!outcome.out.contains("works"), "{}", outcome.out);
        }
    }
    for argument in [format!("ws://{TRICKS}\nworks"), format!("{TRICKS}\nworks")] {
        for outcome in outcomes(&[argument]) {
            is_clean(&outcome);
            assert!(
                !outcome.err.lines().any(|line| line == "works"),
                "{}",
                outcome.err
            );
        }
    }
}
