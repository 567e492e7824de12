//! Peers at work.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::http;
use crate::peer::{Peer, Site};
use crate::process;
use crate::program::ERROR_LOG;
use crate::result::Result;

const OUTPUT: &str = "output";
const DEADLINE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(5);
const UNANSWERED: Duration = Duration::from_millis(100);

/// A peer at work. Dropped, it is ended.
pub struct Running {
    peer: &'static Peer,
    directory: PathBuf,
    child: Option<Child>,
    pub address: SocketAddrV4,
    pub tls_address: SocketAddrV4,
}

impl Running {
    /// In a directory of this name.
    pub fn start(peer: &'static Peer, name: &str, site: &Site<'_>) -> Result<Self> {
        let directory = site.setup.directory.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(directory.join("temp"))?;
        let ports = [free_port()?, free_port()?];
        for (name, text) in peer.files {
            fs::write(directory.join(name), peer.configure(text, site, ports))?;
        }
        let (certificate, key) = (&site.certificate.pem, &site.certificate.key_pem);
        fs::write(directory.join("cert.pem"), certificate)?;
        fs::write(directory.join("key.pem"), key)?;
        fs::write(directory.join("both.pem"), format!("{certificate}{key}"))?;

        let config = peer.files.first().map_or("", |(name, _)| name);
        let mut command = peer.program.command(site.setup, &directory, config)?;
        let output = File::create(directory.join(OUTPUT))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let [port, tls_port] = ports;
        let mut running = Self {
            peer,
            directory,
            child: Some(spawn(command, site.core)?),
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
            tls_address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, tls_port),
        };
        running.wait_until_it_serves()?;
        Ok(running)
    }

    pub const fn keeps_to_http1(&self) -> bool {
        self.peer.keeps_to_http1
    }

    /// All that the peer consists of now.
    pub fn processes(&self) -> Vec<u32> {
        let child = self.child.iter().map(Child::id);
        let mut all: Vec<u32> = child.collect();
        all.extend(
            self.child
                .iter()
                .flat_map(|child| process::descendants(child.id())),
        );
        all
    }

    /// How long it has run so far, in nanoseconds.
    pub fn cpu_time(&self) -> Result<u64> {
        let total = self.processes().into_iter().map(process::cpu_time).sum();
        match total {
            Ok(0) => Err("the kernel doesn't tell CPU times (CONFIG_SCHED_INFO)".into()),
            other => other,
        }
    }

    /// Its memory in KiB.
    pub fn memory(&self) -> Result<u64> {
        self.processes().into_iter().map(process::memory).sum()
    }

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
            let program = self.peer.program;
            let forked = !program.forks() || !process::children(child.id()).is_empty();
            let answers = |address| TcpStream::connect(address).is_ok();
            let tls_answers = || !program.speaks_tls() || answers(self.tls_address);
            let passes_on = || !program.opens_early() || passes_on(self.address);
            if forked && answers(self.address) && tls_answers() && passes_on() {
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
        let program = self.peer.program;
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("==") && !program.is_routine(line));
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

/// Whether a request goes to the backend. Nobody works there while peers start, so an answer that comes
/// is the proxy's own.
fn passes_on(address: SocketAddrV4) -> bool {
    let ask = || {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(UNANSWERED))?;
        socket.write_all(http::READY)?;
        socket.read(&mut [0])
    };
    ask().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
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
