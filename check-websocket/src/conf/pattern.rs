//! Regular expressions as nginx writes them.

use regex::bytes::{Captures, Regex, RegexBuilder};

/// An expression of a location, a server name or a rewrite.
pub struct Pattern(Regex);

impl Pattern {
    /// `None` where it uses what PCRE has and this does not, such as looking ahead.
    pub fn new(text: &str, ignoring_case: bool) -> Option<Self> {
        RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(ignoring_case)
            .build()
            .ok()
            .map(Self)
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
    use super::Pattern;

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
    fn replacements() {
        let pattern = Pattern::new("^/ws/(.*)$", false).expect("an expression");
        let made = |text: &str| pattern.replaced(text, "/$1?$arg$2");
        assert_eq!(made("/ws/a/b").as_deref(), Some("/a/b?$arg"));
        assert_eq!(made("/other"), None);
    }
}
