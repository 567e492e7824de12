//! How much memory a process has.

use std::fs;

/// What the kernel says of it, in bytes, by a name of proc_pid_status(5) such as `VmRSS`.
pub fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let kilobytes = status.lines().find_map(|line| {
        let number = line.strip_prefix(name)?.strip_prefix(':')?;
        number.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kilobytes.expect("a number of kB") * 1024
}
