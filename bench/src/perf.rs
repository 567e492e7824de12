//! Instructions counted by the processor, through `perf stat`, where there is a `perf` and the
//! machine has counters: a virtual one often has none.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::process;
use crate::result::Result;

const EVENT: &str = "instructions:u";
/// How long `perf` takes to attach.
const ATTACH: Duration = Duration::from_millis(200);

/// Whether instructions can be counted here.
pub fn works() -> bool {
    let output = Command::new("perf")
        .args(["stat", "-x", ",", "-e", EVENT, "--", "true"])
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| count(&output.stderr).is_some())
}

/// A running count. Dropped, it is ended.
pub struct Counter(Option<Child>);

impl Counter {
    pub fn attach(processes: &[u32]) -> Result<Self> {
        let pids: Vec<String> = processes.iter().map(u32::to_string).collect();
        let child = Command::new("perf")
            .args(["stat", "-x", ",", "-e", EVENT, "-p", &pids.join(",")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let counter = Self(Some(child));
        thread::sleep(ATTACH);
        Ok(counter)
    }

    /// What was counted since; `None` where the counters were given to someone else.
    pub fn finish(mut self) -> Result<Option<u64>> {
        let Some(child) = self.0.take() else {
            return Ok(None);
        };
        process::signal(child.id(), Signal::INT);
        Ok(count(&child.wait_with_output()?.stderr))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn count(output: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(output).ok()?;
    let line = text.lines().find(|line| line.contains(EVENT))?;
    line.split(',')
        .next()?
        .parse()
        .ok()
        .filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_are_read_where_there_are_any() {
        assert_eq!(count(b"123,,instructions:u,1,100.00,,\n"), Some(123));
        assert_eq!(count(b"<not supported>,,instructions:u,0,100.00,,\n"), None);
    }
}
