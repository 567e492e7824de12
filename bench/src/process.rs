//! What the kernel tells about processes, and where it lets them run.

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::result::Result;

/// The cores of a run: one for the proxy, one for everything else.
#[derive(Clone, Copy)]
pub struct Cores {
    pub proxy: usize,
    pub own: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        match (cores.next(), cores.next()) {
            (Some(proxy), Some(own)) => Ok(Self { proxy, own }),
            _ => Err("two cores are needed: one for the proxy, one for the generator".into()),
        }
    }
}

/// From now on this thread runs on one core only; children that it starts inherit that.
pub fn stay_on(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the limit of open files as far as it goes.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(1 << 20))
}

/// How long the threads of a process have run so far, in nanoseconds.
pub fn cpu_time(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let time = text
            .split_whitespace()
            .next()
            .and_then(|time| time.parse().ok());
        total += time.unwrap_or(0_u64);
    }
    if total == 0 {
        return Err("the kernel doesn't tell CPU times (CONFIG_SCHED_INFO)".into());
    }
    Ok(total)
}

/// The memory of a process in KiB. Pages it shares with others count in part.
pub fn memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(kib.ok_or("smaps_rollup has no Pss")?)
}

/// The memory of TCP's queues in KiB, those of all processes.
pub fn tcp_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let pages = line.and_then(|line| line.split(" mem ").nth(1)?.trim().parse::<u64>().ok());
    let pages = pages.ok_or("/proc/net/sockstat has no TCP mem")?;
    Ok(pages * (rustix::param::page_size() as u64 >> 10))
}

pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Children, their children and so on, the youngest first.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(children(parent));
        next += 1;
    }
    found.split_off(1).into_iter().rev().collect()
}

pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may just have ended.
        let _ = kill_process(pid, signal);
    }
}
