//! The settings of a network that is the bench's own.

use std::fs;
use std::path::PathBuf;

use crate::result::Result;

/// TCP's queues are short as long as this is: those of thousands of connections that nobody reads would
/// take more than all sockets of a machine may have (`net.ipv4.tcp_mem`), and what the kernel does then
/// falls on everybody.
pub struct ShortQueues(Vec<(PathBuf, String)>);

/// Least, usual and most, in bytes.
const SHORT: &str = "4096 16384 32768";

impl ShortQueues {
    pub fn set() -> Result<Self> {
        if !is_own(&fs::read_to_string("/proc/net/dev")?) {
            let text =
                "a network of its own is needed, as root has it: the machine's is left as it is";
            return Err(text.into());
        }
        let mut before = Self(Vec::new());
        for name in ["tcp_rmem", "tcp_wmem"] {
            let path = PathBuf::from("/proc/sys/net/ipv4").join(name);
            let value = fs::read_to_string(&path)?;
            fs::write(&path, SHORT)?;
            before.0.push((path, value));
        }
        Ok(before)
    }
}

/// Whether a network leads nowhere else: there is a line for each of its devices, behind two of headings.
fn is_own(devices: &str) -> bool {
    let mut devices = devices.lines().skip(2);
    devices.all(|line| line.trim_start().starts_with("lo:"))
}

impl Drop for ShortQueues {
    fn drop(&mut self) {
        for (path, value) in &self.0 {
            // Who may set it may set it back.
            let _ = fs::write(path, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_network_with_another_device_is_the_machine_s() {
        let headings = "Inter-|   Receive\n face |bytes\n";
        let lo = "    lo: 1 2 3\n";
        assert!(is_own(&format!("{headings}{lo}")));
        assert!(!is_own(&format!("{headings}{lo}  eth0: 1 2 3\n")));
    }
}
