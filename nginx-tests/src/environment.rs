//! Which nginx, which module and which foreign clients the tests use.
//!
//! Set from outside, all optional:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `NGINX_TESTS_BINARY` | the nginx to run | `nginx` of `PATH`, else `/usr/sbin/nginx` |
//! | `NGINX_TESTS_ROOT` | run nginx by `chroot` in this directory | not set: no chroot |
//! | `NGINX_TESTS_MODULE` | the module, as this process sees it; `compiled-in` if nginx has it without loading it | `target/nginx-VERSION/ngx_http_websocket_module.so` |
//! | `NGINX_TESTS_NEXT`, `NGINX_TESTS_NEXT_MODULE` | another nginx, to be upgraded to, and the module built for it | not set: not tried |
//! | `NGINX_TESTS_INTEROP` | holds `venv/` (Python's `websockets`, `h2` and `kosoku`) and `node_modules/ws` | `target/interop` |
//! | `NGINX_TESTS_APPLICATIONS` | holds `venv/` and `node_modules/` with the applications | `target/applications` |
//! | `NGINX_TESTS_CASES` | which of Autobahn's cases are played: ids, `9.*`, or `all` | those that measure no time |
//! | `NGINX_TESTS_TRANSPORT` | `http2`: what clients say over HTTP/1.1 goes to nginx over HTTP/2, see `http2::translator` | `http1` |
//! | `NGINX_TESTS_SKIPPED` | a file that gets a line for each test that is skipped, with the reason | not set: only its output says so |
//! | `NGINX_TESTS_SLOW` | how many times slower nginx is under a tool that watches it | 1: no tool |

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// The name of the module's file.
pub const MODULE: &str = "ngx_http_websocket_module.so";

/// The nginx under test.
#[derive(Debug)]
pub struct Environment {
    root: Option<PathBuf>,
    binary: PathBuf,
    version: (u32, u32, u32),
}

/// The nginx under test, looked up once.
pub fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(Environment::detect)
}

/// The version that `nginx -v` names, to be compared: `nginx_version() >= (1, 29, 7)`.
pub fn nginx_version() -> (u32, u32, u32) {
    environment().version
}

/// Whether nginx was built with this option of its `configure`.
pub fn is_configured(option: &str) -> bool {
    let output = environment().command().arg("-V").output();
    let output = output.expect("nginx says how it was built");
    String::from_utf8_lossy(&output.stderr).contains(option)
}

/// The version of the OpenSSL that nginx runs with, as `nginx -V` says; `None` without one.
pub fn openssl_version() -> Option<(u32, u32, u32)> {
    let output = environment().command().arg("-V").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    // Where it was built with another one, that comes first.
    numbers_behind(text.rmatch_indices("OpenSSL ").next()?.0, "OpenSSL ", &text)
}

/// Whether nginx is for another processor, and emulated: what is compiled here can't be loaded into it.
pub fn is_emulated() -> bool {
    let processor = |file: &Path| fs::read(file).ok()?.get(18..20).map(<[u8]>::to_vec);
    let module = environment().module();
    module.is_some_and(|module| processor(&module) != processor(Path::new("/proc/self/exe")))
}

/// Whether nginx runs with musl for its libc.
pub fn is_musl() -> bool {
    static MUSL: OnceLock<bool> = OnceLock::new();
    *MUSL.get_or_init(|| {
        let loader = b"/lib/ld-musl-";
        let file = environment().command().get_program().to_owned();
        fs::read(file).is_ok_and(|bytes| bytes.windows(loader.len()).any(|part| part == loader))
    })
}

/// The directory with the foreign WebSocket clients.
pub fn interop() -> PathBuf {
    variable("NGINX_TESTS_INTEROP").unwrap_or_else(|| workspace().join("target/interop"))
}

/// The directory with the applications that are tried behind nginx.
pub fn applications() -> PathBuf {
    let default = || workspace().join("target/applications");
    variable("NGINX_TESTS_APPLICATIONS").unwrap_or_else(default)
}

/// How many times slower than by itself nginx runs. Above 1 a tool runs it, such as valgrind.
pub fn slowness() -> u32 {
    let told = env::var("NGINX_TESTS_SLOW").unwrap_or_default();
    match told.parse() {
        Ok(times @ 1..) => times,
        _ if told.is_empty() => 1,
        _ => panic!("NGINX_TESTS_SLOW is {told:?}, not a number from 1 on"),
    }
}

/// Whether WebSockets go to nginx over HTTP/2.
pub fn is_over_http2() -> bool {
    match env::var("NGINX_TESTS_TRANSPORT")
        .unwrap_or_default()
        .as_str()
    {
        "http2" => true,
        "" | "http1" => false,
        other => panic!("NGINX_TESTS_TRANSPORT is {other:?}, not http1 or http2"),
    }
}

/// Finds a program in `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

impl Environment {
    fn detect() -> Self {
        let root = variable("NGINX_TESTS_ROOT").map(|root| {
            fs::canonicalize(&root)
                .unwrap_or_else(|error| panic!("NGINX_TESTS_ROOT {}: {error}", root.display()))
        });
        let binary = env::var_os("NGINX_TESTS_BINARY")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
            .or_else(|| {
                if root.is_none() {
                    find_program("nginx")
                } else {
                    None
                }
            })
            .unwrap_or_else(|| PathBuf::from("/usr/sbin/nginx"));
        let mut found = Self {
            root,
            binary,
            version: (0, 0, 0),
        };
        found.version = found.ask_version();
        found
    }

    fn ask_version(&self) -> (u32, u32, u32) {
        let output = self.command().arg("-v").output().unwrap_or_else(|error| {
            panic!(
                "{}: {error}: install nginx or set NGINX_TESTS_BINARY",
                self.binary.display()
            )
        });
        let text = String::from_utf8_lossy(&output.stderr);
        parse_version(&text).unwrap_or_else(|| panic!("no version in the output of -v: {text}"))
    }

    /// The command that runs this nginx, without arguments.
    pub fn command(&self) -> Command {
        match &self.root {
            None => Command::new(&self.binary),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&self.binary);
                command
            }
        }
    }

    /// The arguments that say where nginx writes to before it has read its configuration. It takes them
    /// from 1.19.5 on; older ones write to where they were built to, which should be stderr.
    pub fn early_log<'a>(&self, file: &'a str) -> Vec<&'a str> {
        if self.version < (1, 19, 5) {
            vec![]
        } else {
            vec!["-e", file]
        }
    }

    /// Where prefix directories are made, as this process sees it.
    pub fn temporary(&self) -> PathBuf {
        match &self.root {
            None => env::temp_dir(),
            Some(root) => root.join("tmp"),
        }
    }

    /// The path of a file as nginx sees it.
    pub fn inside(&self, path: &Path) -> PathBuf {
        match &self.root {
            None => path.to_owned(),
            Some(root) => match path.strip_prefix(root) {
                Ok(rest) => Path::new("/").join(rest),
                Err(_) => panic!("{} is outside of {}", path.display(), root.display()),
            },
        }
    }

    /// The module built for this nginx, unless that has it without loading it.
    pub fn module(&self) -> Option<PathBuf> {
        if env::var_os("NGINX_TESTS_MODULE").is_some_and(|value| value == "compiled-in") {
            return None;
        }
        let (major, minor, patch) = self.version;
        let module = variable("NGINX_TESTS_MODULE").unwrap_or_else(|| {
            workspace()
                .join(format!("target/nginx-{major}.{minor}.{patch}"))
                .join(MODULE)
        });
        assert!(
            module.is_file(),
            "{}: no such module: run scripts/build.sh",
            module.display()
        );
        Some(module)
    }
}

/// The nginx that the one under test is upgraded to, and its module.
pub fn next_nginx() -> Option<(PathBuf, PathBuf)> {
    Some((
        variable("NGINX_TESTS_NEXT")?,
        variable("NGINX_TESTS_NEXT_MODULE")?,
    ))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn variable(name: &str) -> Option<PathBuf> {
    // Tests run in their package's directory: a relative path is one of the workspace.
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(|value| workspace().join(value))
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    numbers_behind(text.find("nginx/")?, "nginx/", text)
}

/// The version behind a name that is at this place of a text.
fn numbers_behind(place: usize, name: &str, text: &str) -> Option<(u32, u32, u32)> {
    let version = text.get(place + name.len()..)?;
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read_with_and_without_a_distribution_name() {
        assert_eq!(
            parse_version("nginx version: nginx/1.22.1\n"),
            Some((1, 22, 1))
        );
        assert_eq!(
            parse_version("nginx version: nginx/1.30.6 (Debian)"),
            Some((1, 30, 6))
        );
        assert_eq!(parse_version("nginx version: nginx/1.30"), None);
    }
}
