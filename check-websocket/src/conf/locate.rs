//! Which location of a server a path reaches, as nginx searches.

use super::parse::Directive;
use super::pass::pass;
use super::scope::{Level, Scope, titled};
use super::values::Maps;

/// A location, with the levels around it.
#[derive(Clone)]
pub struct Place<'a> {
    pub directive: &'a Directive,
    pub scope: Scope<'a>,
    pub why: &'static str,
}

/// What a search ends with.
pub enum Found<'a> {
    /// No other can be nearer.
    Final(Place<'a>),
    /// The longest prefix so far: expressions of the levels around it are still to be tried.
    Prefix(Place<'a>),
    /// nginx answers 301, to the same path with a slash.
    Slash(Place<'a>),
    Nothing,
}

/// Searches, and notes the expressions that can't be judged.
pub fn search<'a>(
    scope: &Scope<'a>,
    path: &str,
    maps: &Maps<'a>,
    unknown: &mut Vec<&'a Directive>,
) -> Found<'a> {
    let level = scope.level();
    let locations = level.all("location");
    if maps.step(locations.len()).is_none() {
        return Found::Nothing;
    }
    let places = || {
        let locations = locations.iter().copied();
        locations.map(|directive| (directive, Kind::of(directive)))
    };
    let place = |directive: &'a Directive, why| Place {
        directive,
        scope: scope.within(Level::new(directive.children()), name(directive)),
        why,
    };
    if let Some((exact, _)) = places().find(|(_, kind)| *kind == Kind::Exact(path)) {
        return Found::Final(place(exact, "it is exactly this path"));
    }
    let longest = places()
        .filter_map(|(directive, kind)| match kind {
            Kind::Prefix { text, is_last } if path.starts_with(text) => {
                Some((text.len(), is_last, directive))
            }
            _ => None,
        })
        .max_by_key(|(length, ..)| *length);
    if longest.is_none_or(|(length, ..)| length < path.len()) {
        if let Some(slash) =
            places().find_map(|(directive, kind)| kind.wants_slash(path, directive))
        {
            return Found::Slash(place(slash, "it is this path with a slash"));
        }
    }
    let mut found = Found::Nothing;
    if let Some((_, is_last, directive)) = longest {
        let here = place(directive, "it is the longest prefix");
        found = match search(&here.scope, path, maps, unknown) {
            Found::Nothing => Found::Prefix(here),
            Found::Prefix(inner) => Found::Prefix(inner),
            found => return found,
        };
        if is_last {
            return found;
        }
    }
    for (directive, kind) in places() {
        let Kind::Expression {
            text,
            ignoring_case,
        } = kind
        else {
            continue;
        };
        match maps.patterns().get(text, ignoring_case) {
            None => {
                let wider = maps.patterns().wider(text, ignoring_case);
                if wider.is_none_or(|wider| wider.is_in(path)) {
                    unknown.push(directive);
                }
            }
            Some(pattern) if pattern.is_in(path) => {
                let here = place(directive, "its regular expression matches");
                return match search(&here.scope, path, maps, unknown) {
                    Found::Nothing => Found::Final(here),
                    Found::Prefix(inner) => Found::Final(inner),
                    found => found,
                };
            }
            Some(_) => {}
        }
    }
    found
}

/// `@name` of a server.
pub fn named<'a>(server: &Scope<'a>, wanted: &str) -> Option<Place<'a>> {
    let level = server.level();
    let mut named = level.all("location").iter().copied();
    let directive = named.find(|directive| directive.word(0) == wanted)?;
    Some(Place {
        directive,
        scope: server.within(Level::new(directive.children()), name(directive)),
        why: "nginx leads there by its name",
    })
}

/// A path that a location is written for, where it is not an expression.
pub fn path(directive: &Directive) -> Option<&str> {
    match Kind::of(directive) {
        Kind::Exact(text) | Kind::Prefix { text, .. } => Some(text),
        Kind::Expression { .. } | Kind::Named => None,
    }
}

fn name(directive: &Directive) -> String {
    titled("location", &directive.words)
}

impl<'a> Place<'a> {
    /// The block `if` of it that the request is in.
    pub fn inside(self, block: &'a Directive) -> Self {
        let name = titled(&format!("{} if", self.scope.name), &block.words);
        Self {
            scope: self.scope.within(Level::new(block.children()), name),
            ..self
        }
    }

    /// How long the part of the path is that `proxy_pass` with a path replaces.
    pub fn prefix_length(&self) -> Option<usize> {
        match Kind::of(self.directive) {
            Kind::Exact(text) | Kind::Prefix { text, .. } => Some(text.len()),
            Kind::Expression { .. } | Kind::Named => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Exact(&'a str),
    Prefix {
        text: &'a str,
        /// `^~`: expressions of the same level are not tried.
        is_last: bool,
    },
    Expression {
        text: &'a str,
        ignoring_case: bool,
    },
    Named,
}

impl<'a> Kind<'a> {
    /// The modifier may stand apart or not.
    fn of(directive: &'a Directive) -> Self {
        let (modifier, text) = match directive.words.as_slice() {
            [modifier, text] => (modifier.as_str(), text.as_str()),
            _ => {
                let word = directive.word(0);
                let modifiers = ["=", "^~", "~*", "~"];
                let stuck = modifiers
                    .iter()
                    .find(|modifier| word.starts_with(**modifier));
                word.split_at(stuck.map_or(0, |modifier| modifier.len()))
            }
        };
        match modifier {
            "=" => Self::Exact(text),
            "^~" => Self::Prefix {
                text,
                is_last: true,
            },
            "~" | "~*" => Self::Expression {
                text,
                ignoring_case: modifier == "~*",
            },
            _ if text.starts_with('@') => Self::Named,
            _ => Self::Prefix {
                text,
                is_last: false,
            },
        }
    }

    /// A location that proxies, with a slash at its end, takes the path without it for a mistake.
    fn wants_slash(self, path: &str, directive: &'a Directive) -> Option<&'a Directive> {
        let (Self::Exact(text) | Self::Prefix { text, .. }) = self else {
            return None;
        };
        let is_it = text.strip_suffix('/') == Some(path) && pass(directive.children()).is_some();
        is_it.then_some(directive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::parse::parse;

    const SERVER: &str = "location / { }
        location = /exact { }
        location /exact/ { }
        location /static/ { location ~ \\.ws$ { } location /static/deep/ { } }
        location ^~ /raw/ { }
        location ~ ^/chat/\\d+$ { }
        location ~* \\.PNG$ { }
        location /chat/ { proxy_pass http://a; }
        location ~ ^/(?!x)never { }
        location @named { }
        location =/stuck { }";

    #[track_caller]
    fn line(path: &str) -> (usize, &'static str) {
        let directives = parse("a", SERVER).expect("right syntax");
        let scope = Scope::of(&Level::new(&directives), "");
        match search(&scope, path, &Maps::of(&[]), &mut Vec::new()) {
            Found::Final(place) => (place.directive.line, "final"),
            Found::Prefix(place) => (place.directive.line, "prefix"),
            Found::Slash(place) => (place.directive.line, "slash"),
            Found::Nothing => (0, ""),
        }
    }

    #[test]
    fn locations_as_nginx_searches_them() {
        for (path, expected) in [
            ("/", (1, "prefix")),
            ("/other", (1, "prefix")),
            ("/exact", (2, "final")),
            ("/exact/", (3, "prefix")),
            ("/static/a", (4, "prefix")),
            ("/static/a.ws", (4, "final")),
            ("/static/deep/a", (4, "prefix")),
            ("/static/a.png", (7, "final")),
            ("/raw/a.png", (5, "prefix")),
            ("/chat/12", (6, "final")),
            ("/chat/x", (8, "prefix")),
            ("/chat", (8, "slash")),
            ("/stuck", (11, "final")),
        ] {
            assert_eq!(line(path), expected, "{path}");
        }
    }

    #[test]
    fn named_ones_and_those_that_cannot_be_judged() {
        let directives = parse("a", SERVER).expect("right syntax");
        let scope = Scope::of(&Level::new(&directives), "");
        let mut unknown = Vec::new();
        search(&scope, "/never", &Maps::of(&[]), &mut unknown);
        assert_eq!(unknown.len(), 1);
        assert_eq!(
            named(&scope, "@named").map(|place| place.directive.line),
            Some(10)
        );
        assert!(named(&scope, "@other").is_none());
    }
}
