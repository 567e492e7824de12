//! A copy of the scripts, with programs that stand in for those of the system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A copy of scripts/ with a target directory.
pub struct Project {
    directory: TempDir,
}

impl Project {
    /// Nothing but the scripts.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
        fs::create_dir(directory.path().join("scripts")).expect("a directory");
        for entry in fs::read_dir(from).expect("scripts").flatten() {
            if entry.path().is_file() {
                let to = directory.path().join("scripts").join(entry.file_name());
                fs::copy(entry.path(), to).expect("a copy");
            }
        }
        Self { directory }
    }

    /// Where a file of the project is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file, in directories that are made for it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(&path, content).expect("a file");
        path
    }

    /// A program that comes first in `PATH`: this text, for sh.
    pub fn program(&self, name: &str, text: &str) {
        let path = self.write(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its own file");
    }

    /// Exit status, and what it said.
    pub fn run(&self, script: &str, arguments: &[&str]) -> (Option<i32>, String) {
        Self::finish(self.command(script).args(arguments))
    }

    /// For whoever wants to change more than the arguments.
    pub fn command(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.path("scripts").join(script));
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .stdin(Stdio::null());
        command
    }

    /// Runs it: as [`Project::run`].
    pub fn finish(command: &mut Command) -> (Option<i32>, String) {
        let output = command.output().expect("bash runs it");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}
