//! `--nginx-conf`: reads nginx's configuration and says where WebSocket would pass.

mod files;
mod folklore;
pub mod judge;
pub mod location;
mod lua;
mod parse;
mod proxied;
mod scope;
mod times;
mod values;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use crate::options::Source;
use files::Files;
use judge::Judgement;

/// Reads and judges.
pub fn read(source: &Source) -> Result<Judgement, String> {
    let (files, version) = match source {
        Source::Nginx => (Files::dumped_or_single(&ask_nginx()?, None), ask_version()),
        Source::Stdin => {
            let mut text = Vec::new();
            io::stdin()
                .read_to_end(&mut text)
                .map_err(|error| format!("standard input: {error}"))?;
            (
                Files::dumped_or_single(&String::from_utf8_lossy(&text), None),
                None,
            )
        }
        Source::File(path) => {
            let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            (
                Files::dumped_or_single(&String::from_utf8_lossy(&text), Some(path)),
                None,
            )
        }
    };
    let tree = files.tree()?;
    let mut judgement = judge::judge(&tree.directives, version);
    judgement.notes.extend(tree.notes);
    Ok(judgement)
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

fn ask_version() -> Option<(u32, u32, u32)> {
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
