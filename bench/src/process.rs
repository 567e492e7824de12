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
    Ok(total)
}

/// The memory of a process in KiB. Pages it shares with others count in part.
pub fn memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(kib.ok_or("smaps_rollup has no Pss")?)
}

/// The kernel's own memory in KiB, of the whole machine: objects such as sockets, stacks of threads, page
/// tables, and what waits in the sockets of TCP.
pub fn kernel_memory() -> Result<u64> {
    let objects = in_kernel(&fs::read_to_string("/proc/meminfo")?);
    let pages = in_sockets(&fs::read_to_string("/proc/net/sockstat")?);
    let page = rustix::param::page_size() as u64 / 1024;
    let (objects, pages) = objects
        .zip(pages)
        .ok_or("the kernel doesn't tell its memory")?;
    Ok(objects + pages * page)
}

/// KiB, of the lines of /proc/meminfo.
fn in_kernel(meminfo: &str) -> Option<u64> {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(of("Slab:")? + of("KernelStack:")? + of("PageTables:")?)
}

/// Pages, of the lines of /proc/net/sockstat.
fn in_sockets(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
    words.nth(1)?.parse().ok()
}

/// The kernel and the processor, a line each.
pub fn machine() -> String {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    // Behind a dash stands who built it.
    let release = release
        .trim()
        .split('-')
        .next()
        .unwrap_or_default()
        .to_owned();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .unwrap_or("unknown")
        .trim_start_matches([' ', '\t', ':']);
    format!("kernel: Linux {release}\nprocessor: {model}\n")
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

#[cfg(test)]
mod tests {
    use super::{in_kernel, in_sockets};

    #[test]
    fn the_kernels_memory_is_read() {
        let meminfo = "MemTotal: 9 kB\nSlab:   100 kB\nSReclaimable: 7 kB\nKernelStack:  20 kB\nPageTables:  3 kB\n";
        assert_eq!(in_kernel(meminfo), Some(123));
        assert_eq!(in_kernel("Slab: 100 kB\n"), None);
        let sockstat =
            "sockets: used 16\nTCP: inuse 1 orphan 0 tw 12 alloc 1 mem 42\nUDP: inuse 0 mem 7\n";
        assert_eq!(in_sockets(sockstat), Some(42));
        assert_eq!(in_sockets("sockets: used 16\n"), None);
    }
}
