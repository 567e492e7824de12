//! What goes wrong in nginx when a test wants it to: calls that fail for want of memory or of
//! descriptors, and clocks that jump. And what can be seen of a process only from within: its pieces of
//! memory, and its timers.
//!
//! A library that is preloaded into nginx (`modules/faults.c`) has mapped a file of words. What is written
//! to that file, it reads at its next call.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::environment::{find_program, slowness};
use crate::nginx::Setup;
use crate::wait::wait_for;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/modules/faults.c");
const LIBRARY: &str = "faults.so";
const WORDS: &str = "faults";

/// Which calls are to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `malloc()` and its relatives, and `mmap()`.
    Memory = 1,
    /// What opens a file or a socket, or accepts a connection.
    Descriptors = 2,
}

/// How long they fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    /// One call, and the next has what it wants.
    Once,
    /// All that come after the first, too.
    Lasting,
}

/// Which clock is to jump.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The time of the day, which an administrator or NTP may set.
    Wall,
    /// The one that counts the time that the machine runs.
    Monotonic,
}

/// The words, in the order of faults.c.
#[derive(Clone, Copy)]
enum Word {
    Process,
    Kind,
    First,
    Last,
    Calls,
    Failed,
    Pieces,
    Wall,
    Monotonic,
    Looks,
    Timers,
    Slow,
}

const COUNT: usize = Word::Slow as usize + 1;

/// The faults of one nginx.
pub struct Faults {
    words: File,
}

/// Calls that were counted.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// All of them.
    pub made: i64,
    /// Those that failed.
    pub failed: i64,
}

impl Faults {
    /// An nginx in which faults can be had; `None` under a tool that puts its own functions in the place of
    /// malloc(), or that a library can't be preloaded into.
    pub fn prepare(setup: Setup) -> (Setup, Option<Self>) {
        if slowness() > 1 {
            return (setup, None);
        }
        let setup = setup
            .file(LIBRARY, &*BUILT)
            .file(WORDS, vec![0; COUNT * size_of::<i64>()]);
        let words = File::options()
            .read(true)
            .write(true)
            .open(setup.path(WORDS));
        let (library, file) = (setup.inside(LIBRARY), setup.inside(WORDS));
        let setup = setup
            .environment("LD_PRELOAD", library.display())
            .environment("NGINX_TESTS_FAULTS", file.display());
        let words = words.expect("a file in nginx's directory");
        (setup, Some(Self { words }))
    }

    /// From now on this process is the one that is watched.
    pub fn watch(&self, process: u32) {
        self.write(Word::Process, process.into());
        self.write(Word::Pieces, 0);
    }

    /// Of the calls that come now, the one of this number fails, counted from 1.
    pub fn fail(&self, kind: Kind, number: i64, spell: Spell) {
        self.write(Word::Calls, 0);
        self.write(Word::Failed, 0);
        self.write(Word::First, number);
        self.write(
            Word::Last,
            match spell {
                Spell::Once => number,
                Spell::Lasting => i64::MAX,
            },
        );
        self.write(Word::Kind, kind as i64);
    }

    /// No call fails any more.
    pub fn stop(&self) -> Calls {
        self.write(Word::Kind, 0);
        Calls {
            made: self.read(Word::Calls),
            failed: self.read(Word::Failed),
        }
    }

    /// How many pieces of memory the process has, more than when it began to be watched.
    pub fn pieces(&self) -> i64 {
        self.read(Word::Pieces)
    }

    /// A clock is from now on so many milliseconds ahead of the machine's.
    pub fn set_ahead(&self, clock: Clock, milliseconds: i64) {
        match clock {
            Clock::Wall => self.write(Word::Wall, milliseconds),
            Clock::Monotonic => self.write(Word::Monotonic, milliseconds),
        }
    }

    /// Whether threads that read a file wait, in any process.
    pub fn slow_down(&self, slow: bool) {
        self.write(Word::Slow, slow.into());
    }

    /// Whether the process that is watched counts its timers whenever it waits for events.
    pub fn count_timers(&self, counts: bool) {
        self.write(Word::Looks, counts.into());
    }

    /// How many timers it had when it last waited.
    pub fn timers(&self) -> i64 {
        self.read(Word::Timers)
    }

    /// Waits until it waits the next time, for which something has to wake it.
    #[track_caller]
    pub fn wait_for_timers(&self) -> i64 {
        self.write(Word::Timers, -1);
        wait_for("nginx to wait for events", || {
            Some(self.timers()).filter(|timers| *timers >= 0)
        })
    }

    fn read(&self, word: Word) -> i64 {
        let mut bytes = [0; size_of::<i64>()];
        let read = self.words.read_exact_at(&mut bytes, place(word));
        read.expect("a file of words");
        i64::from_ne_bytes(bytes)
    }

    fn write(&self, word: Word, value: i64) {
        let written = self.words.write_all_at(&value.to_ne_bytes(), place(word));
        written.expect("a file of words");
    }
}

fn place(word: Word) -> u64 {
    word as u64 * size_of::<i64>() as u64
}

/// The library, built once for all tests of a process, by the compiler that links the tests.
static BUILT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let compiler = find_program("cc").expect("cc, which links Rust programs");
    let directory = TempDir::new().expect("a directory");
    let library = directory.path().join(LIBRARY);
    let output = Command::new(compiler)
        .args([
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fno-builtin",
            "-o",
        ])
        .arg(&library)
        .arg(SOURCE)
        .output()
        .expect("cc runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "faults.c: {said}");
    fs::read(library).expect("a library")
});
