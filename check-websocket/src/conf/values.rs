//! What a value with variables is in a request that opens a WebSocket.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::hostname::Matched;
use super::parse::Directive;
use super::pattern::Patterns;

/// The `map` and `upstream` blocks of a configuration, and what else is known of variables.
#[derive(Clone)]
pub struct Maps<'a> {
    maps: Rc<HashMap<String, &'a Directive>>,
    upstreams: Rc<HashMap<&'a str, &'a Directive>>,
    /// Names, without the `$`, and values, where they can be told; a later one replaces an earlier one.
    known: Rc<HashMap<String, Option<String>>>,
    patterns: Rc<Patterns>,
    /// Whether all headers of the request are known, so that there is no other.
    is_whole: bool,
    /// Entries of maps and variables that are still looked at: each may lead to ten others.
    left: Rc<Cell<usize>>,
}

const MAX_STEPS: usize = 20_000_000;
/// What a variable costs beside the entry of a map.
const VARIABLE: usize = 20;
/// nginx itself has room for 4 or 8 KB of a request's head.
const MAX_VALUE: usize = 16 << 10;

impl<'a> Maps<'a> {
    pub fn of(http: &'a [Directive]) -> Self {
        let maps = http.iter().filter(|directive| directive.name == "map");
        let upstreams = http.iter().filter(|directive| directive.name == "upstream");
        let named = maps.filter_map(|map| {
            let name = map.word(1).strip_prefix('$')?;
            Some((name.to_ascii_lowercase(), map))
        });
        Self {
            // Of two for the same variable nginx takes the later one.
            maps: Rc::new(named.collect()),
            upstreams: Rc::new(upstreams.map(|line| (line.word(0), line)).collect()),
            known: Rc::default(),
            patterns: Rc::new(Patterns::new()),
            is_whole: false,
            left: Rc::new(Cell::new(MAX_STEPS)),
        }
    }

    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// From here on the request has no other headers than those that are known.
    pub fn know_all_headers(&mut self) {
        self.is_whole = true;
    }

    /// From here on a variable has this value.
    pub fn know(&mut self, name: &str, value: impl Into<String>) {
        self.note(name, Some(value.into()));
    }

    /// From here on its value can't be told.
    pub fn forget(&mut self, name: &str) {
        self.note(name, None);
    }

    fn note(&mut self, name: &str, value: Option<String>) {
        Rc::make_mut(&mut self.known).insert(name.to_ascii_lowercase(), value);
    }

    /// The value as far as it can be told: what can't stays as it is written.
    pub fn shown(&self, text: &str) -> String {
        let mut value = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            value += &rest[..at];
            let Some((name, after)) = variable(&rest[at + 1..]) else {
                return value + &rest[at..];
            };
            let written = &rest[at..rest.len() - after.len()];
            value += &self.variable(name, 0).unwrap_or_else(|| written.to_owned());
            rest = after;
            if value.len() > MAX_VALUE {
                break;
            }
        }
        value + rest
    }

    /// The value in a handshake; `None` where it can't be told from the configuration.
    pub fn value(&self, text: &str) -> Option<String> {
        self.within(text, 0)
    }

    fn within(&self, text: &str, depth: usize) -> Option<String> {
        // Maps may lead to maps, but not in a circle.
        if depth > 10 {
            return None;
        }
        let mut value = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            value += &rest[..at];
            let (name, after) = variable(&rest[at + 1..])?;
            value += &self.variable(name, depth)?;
            rest = after;
            if value.len() > MAX_VALUE {
                return None;
            }
        }
        Some(value + rest)
    }

    /// Of a request that is known as a whole. What it doesn't have is empty.
    fn of_request(&self, name: &str) -> Option<String> {
        let known = |name: &str| self.known.get(name)?.as_deref();
        let among = |list: Option<&str>, separator: char, name: &str| {
            let pairs = list.unwrap_or_default().split(separator);
            let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
            let found = pairs.find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map_or(String::new(), |(_, value)| value.to_owned())
        };
        if let Some(name) = name.strip_prefix("cookie_") {
            return Some(among(known("http_cookie"), ';', name));
        }
        if let Some(name) = name.strip_prefix("arg_") {
            return Some(among(known("args"), '&', name));
        }
        name.starts_with("http_").then(String::new)
    }

    /// The lines of an `upstream` of this name.
    pub fn upstream(&self, name: &str) -> Option<&'a Directive> {
        self.upstreams.get(name).copied()
    }

    /// Takes some of the work that is still done. `None` when there was enough.
    pub fn step(&self, cost: usize) -> Option<()> {
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.unwrap_or_default());
        left.map(|_| ())
    }

    /// Whether not all was followed, as there was too much of it.
    pub fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    fn variable(&self, name: &str, depth: usize) -> Option<String> {
        self.step(VARIABLE)?;
        let lower = name.to_ascii_lowercase();
        if let Some(value) = self.known.get(&lower) {
            return value.clone();
        }
        match lower.as_str() {
            "http_upgrade" => return Some("websocket".to_owned()),
            "http_connection" => return Some("Upgrade".to_owned()),
            "http_sec_websocket_version" => return Some("13".to_owned()),
            "request_method" => return Some("GET".to_owned()),
            // The module's, in a handshake.
            "websocket" => return Some("1".to_owned()),
            name if self.is_whole => {
                if let Some(value) = self.of_request(name) {
                    return Some(value);
                }
            }
            _ => {}
        }
        let map = self.maps.get(&lower)?;
        self.step(map.children().len())?;
        let source = self.within(map.word(0), depth + 1)?;
        self.within(&look_up(map, &source, &self.patterns)?, depth + 1)
    }
}

/// Splits a variable's name off, without the `$`.
fn variable(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}');
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// What a map makes of a value: the exact entry, else a host's name with a wildcard, else a pattern, else the default.
fn look_up(map: &Directive, source: &str, patterns: &Patterns) -> Option<String> {
    let entries = || map.children().iter().filter(|entry| entry.words.len() == 1);
    let unescaped = |name: &str| name.strip_prefix('\\').unwrap_or(name).to_owned();
    let exact = entries().find(|entry| {
        !entry.name.starts_with('~')
            && entry.name != "default"
            && unescaped(&entry.name).eq_ignore_ascii_case(source)
    });
    if let Some(entry) = exact {
        return Some(entry.word(0).to_owned());
    }
    if map.children().iter().any(|line| line.name == "hostnames") {
        let host = source.strip_suffix('.').unwrap_or(source);
        let host = host.to_ascii_lowercase();
        let named =
            entries().filter(|entry| !entry.name.starts_with('~') && entry.name != "default");
        let matched = named.filter_map(|entry| Some((Matched::of(&entry.name, &host)?, entry)));
        // No two of them are equal: nginx refuses that.
        let best = matched.max_by(|(one, _), (other, _)| one.cmp(other));
        if let Some((_, entry)) = best {
            return Some(entry.word(0).to_owned());
        }
    }
    for entry in entries().filter(|entry| entry.name.starts_with('~')) {
        let (text, ignoring_case) = match entry.name.strip_prefix("~*") {
            Some(text) => (text, true),
            None => (&entry.name[1..], false),
        };
        // One that can't be judged makes the whole map uncertain.
        if patterns.get(text, ignoring_case)?.is_in(source) {
            return Some(entry.word(0).to_owned());
        }
    }
    let default = entries().find(|entry| entry.name == "default");
    Some(default.map_or(String::new(), |entry| entry.word(0).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::parse::parse;

    fn value(maps: &str, text: &str) -> Option<String> {
        let directives = parse("a", maps).expect("right syntax");
        Maps::of(&directives).value(text)
    }

    const USUAL: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";

    #[test]
    fn variables_and_maps() {
        assert_eq!(value("", "upgrade").as_deref(), Some("upgrade"));
        assert_eq!(
            value("", "a${http_upgrade}b").as_deref(),
            Some("awebsocketb")
        );
        assert_eq!(
            value(USUAL, "$connection_upgrade").as_deref(),
            Some("upgrade")
        );
        assert_eq!(value("", "$connection_upgrade"), None);
        assert_eq!(value("", "$"), None);
        let both = format!("{USUAL} map x$connection_upgrade $y {{ xupgrade $http_upgrade; }}");
        assert_eq!(value(&both, "$y").as_deref(), Some("websocket"));
    }

    #[test]
    fn entries_in_nginx_s_order() {
        let with = |entries: &str| value(&format!("map $http_upgrade $a {{ {entries} }}"), "$a");
        assert_eq!(
            with("~*WEB one; websocket two; default three;").as_deref(),
            Some("two")
        );
        assert_eq!(
            with("~*^WebSocket$ one; default three;").as_deref(),
            Some("one")
        );
        assert_eq!(with("~h2c one; default three;").as_deref(), Some("three"));
        assert_eq!(with("~.+ one; default three;").as_deref(), Some("one"));
        assert_eq!(with("~(?!x) one; default three;"), None);
        assert_eq!(with("h2c one;").as_deref(), Some(""));
        assert_eq!(
            with("hostnames; a one; default two;").as_deref(),
            Some("two")
        );
        assert_eq!(with("default $a;"), None);
    }

    #[test]
    fn names_of_hosts() {
        const MAP: &str = "map $host $a { hostnames; default none; ~^db one; *.example.com two; \
            .a.example.com three; www.example.* four; www.example.com five; }";
        let directives = parse("a", MAP).expect("right syntax");
        for (host, value) in [
            ("www.example.com", "five"),
            ("WWW.example.com.", "five"),
            ("db.example.com", "two"),
            ("a.example.com", "three"),
            ("b.a.example.com", "three"),
            ("www.example.org", "four"),
            ("db.example.org", "one"),
            ("example.com", "none"),
        ] {
            let mut maps = Maps::of(&directives);
            maps.know("host", host);
            assert_eq!(maps.value("$a").as_deref(), Some(value), "{host}");
        }
        let without = MAP.replace("hostnames;", "");
        let directives = parse("a", &without).expect("right syntax");
        let mut maps = Maps::of(&directives);
        maps.know("host", "www.example.org");
        assert_eq!(maps.value("$a").as_deref(), Some("none"));
    }

    #[test]
    fn what_is_known_and_what_is_not() {
        let mut maps = Maps::of(&[]);
        maps.know("Host", "a.example");
        assert_eq!(maps.value("$host:1").as_deref(), Some("a.example:1"));
        assert_eq!(
            maps.shown("${host}, $remote_addr;$"),
            "a.example, $remote_addr;$"
        );
        maps.know("host", "b.example");
        assert_eq!(maps.value("$host").as_deref(), Some("b.example"));
    }

    #[test]
    fn maps_that_multiply_have_an_end() {
        let ten = |from: &str| format!("${from}").repeat(10);
        let mut maps = format!(
            "map $http_upgrade $m0 {{ default {}; }}\n",
            ten("http_upgrade")
        );
        for n in 1..10 {
            let many = ten(&format!("{{m{}}}", n - 1));
            maps += &format!("map $http_upgrade $m{n} {{ default \"{many}\"; }}\n");
        }
        assert_eq!(value(&maps, "$m9"), None);
        assert_eq!(value(&maps, "$m1").map(|value| value.len()), Some(900));
        let circle = "map $http_upgrade $a { default $b; } map $http_upgrade $b { default $a; }";
        assert_eq!(value(circle, "$a"), None);
    }
}
