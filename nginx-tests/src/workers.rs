//! The workers of a master: what the kernel and nginx say of them.

use std::cell::LazyCell;
use std::fs;
use std::path::Path;

/// The log that tells workers apart where a tool hides their titles.
pub(crate) const PROCESS_LOG: &str = "logs/processes.log";

/// The workers that run, by their pids.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Those that take new connections.
    pub serving: Vec<u32>,
    /// Those that only finish what they have.
    pub exiting: Vec<u32>,
}

impl Workers {
    /// The workers of this master, which writes this log if it runs under a tool.
    pub fn of(master: u32, log: &Path) -> Self {
        // It may hold what clients sent, which need not be text.
        let log = LazyCell::new(|| {
            let log = fs::read(log).unwrap_or_default();
            String::from_utf8_lossy(&log).into_owned()
        });
        let mut workers = Self::default();
        for pid in children(master) {
            // What has ended and is not yet waited for has no command line.
            let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let (worker, exiting) = if title.is_empty() || title.starts_with("nginx: ") {
                (
                    title.starts_with("nginx: worker process"),
                    title.contains("shutting down"),
                )
            } else {
                // A pid may have been another worker's before.
                match log.rsplit_once(&format!("start worker process {pid}\n")) {
                    Some((_, since)) => (
                        true,
                        since.contains(&format!(" {pid}#{pid}: gracefully shutting down\n")),
                    ),
                    None => (false, false),
                }
            };
            match (worker, exiting) {
                (true, false) => workers.serving.push(pid),
                (true, true) => workers.exiting.push(pid),
                (false, _) => (),
            }
        }
        workers
    }
}

/// The children of a process, from the kernel's own list.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(Path::new("/proc").join(format!("{pid}/task/{pid}/children")));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
