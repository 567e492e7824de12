//! `--nginx-conf`: reads nginx's configuration and says where WebSocket would pass.

mod access;
mod before;
mod dump;
mod error_page;
mod files;
mod folklore;
mod glob;
mod hostname;
pub mod judge;
mod known;
mod listen;
mod locate;
pub mod location;
mod lua;
mod needed;
mod parse;
mod pass;
mod pattern;
mod proxied;
pub mod reach;
pub mod reached;
mod rewrite;
mod scope;
mod sent;
mod source;
pub mod stop;
mod times;
mod unseen;
mod uri;
mod values;

use std::path::Path;

use crate::deadline::Deadline;
use crate::options::{Source, Walk};
use files::Files;
use judge::Judgement;
use location::Version;
use reached::Reached;

/// What was found in a configuration.
pub struct Reading {
    pub judgement: Judgement,
    /// Where the address leads, if one was given: then that is what counts.
    pub reached: Option<Reached>,
    /// What belongs to it and could not be read, so that no verdict can be sure.
    pub unread: Vec<String>,
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
pub fn read(
    source: &Source,
    address: Option<&Walk>,
    deadline: Deadline,
) -> Result<Reading, String> {
    let read = source::read(source, deadline)?;
    judged(read.text, read.path.as_deref(), address, read.version)
}

/// Judges a text; of a file with this path if it is one.
pub fn judged(
    text: String,
    path: Option<&Path>,
    address: Option<&Walk>,
    version: Option<Version>,
) -> Result<Reading, String> {
    let tree = Files::dumped_or_single(text, path).tree()?;
    if tree.directives.is_empty() && tree.unread.is_empty() {
        return Err("there is no configuration: not a single directive was read".to_owned());
    }
    let mut judgement = judge::judge(&tree.directives, version);
    judgement.notes.extend(tree.notes);
    let reached = address.map(|walk| reach::reach(&tree.directives, walk, version));
    let mut unread = tree.unread;
    // With an address it is its way that counts.
    unread.extend(match &reached {
        Some(reached) => reached.unjudged.clone(),
        None => judgement.unjudged.take(),
    });
    Ok(Reading {
        judgement,
        reached,
        unread,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_configuration() {
        for text in ["", " \n", "# proxy_pass http://a;\n"] {
            let judged = judged(text.to_owned(), None, None, None);
            assert!(judged.is_err_and(|error| error.contains("not a single directive")));
        }
        // A file of which nothing could be read is said to be that.
        let judged = judged("include a;".to_owned(), None, None, None);
        assert!(judged.is_ok_and(|reading| reading.unread.len() == 1));
    }
}
