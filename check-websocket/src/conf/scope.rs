//! Levels within levels, and which directive is in force in the innermost.

use super::parse::Directive;

/// A level and those around it, the outermost first.
#[derive(Clone)]
pub struct Scope<'a> {
    pub levels: Vec<&'a [Directive]>,
    pub server: String,
    /// `location /a`, perhaps with `if (…)`.
    pub name: String,
}

impl<'a> Scope<'a> {
    pub fn within(&self, level: &'a [Directive], name: String) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level);
        Self {
            levels,
            server: self.server.clone(),
            name,
        }
    }

    /// Every location of the configuration, and every `if` block, whatever this one is.
    pub fn locations(&self) -> Vec<Self> {
        let mut found = Vec::new();
        let mut open: Vec<Self> = Vec::new();
        if let Some(&http) = self.levels.first() {
            open.push(Self {
                levels: vec![http],
                server: String::new(),
                name: String::new(),
            });
        }
        while let Some(scope) = open.pop() {
            let level = scope.levels.last().copied().unwrap_or_default();
            let is_block = |d: &&Directive| ["server", "location", "if"].contains(&d.name.as_str());
            for block in level.iter().filter(is_block) {
                let inner = scope.within(block.children(), String::new());
                if block.name != "server" {
                    found.push(inner.clone());
                }
                open.push(inner);
            }
        }
        found
    }

    /// The directive in force: the innermost one.
    pub fn nearest(&self, name: &str) -> Option<&'a Directive> {
        self.levels.iter().rev().find_map(|level| find(level, name))
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.nearest(name)
            .is_some_and(|directive| directive.word(0) == value)
    }

    /// The `proxy_set_header` lines in force: those of the innermost level that has any. All the
    /// others are lost, which is the commonest mistake of all.
    pub fn headers(&self) -> Vec<&'a Directive> {
        self.levels
            .iter()
            .rev()
            .map(|level| headers(level))
            .find(|l| !l.is_empty())
            .unwrap_or_default()
    }

    /// A line for this header that a level further in has put out of force.
    pub fn lost_header(&self, name: &str) -> Option<&'a Directive> {
        let mut levels = self
            .levels
            .iter()
            .rev()
            .map(|level| headers(level))
            .filter(|l| !l.is_empty());
        levels.next();
        levels
            .flatten()
            .find(|header| header.word(0).eq_ignore_ascii_case(name))
    }
}

pub fn find<'a>(level: &'a [Directive], name: &str) -> Option<&'a Directive> {
    level.iter().find(|directive| directive.name == name)
}

/// What passes the requests of this level on.
pub fn pass(level: &[Directive]) -> Option<&Directive> {
    const PASSES: [&str; 6] = [
        "proxy_pass",
        "grpc_pass",
        "fastcgi_pass",
        "uwsgi_pass",
        "scgi_pass",
        "memcached_pass",
    ];
    PASSES.iter().find_map(|name| find(level, name))
}

fn headers(level: &[Directive]) -> Vec<&Directive> {
    level
        .iter()
        .filter(|directive| directive.name == "proxy_set_header")
        .collect()
}
