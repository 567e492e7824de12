//! An nginx that takes USR2: a daemon, which is nobody's child.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::environment::environment;
use crate::http2::translator;
use crate::wire::Wire;
use crate::workers::{PROCESS_LOG, Workers};
use crate::{Client, Handshake, Nginx, wait_for, wait_until};

/// What the main block of an nginx needs that a daemon is to be started beside: a port, and one for HTTP/2.
pub const DAEMON: &str = "# %DAEMONPORT% %DAEMONHTTP2PORT%\n";

const PORT: &str = "DAEMONPORT";
const HTTP2_PORT: &str = "DAEMONHTTP2PORT";

/// A master. Ended with the test, and waited for.
pub struct Daemon {
    pid: u32,
    port: u16,
    /// That of the nginx beside.
    directory: PathBuf,
}

impl Daemon {
    /// A second nginx, with the directory and the configuration of one that runs, and a port of its own.
    #[track_caller]
    pub fn start(nginx: &Nginx) -> Self {
        Self::start_by(environment().command(), nginx)
    }

    /// Likewise, by a command of its own: another binary is started by the same.
    #[track_caller]
    pub fn start_by(mut command: Command, nginx: &Nginx) -> Self {
        let plain = nginx.port_of(PORT);
        let mut daemon = Self {
            pid: 0,
            port: if nginx.is_translated() {
                translator::start(plain, nginx.port_of(HTTP2_PORT), nginx.certificate())
            } else {
                plain
            },
            directory: nginx.path(""),
        };
        daemon.configure(nginx, nginx.config());
        let inside = |name: &str| environment().inside(&nginx.path(name));
        command
            .arg("-p")
            .arg(inside(""))
            .arg("-c")
            .arg(inside("daemon.conf"));
        command.args(environment().early_log("logs/daemon.log"));
        let started = command.output().unwrap();
        assert!(started.status.success(), "{started:?}");
        daemon.pid = wait_for("the daemon's pid", || daemon.noted("daemon.pid"));
        wait_until("the daemon to listen", || Wire::connect(plain).is_ok());
        daemon
    }

    /// Writes a configuration for it, made of one of the nginx beside.
    pub fn configure(&self, nginx: &Nginx, config: &str) {
        let mut config = config.to_owned();
        let mut ports = vec![("PORT", PORT)];
        if nginx.is_translated() {
            ports.push((translator::PORT, HTTP2_PORT));
        }
        for (beside, own) in ports {
            let [beside, own] = [beside, own].map(|name| nginx.port_of(name).to_string());
            config = config.replace(&beside, &own);
        }
        let config = config
            .replace("daemon off", "daemon on")
            .replace("nginx.pid", "daemon.pid")
            .replace("error.log", "daemon.log");
        // As a whole: the daemon may be about to read it.
        let [path, new] = ["daemon.conf", "daemon.new"].map(|name| self.directory.join(name));
        fs::write(&new, config).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Has another binary started, and waits until its worker is there.
    #[track_caller]
    pub fn upgrade(&self) -> Self {
        self.signal(Signal::USR2);
        let pid = wait_for("the new master", || {
            self.noted("daemon.pid.oldbin")?;
            self.noted("daemon.pid").filter(|&pid| pid != self.pid)
        });
        let new = Self {
            pid,
            port: self.port,
            directory: self.directory.clone(),
        };
        wait_until("the new worker", || new.workers() > 0);
        new
    }

    /// A client in a tunnel of its own.
    #[track_caller]
    pub fn join(&self) -> Client {
        let mut wire = Wire::connect(self.port).expect("the daemon listens");
        wire.send(Handshake::new("/").bytes()).unwrap();
        let mut client = Client::over(wire);
        assert_eq!(client.read_head().unwrap().status(), 101);
        client
    }

    /// Reloads, and waits until the workers before are gone.
    #[track_caller]
    pub fn reload(&self) {
        let before = self.children();
        self.signal(Signal::HUP);
        wait_until("other workers, and none else", || {
            let now = self.children();
            now.len() == before.len() && !now.iter().any(|pid| before.contains(pid))
        });
    }

    /// Ends one of its workers by SIGKILL, and waits until it is gone.
    #[track_caller]
    pub fn kill_a_worker(&self) {
        let Some(&pid) = self.children().first() else {
            return;
        };
        // It may just have ended.
        let _ = kill_process(as_pid(pid), Signal::KILL);
        wait_until("a killed worker to be gone", || {
            !self.children().contains(&pid)
        });
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.children().len()
    }

    fn children(&self) -> Vec<u32> {
        let workers = Workers::of(self.pid, &self.directory.join(PROCESS_LOG));
        [workers.serving, workers.exiting].concat()
    }

    /// That of its master.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends its master a signal.
    pub fn signal(&self, signal: Signal) {
        // It may just have ended.
        let _ = kill_process(as_pid(self.pid), signal);
    }

    /// Its error log, and that of all before and behind it.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("logs/daemon.log")).unwrap()
    }

    /// Whether its master has ended.
    pub fn is_gone(&self) -> bool {
        // What is dead and not yet buried. Until then its children have it for their parent, also when its memory is gone.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.map_or(true, |stat| {
            stat.rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('Z'))
        })
    }

    /// A pid that nginx has written down.
    fn noted(&self, name: &str) -> Option<u32> {
        let text = fs::read_to_string(self.directory.join("logs").join(name)).ok()?;
        text.trim().parse().ok()
    }
}

fn as_pid(pid: u32) -> Pid {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a pid")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- the daemon's log\n{}", self.log());
        }
        if !self.is_gone() {
            self.signal(Signal::TERM);
            wait_until("a daemon to end", || self.is_gone());
        }
    }
}
