//! Instructions as valgrind's callgrind counts them: outside the kernel, and the same on any machine.

use std::fs;
use std::path::Path;

use crate::result::Result;
use crate::setup::Setup;

/// The files in which it says so, one for each process, in the directory where it runs.
const FILE: &str = "callgrind.out";

/// Peers that are counted. Whether a request's memory goes back to the system with it is up to where the heap happens to
/// end: that is kept out of the account.
pub fn setup(setup: &Setup) -> Setup {
    let file = format!("--callgrind-out-file={FILE}.%p");
    Setup {
        wrap: [
            "env",
            "MALLOC_TRIM_THRESHOLD_=67108864",
            "MALLOC_TOP_PAD_=16777216",
            "valgrind",
            "--tool=callgrind",
            &file,
        ]
        .map(str::to_owned)
        .into(),
        ..setup.clone()
    }
}

/// How many a peer that has ended has run, all of its processes.
pub fn instructions(directory: &Path) -> Result<u64> {
    let mut total = None;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(FILE) {
            *total.get_or_insert(0) += counted(&fs::read_to_string(&path)?)
                .ok_or_else(|| format!("{} has no number of instructions", path.display()))?;
        }
    }
    Ok(total.ok_or("valgrind has counted nothing: is it installed?")?)
}

/// The line `totals: N` at the end of a file.
fn counted(text: &str) -> Option<u64> {
    let mut lines = text.lines().rev();
    lines.find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn totals_are_read() {
        let file = "events: Ir\nsummary: 5\n\nfn=(1)\n1 3\n2 2\n\ntotals: 5\n";
        assert_eq!(counted(file), Some(5));
        assert_eq!(counted("events: Ir\nfn=(1)\n1 3\n"), None);
    }
}
