//! What is measured. A peer is a configuration in `peers/` and an entry in [`PEERS`]; a proxy that
//! is not nginx also is a variant of [`Program`].

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, getppid, getuid, set_parent_process_death_signal};

use crate::process;
use crate::result::Result;
use crate::tls::Certificate;

/// What peers are made of, and where.
pub struct Setup {
    pub nginx: PathBuf,
    pub module: PathBuf,
    /// Another build of the module, to compare it with.
    pub before: Option<PathBuf>,
    /// What they run under.
    pub wrap: Vec<String>,
    /// Where they run; what was in it is lost.
    pub directory: PathBuf,
}

pub struct Peer {
    pub name: &'static str,
    config: &'static str,
    program: Program,
    /// The module's directive in the location; where the module is not loaded, nobody reads it.
    websocket: &'static str,
    /// What stands in its http block beside.
    http: &'static str,
}

/// Those that run when none is named, and with another build of the module.
pub const DEFAULT_PEERS: &str = "module,stock";
pub const DEFAULT_PEERS_WITH_BEFORE: &str = "module,before";

/// The peer that is another build of the module.
pub const BEFORE: &str = "before";

/// All there are; ratios are to the last of those that run.
pub static PEERS: [Peer; 6] = [
    Peer {
        name: "module",
        config: include_str!("../peers/module.conf"),
        program: Program::Nginx,
        websocket: "on",
        http: "",
    },
    Peer {
        name: BEFORE,
        config: include_str!("../peers/module.conf"),
        program: Program::Nginx,
        websocket: "on",
        http: "",
    },
    Peer {
        name: "zone",
        config: include_str!("../peers/module.conf"),
        program: Program::Nginx,
        websocket: "on",
        http: "websocket_zone websocket:64m;",
    },
    Peer {
        name: "off",
        config: include_str!("../peers/module.conf"),
        program: Program::Nginx,
        websocket: "off",
        http: "",
    },
    Peer {
        name: "relay",
        config: include_str!("../peers/relay.conf"),
        program: Program::Relay,
        websocket: "",
        http: "",
    },
    Peer {
        name: "stock",
        config: include_str!("../peers/stock.conf"),
        program: Program::Nginx,
        websocket: "",
        http: "",
    },
];

/// How a proxy is run.
#[derive(Clone, Copy)]
enum Program {
    /// A master that serves nothing, and one worker.
    Nginx,
    /// This program, as [`crate::relay`].
    Relay,
}

impl Program {
    fn command(self, setup: &Setup, directory: &Path) -> Result<Command> {
        let config = directory.join(CONFIG);
        Ok(match self {
            Self::Nginx => {
                let mut command = wrapped(&setup.wrap, &setup.nginx);
                command.arg("-p").arg(directory);
                command.args(["-e", ERROR_LOG, "-c"]).arg(config);
                command
            }
            Self::Relay => {
                let mut command = wrapped(&setup.wrap, &env::current_exe()?);
                command.arg("relay").arg(config);
                command
            }
        })
    }

    /// The process that serves, once it is there.
    fn worker(self, child: u32) -> Option<u32> {
        match self {
            Self::Nginx => match process::children(child)[..] {
                [worker] => Some(worker),
                _ => None,
            },
            Self::Relay => Some(child),
        }
    }

    /// The signal that ends it when its connections are closed.
    const fn quit(self) -> Signal {
        match self {
            Self::Nginx => Signal::QUIT,
            Self::Relay => Signal::TERM,
        }
    }
}

fn wrapped(wrap: &[String], program: &Path) -> Command {
    match wrap {
        [] => Command::new(program),
        [wrapper, arguments @ ..] => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(program);
            command
        }
    }
}

const CONFIG: &str = "config";
const ERROR_LOG: &str = "error.log";
const OUTPUT: &str = "output";
const DEADLINE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(5);

/// What a peer needs to know of the run.
pub struct Site<'a> {
    pub setup: &'a Setup,
    pub certificate: &'a Certificate,
    pub backend: SocketAddr,
    pub connections: usize,
    pub core: usize,
}

/// A peer at work. Dropped, it is ended.
pub struct Running {
    peer: &'static Peer,
    directory: PathBuf,
    child: Option<Child>,
    pub worker: u32,
    pub address: SocketAddrV4,
    pub tls_address: SocketAddrV4,
}

impl Peer {
    pub fn start(&'static self, site: &Site<'_>) -> Result<Running> {
        let directory = site.setup.directory.join(self.name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(directory.join("temp"))?;
        let [port, tls_port] = [free_port()?, free_port()?];
        fs::write(directory.join(CONFIG), self.configure(site, port, tls_port))?;
        fs::write(directory.join("cert.pem"), &site.certificate.pem)?;
        fs::write(directory.join("key.pem"), &site.certificate.key_pem)?;

        let mut command = self.program.command(site.setup, &directory)?;
        let output = File::create(directory.join(OUTPUT))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut running = Running {
            peer: self,
            directory,
            child: Some(spawn(command, site.core)?),
            worker: 0,
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
            tls_address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, tls_port),
        };
        running.wait_until_it_serves()?;
        Ok(running)
    }

    fn configure(&self, site: &Site<'_>, port: u16, tls_port: u16) -> String {
        // Workers that root starts become someone else, who may not be allowed to read the
        // directory.
        let user = if getuid().is_root() {
            "user root root;"
        } else {
            ""
        };
        let module = match &site.setup.before {
            Some(before) if self.name == BEFORE => before,
            _ => &site.setup.module,
        };
        [
            ("%MODULE%", module.display().to_string()),
            ("%HTTP%", self.http.to_owned()),
            ("%WEBSOCKET%", self.websocket.to_owned()),
            ("%USER%", user.to_owned()),
            ("%PORT%", port.to_string()),
            ("%TLS_PORT%", tls_port.to_string()),
            ("%BACKEND%", site.backend.to_string()),
            ("%CONNECTIONS%", site.connections.to_string()),
        ]
        .iter()
        .fold(self.config.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }
}

impl Running {
    /// Closes nothing by itself: connections must be closed by now, and then a proxy that doesn't
    /// end still held something.
    pub fn stop(mut self) -> Result<()> {
        let name = self.peer.name;
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        process::signal(child.id(), self.peer.program.quit());
        if !ended(&mut child, DEADLINE) {
            self.child = Some(child);
            return Err(format!("{name} doesn't end: it still holds a connection").into());
        }
        let complaints = self.complaints();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(format!("{name} complains:\n{complaints}").into())
        }
    }

    fn wait_until_it_serves(&mut self) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            let Some(child) = &mut self.child else { break };
            if child.try_wait()?.is_some() {
                break;
            }
            let answers = || TcpStream::connect(self.address).is_ok();
            if let Some(worker) = self.peer.program.worker(child.id()).filter(|_| answers()) {
                self.worker = worker;
                return Ok(());
            }
            thread::sleep(STEP);
        }
        Err(format!("{} doesn't start:\n{}", self.peer.name, self.complaints()).into())
    }

    /// Whatever it had to say: at its default levels a proxy has nothing to say about a run.
    pub fn complaints(&self) -> String {
        let read = |name| fs::read(self.directory.join(name)).unwrap_or_default();
        let mut text = read(ERROR_LOG);
        // A profiler talks.
        text.extend(read(OUTPUT));
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.starts_with("=="));
        lines.take(20).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        process::signal(child.id(), Signal::TERM);
        if !ended(&mut child, DEADLINE) {
            for descendant in process::descendants(child.id()) {
                process::signal(descendant, Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ended(child: &mut Child, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        thread::sleep(STEP);
    }
    false
}

/// Starts a proxy on its core. It ends with this process, however that ends.
fn spawn(mut command: Command, core: usize) -> Result<Child> {
    let parent = getpid();
    let prepare = move || {
        process::stay_on(core)?;
        set_parent_process_death_signal(Some(Signal::TERM))?;
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(std::io::Error::other("the parent has ended"))
        }
    };
    // SAFETY: `prepare` makes system calls and touches no memory but its own stack; this process
    // has one thread, so no lock is held by another.
    unsafe { command.pre_exec(prepare) };
    let name = command.get_program().to_string_lossy().into_owned();
    Ok(command
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?)
}

/// A port that is free now, below those the kernel gives to connections.
fn free_port() -> Result<u16> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("there is no free port".into())
}
