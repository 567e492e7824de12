//! What a value with variables is in a request that opens a WebSocket.

use super::parse::Directive;

/// The `map` blocks of a configuration, and what else is known of variables.
#[derive(Clone)]
pub struct Maps<'a> {
    maps: Vec<&'a Directive>,
    /// Names, without the `$`, and values; a later one replaces an earlier one.
    known: Vec<(String, String)>,
}

impl<'a> Maps<'a> {
    pub fn of(http: &'a [Directive]) -> Self {
        Self {
            maps: http
                .iter()
                .filter(|directive| directive.name == "map")
                .collect(),
            known: Vec::new(),
        }
    }

    /// From here on a variable has this value.
    pub fn know(&mut self, name: &str, value: impl Into<String>) {
        self.known.push((name.to_ascii_lowercase(), value.into()));
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
        }
        Some(value + rest)
    }

    fn variable(&self, name: &str, depth: usize) -> Option<String> {
        let lower = name.to_ascii_lowercase();
        let known = self.known.iter().rev().find(|(known, _)| *known == lower);
        if let Some((_, value)) = known {
            return Some(value.clone());
        }
        match lower.as_str() {
            "http_upgrade" => return Some("websocket".to_owned()),
            "http_connection" => return Some("Upgrade".to_owned()),
            "http_sec_websocket_version" => return Some("13".to_owned()),
            "request_method" => return Some("GET".to_owned()),
            // The module's, in a handshake.
            "websocket" => return Some("1".to_owned()),
            _ => {}
        }
        let named = |map: &&&Directive| map.word(1).strip_prefix('$') == Some(name);
        let map = self.maps.iter().find(named)?;
        let source = self.within(map.word(0), depth + 1)?;
        self.within(&look_up(map, &source)?, depth + 1)
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

/// What a map makes of a value: the exact entry, else a pattern, else the default.
fn look_up(map: &Directive, source: &str) -> Option<String> {
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
    for entry in entries().filter(|entry| entry.name.starts_with('~')) {
        // What isn't simple enough to be sure of makes the whole map uncertain.
        if matches(&entry.name[1..], source)? {
            return Some(entry.word(0).to_owned());
        }
    }
    let default = entries().find(|entry| entry.name == "default");
    Some(default.map_or(String::new(), |entry| entry.word(0).to_owned()))
}

/// Patterns that are plain text, perhaps tied to an end.
fn matches(pattern: &str, source: &str) -> Option<bool> {
    let (pattern, source) = match pattern.strip_prefix('*') {
        Some(pattern) => (pattern.to_ascii_lowercase(), source.to_ascii_lowercase()),
        None => (pattern.to_owned(), source.to_owned()),
    };
    let pattern = pattern
        .strip_suffix(".*")
        .map(str::to_owned)
        .unwrap_or(pattern);
    let from_start = pattern.strip_prefix('^');
    let body = from_start.unwrap_or(&pattern);
    let to_end = body.strip_suffix('$');
    let body = to_end.unwrap_or(body);
    if !body
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return None;
    }
    Some(match (from_start.is_some(), to_end.is_some()) {
        (true, true) => source == body,
        (true, false) => source.starts_with(body),
        (false, true) => source.ends_with(body),
        (false, false) => source.contains(body),
    })
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
        assert_eq!(with("~.+ one; default three;"), None);
        assert_eq!(with("h2c one;").as_deref(), Some(""));
        assert_eq!(with("default $a;"), None);
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
}
