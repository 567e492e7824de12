//! Runs `check-websocket`, and its behaviour as a program.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nginx_tests::ScriptedBackend;
use nginx_tests::environment::find_program;
use serde_json::Value;

use crate::schema;

/// What it printed, and its exit status.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Its path. Cargo builds the programs of the package under test only, and this is another's.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = env::current_exe().expect("a test has a path");
        let target = test.ancestors().nth(3).expect("target/debug/deps/doctor-…");
        let profile = test
            .ancestors()
            .nth(2)
            .and_then(Path::file_name)
            .expect("debug or release");
        let release = (profile == "release").then_some("--release");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "check-websocket"])
            .args(release)
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "check-websocket was not built"
        );
        target.join(profile).join("check-websocket")
    })
}

/// Runs it with these arguments, and short limits.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Outcome {
    run_with(arguments, |_| ())
}

pub fn run_with<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    change: impl FnOnce(&mut Command),
) -> Outcome {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("SSL_CERT_FILE");
    change(&mut command);
    let output = command.output().expect("the doctor runs");
    Outcome {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Limits that let a test end soon.
pub const SOON: [&str; 2] = ["--connect-timeout=3s", "--timeout=3s"];

/// What it says of an address as JSON, which has to keep to the schema.
#[track_caller]
pub fn examine(url: &str, more: &[&str]) -> Value {
    examine_with(url, more, |_| ())
}

#[track_caller]
pub fn examine_with(url: &str, more: &[&str], change: impl FnOnce(&mut Command)) -> Value {
    let first = ["--json", url];
    let arguments = first.iter().chain(&SOON).chain(more);
    let outcome = run_with(arguments, change);
    let value: Value = serde_json::from_str(&outcome.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", outcome.out, outcome.err));
    schema::check(&value);
    let expected = if value["works"] == true { 0 } else { 1 };
    assert_eq!(outcome.status, Some(expected), "{}", outcome.out);
    value
}

/// The name of what failed; an empty one if it works.
pub fn failure(report: &Value) -> &str {
    report["front"]["failure"]["name"]
        .as_str()
        .unwrap_or_default()
}

#[track_caller]
pub fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["front"]["steps"].as_array().expect("steps");
    let found = steps.iter().find(|step| step["name"] == name);
    found.unwrap_or_else(|| panic!("no step {name}: {report:#}"))
}

fn url(backend: &ScriptedBackend) -> String {
    format!("ws://{}/chat", backend.address())
}

#[test]
fn every_step_is_printed_with_its_time() {
    let backend = ScriptedBackend::standard();
    let outcome = run([url(&backend).as_str(), "--message=hello", "--hold=100ms"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    for step in ["lookup", "tcp", "handshake", "ping", "echo", "hold"] {
        let line = outcome
            .out
            .lines()
            .find(|line| line.trim_start().starts_with(step));
        let line = line.unwrap_or_else(|| panic!("no {step}: {}", outcome.out));
        assert!(line.contains(" ms  "), "{line}");
    }
    for line in [
        "> GET /chat HTTP/1.1",
        "> Upgrade: websocket",
        "< HTTP/1.1 101 Switching Protocols",
    ] {
        assert!(
            outcome.out.lines().any(|other| other.trim() == line),
            "{line}: {}",
            outcome.out
        );
    }
    assert!(outcome.out.ends_with("\nworks\n"), "{}", outcome.out);
    assert!(
        !outcome.out.contains('\u{1b}'),
        "colour in a pipe: {}",
        outcome.out
    );
    assert_eq!(outcome.err, "");
}

#[test]
fn a_failure_ends_with_its_name_its_advice_and_the_change() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    );
    let outcome = run([&url(&backend)]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let last: Vec<&str> = outcome.out.lines().rev().take(4).collect();
    assert!(
        last[3].starts_with("fails: upgrade-missing: "),
        "{}",
        outcome.out
    );
    let cause = websocket_protocol::Cause::UpgradeMissing;
    assert_eq!(last[2], format!("  what it is: {}", cause.meaning()));
    assert_eq!(last[1], format!("  advice:     {}", cause.advice()));
    assert!(
        last[0].starts_with("  in nginx:   websocket on"),
        "{}",
        outcome.out
    );
}

#[test]
fn quiet_is_one_line_or_none() {
    let backend = ScriptedBackend::standard();
    let outcome = run(["-q", &url(&backend)]);
    assert_eq!((outcome.status, outcome.out.as_str()), (Some(0), ""));
    let absent = ScriptedBackend::answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let outcome = run(["-q", &url(&absent)]);
    assert_eq!(outcome.status, Some(1));
    assert_eq!(outcome.out.matches('\n').count(), 1, "{}", outcome.out);
    assert!(
        outcome.out.contains(" fails: upstream-not-found: "),
        "{}",
        outcome.out
    );
}

#[test]
fn a_wrong_command_line_has_status_2() {
    for arguments in [
        &["nowhere"][..],
        &[],
        &["ws://127.0.0.1:9", "--repeat=none"],
    ] {
        let outcome = run(arguments);
        assert_eq!(
            (outcome.status, outcome.out.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(outcome.err.contains("error:"), "{}", outcome.err);
    }
}

const MANUAL: &str = include_str!("../../../check-websocket/check-websocket.1");

/// The long options that a text names.
fn long_options(text: &str) -> BTreeSet<&str> {
    let options = text.split("--").skip(1).map(|rest| {
        rest.split(|c: char| !(c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit()))
            .next()
    });
    options.flatten().filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_manual_has_the_options_that_there_are() {
    let help = run(["--help"]);
    assert_eq!(help.status, Some(0));
    assert_eq!(
        long_options(&MANUAL.replace("\\-", "-")),
        long_options(&help.out)
    );
}

#[test]
fn the_manual_is_right_in_form() {
    let Some(man) = find_program("man") else {
        nginx_tests::skipped("man is not installed");
        return;
    };
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../check-websocket/check-websocket.1"
    );
    let output = Command::new(man)
        .args(["--warnings", "-l", page])
        .env("MANROFFSEQ", "")
        .env("LC_ALL", "C")
        .output()
        .expect("man runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("EXIT STATUS"));
}

#[test]
fn repeated_it_counts() {
    // Every second connection is answered as a handshake should be.
    let backend = ScriptedBackend::start(|conn| {
        if conn.number() % 2 == 0 {
            return nginx_tests::backend::standard(conn);
        }
        conn.read_request()?;
        conn.send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
    });
    let report = examine(&url(&backend), &["--repeat=4", "--no-probes"]);
    assert_eq!(backend.connections(), 4);
    assert_eq!(report["repeat"]["count"], 4);
    assert_eq!(report["repeat"]["failed"], 2);
    assert_eq!(failure(&report), "upstream-error");
}

#[test]
fn what_is_asked_for_is_sent() {
    let backend = ScriptedBackend::standard();
    let port = backend.port();
    let report = examine(
        &format!("ws://chat.example:{port}/a?b"),
        &[
            &format!("--resolve=chat.example:{port}:127.0.0.1"),
            "--origin=https://page.example",
            "--header=Cookie: a=b",
            "--no-probes",
        ],
    );
    assert_eq!(failure(&report), "");
    assert_eq!(backend.connections(), 1);
    let head = backend.request(0).head;
    assert_eq!(head.start, "GET /a?b HTTP/1.1");
    for (name, value) in [
        ("Host", format!("chat.example:{port}")),
        ("Origin", "https://page.example".to_owned()),
        ("Cookie", "a=b".to_owned()),
    ] {
        assert_eq!(head.all(name), [value.as_str()], "{name}");
    }
}

#[test]
fn what_a_server_says_of_its_refusal_is_shown() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nInvalid Host",
    );
    let report = examine(&url(&backend), &[]);
    assert_eq!(step(&report, "handshake")["said"], "Invalid Host");
    let outcome = run([&url(&backend)]);
    assert!(
        outcome.out.contains("\n        says \"Invalid Host\"\n"),
        "{}",
        outcome.out
    );
}

#[test]
fn a_server_s_words_are_escaped() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 404 \x1b[2J\r\nX-A: \x1b]0;b\x07\r\nLocation: \x1b\r\nContent-Length: 0\r\n\r\n",
    );
    for option in ["-q", "--json", "--no-probes"] {
        let outcome = run([url(&backend).as_str(), option]);
        assert!(
            !outcome.out.contains(['\u{1b}', '\u{7}']),
            "{:?}",
            outcome.out
        );
    }
}

#[test]
fn colour_is_for_terminals_and_can_be_refused() {
    let Some(script) = find_program("script") else {
        nginx_tests::skipped("script(1) is not installed, so there is no terminal");
        return;
    };
    let backend = ScriptedBackend::standard();
    let on_terminal = |refused: &str| {
        let command = format!("{} {}", program().display(), url(&backend));
        let output = Command::new(&script)
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .env("NO_COLOR", refused)
            .stdin(Stdio::null())
            .output()
            .expect("script runs");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).contains('\u{1b}')
    };
    assert!(on_terminal(""));
    assert!(!on_terminal("1"));
}
