//! The text to begin with: a file, standard input, or what nginx itself prints.
//!
//! All of it is bounded, in length and in time: a file may be a device, a pipe may stay silent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use super::location::Version;
use crate::deadline::Deadline;
use crate::options::Source;

/// Bytes that are read of a configuration, all its files together. One of twenty thousand servers
/// takes about ten million.
pub const MAX_TEXT: usize = 32 << 20;

/// What was read, where it is from, and the version of the nginx that was asked.
pub struct Text {
    pub text: String,
    pub path: Option<PathBuf>,
    pub version: Option<Version>,
}

pub fn read(source: &Source, deadline: Deadline) -> Result<Text, String> {
    let of = |text, path, version| Text {
        text,
        path,
        version,
    };
    Ok(match source {
        Source::Nginx => of(ask_nginx(deadline)?, None, ask_version(deadline)),
        Source::Stdin => {
            let bytes = bounded("standard input", deadline, || Ok(io::stdin()))?;
            of(text(bytes), None, None)
        }
        Source::File(path) => {
            let (name, opened) = (path.display().to_string(), path.clone());
            let bytes = bounded(&name, deadline, || File::open(opened))?;
            of(text(bytes), Some(path.clone()), None)
        }
    })
}

/// Without a copy where it is UTF-8, which it almost always is.
pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Opens and reads. To open a pipe takes as long as to read it, so both are left behind in a
/// thread if they take too long.
fn bounded<R: Read>(
    name: &str,
    deadline: Deadline,
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> Result<Vec<u8>, String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let read = open().and_then(|from| {
            let mut bytes = Vec::new();
            let most = u64::try_from(MAX_TEXT)
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            from.take(most).read_to_end(&mut bytes).map(|_| bytes)
        });
        // Nobody listens after the deadline.
        let _ = sender.send(read);
    });
    match receiver.recv_timeout(deadline.left()) {
        Ok(Ok(bytes)) if bytes.len() > MAX_TEXT => Err(format!(
            "{name}: it is longer than {MAX_TEXT} bytes, the most that is read"
        )),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(format!("{name}: {error}")),
        Err(_) => Err(format!(
            "{name}: it did not end within {} s (--deadline)",
            deadline.seconds()
        )),
    }
}

fn ask_nginx(deadline: Deadline) -> Result<String, String> {
    let said = nginx("-T", deadline)?;
    if !said.is_success {
        return Err(format!(
            "`nginx -T` failed (it may need root):\n{}",
            said.err.trim_end()
        ));
    }
    Ok(said.out)
}

fn ask_version(deadline: Deadline) -> Option<Version> {
    version(&nginx("-v", deadline).ok()?.err)
}

fn version(said: &str) -> Option<Version> {
    let (_, version) = said.split_once('/')?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some((next()?, next()?, next()?))
}

struct Said {
    out: String,
    err: String,
    is_success: bool,
}

fn nginx(argument: &str, deadline: Deadline) -> Result<Said, String> {
    // nginx lives where an ordinary user's PATH doesn't look.
    let path = env::var("PATH").unwrap_or_default();
    let places = env::split_paths(&path).map(|dir| dir.join("nginx"));
    let usual = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].map(|path| Path::new(path).to_owned());
    let program = places.chain(usual).find(|path| path.is_file());
    let program =
        program.ok_or("nginx was not found; give a file, or `-` and `nginx -T` in a pipe")?;
    let mut child = Command::new(&program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let name = format!("`nginx {argument}`");
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    // Both at once: whichever is not read could hold nginx up.
    let said = thread::scope(|scope| {
        let err = scope.spawn(|| bounded(&name, deadline, move || err.ok_or_else(gone)));
        let out = bounded(&name, deadline, move || out.ok_or_else(gone));
        if out.is_err() {
            let _ = child.kill();
        }
        let err = err.join().unwrap_or_else(|_| Err(name.clone()));
        Ok::<_, String>((text(out?), text(err?)))
    });
    if said.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    let (out, err) = said?;
    Ok(Said {
        out,
        err,
        is_success: status.success(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version() {
        assert_eq!(version("nginx version: nginx/1.26.3\n"), Some((1, 26, 3)));
        assert_eq!(
            version("nginx version: openresty/1.27.1.2"),
            Some((1, 27, 1))
        );
        assert_eq!(version("nginx"), None);
    }
}
