//! How a proxy is started, what it says of itself, and how it is ended.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::result::Result;
use crate::setup::Setup;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A master that serves nothing, and one worker.
    Nginx,
    /// This program, as [`crate::relay`].
    Relay,
    Haproxy,
    Envoy,
    Caddy,
    Traefik,
    /// A parent that serves nothing, and one child with many threads.
    Apache,
}

pub const ERROR_LOG: &str = "error.log";

impl Program {
    /// Starts it in its directory, with the first of its files there.
    pub fn command(self, setup: &Setup, directory: &Path, config: &str) -> Result<Command> {
        let mut command = wrapped(&setup.wrap, &self.path(setup)?);
        let arguments: &[&str] = match self {
            Self::Nginx => &["-p", ".", "-e", ERROR_LOG, "-c"],
            Self::Relay => &["relay"],
            // In the foreground, and one process only.
            Self::Haproxy => &["-db", "-f"],
            Self::Envoy => &[
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "--config-path",
            ],
            Self::Caddy => &["run", "--adapter", "caddyfile", "--config"],
            Self::Traefik => &["--configFile"],
            Self::Apache => &["-d", ".", "-DFOREGROUND", "-f"],
        };
        command.args(arguments).arg(directory.join(config));
        if matches!(self, Self::Caddy | Self::Traefik) {
            command.env("GOMAXPROCS", "1");
            // Where they would keep things for later.
            for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                command.env(name, directory);
            }
        }
        command.current_dir(directory);
        Ok(command)
    }

    /// Whether those that serve are children of the process that is started.
    pub const fn forks(self) -> bool {
        matches!(self, Self::Nginx | Self::Apache)
    }

    /// Whether it listens before it knows where requests go.
    pub const fn opens_early(self) -> bool {
        matches!(self, Self::Traefik)
    }

    pub const fn speaks_tls(self) -> bool {
        !matches!(self, Self::Relay)
    }

    /// The signal that ends it when its connections are closed; those that know no such signal end at
    /// once.
    pub const fn quit(self) -> Signal {
        match self {
            Self::Nginx => Signal::QUIT,
            Self::Haproxy => Signal::USR1,
            Self::Apache => Signal::WINCH,
            Self::Relay | Self::Envoy | Self::Caddy | Self::Traefik => Signal::TERM,
        }
    }

    /// What it says of its start and its end, and all is well.
    pub fn is_routine(self, line: &str) -> bool {
        let words: &[&str] = match self {
            Self::Haproxy => &[" stopped ("],
            Self::Envoy => &["caught ENVOY_SIGTERM"],
            // The last: a client has gone that it still had something for.
            Self::Apache => &[":notice]", "AH10221"],
            // It says goodbye in tunnels that are no more.
            Self::Caddy => &["cleanup: write", "cleanup: tls: failed to send closeNotify"],
            Self::Nginx | Self::Relay | Self::Traefik => &[],
        };
        words.iter().any(|word| line.contains(word))
    }

    /// Its name and version, as it says itself.
    pub fn version(self, setup: &Setup) -> Result<String> {
        let argument = match self {
            Self::Relay => return Ok(concat!("bench ", env!("CARGO_PKG_VERSION")).to_owned()),
            Self::Nginx | Self::Haproxy | Self::Apache => "-v",
            Self::Envoy => "--version",
            Self::Caddy | Self::Traefik => "version",
        };
        let path = self.path(setup)?;
        let output = Command::new(&path)
            .arg(argument)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        // nginx says it on stderr.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let number = version_number(&text);
        let number = number.ok_or_else(|| format!("{} doesn't say its version", path.display()))?;
        Ok(format!("{} {number}", self.name()))
    }

    /// As its makers write it.
    const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Relay => "bench",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
            Self::Apache => "Apache",
        }
    }

    fn path(self, setup: &Setup) -> Result<PathBuf> {
        let file = match self {
            Self::Nginx => return Ok(setup.nginx.clone()),
            Self::Relay => return Ok(env::current_exe()?),
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Apache => "apache2",
        };
        let programs = setup.programs.as_ref();
        let programs = programs.ok_or_else(|| format!("{} takes --programs DIR", self.name()))?;
        Ok(programs.join(file))
    }
}

fn wrapped(wrap: &[String], program: &Path) -> Command {
    match wrap {
        [] => Command::new(program),
        [wrapper, arguments @ ..] => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(program);
            command
        }
    }
}

/// The first word of three numbers with dots between, whatever stands around them.
fn version_number(text: &str) -> Option<&str> {
    let mut words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find(|word| {
        let mut parts = word.split('.');
        let numbers = parts.by_ref().take(3).filter(|part| !part.is_empty());
        numbers.count() == 3 && parts.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::version_number;

    #[test]
    fn versions_are_read() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            (
                "HAProxy version 2.8.25-5cf5d0683 2026/06/26 - https://haproxy.org/",
                "2.8.25",
            ),
            (
                "envoy  version: 9e5580933739775e8bce696a57/1.40.0/Clean/RELEASE/BoringSSL",
                "1.40.0",
            ),
            ("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1s=", "2.11.7"),
            ("Server version: Apache/2.4.71 (Debian)", "2.4.71"),
        ] {
            assert_eq!(version_number(text), Some(version));
        }
        assert_eq!(version_number("error while loading libcrypt.so.2"), None);
    }
}
