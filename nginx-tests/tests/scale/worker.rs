//! What a worker has.

use std::fmt;
use std::fs;

use nginx_tests::client::get;
use nginx_tests::{Faults, Nginx, wait_for, wait_until};
use serde_json::Value;

pub struct Worker<'a> {
    nginx: &'a Nginx,
    faults: Option<&'a Faults>,
    process: u32,
    /// The descriptors that it has without any client.
    own: usize,
}

#[derive(Clone, Debug)]
pub struct Holdings {
    pub memory: u64,
    descriptors: usize,
    /// Connections that nginx counts, the one that asks among them.
    connections: u64,
    /// Buffers of the module's.
    buffers: u64,
    /// Of nginx's, and pieces of memory; where they can be counted.
    timers: i64,
    pieces: i64,
}

impl Holdings {
    /// What has to be the same to the last one.
    pub fn counted(&self) -> (usize, u64, u64, i64, i64) {
        (
            self.descriptors,
            self.connections,
            self.buffers,
            self.timers,
            self.pieces,
        )
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB in {} pieces, {} descriptors, {} connections, {} buffers lent, {} timers",
            self.memory / 1024,
            self.pieces,
            self.descriptors,
            self.connections,
            self.buffers,
            self.timers
        )
    }
}

impl<'a> Worker<'a> {
    pub fn of(nginx: &'a Nginx, faults: Option<&'a Faults>) -> Self {
        let process = nginx.worker_pids()[0];
        if let Some(faults) = faults {
            faults.watch(process);
        }
        Self {
            nginx,
            faults,
            process,
            own: files(process),
        }
    }

    /// Waits until none of its clients is left.
    #[track_caller]
    pub fn wait_to_be_left(&self) {
        wait_until("all clients to be gone", || files(self.process) == self.own);
    }

    /// The tunnels that the zone knows of.
    pub fn active(&self) -> u64 {
        self.status()["totals"]["active"]
            .as_u64()
            .expect("a number")
    }

    /// The descriptors of its clients, and those to the backend.
    pub fn of_clients(&self) -> usize {
        files(self.process) - self.own
    }

    /// When all of its clients have gone.
    pub fn holdings(&self) -> Holdings {
        // What the zone shows is as old as its timer.
        let buffers = wait_for("the zone to have no buffer lent", || {
            let lent = self.status()["zone"]["buffers_lent"].as_u64();
            lent.filter(|lent| *lent == 0)
        });
        let text = get(self.nginx.port(), "/active").text();
        let connections = text
            .split_whitespace()
            .nth(2)
            .and_then(|count| count.parse().ok());
        let connections = connections.unwrap_or_else(|| panic!("{text}"));
        self.wait_to_be_left();
        let (timers, pieces) = self.faults.map_or((0, 0), |faults| {
            faults.count_timers(true);
            // The zone's own wakes it.
            let timers = faults.wait_for_timers();
            faults.count_timers(false);
            (timers, faults.pieces())
        });
        Holdings {
            memory: self.memory(),
            descriptors: files(self.process),
            connections,
            buffers,
            timers,
            pieces,
        }
    }

    /// Bytes that are its own: what it has written to in the zone, all workers have.
    pub fn memory(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process));
        let rollup = rollup.unwrap_or_default();
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Anonymous:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.expect("Anonymous in kB") * 1024
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&get(self.nginx.port(), "/status").body).expect("JSON")
    }
}

fn files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}
