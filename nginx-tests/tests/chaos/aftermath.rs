//! What is left of an nginx's work: connections, descriptors, memory, tunnels in the zone.

use std::fs;

use nginx_tests::client::get;
use nginx_tests::environment::slowness;
use nginx_tests::{Nginx, memory};
use serde_json::Value;

const MB: u64 = 1 << 20;

/// Connections that nginx counts, the one that asks not among them.
pub fn connections(nginx: &Nginx) -> u64 {
    let status = get(nginx.port(), "/status").text();
    let count = status
        .strip_prefix("Active connections: ")
        .and_then(|rest| rest.split(' ').next());
    let count = count.and_then(|count| count.parse::<u64>().ok());
    count.unwrap_or_else(|| panic!("{status}")) - 1
}

/// How many descriptors each worker has.
pub fn descriptors(nginx: &Nginx) -> Vec<usize> {
    let count = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    nginx.worker_pids().into_iter().map(count).collect()
}

/// The memory of the master and that of the largest worker, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub master: u64,
    pub worker: u64,
}

impl Memory {
    pub fn of(nginx: &Nginx) -> Self {
        let workers = nginx
            .worker_pids()
            .into_iter()
            .map(|pid| memory(pid, "VmRSS"));
        Self {
            master: memory(nginx.pid(), "VmRSS"),
            worker: workers.max().unwrap_or_default(),
        }
    }
}

/// Asserts that a process has not grown. malloc() keeps some of what was free once, and a tool
/// has books of its own.
pub fn assert_settled(what: &str, before: u64, now: u64) {
    let slack = 4 * MB * u64::from(slowness());
    assert!(
        now < before + slack,
        "{what} grew from {before} to {now} bytes"
    );
}

/// What the zone has counted.
#[derive(Debug)]
pub struct Tunnels {
    pub established: u64,
    pub active: u64,
    pub closed: u64,
    /// Those that are listed one by one.
    pub listed: u64,
}

impl Tunnels {
    pub fn of(nginx: &Nginx) -> Self {
        let answer = get(nginx.port(), "/zone/?format=json");
        let zone: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let totals = &zone["totals"];
        let number = |value: &Value| value.as_u64().expect("a number");
        let closes = totals["closes"].as_array().expect("a list");
        Self {
            established: number(&totals["established"]),
            active: number(&totals["active"]),
            closed: closes.iter().map(|close| number(&close["count"])).sum(),
            listed: number(&zone["tunnels"]["matched"]),
        }
    }
}
