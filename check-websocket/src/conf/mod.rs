//! `--nginx-conf`: reads nginx's configuration and says where WebSocket would pass.

mod files;
mod folklore;
pub mod judge;
mod listen;
mod locate;
pub mod location;
mod lua;
mod parse;
mod pattern;
mod proxied;
pub mod reach;
mod rewrite;
mod scope;
mod sent;
mod times;
mod uri;
mod values;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use crate::options::{Source, Walk};
use files::Files;
use judge::Judgement;
use location::Version;
use reach::Reached;

/// What was found in a configuration.
pub struct Reading {
    pub judgement: Judgement,
    /// Where the address leads, if one was given: then that is what counts.
    pub reached: Option<Reached>,
}

impl Reading {
    pub fn works(&self) -> bool {
        match &self.reached {
            Some(reached) => reached.passes(),
            None => self.judgement.works(),
        }
    }
}

/// Reads and judges, and follows the address of a command line.
pub fn read(source: &Source, address: Option<&Walk>) -> Result<Reading, String> {
    let (files, version) = files(source)?;
    let tree = files.tree()?;
    let mut judgement = judge::judge(&tree.directives, version);
    judgement.notes.extend(tree.notes);
    Ok(Reading {
        judgement,
        reached: address.map(|walk| reach::reach(&tree.directives, walk, version)),
    })
}

fn files(source: &Source) -> Result<(Files, Option<Version>), String> {
    let (text, path, version) = match source {
        Source::Nginx => (ask_nginx()?, None, ask_version()),
        Source::Stdin => {
            let mut text = Vec::new();
            io::stdin()
                .read_to_end(&mut text)
                .map_err(|error| format!("standard input: {error}"))?;
            (String::from_utf8_lossy(&text).into_owned(), None, None)
        }
        Source::File(path) => {
            let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            (text, Some(path.as_path()), None)
        }
    };
    Ok((Files::dumped_or_single(&text, path), version))
}

fn ask_nginx() -> Result<String, String> {
    let output = nginx("-T")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!(
            "`nginx -T` failed (it may need root):\n{}",
            said.trim_end()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ask_version() -> Option<Version> {
    let said = nginx("-v").ok()?.stderr;
    let said = String::from_utf8_lossy(&said);
    let (_, version) = said.split_once('/')?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some((next()?, next()?, next()?))
}

fn nginx(argument: &str) -> Result<std::process::Output, String> {
    // nginx lives where an ordinary user's PATH doesn't look.
    let path = env::var("PATH").unwrap_or_default();
    let places = env::split_paths(&path).map(|dir| dir.join("nginx"));
    let usual = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].map(|path| Path::new(path).to_owned());
    let program = places.chain(usual).find(|path| path.is_file());
    let program =
        program.ok_or("nginx was not found; give a file, or `-` and `nginx -T` in a pipe")?;
    let run = Command::new(&program)
        .arg(argument)
        .stdin(Stdio::null())
        .output();
    run.map_err(|error| format!("{}: {error}", program.display()))
}
