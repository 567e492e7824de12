//! `scripts/install.sh`: which nginx it recognises, what it installs, what it refuses, and that it undoes itself.
//!
//! Below a directory of its own, with the nginx under test and names of packages that are made up.

use std::fs;
use std::path::{Path, PathBuf};

use nginx_tests::Nginx;
use nginx_tests::environment::{MODULE, environment, nginx_version};
use nginx_tests::project::Project;

/// What is seen of an nginx that no package has brought, in the words of each program.
const UNOWNED: &str = r#"for file; do :; done
case $0 in
*/dpkg-query) echo "dpkg-query: no path found matching pattern $file" >&2 ;;
*/rpm) echo "file $file is not owned by any package" ;;
*/apk) echo "ERROR: $file: Could not find owner package" >&2 ;;
esac
exit 1"#;

#[test]
fn it_recognises_whose_nginx_it_is() {
    let plain = "nginx/1.24.0";
    let nothing = [UNOWNED; 3];
    let dpkg = |provides: &'static str| [provides, UNOWNED, UNOWNED];
    for (version, [dpkg, rpm, apk], said) in [
        (plain, nothing, "nginx 1.24.0, from no package"),
        (
            "nginx/1.26.3",
            dpkg(
                "case $* in *Provides*) echo 'installed nginx-abi-1.26.3-1' ;; -S*) echo nginx: it ;; *) exit 1 ;; esac",
            ),
            "nginx 1.26.3 (nginx-abi-1.26.3-1), Debian's",
        ),
        // The one in PATH is another than Debian's,
        (
            plain,
            dpkg("case $* in *Provides*) echo 'installed nginx-abi-1.26.3-1' ;; *) exit 1 ;; esac"),
            "nginx 1.24.0, from no package",
        ),
        // even if it is of the same version.
        (
            "nginx/1.26.3",
            dpkg("case $* in *Provides*) echo 'installed nginx-abi-1.26.3-1' ;; *) exit 1 ;; esac"),
            "nginx 1.26.3, from no package",
        ),
        (
            "nginx/1.24.0 (Ubuntu)",
            dpkg(
                "case $* in *Provides*) echo 'installed nginx-abi-1.24.0-1' ;; -S*) echo nginx: it ;; *) exit 1 ;; esac",
            ),
            "nginx 1.24.0 (nginx-abi-1.24.0-1), Ubuntu's",
        ),
        ("nginx/1.18.0 (Ubuntu)", nothing, "nginx 1.18.0, Ubuntu's"),
        (
            plain,
            dpkg(
                "case $* in *Provides*) echo 'installed httpd, nginx-r1.24.0' ;; *) exit 1 ;; esac",
            ),
            "nginx 1.24.0, nginx.org's",
        ),
        (
            plain,
            [
                UNOWNED,
                "printf '%s\\n' 'nginx = 1:1.24.0-1.el9.ngx' 'nginx-r1.24.0'",
                UNOWNED,
            ],
            "nginx 1.24.0, nginx.org's",
        ),
        (
            plain,
            [
                UNOWNED,
                "printf '%s\\n' 'nginx(abi) = 1.24.0' 'nginx-core = 2:1.24.0-4'",
                UNOWNED,
            ],
            "nginx 1.24.0, of Fedora, RHEL or their kin",
        ),
        (
            plain,
            [UNOWNED, UNOWNED, "echo 'nginx-1.24.0-r7'"],
            "nginx 1.24.0, Alpine's",
        ),
        (
            plain,
            [UNOWNED, UNOWNED, "echo 'nginx-1.24.0-r1' 'nginx-r1.24.0'"],
            "nginx 1.24.0, nginx.org's",
        ),
        (
            "nginx/1.27.4 (nginx-plus-r34)",
            nothing,
            "nginx 1.27.4, NGINX Plus, on which the module has not been tried",
        ),
    ] {
        let project = Project::new();
        project.program(
            "nginx",
            &format!("printf '%s\\n' 'nginx version: {version}' 'configure arguments: --prefix=/nowhere --with-compat' >&2"),
        );
        for (name, text) in [("dpkg-query", dpkg), ("rpm", rpm), ("apk", apk)] {
            project.program(name, text);
        }
        let (_, output) = project.run("install.sh", &["--dry-run", "--undo"]);
        assert_eq!(output.lines().next(), Some(said), "{output}");
    }
}

#[test]
fn what_is_no_nginx_is_refused() {
    for (version, said) in [
        (
            "nginx version: openresty/1.27.1.1",
            "error: this is openresty 1.27.1.1, which is made from nginx but is another program: the module is for nginx itself.",
        ),
        (
            "Angie version: Angie/1.8.1",
            "error: this is Angie 1.8.1, which is made from nginx but is another program: the module is for nginx itself.",
        ),
        ("hello", "does not say which version of nginx it is: hello"),
    ] {
        let project = Project::new();
        project.program("nginx", &format!("echo '{version}' >&2"));
        let (status, output) = project.run("install.sh", &["--dry-run"]);
        assert_eq!(status, Some(1), "{output}");
        assert!(output.contains(said), "{output}");
    }
}

#[test]
fn sources_of_another_version_are_refused() {
    let project = Project::new();
    own(&project, "nginx version: nginx/1.24.0", "exit 0");
    project.write(
        "given/src/core/nginx.h",
        "#define NGINX_VERSION      \"1.26.3\"\n",
    );
    let given = project.path("given");
    let (status, output) = project.run(
        "install.sh",
        &["--dry-run", "--nginx-source", &given.display().to_string()],
    );
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("these are the sources of nginx 1.26.3, but nginx 1.24.0 is installed"),
        "{output}"
    );
    // And where nothing is given, it says what could be.
    let (status, output) = project.run("install.sh", &["--dry-run"]);
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("there is no file for nginx 1.24.0 in target/dist"),
        "{output}"
    );
}

#[test]
fn no_nginx_gets_a_file_for_another_of_the_same_version() {
    const HEADERS: &str = "/usr/share/nginx/src/src/core/nginx.h";
    let Ok(header) = fs::read_to_string(HEADERS) else {
        return nginx_tests::skipped("no package has brought nginx's headers");
    };
    let version = header
        .lines()
        .find_map(|line| line.strip_prefix("#define NGINX_VERSION"))
        .expect("a version")
        .trim()
        .trim_matches('"');
    let project = Project::new();
    let machine = std::env::consts::ARCH;
    let dist = |nginx: &str| {
        let name = format!("ngx_http_websocket_module-0.1.0-nginx-{nginx}-{machine}.so");
        project.write(&format!("target/dist/0.1.0/{name}"), "");
    };
    // Neither the headers of Debian's package nor the file that is built with them.
    dist(&format!("abi-{version}-7"));
    own(&project, &format!("nginx version: nginx/{version}"), "");
    let (status, output) = project.run("install.sh", &["--dry-run"]);
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains(&format!(
            "there is no file for nginx {version} in target/dist"
        )),
        "{output}"
    );
    dist(version);
    let (_, output) = project.run("install.sh", &["--dry-run"]);
    let found = format!("0.1.0-nginx-{version}-{machine}.so");
    let line = output.lines().find(|l| l.starts_with("found a file"));
    assert!(line.is_some_and(|l| l.ends_with(&found)), "{output}");

    // Where a distribution's own headers are, not what is for nginx.org's.
    let ubuntu = format!("nginx version: nginx/{version} (Ubuntu)");
    own(&project, &ubuntu, "");
    let (_, output) = project.run("install.sh", &["--dry-run"]);
    assert!(
        output.contains("build.sh --nginx-source /usr/share/nginx/src\n"),
        "{output}"
    );
}

#[test]
fn for_an_nginx_without_compat_its_own_options_count() {
    let project = Project::new();
    let prefix = project.path("prefix");
    project.program(
        "nginx",
        &format!(
            "case $1 in
            -V) cat >&2 <<'END'
nginx version: nginx/1.24.0
configure arguments: --prefix={} --with-cc-opt='-g -O2' --with-pcre=../pcre-8.45 --with-pcre-jit --with-openssl-opt='no-x y' --add-dynamic-module=/m --with-stream=dynamic --with-http_ssl_module --user=www
END
            esac",
            prefix.display()
        ),
    );
    for name in ["dpkg-query", "rpm", "apk"] {
        project.program(name, UNOWNED);
    }
    project.program("id", "echo 0");
    project.write(
        "given/src/core/nginx.h",
        "#define NGINX_VERSION      \"1.24.0\"\n",
    );
    // In place of the build: what it is given.
    project.write(
        "scripts/build.sh",
        "#!/bin/sh\ncat \"$2/conf_flags\" >&2\necho /no/such/file\n",
    );
    let given = project.path("given").display().to_string();
    let (status, output) = project.run("install.sh", &["--nginx-source", &given]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("built without --with-compat"), "{output}");
    let options: Vec<&str> = output
        .lines()
        .find_map(|line| line.strip_prefix("NGX_CONF_FLAGS=(")?.strip_suffix(')'))
        .unwrap_or_else(|| panic!("{output}"))
        .split_whitespace()
        .collect();
    let prefix = format!("--prefix={}", prefix.display());
    assert_eq!(
        options,
        [
            &*prefix,
            "--with-pcre-jit",
            "--with-http_ssl_module",
            "--user=www"
        ]
    );
}

/// A package would go over the one that was installed by hand, and not bring it back.
#[test]
fn no_package_goes_over_a_module_that_was_installed_by_hand() {
    let load = format!("echo 'load_module /made/{MODULE};'");
    for (there, dumped, said) in [
        (true, "", "is there, and no package has brought it"),
        (false, &*load, "nginx loads the module already"),
    ] {
        let project = Project::new();
        of_debian(&project, &format!("case $1 in -T) {dumped} ;; esac"));
        let by_hand = format!("prefix/modules/{MODULE}");
        if there {
            project.write(&by_hand, "by hand");
        }
        let (status, output) = project.run("install.sh", &[]);
        assert_eq!(status, Some(1), "{output}");
        assert!(output.contains(said), "{output}");
        assert!(!project.path("apt").exists(), "{output}");
        assert_eq!(project.path(&by_hand).exists(), there);
    }
    // One of its own it knows how to take away.
    let project = Project::new();
    of_debian(&project, "");
    let module = project.write("module.so", "a module").display().to_string();
    let (status, output) = project.run("install.sh", &["--module", &module]);
    assert_eq!(status, Some(0), "{output}");
    let (status, output) = project.run("install.sh", &[]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("or take it away first: "), "{output}");

    // Nothing of that is here.
    let project = Project::new();
    of_debian(&project, "");
    let (status, output) = project.run("install.sh", &[]);
    assert_eq!(status, Some(0), "{output}");
    assert!(project.path("apt").exists(), "{output}");
}

#[test]
fn a_package_is_undone_with_what_came_along_with_it_only() {
    let project = Project::new();
    of_debian(&project, "");
    project.write("target/packages/here/check-websocket_0.1.0_amd64.deb", "");
    for (installed, undo) in [
        ("", "libnginx-mod-http-websocket check-websocket"),
        ("check-websocket\n", "libnginx-mod-http-websocket"),
    ] {
        project.write("installed", installed);
        let (status, output) = project.run("install.sh", &[]);
        assert_eq!(status, Some(0), "{output}");
        let line = format!("To undo it: dpkg --purge {undo}\n");
        assert!(output.contains(&line), "{output}");
    }

    project.write(
        "installed",
        "check-websocket\nlibnginx-mod-http-websocket\n",
    );
    let (status, output) = project.run("install.sh", &["--undo"]);
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("check-websocket stays."), "{output}");
    assert_eq!(
        fs::read_to_string(project.path("dpkg")).ok().as_deref(),
        Some("--purge libnginx-mod-http-websocket\n")
    );

    // It is not for another nginx that is here.
    project.program(
        "nginx",
        "printf '%s\\n' 'nginx version: nginx/1.24.0' 'configure arguments: --prefix=/nowhere' >&2",
    );
    let (status, output) = project.run("install.sh", &["--undo"]);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("nothing is to be undone"), "{output}");
}

#[test]
fn what_failed_before_is_told_from_what_fails_now() {
    for (after, said) in [
        ("one", "nginx -t fails as it did before: one"),
        (
            "two",
            "nginx -t failed before, and now fails for another reason: two",
        ),
    ] {
        let project = Project::new();
        let apt = project.path("apt").display().to_string();
        of_debian(
            &project,
            &format!(
                "[ $1 = -t ] || exit 0
                if [ -e {apt} ]; then echo 'nginx: [emerg] {after}'; else echo 'nginx: [emerg] one'; fi >&2
                exit 1"
            ),
        );
        let (status, output) = project.run("install.sh", &[]);
        assert_eq!(status, Some(0), "{output}");
        assert!(output.contains(said), "{output}");
    }
}

#[test]
fn a_file_that_fits_is_installed_and_taken_away_again() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");
    assert_eq!(
        fs::read(place.installed()).ok(),
        fs::read(place.module()).ok()
    );
    let line = format!("load_module {};", place.installed().display());
    assert!(
        output.contains(&format!("at the top of its configuration: {line}")),
        "{output}"
    );

    // With that line, nginx needs it.
    place.configure(&format!("{line}\nevents {{ }}\nhttp {{ websocket on; }}"));
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains(", which nginx loads."), "{output}");
    let (status, output) = place.undo();
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("nginx's configuration needs the module, so it stays: dlopen()"),
        "{output}"
    );
    assert!(place.installed().exists());

    place.configure("events { }\nhttp { }");
    let (status, output) = place.undo();
    assert_eq!(status, Some(0), "{output}");
    assert!(!place.installed().exists());
    let (status, output) = place.undo();
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("nothing is to be undone"), "{output}");
}

#[test]
fn where_files_that_load_modules_are_included_it_puts_one() {
    // Debian's name is the second.
    for name in ["modules", "modules-enabled"] {
        let Some(place) = Place::new("http { }") else {
            return;
        };
        it_puts_a_file_that_loads_the_module(&place, name);
    }
}

fn it_puts_a_file_that_loads_the_module(place: &Place, name: &str) {
    let directory = place.project.path("prefix/conf").join(name);
    fs::create_dir_all(&directory).expect("a directory");
    let include = format!("include {}/*.conf;\n", directory.display());
    place.configure(&format!("{include}events {{ }}\nhttp {{ }}"));
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");
    assert!(
        output.contains("nginx loads it from now on, by "),
        "{output}"
    );
    let conf = directory.join("mod-http-websocket.conf");
    let text = fs::read_to_string(&conf).expect("a file that loads it");
    assert!(
        text.ends_with(&format!(
            "load_module \"{}\";\n",
            place.installed().display()
        )),
        "{text}"
    );

    // A second time it is loaded already.
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");

    place.configure(&format!("{include}events {{ }}\nhttp {{ websocket on; }}"));
    let (status, output) = place.undo();
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("so it stays: unknown directive \"websocket\""),
        "{output}"
    );
    assert!(conf.exists() && place.installed().exists());

    place.configure(&format!("{include}events {{ }}\nhttp {{ }}"));
    let (status, output) = place.undo();
    assert_eq!(status, Some(0), "{output}");
    assert!(!conf.exists() && !place.installed().exists());
}

#[test]
fn what_undoes_it_names_the_nginx_that_was_named() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let nginx = place.project.path("bin/nginx").display().to_string();
    let module = place.module().display().to_string();
    let (status, output) = place.run(&["--nginx", &nginx, "--module", &module]);
    assert_eq!(status, Some(0), "{output}");
    let undo = output
        .lines()
        .find_map(|line| line.strip_prefix("To undo it: "))
        .and_then(|line| line.split_once(' '))
        .unwrap_or_else(|| panic!("{output}"));
    assert_eq!(undo.1, format!("--undo --nginx {nginx}"));
}

#[test]
fn what_was_there_before_comes_back() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let by_hand = [fs::read(place.module()).expect("the module"), b"\n".into()].concat();
    place
        .project
        .write(&format!("prefix/modules/{MODULE}"), &by_hand);
    let (status, output) = place.undo();
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("is not what this script has put there"),
        "{output}"
    );

    // However often something else was installed since.
    let line = format!("load_module {};", place.installed().display());
    place.configure(&format!("{line}\nevents {{ }}\nhttp {{ websocket on; }}"));
    for _ in 0..2 {
        let (status, output) = place.install();
        assert_eq!(status, Some(0), "{output}");
    }
    assert_ne!(fs::read(place.installed()).expect("a file"), by_hand);
    let (status, output) = place.undo();
    assert_eq!(status, Some(0), "{output}");
    assert!(
        output.contains("is the one that was there before"),
        "{output}"
    );
    assert_eq!(fs::read(place.installed()).expect("a file"), by_hand);
    assert_eq!(place.left(), [MODULE]);
}

#[test]
fn what_was_there_before_stays_away_if_it_does_not_fit_any_more() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let module = fs::read(place.module()).expect("the module");
    let old = of_another_version(&module);
    place
        .project
        .write(&format!("prefix/modules/{MODULE}"), old);
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");

    let line = format!("load_module {};", place.installed().display());
    place.configure(&format!("{line}\nevents {{ }}\nhttp {{ websocket on; }}"));
    let (status, output) = place.undo();
    assert_eq!(status, Some(1), "{output}");
    assert!(
        output.contains("with the file that was there before, so the module stays: module ")
            && output.contains(" version 1999099 instead of "),
        "{output}"
    );
    assert_eq!(fs::read(place.installed()).expect("a file"), module);
}

/// Whenever it comes, nginx finds the module as it was.
#[test]
fn a_signal_leaves_nothing_half_done() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let kill = "kill -TERM $PPID; exec sleep 0.2";
    let there = format!("prefix/modules/{MODULE}");
    place.answer(&format!("if [ -e {there} ]; then {kill}; fi"));
    let (status, output) = place.install();
    assert_eq!(status, Some(143), "{output}");
    assert!(place.left().is_empty(), "{:?}", place.left());

    place.answer("");
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");
    let installed = place.left();
    place.answer(&format!("if [ ! -e {there} ]; then {kill}; fi"));
    let (status, output) = place.undo();
    assert_eq!(status, Some(143), "{output}");
    assert_eq!(place.left(), installed);
}

#[test]
fn a_file_that_nginx_does_not_load_is_refused_with_the_reason() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let module = fs::read(place.module()).expect("the module");
    for (spoilt, said, advice) in [
        (
            of_another_version(&module),
            format!("version 1999099 instead of {}", version_number()),
            format!("take or build the file that is for nginx {}", version()),
        ),
        (
            of_other_options(&module),
            "is not binary compatible".to_owned(),
            "build it from sources that are configured with the options of nginx -V".to_owned(),
        ),
        (
            of_another_symbol(&module),
            "undefined symbol: ngx_palloX".to_owned(),
            "this nginx was built without something that the module needs".to_owned(),
        ),
        (
            of_other_headers(&module),
            format!("built with the headers of another nginx {} ", version()),
            "of the package that brought this nginx".to_owned(),
        ),
    ] {
        let file = place.project.write("spoilt.so", spoilt);
        let (status, output) = place.run(&["--module", &file.display().to_string()]);
        assert_eq!(status, Some(1), "{output}");
        assert!(
            output.contains(&said) && output.contains(&advice),
            "{output}"
        );
        assert!(!place.installed().exists(), "{output}");
    }
}

/// A running nginx may read its configuration anew at any moment.
#[test]
fn what_would_be_undone_is_not_moved_for_that() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    let (status, output) = place.install();
    assert_eq!(status, Some(0), "{output}");
    place.answer(&format!(
        "[ -e prefix/modules/{MODULE} ] || touch prefix/was-gone"
    ));
    let (status, output) = place.run(&["--undo", "--dry-run"]);
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("would take away "), "{output}");
    assert!(!place.project.path("prefix/was-gone").exists());
    assert!(place.installed().exists());
}

#[test]
fn what_nginx_takes_no_more_is_put_back() {
    let Some(place) = Place::new("http { }") else {
        return;
    };
    place
        .project
        .write(&format!("prefix/modules/{MODULE}"), "the one before");
    // Whatever it may be that this configuration and the new file make of one another.
    place.answer(&format!(
        "if grep -q ELF prefix/modules/{MODULE}; then echo 'nginx: [emerg] made up' >&2; exit 1; fi"
    ));
    let (status, output) = place.install();
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("so all is as it was: made up"), "{output}");
    assert_eq!(place.left(), [MODULE]);
    assert_eq!(
        fs::read_to_string(place.installed()).ok().as_deref(),
        Some("the one before")
    );
}

#[test]
fn nginx_refuses_a_file_in_the_words_of_the_manual() {
    let Some(module) = environment().module() else {
        return nginx_tests::skipped("the module is compiled in");
    };
    let module = fs::read(module).expect("the module");
    let load = format!("load_module modules/{MODULE};\n");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/packages.md");
    let page = fs::read_to_string(page).expect("the page");
    let manual: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("[emerg] "))
        .map(general)
        .collect();
    let mut seen = Vec::new();
    let late = format!("}}\n{load}http {{");
    for (file, main, http) in [
        (Some(of_another_version(&module)), &*load, ""),
        (Some(of_other_options(&module)), &load, ""),
        (Some(of_another_symbol(&module)), &load, ""),
        (Some(of_other_headers(&module)), &load, ""),
        (None, &load, ""),
        (Some(module.clone()), &load.repeat(2), ""),
        (Some(module.clone()), "", &late),
        (None, "", "websocket on;"),
    ] {
        let setup = Nginx::http(http).without_module().main(main);
        let check = match file {
            Some(bytes) => setup.file(&format!("modules/{MODULE}"), bytes),
            None => setup,
        }
        .check();
        assert!(!check.ok, "{main}{http}");
        let said = check.at_level("emerg")[0];
        seen.push(general(&as_at_start(said)));
    }
    for line in &seen {
        assert!(manual.contains(line), "{line}\n{manual:#?}");
    }
    assert_eq!(seen.len(), manual.len(), "{seen:#?}");
}

/// What nginx says before it has read its configuration, without what a log has beside it.
fn as_at_start(line: &str) -> String {
    let place = line.find("[emerg]").expect("its level");
    let mut words: Vec<&str> = line[place..].split(' ').collect();
    words.retain(|word| !word.contains('#'));
    words.join(" ")
}

/// A message without what differs from place to place.
fn general(line: &str) -> String {
    let line = line.split(" in ").next().unwrap_or_default();
    line.split(' ')
        .map(|word| match word {
            word if word.contains('/') => {
                let marks: String = word.chars().filter(|c| "\"():".contains(*c)).collect();
                format!("PATH{marks}")
            }
            word if word == version() || word == "1.22.1" => "VERSION".to_owned(),
            word if word.len() == 7 && word.bytes().all(|b| b.is_ascii_digit()) => "N".to_owned(),
            word if word.trim_end_matches(')').starts_with("ngx_") => "SYMBOL)".to_owned(),
            word => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// An nginx that no package has brought, with a directory of its own.
struct Place {
    project: Project,
}

impl Place {
    /// Nothing where the nginx under test is in another root, or has the module compiled in.
    fn new(http: &str) -> Option<Self> {
        let is_here = std::env::var_os("NGINX_TESTS_ROOT").is_none_or(|root| root.is_empty());
        if !is_here || environment().module().is_none() {
            nginx_tests::skipped(
                "the script runs where nginx and the module are files of this system",
            );
            return None;
        }
        let place = Self {
            project: Project::new(),
        };
        place.configure(&format!("events {{ }}\n{http}"));
        place.answer("");
        Some(place)
    }

    fn configure(&self, text: &str) {
        let prefix = self.project.path("prefix");
        let pid = prefix.join("pid");
        self.project.write(
            "prefix/nginx.conf",
            format!("pid {};\nerror_log stderr;\n{text}\n", pid.display()),
        );
    }

    /// What nginx does before it does what it always does, when it looks at its own configuration.
    fn answer(&self, first: &str) {
        let prefix = self.project.path("prefix");
        let prefix = prefix.display();
        let command = environment().command();
        let binary = command.get_program().to_string_lossy().into_owned();
        own(
            &self.project,
            &format!("nginx version: nginx/{}", version()),
            &format!(
                "cd {prefix}/..
                case \"$*\" in
                *-c*) exec {binary} -p {prefix} \"$@\" ;;
                *) {first}
                   exec {binary} -p {prefix} -c {prefix}/nginx.conf \"$@\" ;;
                esac"
            ),
        );
    }

    fn module(&self) -> PathBuf {
        environment().module().expect("asked for before")
    }

    fn installed(&self) -> PathBuf {
        self.project.path("prefix/modules").join(MODULE)
    }

    /// The names of what is beside the module, and its own.
    fn left(&self) -> Vec<String> {
        let mut left: Vec<_> = fs::read_dir(self.project.path("prefix/modules"))
            .expect("a directory")
            .map(|entry| entry.expect("a file").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        left.sort();
        left
    }

    fn install(&self) -> (Option<i32>, String) {
        self.run(&["--module", &self.module().display().to_string()])
    }

    fn undo(&self) -> (Option<i32>, String) {
        self.run(&["--undo"])
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.project.run("install.sh", arguments)
    }
}

/// An nginx in `prefix/` that no package has brought: what -V says, and what it does otherwise.
fn own(project: &Project, version: &str, otherwise: &str) {
    let prefix = project.path("prefix");
    project.program(
        "nginx",
        &format!(
            "case $1 in
            -V) printf '%s\\n' '{version}' 'configure arguments: --prefix={prefix} --modules-path={prefix}/modules --with-compat' >&2
                exit ;;
            esac
            {otherwise}",
            prefix = prefix.display()
        ),
    );
    for name in ["dpkg-query", "rpm", "apk"] {
        project.program(name, UNOWNED);
    }
    project.program("id", "echo 0");
}

/// The nginx of Debian in `prefix/`, and a package that fits it: what nginx does when it is not asked for its version. What
/// apt is told is in `apt`, and what dpkg is told in `dpkg`; `installed` has the names of what is.
fn of_debian(project: &Project, otherwise: &str) {
    own(project, "nginx version: nginx/1.26.3", otherwise);
    project.program(
        "dpkg-query",
        &format!(
            "case $* in
            *Provides*) echo 'installed nginx-abi-1.26.3-1' ;;
            -S*/bin/nginx) echo nginx: it ;;
            -W*) grep -q -s -x -e \"$4\" {} && printf installed ;;
            *) exit 1 ;;
            esac",
            project.path("installed").display()
        ),
    );
    let told = |name: &str| format!("echo \"$*\" >>{}", project.path(name).display());
    project.program("apt-get", &told("apt"));
    project.program(
        "dpkg",
        &format!(
            "case $1 in --print-architecture) echo amd64 ;; --compare-versions) exec /usr/bin/dpkg \"$@\" ;; *) {} ;; esac",
            told("dpkg")
        ),
    );
    project.program(
        "dpkg-deb",
        "case $3 in Depends) echo nginx-abi-1.26.3-1 ;; *) echo 0.1.0 ;; esac",
    );
    project.write("debian/changelog", "it (0.1.0) unstable; urgency=medium\n");
    project.write(
        "target/packages/here/libnginx-mod-http-websocket_0.1.0_amd64.deb",
        "",
    );
}

// Modules for another nginx.

/// The number that nginx compares.
fn version_number() -> u64 {
    let (major, minor, patch) = nginx_version();
    u64::from(major) * 1_000_000 + u64::from(minor) * 1000 + u64::from(patch)
}

fn version() -> String {
    let (major, minor, patch) = nginx_version();
    format!("{major}.{minor}.{patch}")
}

fn of_another_version(module: &[u8]) -> Vec<u8> {
    replaced(
        module,
        &version_number().to_le_bytes(),
        &1_999_099_u64.to_le_bytes(),
    )
}

/// The first part of the signature is the size of a pointer.
fn of_other_options(module: &[u8]) -> Vec<u8> {
    replaced(module, b"8,4,8,", b"4,4,8,")
}

fn of_another_symbol(module: &[u8]) -> Vec<u8> {
    replaced(module, b"\0ngx_palloc\0", b"\0ngx_palloX\0")
}

/// Asks another function, which never says what the module asks for.
fn of_other_headers(module: &[u8]) -> Vec<u8> {
    replaced(module, b"\0ngx_tcp_nodelay\0", b"\0ngx_tcp_nopush\0\0")
}

fn replaced(module: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = module.to_vec();
    let mut count = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            count += 1;
        }
    }
    assert!(count > 0, "the module has no {from:?}");
    bytes
}
