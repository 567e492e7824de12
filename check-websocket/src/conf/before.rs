//! What comes before a location passes anything on, where no address says which path is asked for:
//! it is judged by a path that leads there.

use std::ptr;

use super::locate::{self, Found};
use super::location::{By, Location};
use super::parse::Directive;
use super::rewrite::{self, Outcome, Within};
use super::scope::{Level, Scope};
use super::uri::Uri;
use super::values::Maps;

/// A location as it stands in its server.
pub struct Place<'s, 'a> {
    pub server: &'s Scope<'a>,
    /// The location; of an `if` the one it is in.
    pub directive: &'a Directive,
    pub level: &'s Level<'a>,
    /// Where its lines are in force.
    pub scope: &'s Scope<'a>,
    pub maps: &'s Maps<'a>,
}

/// For a location whose path is not known: what is answered to both is answered to any.
const ANY: [&str; 2] = ["/", "/a/b.c"];

/// Says of a location what answers before it, or leads elsewhere.
pub fn judge(location: &mut Location, place: &Place<'_, '_>) {
    let path = locate::path(place.directive);
    let is_own = path.is_some();
    let paths = path.map_or_else(|| ANY.to_vec(), |path| vec![path]);
    let mut ends: Vec<End> = Vec::new();
    for path in paths {
        let mut maps = place.maps.clone();
        let uri = Uri::read(path, true);
        maps.know("uri", uri.path.as_str());
        let mut remarks = Vec::new();
        ends.push(end(place, uri, is_own, &mut maps, &mut remarks));
        for remark in remarks {
            if !location.remarks.contains(&remark) {
                location.remarks.push(remark);
            }
        }
    }
    if ends.contains(&End::Here) {
        return;
    }
    match ends.into_iter().next() {
        Some(End::Answered(why)) => location.problems.push(why),
        Some(End::Elsewhere(why)) => {
            // Whoever asks for this path is served by another location, and judged there.
            location.by = By::Nothing;
            location.problems.push(why);
        }
        _ => {}
    }
}

#[derive(PartialEq, Eq)]
enum End {
    Here,
    Answered(String),
    Elsewhere(String),
}

fn end<'a>(
    place: &Place<'_, 'a>,
    uri: Uri,
    is_own: bool,
    maps: &mut Maps<'a>,
    remarks: &mut Vec<String>,
) -> End {
    let mut uri = uri;
    if is_own {
        let level = place.server.level();
        uri = match rewrite::run(&level, uri, maps, remarks) {
            Outcome::On(uri, _) | Outcome::Again(uri) => uri,
            Outcome::Answered(answer) => return End::Answered(answer.why),
        };
        if !uri.is_unchanged && !is_here(place, &uri, maps) {
            return End::Elsewhere(format!(
                "the server's rewrite leads to {}, in another location",
                uri.path
            ));
        }
    }
    let uri = match rewrite::run(place.level, uri, maps, remarks) {
        Outcome::On(uri, Within::Level) => uri,
        Outcome::On(_, Within::If | Within::Pass(_)) => return internal(place, is_own),
        Outcome::Answered(answer) => return End::Answered(answer.why),
        Outcome::Again(uri) if is_here(place, &uri, maps) => {
            return End::Answered(format!(
                "rewrite leads to {}, which is this location again, until nginx answers 500",
                uri.path
            ));
        }
        Outcome::Again(uri) => {
            return End::Elsewhere(format!(
                "rewrite leads to {}, in another location",
                uri.path
            ));
        }
    };
    let Some(line) = place.level.find("try_files") else {
        return internal(place, is_own);
    };
    tried(place, &uri, line, maps)
}

/// A WebSocket's path is no file, so the last word is what counts.
fn tried(place: &Place<'_, '_>, uri: &Uri, line: &Directive, maps: &Maps<'_>) -> End {
    let (last, at) = (line.words.last().map_or("", String::as_str), line.place());
    if let Some(code) = last.strip_prefix('=') {
        return End::Answered(format!("try_files ({at}) finds no file and answers {code}"));
    }
    if last.starts_with('@') {
        return End::Elsewhere(format!(
            "try_files ({at}) finds no file and leads to {last}"
        ));
    }
    let uri = uri.led_to(&maps.shown(last));
    match is_here(place, &uri, maps) {
        true => End::Here,
        false => End::Elsewhere(format!(
            "try_files ({at}) finds no file and leads to {}, in another location",
            uri.path
        )),
    }
}

/// Whether a path leads to this very location.
fn is_here(place: &Place<'_, '_>, uri: &Uri, maps: &Maps<'_>) -> bool {
    match locate::search(place.server, &uri.path, maps, &mut Vec::new()) {
        Found::Final(found) | Found::Prefix(found) => ptr::eq(found.directive, place.directive),
        Found::Slash(_) | Found::Nothing => false,
    }
}

/// Only what is named elsewhere in the server can lead to a location that is internal.
fn internal(place: &Place<'_, '_>, is_own: bool) -> End {
    let Some(line) = place.scope.nearest("internal").filter(|_| is_own) else {
        return End::Here;
    };
    let path = locate::path(place.directive).unwrap_or_default();
    match leads_to(place.server.level().lines, path, place.maps) {
        true => End::Here,
        false => End::Answered(format!(
            "internal ({}) answers clients with 404",
            line.place()
        )),
    }
}

fn leads_to(lines: &[Directive], path: &str, maps: &Maps<'_>) -> bool {
    if maps.step(lines.len()).is_none() {
        return true;
    }
    let leads = |line: &Directive| {
        let names = ["try_files", "rewrite", "error_page", "index"];
        names.contains(&line.name.as_str()) && line.words.iter().any(|word| word.starts_with(path))
    };
    let mut lines = lines.iter();
    lines.any(|line| leads(line) || leads_to(line.children(), path, maps))
}
