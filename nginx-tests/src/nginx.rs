//! A real nginx in a directory of its own.
//!
//! A long file: a setup, its check and the running nginx know one another's insides.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::environment::{MODULE, environment, is_musl, is_over_http2, nginx_version, slowness};
use crate::http2::translator;
use crate::tls::Certificate;
use crate::wait::{DEADLINE, wait_for, wait_until, wait_within};
use crate::workers::{PROCESS_LOG, Workers, children};

const CONFIG: &str = "nginx.conf";
const ERROR_LOG: &str = "logs/error.log";
const PID_FILE: &str = "logs/nginx.pid";
const OUTPUT: &str = "logs/output";

/// How many of the last lines of the error log explain a failure.
const EXPLAINED: usize = 1000;

/// What must not be in an error log unless the test has allowed it.
const ALARMING: [&str; 6] = [
    "[alert]",
    "[emerg]",
    "[crit]",
    "exited on signal",
    "open socket #",
    "panicked at",
];

/// What OpenSSL 3 says of a close without TLS's own goodbye, and nginx 1.20.2 and 1.21.2 have it not say.
const OLD_TLS: [&str; 2] = ["unexpected eof while reading", "SSL_write() failed while"];

/// An nginx to be: its configuration and its directory, which exists already.
///
/// Texts may hold placeholders: `%NAME%` is what was [`set`](Self::set), `%PREFIX%` the
/// directory as nginx sees it, and any other name that holds `PORT` (`%PORT%`, `%PORT2%`,
/// `%TLSPORT%`) a free port that is chosen for it. Relative paths are relative to the directory.
pub struct Setup {
    http: String,
    main: String,
    events: String,
    log_level: String,
    workers: usize,
    master: bool,
    module: bool,
    values: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    through: Vec<String>,
    allowed: Vec<String>,
    /// Of its port for HTTP/2, and of others if a test has them.
    certificate: Certificate,
    prefix: TempDir,
}

impl Setup {
    fn new(http: String) -> Self {
        let parent = environment().temporary();
        let prefix = tempfile::Builder::new()
            .prefix("nginx-tests-")
            .tempdir_in(&parent)
            .unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        for dir in ["logs", "temp"] {
            fs::create_dir(prefix.path().join(dir)).expect("a directory in a fresh one");
        }
        Self {
            http,
            main: String::new(),
            events: String::new(),
            log_level: "info".to_owned(),
            workers: 1,
            master: true,
            module: true,
            values: BTreeMap::new(),
            environment: BTreeMap::new(),
            through: Vec::new(),
            allowed: Vec::new(),
            certificate: translator::certificate().clone(),
            prefix,
        }
    }

    /// What `%NAME%` stands for.
    pub fn set(mut self, name: &str, value: impl Display) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// A variable of nginx's environment.
    pub fn environment(mut self, name: &str, value: impl Display) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// A command that nginx's own is given to, to be executed by it.
    pub fn through(mut self, command: &[&str]) -> Self {
        self.through = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A file in nginx's directory.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        let parent = path.parent().expect("a file has a directory");
        fs::create_dir_all(parent).expect("a directory in nginx's own");
        fs::write(path, content).expect("a file in nginx's own directory");
        self
    }

    /// The files `cert.pem` and `key.pem`.
    pub fn certificate(mut self, certificate: &Certificate) -> Self {
        self.certificate = certificate.clone();
        self.file("cert.pem", &certificate.pem)
            .file("key.pem", &certificate.key_pem)
    }

    /// Lines at the top level of the configuration.
    pub fn main(mut self, text: &str) -> Self {
        self.main.push_str(text);
        self
    }

    /// Lines of the `events` block; `worker_connections` is 1024 unless it is among them.
    pub fn events(mut self, text: &str) -> Self {
        self.events.push_str(text);
        self
    }

    /// The level of the error log instead of `info`.
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// The number of workers instead of 1.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// `master_process off`.
    pub fn single_process(mut self) -> Self {
        self.master = false;
        self
    }

    /// Without loading the module. An nginx that it is compiled into has it all the same.
    pub fn without_module(mut self) -> Self {
        self.module = false;
        self
    }

    /// Lines of the error log with this text don't fail the test.
    pub fn allow_log(mut self, text: &str) -> Self {
        self.allowed.push(text.to_owned());
        self
    }

    /// The path of a file in nginx's directory, as the test sees it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.prefix.path().join(name)
    }

    /// The path of a file in nginx's directory, as nginx sees it.
    pub fn inside(&self, name: &str) -> PathBuf {
        environment().inside(&self.path(name))
    }

    /// Starts nginx and waits until it accepts connections.
    #[track_caller]
    pub fn start(self) -> Nginx {
        let mut tries = 5;
        let (config, ports, child) = loop {
            let (config, ports) = self.write();
            match self.launch() {
                Ok(child) => break (config, ports, child),
                // Another process took a port between its choice and its use.
                Err(output) if output.contains("Address already in use") && tries > 0 => {
                    tries -= 1;
                    let _ = fs::remove_file(self.path(ERROR_LOG));
                }
                Err(output) => panic!("nginx doesn't start:\n{output}\n{}", numbered(&config)),
            }
        };
        let translated = match (ports.get("PORT"), ports.get(translator::PORT)) {
            (Some(&plain), Some(&http2)) if self.goes_over_http2() => {
                Some(translator::start(plain, http2, self.certificate.clone()))
            }
            _ => None,
        };
        let nginx = Nginx {
            setup: self,
            config,
            ports,
            translated,
            child: Some(child),
        };
        if nginx.setup.master {
            wait_until("the workers to start", || {
                nginx.worker_pids().len() == nginx.setup.workers
            });
        }
        nginx
    }

    /// What `nginx -t` says to this configuration.
    #[track_caller]
    pub fn check(self) -> Check {
        let (config, _) = self.write();
        let output = self.command().arg("-t").output().expect("nginx -t runs");
        Check {
            ok: output.status.success(),
            output: String::from_utf8_lossy(&output.stderr)
                .replace(&*self.inside("").to_string_lossy(), ""),
            config,
        }
    }

    /// Writes the configuration with all placeholders replaced.
    fn write(&self) -> (String, BTreeMap<String, u16>) {
        self.copy_module();
        if self.goes_over_http2() {
            let certificate = &self.certificate;
            for (name, content) in [
                (translator::CERTIFICATE, &certificate.pem),
                (translator::KEY, &certificate.key_pem),
            ] {
                fs::write(self.path(name), content).expect("a file in nginx's own directory");
            }
        }
        let mut ports = BTreeMap::new();
        let config = self.render(&self.template(), &mut ports);
        fs::write(self.path(CONFIG), &config).expect("a configuration in nginx's directory");
        (config, ports)
    }

    fn goes_over_http2(&self) -> bool {
        is_over_http2() && self.module && !self.http.contains("http2")
    }

    fn copy_module(&self) {
        if let Some(module) = self.module() {
            let copied = fs::copy(module, self.path(MODULE));
            copied.unwrap_or_else(|error| panic!("copying {MODULE}: {error}"));
        }
    }

    /// The module to be loaded.
    fn module(&self) -> Option<PathBuf> {
        self.module.then(|| environment().module()).flatten()
    }

    fn template(&self) -> String {
        let on_or_off = |on| if on { "on" } else { "off" };
        let mut text = String::new();
        if self.module().is_some() {
            text += &format!("load_module {MODULE};\n");
        }
        if getuid().is_root() {
            text += "user root;\n";
        }
        text += &format!(
            "daemon off;\nmaster_process {};\nworker_processes {};\n",
            on_or_off(self.master),
            self.workers
        );
        text += &format!("pid {PID_FILE};\nlock_file logs/lock;\n");
        text += &format!("error_log {ERROR_LOG} {};\n", self.log_level);
        if slowness() > 1 {
            text += &format!("error_log {PROCESS_LOG} notice;\n");
        }
        text += &format!("{}\n", self.main);
        let connections = if self.events.contains("worker_connections") {
            ""
        } else {
            "    worker_connections 1024;\n"
        };
        text += &format!("events {{\n{connections}{}\n}}\n", self.events);
        text += "http {\n    access_log logs/access.log;\n";
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            text += &format!("    {kind}_temp_path temp/{kind};\n");
        }
        if !self.goes_over_http2() {
            return text + &self.http + "\n}\n";
        }
        text + translator::HTTP + &translator::configure(&self.http) + "\n}\n"
    }

    fn render(&self, template: &str, ports: &mut BTreeMap<String, u16>) -> String {
        let mut rendered = String::new();
        let mut rest = template;
        while let Some((name, before, after)) = next_placeholder(rest) {
            rendered += before;
            if let Some(value) = self.values.get(name) {
                rendered += value;
            } else if name == "PREFIX" {
                rendered += self.inside("").display().to_string().trim_end_matches('/');
            } else if name.contains("PORT") {
                let port = *ports.entry(name.to_owned()).or_insert_with(free_port);
                rendered += &port.to_string();
            } else {
                panic!("%{name}% was never set");
            }
            rest = after;
        }
        rendered + rest
    }

    fn command(&self) -> Command {
        let mut command = environment().command();
        if let Some((program, arguments)) = self.through.split_first() {
            let nginx = command;
            command = Command::new(program);
            command
                .args(arguments)
                .arg(nginx.get_program())
                .args(nginx.get_args());
        }
        let prefix = self.inside("");
        command
            .arg("-p")
            .arg(&prefix)
            .arg("-c")
            .arg(prefix.join(CONFIG));
        command
            .args(environment().early_log(ERROR_LOG))
            .stdin(Stdio::null());
        command.envs(&self.environment);
        command
    }

    /// Runs nginx until it listens; gives what it printed if it ends before.
    fn launch(&self) -> Result<Child, String> {
        let file = |name: &str| fs::File::create(self.path(name)).expect("a log file");
        let (output, pid_file) = (file(OUTPUT), self.path(PID_FILE));
        let errors = output.try_clone().expect("a file twice");
        let mut child = self
            .command()
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("nginx can't be run: {error}"));
        // nginx writes its pid file when it has opened its listening sockets.
        let outcome = wait_within(*DEADLINE, || {
            if child.try_wait().expect("the state of a child").is_some() {
                return Some(false);
            }
            let pid = fs::read_to_string(&pid_file).unwrap_or_default();
            pid.ends_with('\n').then_some(true)
        });
        match outcome {
            Some(true) => Ok(child),
            Some(false) => Err(self.read(OUTPUT)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!(
                    "no pid file after {:?}\n{}",
                    *DEADLINE,
                    self.read(OUTPUT)
                ))
            }
        }
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if nginx_version() < (1, 19, 8) || is_musl() {
            with_words(&text)
        } else {
            text
        }
    }
}

/// An error's number with the words of this machine's libc, `(111: Connection refused)`. Musl has others, and before 1.19.8
/// nginx has none with a libc of today: `(111: Unknown error)`.
fn with_words(log: &str) -> String {
    let mut text = String::new();
    let mut rest = log;
    while let Some(start) = rest.find('(') {
        let (before, behind) = rest.split_at(start + 1);
        text += before;
        rest = behind;
        let Some((number, words)) = rest.split_once(": ") else {
            break;
        };
        // Of what its resolver says the numbers are nginx's own.
        if let (false, Ok(number), Some(end)) = (
            before.ends_with("could not be resolved ("),
            number.parse(),
            words.find(')'),
        ) {
            let error = io::Error::from_raw_os_error(number).to_string();
            let known = error.split(" (os error").next().unwrap_or_default();
            text += &format!("{number}: {known}");
            rest = &words[end..];
        }
    }
    text + rest
}

/// What `nginx -t` said.
#[derive(Debug)]
pub struct Check {
    /// Whether it accepted the configuration.
    pub ok: bool,
    /// What it printed, with paths in its directory relative to that.
    pub output: String,
    /// The configuration it read.
    pub config: String,
}

impl Check {
    /// The number of the first line of the configuration that holds this text.
    #[track_caller]
    pub fn line_of(&self, text: &str) -> usize {
        let found = self.config.lines().position(|line| line.contains(text));
        1 + found.unwrap_or_else(|| panic!("no line with {text:?}"))
    }

    /// The lines printed at this level: `emerg`, `warn`.
    pub fn at_level(&self, level: &str) -> Vec<&str> {
        let mark = format!("[{level}]");
        self.output
            .lines()
            .filter(|line| line.contains(&mark))
            .collect()
    }
}

/// A running nginx. When it goes out of scope it is stopped, and its error log is judged.
pub struct Nginx {
    setup: Setup,
    config: String,
    ports: BTreeMap<String, u16>,
    /// The port of a translator to HTTP/2, if the tests go over that.
    translated: Option<u16>,
    child: Option<Child>,
}

impl Nginx {
    /// An nginx with this text in its `http` block.
    pub fn http(text: impl Into<String>) -> Setup {
        Setup::new(text.into())
    }

    /// An nginx with one server on `%PORT%` and this text in its `server` block.
    pub fn server(text: impl Display) -> Setup {
        Self::http(format!(
            "server {{\n    listen 127.0.0.1:%PORT%;\n{text}\n}}\n"
        ))
    }

    /// The port that `%PORT%` stands for, or one in front of it.
    pub fn port(&self) -> u16 {
        self.translated.unwrap_or_else(|| self.port_of("PORT"))
    }

    /// Whether that one is in front of it.
    pub fn is_translated(&self) -> bool {
        self.translated.is_some()
    }

    /// The certificate of its port for HTTP/2.
    pub fn certificate(&self) -> Certificate {
        self.setup.certificate.clone()
    }

    /// The port that `%NAME%` stands for.
    pub fn port_of(&self, name: &str) -> u16 {
        *self
            .ports
            .get(name)
            .unwrap_or_else(|| panic!("%{name}% is not in the configuration"))
    }

    /// The configuration as nginx read it.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// The path of a file in nginx's directory, as the test sees it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.setup.path(name)
    }

    /// The pid of the master, or of the only process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("nginx runs").id()
    }

    /// The pids of the workers that take new connections.
    pub fn worker_pids(&self) -> Vec<u32> {
        if !self.setup.master {
            return vec![self.pid()];
        }
        self.workers().serving
    }

    /// The pids of the workers that only finish what they have.
    pub fn exiting_worker_pids(&self) -> Vec<u32> {
        self.workers().exiting
    }

    fn workers(&self) -> Workers {
        Workers::of(self.pid(), &self.path(PROCESS_LOG))
    }

    /// Sends a signal to the master.
    pub fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    /// Sends SIGHUP and waits until new workers have taken over. Old ones may still be there,
    /// finishing what they have.
    #[track_caller]
    pub fn reload(&self) {
        let old = self.worker_pids();
        self.signal(Signal::HUP);
        wait_until("new workers after a reload", || {
            let now = self.worker_pids();
            now.len() == self.setup.workers && !now.iter().any(|pid| old.contains(pid))
        });
    }

    /// The same with another `http` block. Ports keep their numbers.
    #[track_caller]
    pub fn reload_with(&mut self, http: &str) {
        self.configure(http);
        self.reload();
    }

    /// Whether the configurations that are written from here on load the module.
    pub fn load_module(&mut self, loads: bool) {
        self.setup.module = loads;
        // Nobody writes to a file that nginx may have mapped.
        if !self.path(MODULE).exists() {
            self.setup.copy_module();
        }
    }

    /// Writes a configuration with another `http` block, for the next time it is read.
    pub fn configure(&mut self, http: &str) {
        http.clone_into(&mut self.setup.http);
        let mut ports = self.ports.clone();
        self.config = self.setup.render(&self.setup.template(), &mut ports);
        self.ports = ports;
        fs::write(self.path(CONFIG), &self.config).expect("a new configuration");
    }

    /// The error log so far.
    pub fn error_log(&self) -> String {
        self.setup.read(ERROR_LOG)
    }

    /// The lines of the error log with this text.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        lines_with(&self.error_log(), text)
    }

    /// An access log of `logs/` so far.
    pub fn access_log(&self, name: &str) -> String {
        self.setup.read(&format!("logs/{name}"))
    }

    /// Whether `nginx -t` takes the file that is there now.
    pub fn takes_its_file(&self) -> bool {
        let output = self.setup.command().arg("-t").output();
        output.expect("nginx -t runs").status.success()
    }

    /// Waits for a line with this text in the error log.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        wait_for(&format!("{text:?} in the error log"), || {
            self.log_lines(text).pop()
        })
    }

    /// Waits for this many lines in an access log of `logs/`.
    #[track_caller]
    pub fn wait_for_access(&self, name: &str, lines: usize) -> Vec<String> {
        wait_for(&format!("{lines} lines in {name}"), || {
            let log = self.access_log(name);
            let whole = log.matches('\n').count() >= lines;
            whole.then(|| log.lines().map(str::to_owned).collect())
        })
    }

    /// From now on lines of the error log with this text don't fail the test.
    pub fn allow_log(&mut self, text: &str) {
        self.setup.allowed.push(text.to_owned());
    }

    /// Stops it gracefully (SIGQUIT) when all requests have ended, judges its error log as the
    /// end of the test would, and gives it.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.end(Signal::QUIT, true);
        self.error_log()
    }

    /// Stops it at once (SIGTERM), whatever is still open, judges its error log and gives it.
    #[track_caller]
    pub fn terminate(mut self) -> String {
        self.end(Signal::TERM, true);
        self.error_log()
    }

    /// Waits for the end that it was told to come to, by a signal before, and judges its error log.
    #[track_caller]
    pub fn wait_for_end(mut self) {
        let mut child = self.child.take().expect("it was started");
        wait_until("nginx to end", || {
            child.try_wait().expect("the state of a child").is_some()
        });
        self.judge(self.alarms());
    }

    #[track_caller]
    fn end(&mut self, signal: Signal, judge: bool) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let late = stop(&mut child, signal);
        let mut problems: Vec<String> = late.map(str::to_owned).into_iter().collect();
        problems.extend(self.alarms());
        if judge {
            self.judge(problems);
        } else {
            self.explain();
        }
    }

    #[track_caller]
    fn judge(&self, problems: Vec<String>) {
        if !problems.is_empty() {
            self.explain();
            panic!("nginx had problems:\n{}", problems.join("\n"));
        }
    }

    fn alarms(&self) -> Vec<String> {
        let log = self.error_log() + &self.setup.read(OUTPUT);
        let alarming = |line: &&str| {
            ALARMING.iter().any(|text| line.contains(text))
                && !(nginx_version() < (1, 21, 2) && OLD_TLS.iter().any(|text| line.contains(text)))
        };
        let allowed = |line: &&str| self.setup.allowed.iter().any(|text| line.contains(text));
        log.lines()
            .filter(|line| alarming(line) && !allowed(line))
            .map(str::to_owned)
            .collect()
    }

    fn explain(&self) {
        eprintln!("---- {CONFIG}\n{}", numbered(&self.config));
        let log = self.error_log() + &self.setup.read(OUTPUT);
        let from = log
            .rmatch_indices('\n')
            .nth(EXPLAINED)
            .map_or(0, |(at, _)| at + 1);
        eprintln!("---- error log\n{}----", &log[from..]);
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            self.end(Signal::TERM, false);
        } else {
            self.end(Signal::QUIT, true);
        }
    }
}

/// The lines of a log with this text.
pub fn lines_with(log: &str, text: &str) -> Vec<String> {
    log.lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect()
}

/// Stops a child that this process started; says what was wrong with the way it ended.
fn stop(child: &mut Child, signal: Signal) -> Option<&'static str> {
    let wait = |child: &mut Child, limit: Duration| {
        wait_within(limit, || child.try_wait().expect("the state of a child")).is_some()
    };
    if wait(child, Duration::ZERO) {
        return Some("it had ended by itself");
    }
    signal_to(child.id(), signal);
    if wait(child, *DEADLINE) {
        return None;
    }
    signal_to(child.id(), Signal::TERM);
    if wait(child, *DEADLINE) {
        return Some("it didn't end gracefully: something held a connection");
    }
    for worker in children(child.id()) {
        signal_to(worker, Signal::KILL);
    }
    let _ = child.kill();
    if wait(child, *DEADLINE) {
        return Some("it had to be killed");
    }
    Some("it could not even be killed")
}

/// Sends a signal to a process, if that is still there.
pub fn signal_to(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may just have ended.
        let _ = kill_process(pid, signal);
    }
}

/// A port that is free now, below those the kernel gives to connections.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    for _ in 0..COUNT {
        // Test processes that run at once begin at different places.
        let offset = process::id().wrapping_mul(211) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + offset % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// The first `%NAME%` of a text, with what stands before and after it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(start) = text[from..].find('%').map(|at| from + at) {
        let after = &text[start + 1..];
        let length = after
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(after.len());
        if after[length..].starts_with('%') && after.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Some((&after[..length], &text[..start], &after[length + 1..]));
        }
        from = start + 1;
    }
    None
}

fn numbered(text: &str) -> String {
    text.lines()
        .enumerate()
        .map(|(at, line)| format!("{:4} {line}\n", at + 1))
        .collect()
}

/// Asserts that this line at location level is refused, with its place and these words.
#[track_caller]
pub fn assert_refused(line: &str, words: &str) {
    let check = Nginx::server(format!("location / {{\n{line}\n}}")).check();
    assert!(!check.ok, "{line} was taken");
    let emerg = check.at_level("emerg");
    assert_eq!(emerg.len(), 1, "{check:?}");
    assert!(emerg[0].contains(words), "{line}: {check:?}");
    let place = format!("nginx.conf:{}", check.line_of(line));
    assert!(emerg[0].ends_with(&place), "{check:?}");
}

#[cfg(test)]
mod tests {
    use super::{next_placeholder, with_words};

    #[test]
    fn placeholders_are_found_among_other_percent_signs() {
        assert_eq!(next_placeholder("50% %PORT%;"), Some(("PORT", "50% ", ";")));
        assert_eq!(next_placeholder("/%20%A2_%x"), Some(("A2_", "/%20", "x")));
        assert_eq!(next_placeholder("100%"), None);
    }

    #[test]
    fn errors_have_the_words_of_this_libc() {
        let log = "(1) connect() failed (110: Operation timed out) (SSL: a) (24: Unknown error), \
                   a could not be resolved (3: Host not found), (2";
        let known = "(1) connect() failed (110: Connection timed out) (SSL: a) (24: Too many open files), \
                     a could not be resolved (3: Host not found), (2";
        assert_eq!(with_words(log), known);
    }
}
