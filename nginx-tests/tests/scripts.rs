//! The scripts that install and remove, in a project of their own: what they would touch is not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nginx_tests::environment::find_program;
use tempfile::TempDir;

/// A copy of scripts/ with a target directory.
struct Project {
    directory: TempDir,
}

impl Project {
    fn new() -> Self {
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

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its own file");
    }

    /// Exit status, and what it said.
    fn run(&self, script: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(self.path("scripts").join(script))
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .stdin(Stdio::null())
            .output()
            .expect("bash runs it");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

#[test]
fn a_name_that_is_no_release_removes_nothing() {
    let project = Project::new();
    let kept = [
        project.write("target/roots/mine", ""),
        project.write("target/packages/mine", ""),
        project.write("target/mine/file", ""),
    ];
    for script in ["roots.sh", "package.sh", "test-packages.sh"] {
        for name in [
            "",
            ".",
            "..",
            "../mine",
            "mine",
            "bookworm/..",
            "book worm",
            "bookworm-dev",
        ] {
            // A right one in front changes nothing about it.
            for names in [&[name][..], &["bookworm", name]] {
                let (status, said) = project.run(script, names);
                assert_eq!(status, Some(1), "{script} {names:?}: {said}");
                assert!(
                    said.contains("is none of the releases known here"),
                    "{said}"
                );
            }
        }
    }
    for file in kept {
        assert!(file.exists(), "{}", file.display());
    }
}

/// A package that says no more than what is asked of it.
fn package(project: &Project, folder: &str, version: &str, depends: &str) {
    let root = project.path("deb");
    let name = "libnginx-mod-http-websocket";
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: a <a@a.example>\n\
         Depends: {depends}\nDescription: a\n"
    );
    project.write("deb/DEBIAN/control", &control);
    let file = project.write(
        &format!("target/packages/{folder}/{name}_{version}_amd64.deb"),
        "",
    );
    let built = Command::new("dpkg-deb")
        .args(["--build", "--root-owner-group"])
        .args([root, file])
        .stdout(Stdio::null())
        .status();
    assert!(built.is_ok_and(|built| built.success()));
}

#[test]
fn the_highest_version_for_this_tree_is_installed() {
    if find_program("dpkg-deb").is_none() {
        return println!("skipped: this is no Debian");
    }
    let project = Project::new();
    project.program("nginx", "echo 'nginx version: nginx/1.22.1' >&2");
    project.program("dpkg-query", "echo 'installed nginx-abi-1.22.1-7'");
    project.program(
        "dpkg",
        "case $1 in --print-architecture) echo amd64 ;; *) exec /usr/bin/dpkg \"$@\" ;; esac",
    );
    project.write(
        "debian/changelog",
        "libnginx-mod-http-websocket (0.2.0) unstable; urgency=medium\n",
    );
    let fits = "nginx-abi-1.22.1-7";
    // The right one is the oldest file.
    package(&project, "b", "0.2.0~deb12", fits);
    package(&project, "a", "0.2.0~deb11", fits);
    package(&project, "c", "0.2.0~deb13", "nginx-abi-1.26.3-1");
    package(&project, "d", "0.1.0~deb12", fits);
    let (status, said) = project.run("install.sh", &["--dry-run"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("found a package that fits: ")
            && said.contains("b/libnginx-mod-http-websocket_0.2.0~deb12_"),
        "{said}"
    );
    assert!(
        said.contains("left out, as this tree is version 0.2.0"),
        "{said}"
    );
    assert!(
        said.contains("To undo it afterwards: dpkg --purge libnginx-mod-http-websocket"),
        "{said}"
    );

    // An old one is not for a newer tree.
    project.write(
        "debian/changelog",
        "libnginx-mod-http-websocket (0.3.0) unstable; urgency=medium\n",
    );
    let (_, said) = project.run("install.sh", &["--dry-run"]);
    assert!(said.contains("no package for nginx-abi-1.22.1-7"), "{said}");
}
