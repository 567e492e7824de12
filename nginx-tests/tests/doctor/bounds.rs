//! `--nginx-conf` before configurations that have no end, or multiply: each ends soon, in little
//! memory, with words.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::program;

/// One that passes.
const SERVER: &str = "server { location / { proxy_pass http://a; websocket on; } }\n";

/// KB of memory that may be written to.
const MEMORY: u32 = 200 << 10;
/// A second or two of an optimized program.
const SOON: Duration = Duration::from_secs(40);

/// Judges a file, with an address in it and without.
#[track_caller]
fn judged(directory: &Path, name: &str, status: i32, said: &str) {
    judged_with(
        &[&[], &["ws://localhost/a/b"]],
        directory,
        name,
        status,
        said,
    );
}

#[track_caller]
fn judged_with(ways: &[&[&str]], directory: &Path, name: &str, status: i32, said: &str) {
    let file = directory.join(name);
    for &more in ways {
        let start = Instant::now();
        let output = Command::new("sh")
            .args(["-c", "ulimit -d \"$0\" && exec \"$@\""])
            .arg(MEMORY.to_string())
            .arg(program())
            .args(["--deadline=9s", "--nginx-conf"])
            .arg(&file)
            .args(more)
            .stdin(Stdio::null())
            .output()
            .expect("a shell runs it");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{name} {more:?}: {err}");
        assert!(err.contains(said), "{name}: {err}");
        assert!(start.elapsed() < SOON, "{name}: {:?}", start.elapsed());
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[track_caller]
fn text(text: &str, status: i32, said: &str) {
    let directory = directory();
    fs::write(directory.path().join("main.conf"), text).expect("a file");
    judged(directory.path(), "main.conf", status, said);
}

/// All locations, where one of them can be followed.
#[track_caller]
fn all(text: &str, status: i32, said: &str) {
    let directory = directory();
    fs::write(directory.path().join("main.conf"), text).expect("a file");
    judged_with(&[&[]], directory.path(), "main.conf", status, said);
}

fn many(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn long_ones() {
    text(&"a b;\n".repeat(20_000_000), 2, "it is longer than ");
    text(
        &"a b;\n".repeat(5_000_000),
        2,
        "too many directives to hold in memory",
    );
    text(
        &format!("a {};", "b ".repeat(10_000_000)),
        2,
        "too many directives to hold",
    );
    let networks = "10.0.0.0/8 1;\n".repeat(1_000_000);
    text(&format!("geo $a {{\n{networks}}}\n{SERVER}"), 0, "");
}

#[test]
fn what_multiplies() {
    let ten = |name: &str| format!("${{{name}}}").repeat(10);
    let maps = many(10, |n| {
        let from = match n {
            0 => "http_upgrade".to_owned(),
            n => format!("m{}", n - 1),
        };
        format!("map ${from} $m{n} {{ default \"{}\"; }}\n", ten(&from))
    });
    let server = "server { location / { proxy_pass http://a; proxy_http_version 1.1;
        proxy_set_header Upgrade $m9; proxy_set_header Connection $m9; } }";
    text(&format!("{maps}{server}"), 0, "");

    let locations = many(2_000, |n| {
        format!("location /a{n} {{ proxy_pass http://a; websocket on; }}\n")
    });
    let rewrites = many(3_000, |n| format!("rewrite ^/x{n}/(.*)$ /y$1;\n"));
    let root = "location / { proxy_pass http://a; websocket on; }";
    let said = "this takes too much work to follow";
    all(
        &format!("server {{ {rewrites}{locations}{root} }}"),
        2,
        said,
    );
    let locations = many(25_000, |n| {
        format!("location /b{n} {{ proxy_pass http://a; websocket on; }}\n")
    });
    all(
        &format!("server {{ {locations} }}"),
        2,
        "too many locations proxy",
    );
    // Each might need these lines, and each is asked.
    let lines = "websocket on; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;";
    let locations = many(15_000, |n| {
        format!("location /c{n} {{ proxy_pass http://a; }}\n")
    });
    all(&format!("server {{ {lines} {locations}{root} }}"), 0, "");
}

#[test]
fn files_that_are_none() {
    let directory = directory();
    let path = directory.path();
    let write = |name: &str, text: &str| fs::write(path.join(name), text).expect("a file");
    let made = Command::new("mkfifo").arg(path.join("pipe")).status();
    assert!(made.is_ok_and(|made| made.success()));
    write("zero.conf", &format!("include /dev/zero;\n{SERVER}"));
    judged(path, "zero.conf", 0, "");
    write("piped.conf", &format!("include pipe;\n{SERVER}"));
    judged(
        path,
        "piped.conf",
        2,
        "it is a pipe, for which nginx would wait",
    );
    judged(path, "pipe", 2, "it did not end within 9 s");
    write("missing.conf", &format!("include missing/file;\n{SERVER}"));
    judged(
        path,
        "missing.conf",
        2,
        "missing/file was not read: No such file",
    );
    for n in 0..20 {
        write(
            &format!("fan{n}"),
            &format!("include fan{0};\ninclude fan{0};\n", n + 1),
        );
    }
    write("fan20", "# nothing\n");
    judged(path, "fan0", 2, "more includes than are read");
    write(
        "stars.conf",
        &format!("include {}b;\n{SERVER}", "a*".repeat(2_000)),
    );
    for n in 0..100 {
        write(&format!("{}{n}", "a".repeat(200)), "");
    }
    judged(path, "stars.conf", 0, "");
}

#[test]
fn a_comment_hides_no_site() {
    let broken =
        "server { location / { proxy_pass http://a; websocket on; proxy_read_timeout 0; } }\n";
    for comment in [
        "# configuration file site.conf:",
        "# configuration file /etc/site.conf:",
    ] {
        all(&format!("{SERVER}\n{comment}\n{broken}"), 1, "");
        let dump =
            format!("# configuration file /etc/nginx/nginx.conf:\n{SERVER}\n{comment}\n{broken}\n");
        all(&dump, 1, "");
    }
}
