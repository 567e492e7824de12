//! Regular expressions as nginx writes them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use regex::bytes::{Captures, Regex, RegexBuilder};

/// Expressions that were read, of which a configuration may hold any number.
pub struct Patterns {
    known: RefCell<HashMap<(String, bool), Option<Pattern>>>,
    /// How many more are read. Each takes its time and memory.
    left: Cell<usize>,
}

const MAX_READ: usize = 20_000;
const MAX_KNOWN: usize = 256;
/// Bytes of one, as a program.
const MAX_SIZE: usize = 256 << 10;

impl Patterns {
    pub fn new() -> Self {
        Self {
            known: RefCell::default(),
            left: Cell::new(MAX_READ),
        }
    }

    /// An expression that matches whatever this one does, and more: without what looks ahead and
    /// behind.
    pub fn wider(&self, text: &str, ignoring_case: bool) -> Option<Pattern> {
        self.get(&without_looks(text)?, ignoring_case)
    }

    /// `None` where it uses what PCRE has and this does not, such as looking ahead, and where there
    /// were too many.
    pub fn get(&self, text: &str, ignoring_case: bool) -> Option<Pattern> {
        let mut known = self.known.borrow_mut();
        let key = (text.to_owned(), ignoring_case);
        if let Some(pattern) = known.get(&key) {
            return pattern.clone();
        }
        self.left.set(self.left.get().checked_sub(1)?);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let pattern = Pattern::new(text, ignoring_case);
        known.insert(key, pattern.clone());
        pattern
    }
}

/// `(?=…)`, `(?!…)`, `(?<=…)` and `(?<!…)` become `(?:)`, which is always true.
fn without_looks(text: &str) -> Option<String> {
    const LOOKS: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];
    let mut wider = String::new();
    // How many groups deep in what is left out.
    let mut depth = 0_usize;
    let mut is_class = false;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let is_look = !is_class && LOOKS.iter().any(|look| rest.starts_with(look));
        let length = match next {
            '\\' => 1 + rest.chars().nth(1)?.len_utf8(),
            other => other.len_utf8(),
        };
        let (part, behind) = rest.split_at(length);
        rest = behind;
        let was_left_out = depth > 0;
        match part {
            "[" => is_class = true,
            "]" => is_class = false,
            "(" if !is_class && (is_look || was_left_out) => depth += 1,
            ")" if !is_class => depth = depth.saturating_sub(1),
            _ => {}
        }
        if is_look && !was_left_out {
            wider.push_str("(?:)");
        } else if !was_left_out {
            wider.push_str(part);
        }
    }
    Some(wider)
}

/// An expression of a location, a server name or a rewrite.
#[derive(Clone)]
pub struct Pattern(Rc<Regex>);

impl Pattern {
    fn new(text: &str, ignoring_case: bool) -> Option<Self> {
        RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(ignoring_case)
            .size_limit(MAX_SIZE)
            .dfa_size_limit(MAX_SIZE)
            .build()
            .ok()
            .map(|regex| Self(Rc::new(regex)))
    }

    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// What a rewrite makes of its replacement: `$1` to `$9` are what the groups took.
    pub fn replaced(&self, text: &str, replacement: &str) -> Option<String> {
        let captures = self.0.captures(text.as_bytes())?;
        let mut made = String::new();
        let mut rest = replacement;
        while let Some(at) = rest.find('$') {
            made += &rest[..at];
            let digit = rest[at + 1..].chars().next().and_then(|c| c.to_digit(10));
            match digit {
                Some(digit) => {
                    made += &group(&captures, digit as usize);
                    rest = &rest[at + 2..];
                }
                None => {
                    made.push('$');
                    rest = &rest[at + 1..];
                }
            }
        }
        Some(made + rest)
    }
}

fn group(captures: &Captures<'_>, number: usize) -> String {
    let taken = captures.get(number).map(|taken| taken.as_bytes());
    String::from_utf8_lossy(taken.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Patterns, without_looks};

    #[test]
    fn expressions() {
        let is_in = |pattern: &str, ignoring_case, text: &str| {
            Pattern::new(pattern, ignoring_case).map(|pattern| pattern.is_in(text))
        };
        assert_eq!(is_in(r"^/(ws|chat)/\d+$", false, "/chat/12"), Some(true));
        assert_eq!(is_in(r"\.PHP$", true, "/a.php"), Some(true));
        assert_eq!(is_in(r"\.PHP$", false, "/a.php"), Some(false));
        assert_eq!(is_in(r"^/(?!api)", false, "/a"), None);
    }

    #[test]
    fn without_what_looks_ahead() {
        for (text, wider) in [
            (r"/\.(?!well-known)", r"/\.(?:)"),
            (r"^(?!/(a|b))/c", "^(?:)/c"),
            (r"(?<=[)])(/x)(?=\))$", "(?:)(/x)(?:)$"),
            (r"\(?!a[(?!]", r"\(?!a[(?!]"),
        ] {
            assert_eq!(without_looks(text).as_deref(), Some(wider), "{text}");
        }
        let patterns = Patterns::new();
        let may_match = |path: &str| {
            let wider = patterns.wider(r"/\.(?!well-known)", false);
            wider.map(|pattern| pattern.is_in(path))
        };
        assert_eq!(may_match("/.git"), Some(true));
        assert_eq!(may_match("/ws"), Some(false));
        assert!(patterns.wider(r"(a)\1", false).is_none());
    }

    #[test]
    fn replacements() {
        let pattern = Pattern::new("^/ws/(.*)$", false).expect("an expression");
        let made = |text: &str| pattern.replaced(text, "/$1?$arg$2");
        assert_eq!(made("/ws/a/b").as_deref(), Some("/a/b?$arg"));
        assert_eq!(made("/other"), None);
    }

    #[test]
    fn no_more_than_can_be_read() {
        let patterns = Patterns::new();
        assert!((0..MAX_READ_FEW).all(|n| patterns.get(&n.to_string(), false).is_some()));
        patterns.left.set(1);
        assert!(patterns.get("a", false).is_some());
        assert!(patterns.get("b", false).is_none());
        assert!(patterns.get("a", false).is_some());
        assert!(Patterns::new().get("((a{999}){999}){999}", false).is_none());
    }

    const MAX_READ_FEW: usize = 300;
}
