//! Where `error_page` leads to.

use super::parse::Directive;

/// A page that takes the place of an error.
#[derive(Clone, Copy)]
pub struct ErrorPage<'a> {
    pub line: &'a Directive,
    /// `@name`, or an address.
    pub target: &'a str,
    /// The status that the answer has instead of its own.
    pub status: Option<u16>,
}

impl<'a> ErrorPage<'a> {
    /// That of an error where these lines are in force.
    pub fn of(lines: &[&'a Directive], error: u16) -> Option<Self> {
        lines.iter().find_map(|line| Self::read(line, error))
    }

    /// As `ngx_http_core_error_page()` does.
    fn read(line: &'a Directive, error: u16) -> Option<Self> {
        let (target, words) = line.words.split_last()?;
        let given = words.last().and_then(|word| word.strip_prefix('='));
        let is_of = |word: &String| word.parse() == Ok(error);
        words.iter().any(is_of).then_some(Self {
            line,
            target,
            status: match given {
                None => Some(error),
                Some("") => None,
                Some(given) => given.parse().ok(),
            },
        })
    }
}
