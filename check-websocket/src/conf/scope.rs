//! Levels within levels, and which directive is in force in the innermost.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::needed::Needed;
use super::parse::Directive;
use super::pass::PASSES;

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
    /// Of the whole configuration; looked for once, when it is first asked for.
    needed: Rc<OnceCell<Needed>>,
}

impl<'a> Scope<'a> {
    pub fn of(http: &Level<'a>, server: &str) -> Self {
        Self {
            levels: vec![http.clone()],
            server: server.into(),
            name: String::new(),
            needed: Rc::default(),
        }
    }

    pub fn within(&self, level: Level<'a>, name: String) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level);
        Self {
            levels,
            server: Rc::clone(&self.server),
            name,
            needed: Rc::clone(&self.needed),
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

    /// Whether plain requests or other upgrades of some location need these lines too.
    pub fn headers_are_needed(&self) -> bool {
        let http = self.levels.first().map_or(&[][..], |level| level.lines);
        let has_some = |level: &&Level<'_>| !level.all("proxy_set_header").is_empty();
        let level = self.levels.iter().rev().find(has_some);
        level.is_some_and(|level| {
            let needed = self.needed.get_or_init(|| Needed::of(http));
            needed.has(level.lines)
        })
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
