//! Levels within levels, and which directive is in force in the innermost.

use std::collections::HashMap;
use std::ptr;
use std::rc::Rc;

use super::parse::Directive;
use super::values::Maps;

/// The lines of a block. There may be a hundred thousand, and each location below asks for a
/// dozen of them.
#[derive(Clone)]
pub struct Level<'a> {
    pub lines: &'a [Directive],
    named: Rc<HashMap<&'a str, Vec<&'a Directive>>>,
}

impl<'a> Level<'a> {
    pub fn new(lines: &'a [Directive]) -> Self {
        let mut named: HashMap<&str, Vec<&Directive>> = HashMap::new();
        for line in lines {
            named.entry(lua(&line.name)).or_default().push(line);
        }
        Self {
            lines,
            named: Rc::new(named),
        }
    }

    /// Most directives may stand there once.
    pub fn find(&self, name: &str) -> Option<&'a Directive> {
        self.all(name).first().copied()
    }

    /// All of those that may be repeated.
    pub fn all(&self, name: &str) -> &[&'a Directive] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// What passes the requests of this level on.
    pub fn pass(&self) -> Option<&'a Directive> {
        PASSES.iter().find_map(|name| self.find(name))
    }
}

/// The name of a phase of Lua, whichever of its forms it has.
fn lua(name: &str) -> &str {
    let short = name.strip_suffix("_block").or(name.strip_suffix("_file"));
    short
        .filter(|short| short.ends_with("_by_lua"))
        .unwrap_or(name)
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

    /// The locations and `if` blocks that may inherit a line of one of these levels.
    pub fn beside(&self, line: &Directive, maps: &Maps<'_>) -> Vec<Self> {
        let stands = |level: &Level<'a>| {
            let lines = level.all(&line.name);
            lines.iter().any(|own| ptr::eq(*own, line))
        };
        let depth = self.levels.iter().position(stands).unwrap_or_default();
        let mut open = vec![Self {
            levels: self.levels.iter().take(depth + 1).cloned().collect(),
            server: Rc::clone(&self.server),
            name: String::new(),
        }];
        let mut found = Vec::new();
        while let Some(scope) = open.pop() {
            let level = scope.level();
            for name in ["server", "location", "if"] {
                for block in level.all(name) {
                    if maps.step(1).is_none() {
                        return found;
                    }
                    let inner = scope.within(Level::new(block.children()), String::new());
                    if name != "server" {
                        found.push(inner.clone());
                    }
                    open.push(inner);
                }
            }
        }
        found
    }

    /// The directive in force: the innermost one.
    pub fn nearest(&self, name: &str) -> Option<&'a Directive> {
        self.levels.iter().rev().find_map(|level| level.find(name))
    }

    /// All lines of a directive in force that is a list: those of the innermost level that has any.
    pub fn list(&self, name: &str) -> &[&'a Directive] {
        let mut lists = self.levels.iter().rev().map(|level| level.all(name));
        lists.find(|list| !list.is_empty()).unwrap_or_default()
    }

    /// nginx compares flags and the like without regard to case.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.nearest(name).is_some_and(|line| line.says(value))
    }

    /// The `proxy_set_header` lines in force: those of the innermost level that has any. All the
    /// others are lost, which is the commonest mistake of all.
    pub fn headers(&self) -> &[&'a Directive] {
        self.list("proxy_set_header")
    }

    /// A line for this header that a level further in has put out of force.
    pub fn lost_header(&self, name: &str) -> Option<&'a Directive> {
        let lists = self.levels.iter().rev();
        let lists = lists.map(|level| level.all("proxy_set_header"));
        let lost = lists.filter(|list| !list.is_empty()).skip(1);
        lost.flatten()
            .copied()
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
            title.push_str(" …");
            break;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title += word;
    }
    title
}
