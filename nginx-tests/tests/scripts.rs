//! The scripts that install and remove, in a project of their own: what they would touch is not there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nginx_tests::environment::{environment, find_program};
use nginx_tests::project::Project;

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

/// As services and containers start them.
#[test]
fn without_a_home_scripts_run_all_the_same() {
    let project = Project::new();
    let (status, said) = Project::finish(
        project
            .command("build.sh")
            .arg("--help")
            .env_remove("HOME")
            .env_remove("CARGO_HOME"),
    );
    assert_eq!(status, Some(0), "{said}");
    let Some(module) = environment().module() else {
        return nginx_tests::skipped("in part: the module is compiled in");
    };
    for home in [None, Some(""), Some("/")] {
        let mut command = project.command("check-module.sh");
        command
            .arg(&module)
            .env_remove("HOME")
            .env_remove("CARGO_HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        let (status, said) = Project::finish(&mut command);
        assert_eq!(status, Some(0), "{home:?}: {said}");
    }
}

/// Before anything is made there, as it would end in the middle, or elsewhere.
#[test]
fn where_a_path_is_split_at_spaces_it_is_refused() {
    const SAID: &str = "this does not work in a directory with a space in its path: ";
    let project = Project::new();
    std::os::unix::fs::symlink(".", project.path("a b")).expect("a link");
    project.write("Cargo.toml", "");
    // Whatever a script would do if it went on, it installs nothing here.
    for name in ["apt-get", "rustup"] {
        project.program(name, "exit 1");
    }
    for (script, arguments) in [
        ("arm64.sh", &[][..]),
        ("package-others.sh", &["--nginx-source", "/nowhere", "rpm"]),
        (
            "package-others.sh",
            &["--nginx-source", "/nowhere", "nginx.org-deb"],
        ),
    ] {
        let (status, said) = project.run(&format!("../a b/scripts/{script}"), arguments);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(SAID), "{said}");
    }
    if find_program("make").is_none() || find_program("dpkg-architecture").is_none() {
        return nginx_tests::skipped("in part: no make, or no Debian");
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir(project.path("in between")).expect("a directory");
    for rules in ["debian/rules", "packaging/nginx.org/debian/rules"] {
        for (directory, refused) in [("in between", true), ("scripts", false)] {
            let output = Command::new("make")
                .args(["--dry-run", "-f"])
                .arg(repository.join(rules).canonicalize().expect("rules"))
                .arg("build")
                .current_dir(project.path(directory))
                .output()
                .expect("make runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said.contains(SAID), refused, "{rules}: {said}");
            assert_eq!(output.status.success(), !refused, "{rules}: {said}");
        }
    }
}

/// rustup's cargo is in the home of whoever calls sudo, and what is built there is to be theirs.
#[test]
fn by_sudo_the_rust_of_the_caller_builds_for_the_caller() {
    let project = Project::new();
    let home = project.path("home");
    project.program("id", "echo 0");
    project.program(
        "getent",
        &format!(
            "[ $2 = someone ] && echo someone:x:1234:1234::{}:/bin/sh",
            home.display()
        ),
    );
    project.program("stat", "echo 1234");
    project.program("chown", "echo chown $*");
    let run = |user: &str, number: &str| {
        Project::finish(
            project
                .command("../bash")
                .args(["-c", ". \"$0/scripts/lib.sh\"; command -v cargo; echo \"$RUSTUP_HOME\"; give_back it"])
                .arg(project.path("."))
                .env_remove("RUSTUP_HOME")
                .env("SUDO_USER", user)
                .env("SUDO_UID", number)
                .env("SUDO_GID", "99"),
        )
    };
    std::os::unix::fs::symlink("/bin/bash", project.path("bash")).expect("a link");
    let cargo = home.join(".cargo/bin/cargo");
    let (_, said) = run("someone", "1234");
    assert!(!said.contains(&cargo.display().to_string()), "{said}");

    project.program("../home/.cargo/bin/cargo", "");
    let (status, said) = run("someone", "1234");
    assert_eq!(status, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], cargo.display().to_string());
    assert_eq!(lines[1], home.join(".rustup").display().to_string());
    assert!(lines[2].starts_with("chown -h 1234:99 /"), "{said}");
    assert_eq!(lines[3], "chown -hR 1234:99 it");

    // A tree of someone else stays theirs.
    let (status, said) = run("another", "5678");
    assert_eq!(status, Some(0), "{said}");
    assert!(
        !said.contains("chown") && !said.contains(&lines[0].to_owned()),
        "{said}"
    );
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
        return nginx_tests::skipped("this is no Debian");
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
