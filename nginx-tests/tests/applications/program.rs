//! The programs of applications: servers, and clients that are asked line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;
use std::{env, fs, thread};

use nginx_tests::environment::{applications, find_program};
use nginx_tests::wait::wait_within;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// An application of this size takes long to start, and longer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A program that runs in a directory of its own, which is its home, until it is dropped.
pub struct Program {
    child: Child,
    home: TempDir,
}

impl Program {
    /// Runs it in a group of its own, so that its children end with it.
    fn run(words: &[String], input: Stdio, output: Stdio) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let errors = File::create(home.path().join("errors")).expect("a file");
        let child = Command::new(find(&words[0]).expect("it was looked for before"))
            .args(words[1..].iter().map(|word| locate(word)))
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("NODE_PATH", applications().join("node_modules"))
            .env("PATH", path())
            .env("PYTHONPATH", sources().join("shared"))
            .env("PYTHONUNBUFFERED", "1")
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        Self { child, home }
    }

    /// A server that is to accept connections on this port.
    pub fn server(words: &[String], port: u16) -> Self {
        let mut server = Self::run(words, Stdio::null(), Stdio::null());
        let up = wait_within(PATIENCE, || {
            let ended = server.child.try_wait().expect("a child").is_some();
            assert!(!ended, "{} ended:\n{}", words[0], server.errors());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        assert!(
            up.is_some(),
            "{} never listened: {}",
            words[0],
            server.errors()
        );
        server
    }

    /// What it had to say.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.home.path().join("errors")).unwrap_or_default()
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let ended = || self.child.try_wait().expect("a child");
        wait_within(limit, ended).is_some()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = kill_process_group(pid.expect("a pid"), signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        if !self.ends_within(Duration::from_secs(5)) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        // Children that did not follow it.
        self.signal(Signal::KILL);
    }
}

/// A client: for each line that it reads it asks the application, and prints the answer.
pub struct Client {
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    program: Program,
}

impl Client {
    pub fn start(words: &[String]) -> Self {
        let mut program = Program::run(words, Stdio::piped(), Stdio::piped());
        let output = program.child.stdout.take().expect("a pipe");
        let (sender, answers) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.for_each(|line| {
                let _ = sender.send(line);
            });
        });
        Self {
            input: program.child.stdin.take(),
            answers,
            program,
        }
    }

    pub fn ask(&mut self, question: &str) {
        let input = self.input.as_mut().expect("it is open until the end");
        let _ = writeln!(input, "{question}");
    }

    /// The next line that it has printed.
    pub fn answer(&self) -> Option<String> {
        match self.answers.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(format!("error: it ended\n{}", self.errors())),
        }
    }

    pub fn errors(&self) -> String {
        self.program.errors()
    }
}

impl Drop for Client {
    /// It ends by itself where its input does, with the browser that it may have.
    fn drop(&mut self) {
        self.input = None;
        self.program.ends_within(Duration::from_secs(10));
    }
}

/// A program's path, where it is installed: Python's are in the virtual environment. With a slash, that
/// of what was installed beside it.
pub fn find(name: &str) -> Option<PathBuf> {
    let installed = applications().join(name);
    let places = [applications().join("venv/bin"), PathBuf::from("/usr/sbin")];
    match name.contains('/') {
        true => installed.exists().then_some(installed),
        false => {
            let mut programs = places.iter().map(|place| place.join(name));
            programs
                .find(|program| program.is_file())
                .or_else(|| find_program(name))
        }
    }
}

/// Where the servers and clients are.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("applications")
}

/// A word of a command: the path where it names one of our files or an installed one, else itself.
fn locate(word: &str) -> PathBuf {
    let places = [sources(), applications().join("node_modules")];
    let files = places.map(|place| place.join(word));
    let found = files
        .into_iter()
        .find(|file| word.contains('/') && file.exists());
    found.unwrap_or_else(|| PathBuf::from(word))
}

/// `PATH` with the programs of the virtual environment first: a kernel of Jupyter's is run by name.
fn path() -> std::ffi::OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let venv = applications().join("venv/bin");
    env::join_paths([venv].into_iter().chain(env::split_paths(&old))).expect("paths")
}
