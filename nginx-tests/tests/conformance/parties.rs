//! The programs at both ends of a case, and what they answer.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use nginx_tests::Certificate;
use nginx_tests::environment::interop;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::verdict::Outcome;

/// How long all cases may take, those that measure time among them.
const PATIENCE: Duration = Duration::from_secs(3600);

/// All but 9, 12 and 13, which measure time; of the latter two one for each text and each offer.
const SHORT: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*,\
                     12.1.1,12.2.1,12.3.1,13.1.1,13.2.1,13.3.1,13.5.1,13.7.1";

/// Which cases: ids, or the beginning of ids with `*` behind it.
pub fn cases() -> Vec<String> {
    match env::var("NGINX_TESTS_CASES").as_deref() {
        Ok("all") => vec!["*".to_owned()],
        Ok(list) if !list.is_empty() => split(list),
        _ => split(SHORT),
    }
}

pub fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

/// Who plays the cases, and who is tested by them. Each has a port without TLS and one with it.
pub struct Parties {
    pub certificate: Certificate,
    testing: Party,
    tested: Party,
    _directory: TempDir,
    // The cases have seconds: no other test is to take the processors meanwhile.
    _alone: MutexGuard<'static, ()>,
}

impl Parties {
    /// Starts both, or says why not.
    pub fn start() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let python = installed()?;
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("a directory");
        let certificate = Certificate::localhost();
        let files = [
            ("cert.pem", &certificate.pem),
            ("key.pem", &certificate.key_pem),
        ];
        for (name, pem) in files {
            fs::write(directory.path().join(name), pem).expect("a file in it");
        }
        Some(Self {
            testing: Party::start(&python, "test", directory.path()),
            tested: Party::start(&python, "tested", directory.path()),
            certificate,
            _directory: directory,
            _alone: alone,
        })
    }

    /// The port of the server that is tested.
    pub fn tested_port(&self, tls: bool) -> u16 {
        self.tested.port(tls)
    }

    /// The port of the server that tests.
    pub fn testing_port(&self, tls: bool) -> u16 {
        self.testing.port(tls)
    }

    /// Plays cases to the server on this port.
    pub fn play_to(&mut self, port: u16, tls: bool, cases: &[String]) -> Vec<Outcome> {
        self.testing
            .tell(&json!({ "play": cases, "port": port, "tls": tls }));
        outcomes(&self.testing.answer())
    }

    /// Has the client that is tested come through this port to the server that plays the cases.
    pub fn come_to(&mut self, port: u16, tls: bool, cases: &[String]) -> Vec<Outcome> {
        self.testing.tell(&json!({ "serve": cases }));
        self.testing.answer();
        self.tested.tell(&json!({ "port": port, "tls": tls }));
        let played = self.tested.answer();
        self.testing.tell(&json!({ "result": true }));
        let outcomes = outcomes(&self.testing.answer());
        assert_eq!(played["cases"], outcomes.len());
        outcomes
    }
}

fn outcomes(answer: &Value) -> Vec<Outcome> {
    let outcomes = answer.as_array().expect("a list of outcomes");
    outcomes.iter().map(Outcome::read).collect()
}

/// The Python that has all that is needed.
fn installed() -> Option<PathBuf> {
    let python = interop().join("venv/bin/python");
    let look = Command::new(&python)
        .args(["-c", "import kosoku, websockets"])
        .output();
    if look.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    nginx_tests::skipped(format!(
        "{} has no kosoku and websockets: scripts/test.sh installs them",
        python.display()
    ));
    None
}

/// A program that answers lines of JSON until its input ends.
struct Party {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    ports: Value,
}

impl Party {
    fn start(python: &Path, role: &str, files: &Path) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases.py");
        let mut child = Command::new(python)
            .arg(program)
            .arg(role)
            .args(["cert.pem", "key.pem"].map(|name| files.join(name)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let output = child.stdout.take().expect("a pipe");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut party = Self {
            input: child.stdin.take(),
            child,
            answers,
            ports: Value::Null,
        };
        party.ports = party.answer();
        party
    }

    fn port(&self, tls: bool) -> u16 {
        let port = &self.ports[if tls { "tls" } else { "plain" }];
        let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
        port.expect("a port")
    }

    fn tell(&mut self, what: &Value) {
        let input = self.input.as_mut().expect("it is open until the end");
        writeln!(input, "{what}").expect("the program reads");
    }

    fn answer(&self) -> Value {
        let line = self.answers.recv_timeout(PATIENCE);
        let line = line.expect("the program answers");
        serde_json::from_str(&line).expect("it answers in JSON")
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.input = None;
        let ended = || self.child.try_wait().expect("a child");
        if nginx_tests::wait::wait_within(Duration::from_secs(10), ended).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
