//! The blocks on the way of an address, and what answers where nothing is passed on.

use super::locate::Place;
use super::parse::Directive;
use super::scope::Scope;

/// A block on the way, and why it is this one.
#[derive(Debug)]
pub struct Stop {
    pub name: String,
    pub file: String,
    pub line: usize,
    pub why: String,
}

/// Where nothing else answers.
pub const FILES: &str = "nginx answers with files of its own, no upstream is asked";

/// What makes the answer in a location that passes nothing on, where it is not a file.
pub fn content<'a>(scope: &Scope<'a>) -> Option<&'a Directive> {
    let level = scope.level();
    let own = [
        "stub_status",
        "empty_gif",
        "flv",
        "mp4",
        "dav_methods",
        "perl",
        "js_content",
    ];
    let mut lines = level.lines.iter();
    lines.find(|line| own.contains(&line.name.as_str()) || line.name.starts_with("content_by_lua"))
}

/// What answers in a location that passes nothing on.
pub fn answers_by_itself(scope: &Scope<'_>) -> String {
    if let Some(line) = content(scope) {
        return format!("{} ({}) answers", line.name, line.place());
    }
    match ["alias", "root"]
        .iter()
        .find_map(|name| scope.nearest(name))
    {
        Some(line) => format!(
            "nginx answers with files below {} ({}), no upstream is asked",
            line.word(0),
            line.place()
        ),
        None => FILES.to_owned(),
    }
}

impl Stop {
    pub fn at(directive: &Directive, name: String, why: String) -> Self {
        Self {
            name,
            file: directive.file.to_string(),
            line: directive.line,
            why,
        }
    }

    pub fn of(place: &Place<'_>) -> Self {
        let (name, why) = (place.scope.name.clone(), place.why.to_owned());
        Self::at(place.directive, name, why)
    }
}
