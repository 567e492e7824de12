//! Levels within levels, and which directive is in force in the innermost.

use std::collections::HashMap;
use std::rc::Rc;

use super::parse::Directive;

/// The lines of a block. There may be a hundred thousand, and each location below asks for a
/// dozen of them.
#[derive(Clone)]
pub struct Level<'a> {
    pub lines: &'a [Directive],
    first: Rc<HashMap<&'a str, &'a Directive>>,
    /// `proxy_set_header`
    headers: Rc<[&'a Directive]>,
}

impl<'a> Level<'a> {
    pub fn new(lines: &'a [Directive]) -> Self {
        let mut first = HashMap::new();
        for line in lines {
            first.entry(line.name.as_str()).or_insert(line);
        }
        let headers = lines.iter().filter(|line| line.name == "proxy_set_header");
        Self {
            lines,
            first: first.into(),
            headers: headers.collect(),
        }
    }

    /// Most directives may stand there once.
    pub fn find(&self, name: &str) -> Option<&'a Directive> {
        self.first.get(name).copied()
    }

    /// All of those that may be repeated.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &'a Directive> + use<'a> {
        let any = self.find(name).is_some();
        let lines = if any { self.lines } else { &[] };
        lines.iter().filter(move |line| line.name == name)
    }

    /// What passes the requests of this level on.
    pub fn pass(&self) -> Option<&'a Directive> {
        PASSES.iter().find_map(|name| self.find(name))
    }
}

/// A level and those around it, the outermost first.
#[derive(Clone)]
pub struct Scope<'a> {
    pub levels: Vec<Level<'a>>,
    pub server: Rc<str>,
    /// `location /a`, perhaps with `if (…)`.
    pub name: String,
}

impl<'a> Scope<'a> {
    pub fn of(http: &Level<'a>, server: &str) -> Self {
        Self {
            levels: vec![http.clone()],
            server: server.into(),
            name: String::new(),
        }
    }

    pub fn within(&self, level: Level<'a>, name: String) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level);
        Self {
            levels,
            server: Rc::clone(&self.server),
            name,
        }
    }

    /// The innermost level.
    pub fn level(&self) -> Level<'a> {
        let last = self.levels.last().cloned();
        last.unwrap_or_else(|| Level::new(&[]))
    }

    /// The directive in force: the innermost one.
    pub fn nearest(&self, name: &str) -> Option<&'a Directive> {
        self.levels.iter().rev().find_map(|level| level.find(name))
    }

    /// The same by the beginning of a name, for those that come in several forms.
    pub fn beginning(&self, name: &str) -> Option<&'a Directive> {
        let named = |level: &Level<'a>| {
            let found = level.first.iter().filter(|(own, _)| own.starts_with(name));
            found.map(|(_, line)| *line).min_by_key(|line| line.line)
        };
        self.levels.iter().rev().find_map(named)
    }

    /// All lines of a directive in force that is a list: those of the innermost level that has any.
    pub fn list(&self, name: &'static str) -> impl Iterator<Item = &'a Directive> + use<'a> {
        let has = |level: &&Level<'a>| level.find(name).is_some();
        let level = self.levels.iter().rev().find(has).cloned();
        level.into_iter().flat_map(move |level| level.all(name))
    }

    /// nginx compares flags and the like without regard to case.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.nearest(name).is_some_and(|line| line.says(value))
    }

    /// The `proxy_set_header` lines in force: those of the innermost level that has any. All the
    /// others are lost, which is the commonest mistake of all.
    pub fn headers(&self) -> Rc<[&'a Directive]> {
        let mut levels = self.levels.iter().rev().map(|level| &level.headers);
        let headers = levels.find(|headers| !headers.is_empty());
        headers.map_or_else(|| [].into(), Rc::clone)
    }

    /// A line for this header that a level further in has put out of force.
    pub fn lost_header(&self, name: &str) -> Option<&'a Directive> {
        let levels = self.levels.iter().rev().map(|level| &level.headers);
        let mut levels = levels.filter(|headers| !headers.is_empty());
        levels.next();
        levels
            .flat_map(|headers| headers.iter().copied())
            .find(|header| header.word(0).eq_ignore_ascii_case(name))
    }
}

const PASSES: [&str; 6] = [
    "proxy_pass",
    "grpc_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "memcached_pass",
];

/// What passes the requests of a block on.
pub fn pass(block: &[Directive]) -> Option<&Directive> {
    block
        .iter()
        .find(|line| PASSES.contains(&line.name.as_str()))
}

/// A title of words, not longer than anyone reads.
pub fn titled(first: &str, words: &[String]) -> String {
    const ENOUGH: usize = 200;
    let mut title = first.to_owned();
    for word in words {
        if title.len() + word.len() > ENOUGH {
            title.extend(" …".chars());
            break;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title += word;
    }
    title
}
