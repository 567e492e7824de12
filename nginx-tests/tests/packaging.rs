//! What is in `packaging/`, against its README and the rest of the tree; and what a release asks for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nginx_tests::environment::{MODULE, find_program};
use nginx_tests::project::Project;

/// nginx's packages don't all make the directory.
#[test]
fn the_line_that_installs_by_hand_makes_the_directory() {
    let project = Project::new();
    let module = project.write(&format!("target/nginx-VERSION/{MODULE}"), "a module");
    let page = read("README.md");
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("sudo install "))
        .expect("a line that installs");
    let modules = project.path("usr/lib/nginx/modules");
    let line = line.replace("/usr/lib/nginx/modules", &modules.display().to_string());
    let status = Command::new("sh")
        .args(["-c", &format!("install {line}")])
        .current_dir(project.path("."))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{line}");
    assert_eq!(
        fs::read(modules.join(MODULE)).expect("a file"),
        fs::read(module).expect("a file")
    );
}

#[test]
fn every_place_says_the_same_version() {
    let (ok, output) = script("version.sh", &[]);
    assert!(ok, "{output}");
    assert_eq!(output.trim(), env!("CARGO_PKG_VERSION"));
    let (ok, output) = script("version.sh", &["99.0.1"]);
    assert!(!ok, "{output}");
    for place in [
        "Cargo.toml",
        "debian/changelog",
        "packaging/rpm/nginx-mod-http-websocket.spec",
        "packaging/nginx.org/nginx-module-websocket.spec",
        "packaging/alpine/APKBUILD",
        "docs/packages.md",
        "docs/check-websocket.md",
        "Cargo.lock",
        "fuzz/Cargo.lock",
    ] {
        assert!(
            output.contains(&format!("\n{place} says "))
                || output.starts_with(&format!("{place} says ")),
            "{place}: {output}"
        );
    }
}

/// Debian 13 builds with its own Rust, 1.85. Before 1.89 what a `format_args!` is made of does not outlive
/// the line, so that it can be an argument, but have no name.
#[test]
fn no_line_needs_a_newer_rust_than_cargo_toml_says() {
    assert!(read("Cargo.toml").contains("\nrust-version = \"1.85\"\n"));
    let mut count = 0;
    for directory in [
        "src",
        "protocol/src",
        "zone/src",
        "status/src",
        "check-websocket/src",
    ] {
        let root = repository().join(directory);
        for file in below(&root) {
            let path = root.join(&file[1..]);
            let code = fs::read_to_string(&path).expect("a source file");
            let words: Vec<&str> = code.split_whitespace().collect();
            let named = words
                .windows(2)
                .any(|two| two[0] == "=" && two[1].starts_with("format_args!("));
            assert!(!named, "{}: a format_args! with a name", path.display());
            count += 1;
        }
    }
    assert!(count > 100, "only {count} files found");
}

#[test]
fn the_licences_of_what_is_linked_in_are_told() {
    if find_program("python3").is_none() {
        return nginx_tests::skipped("no python3");
    }
    let (ok, output) = script("licences.py", &["--check"]);
    assert!(ok, "{output}");
}

#[test]
fn the_rpm_package_is_what_fedora_and_rhel_expect() {
    let spec = read("packaging/rpm/nginx-mod-http-websocket.spec");
    let row = row("Fedora, RHEL and their kin");
    assert_eq!(row.package, field(&spec, "Name"));
    assert!(spec.contains("\nRequires:       nginx(abi) = %{_nginx_abiversion}\n"));
    // What nginx-mod-devel defines.
    let files = listed(&spec)
        .iter()
        .map(|file| {
            file.replace("%{nginx_moddir}", "/usr/lib64/nginx/modules")
                .replace("%{nginx_modconfdir}", "/usr/share/nginx/modules")
        })
        .collect::<Vec<_>>();
    assert_eq!(files, row.files);
    assert!(spec.contains("echo 'load_module \"%{nginx_moddir}/ngx_http_websocket_module.so\";'"));
    let Some(query) = query(
        "packaging/rpm/nginx-mod-http-websocket.spec",
        &[
            "_nginx_abiversion 1.24.0",
            "nginx_moddir /usr/lib64/nginx/modules",
            "nginx_modconfdir /usr/share/nginx/modules",
        ],
    ) else {
        return;
    };
    assert_eq!(query["name"], row.package);
    assert_eq!(query["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        query["requires"].contains("nginx(abi) = 1.24.0"),
        "{query:?}"
    );
}

#[test]
fn the_packages_for_nginx_org_are_named_as_its_own() {
    let spec = read("packaging/nginx.org/nginx-module-websocket.spec");
    let control = read("packaging/nginx.org/debian/control");
    let rules = read("packaging/nginx.org/debian/rules");
    let row = row("nginx.org's own packages, rpm and deb");
    assert_eq!(row.package, field(&spec, "Name"));
    assert!(control.contains(&format!("\nPackage: {}\n", row.package)));
    assert!(control.contains(", nginx-r${nginx:Version}\n"), "{control}");
    assert!(spec.contains("\nRequires:       nginx-r%{nginx_version}\n"));
    // Of the documentation it has the licence only.
    let [file, _, _] = &listed(&spec)[..] else {
        panic!("{spec}");
    };
    let [rpm, deb] = &row.files[..] else {
        panic!("{:?}", row.files);
    };
    assert_eq!(file.replace("%{_libdir}", "/usr/lib64"), *rpm);
    assert_eq!(*deb, "/usr/lib/nginx/modules");
    let installed = format!("debian/{}{deb}/{MODULE}\n", row.package);
    assert!(rules.contains(&installed), "{rules}");
    let script = format!("packaging/nginx.org/debian/{}.postinst", row.package);
    for banner in [&spec, &read(&script)] {
        assert!(
            banner.contains(&format!("    load_module modules/{MODULE};\n")),
            "{banner}"
        );
    }
    let Some(query) = query(
        "packaging/nginx.org/nginx-module-websocket.spec",
        &["nginx_version 1.30.0"],
    ) else {
        return;
    };
    assert_eq!(query["name"], row.package);
    assert_eq!(
        query["version"],
        format!("1.30.0+{}", env!("CARGO_PKG_VERSION"))
    );
    assert!(query["requires"].contains("nginx-r1.30.0"), "{query:?}");
    assert!(
        query["provides"].contains("nginx-module-websocket-r1.30.0"),
        "{query:?}"
    );
}

/// cargo's directory is left by a build, and dh_clean takes a name without a slash for a file's.
#[test]
fn a_second_build_can_clean_up_after_the_first() {
    if find_program("dh_clean").is_none() {
        return nginx_tests::skipped("no debhelper");
    }
    let project = Project::new();
    for name in ["clean", "control", "changelog"] {
        let name = format!("debian/{name}");
        project.write(&name, read(&name));
    }
    project.write("debian/cargo/registry/index", "");
    let output = Command::new("dh_clean")
        .current_dir(project.path("."))
        .output()
        .expect("dh_clean runs");
    assert!(output.status.success(), "{output:?}");
    assert!(!project.path("debian/cargo").exists());
}

/// What leads out of the packaged documentation is for whoever works on the module.
#[test]
fn what_the_packaged_pages_link_to_is_packaged_with_them() {
    let mut roots: Vec<String> = read("debian/libnginx-mod-http-websocket.docs")
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        read("debian/libnginx-mod-http-websocket.examples").trim(),
        "examples/*"
    );
    roots.push("examples".into());
    let for_developers = ["bench", "packaging", "ARCHITECTURE.md", "LICENSE"].map(str::to_owned);
    let mut pages: Vec<String> = below(&repository().join("docs"))
        .iter()
        .map(|file| format!("docs{file}"))
        .collect();
    pages.extend(roots.iter().cloned());
    let mut count = 0;
    for page in pages.iter().filter(|page| page.ends_with(".md")) {
        let text = read(page);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next());
        let pictures = text
            .split("src=\"")
            .chain(text.split("srcset=\""))
            .filter_map(|rest| rest.split('"').next());
        for link in links.chain(pictures.filter(|link| link.ends_with(".png"))) {
            let outside = link.is_empty() || link.contains("://") || link.contains(' ');
            if outside || link.contains('<') {
                continue;
            }
            let file = match link.strip_prefix("../") {
                Some(above) => above.to_owned(),
                None => match page.rsplit_once('/') {
                    Some((directory, _)) => format!("{directory}/{link}"),
                    None => link.to_owned(),
                },
            };
            let root = file.split('/').next().unwrap_or_default().to_owned();
            let known = roots.contains(&root) || for_developers.contains(&root);
            assert!(known, "{page} links to {file}");
            assert!(repository().join(&file).exists(), "{page} links to {file}");
            count += 1;
        }
    }
    assert!(count > 100, "only {count} links found");
}

/// Once, and only of what nginx reads.
#[test]
fn a_package_that_is_removed_says_what_still_loads_the_module() {
    let line = format!("load_module modules/{MODULE};\n");
    let project = Project::new();
    let loads = project.write("etc/nginx.conf", format!("user a;\n  {line}"));
    project.write("etc/modules-enabled/a.conf.bak", &line);
    project.write("etc/modules-enabled/b.conf", format!("#{line}"));
    project.write("etc/conf.d/c.conf", &line);
    let said = format!(
        "{} still loads {MODULE}, which is gone: nginx -t fails until that line is removed\n",
        loads.display()
    );
    let run = |script: &str, argument: &str| {
        let etc = project.path("etc").display().to_string();
        let output = Command::new("sh")
            .args(["-euc", &script.replace("/etc/nginx", &etc), "sh", argument])
            .output()
            .expect("sh runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let debian = read("debian/libnginx-mod-http-websocket.postrm");
    let nginx_org = read("packaging/nginx.org/debian/nginx-module-websocket.postrm");
    let spec = read("packaging/nginx.org/nginx-module-websocket.spec");
    let (_, rpm) = spec.split_once("\n%postun\n").expect("a %postun");
    let (rpm, _) = rpm.split_once("\n%files\n").expect("files");
    for (script, removed, otherwise) in [
        (&*debian, "remove", &["purge", "upgrade"][..]),
        (&nginx_org, "remove", &["purge", "upgrade"]),
        (rpm, "0", &["1"]),
    ] {
        assert_eq!(run(script, removed), said, "{script}");
        for argument in otherwise {
            assert_eq!(run(script, argument), "", "{argument}: {script}");
        }
    }

    project.write("etc/nginx.conf", "");
    for (script, removed) in [(&*debian, "remove"), (&nginx_org, "remove"), (rpm, "0")] {
        assert_eq!(run(script, removed), "");
    }
    project.write("etc/modules-enabled/b.conf", &line);
    assert!(run(&debian, "remove").contains("b.conf still loads "));
}

#[test]
fn the_apk_package_installs_what_alpine_expects() {
    let row = row("Alpine");
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        path
    };
    let module = format!(
        "src/ngx_http_websocket_module-{}",
        env!("CARGO_PKG_VERSION")
    );
    for file in [
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "docs/a.md",
        "examples/a.conf",
    ] {
        fs::write(place(&format!("{module}/{file}")), "text").expect("a file");
    }
    fs::write(
        place(&format!("src/nginx-1.24.0/objs/{MODULE}")),
        "a module",
    )
    .expect("a file");
    // As abuild calls it: in the directory where it is built.
    let said = Command::new("sh")
        .arg("-euc")
        .arg(". \"$APKBUILD\"; cd \"$builddir\"; package; echo \"$pkgname $pkgver $depends\"")
        .env("APKBUILD", repository().join("packaging/alpine/APKBUILD"))
        .env("NGINX_VERSION", "1.24.0")
        .env("srcdir", directory.path().join("src"))
        .env("pkgdir", directory.path().join("pkg"))
        .output()
        .expect("sh runs");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(
        String::from_utf8_lossy(&said.stdout).trim(),
        format!("{} {} nginx~1.24.0", row.package, env!("CARGO_PKG_VERSION"))
    );
    let root = directory.path().join("pkg");
    let mut files = below(&root);
    files.retain(|file| !file.starts_with("/usr/share/"));
    let mut expected = row.files.clone();
    expected.sort();
    assert_eq!(files, expected);
    let conf = fs::read_to_string(root.join("etc/nginx/modules/10_http_websocket.conf"));
    assert_eq!(
        conf.expect("a file that loads it"),
        format!("load_module \"modules/{MODULE}\";\n")
    );
    assert!(
        root.join("usr/share/licenses/nginx-mod-http-websocket/LICENSE")
            .exists()
    );
}

#[test]
fn the_image_gets_one_file_more() {
    let row = row("images of nginx");
    let dockerfile = read("packaging/docker/Dockerfile");
    let stages: Vec<&str> = dockerfile
        .lines()
        .filter(|line| line.starts_with("FROM "))
        .collect();
    assert_eq!(
        stages,
        [
            "FROM scratch AS nginx-source",
            "FROM ${NGINX_IMAGE} AS build",
            "FROM ${NGINX_IMAGE}"
        ]
    );
    let last = dockerfile.lines().last().unwrap_or_default();
    let directory = row.files[0].strip_suffix(MODULE).expect("a directory");
    assert_eq!(
        last,
        format!("COPY --from=build /build/{MODULE} {directory}")
    );
    let built = format!("RUN module/packaging/docker/build.sh nginx-source /build/{MODULE}\n");
    assert!(dockerfile.contains(&built), "{dockerfile}");
}

/// What stands in the way of a release, one thing after the other.
#[test]
fn a_release_asks_for_a_tree_that_is_ready() {
    let project = Project::new();
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "fuzz/Cargo.lock",
        "debian/changelog",
        "docs/packages.md",
        "docs/check-websocket.md",
        "packaging/rpm/nginx-mod-http-websocket.spec",
        "packaging/nginx.org/nginx-module-websocket.spec",
        "packaging/alpine/APKBUILD",
    ] {
        project.write(name, read(name));
    }
    project.write(".gitignore", "/bin/\n");
    // It has a test of its own, and needs the whole workspace.
    project.write("scripts/licences.py", "#!/bin/sh\n");
    let version = env!("CARGO_PKG_VERSION");
    project.write(
        "CHANGELOG.md",
        "# Changelog\n\n## Unreleased\n\n- Something.\n",
    );
    let check = |version: &str| project.run("release.sh", &["--check", version]);
    git(&project, &["init", "--quiet"]);
    let (status, output) = check(version);
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("something is not committed: ?? "),
        "{output}"
    );

    commit(&project);
    let (status, output) = check("99.0.1");
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains(&format!("Cargo.toml says {version}, not 99.0.1.")),
        "{output}"
    );
    let (status, output) = check(version);
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains(&format!("no section \"## {version}\"")),
        "{output}"
    );

    let section = format!("## {version}\n\n- What it is.\n");
    project.write(
        "CHANGELOG.md",
        format!("# Changelog\n\n## Unreleased\n\n- More.\n\n{section}"),
    );
    commit(&project);
    let (status, output) = check(version);
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("changes under \"## Unreleased\""),
        "{output}"
    );

    project.write(
        "CHANGELOG.md",
        format!("# Changelog\n\n## Unreleased\n\n{section}"),
    );
    commit(&project);
    let (status, output) = check(version);
    assert_eq!(status, Some(0), "{output}");
}

/// Debian 12's nginx 1.22.1 has other structures than nginx.org's 1.22.1.
#[test]
fn what_is_built_with_debians_headers_is_for_debians_nginx_alone() {
    const HEADER: &str = "#define NGINX_VERSION      \"1.22.1\"\n";
    let project = Project::new();
    project.write("plain/src/core/nginx.h", HEADER);
    project.write("debians/src/core/nginx.h", HEADER);
    project.write(
        "debians/debian/libnginx-mod.abisubstvars",
        "# ABI\nnginx:abi=nginx-abi-1.22.1-7\nlibnginx-mod-http-echo:Version=1\n",
    );
    let source = |name: &str| project.path(name).display().to_string();
    for (name, said) in [("plain", "1.22.1\n"), ("debians", "abi-1.22.1-7\n")] {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", ". \"$0\"; nginx_name \"$1\""])
            .args([project.path("scripts/lib.sh"), project.path(name)])
            .output()
            .expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{output:?}");
    }

    project.write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n");
    for kind in ["rpm", "nginx.org-rpm", "nginx.org-deb"] {
        let arguments = ["--nginx-source", &source("debians"), kind];
        let (status, output) = project.run("package-others.sh", &arguments);
        assert_eq!(status, Some(1), "{output}");
        assert!(
            output
                .contains("has the headers of Debian's nginx, and these packages are for another"),
            "{output}"
        );
    }
}

fn commit(project: &Project) {
    git(project, &["add", "--all"]);
    git(
        project,
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@a.example",
            "commit",
            "--quiet",
            "--message",
            "a",
        ],
    );
}

fn git(project: &Project, arguments: &[&str]) {
    let done = Command::new("git")
        .arg("-C")
        .arg(project.path("."))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

/// A row of the README's table.
struct Row {
    package: String,
    files: Vec<String>,
}

fn row(name: &str) -> Row {
    let page = read("packaging/README.md");
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("| {name}: ")))
        .unwrap_or_else(|| panic!("no row for {name}"));
    let cells: Vec<&str> = line.split('|').collect();
    let names = |cell: &str| {
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    Row {
        package: names(cells[2]).pop().unwrap_or_default(),
        files: names(cells[3]),
    }
}

fn field(spec: &str, name: &str) -> String {
    let mark = format!("{name}:");
    let mut lines = spec.lines();
    let value = lines.find_map(|line| line.strip_prefix(&mark));
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .trim()
        .to_owned()
}

/// What a spec lists as files, but for documentation.
fn listed(spec: &str) -> Vec<String> {
    let (_, files) = spec.split_once("\n%files\n").expect("files");
    files
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("%license") && !line.starts_with("%doc"))
        .map(str::to_owned)
        .collect()
}

/// What rpm reads in a spec. Nothing where rpm is not there.
fn query(spec: &str, macros: &[&str]) -> Option<BTreeMap<&'static str, String>> {
    if find_program("rpmspec").is_none() {
        nginx_tests::skipped("in part: no rpmspec");
        return None;
    }
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("rpmspec");
        command.arg("-q");
        for definition in macros {
            command.args(["--define", definition]);
        }
        let output = command
            .args(arguments)
            .arg(repository().join(spec))
            .output()
            .expect("rpmspec runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    Some(BTreeMap::from([
        ("name", ask(&["--qf", "%{name}"])),
        ("version", ask(&["--qf", "%{version}"])),
        ("requires", ask(&["--requires"])),
        ("provides", ask(&["--provides"])),
    ]))
}

/// All files, as paths from the root.
fn below(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            match entry.path() {
                path if path.is_dir() => directories.push(path),
                path => files.push(format!(
                    "/{}",
                    path.strip_prefix(root).expect("below").display()
                )),
            }
        }
    }
    files.sort();
    files
}

fn script(name: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(repository().join("scripts").join(name))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
