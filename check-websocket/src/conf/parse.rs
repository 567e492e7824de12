//! nginx's configuration syntax: words, quotes, comments and blocks.

use std::rc::Rc;

use super::lua;

/// A directive with its words, and its block if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    pub name: String,
    pub words: Vec<String>,
    pub block: Option<Vec<Directive>>,
    pub file: Rc<str>,
    pub line: usize,
}

impl Directive {
    pub fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    pub fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Whether its value is this, as nginx compares flags.
    pub fn says(&self, value: &str) -> bool {
        self.word(0).eq_ignore_ascii_case(value)
    }

    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// Memory for the directives of a configuration, all its files together.
pub struct Room {
    left: usize,
}

const MEMORY: usize = 64 << 20;

impl Room {
    pub fn new() -> Self {
        Self { left: MEMORY }
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }
}

/// Reads a whole file.
#[cfg(test)]
pub fn parse(file: &str, text: &str) -> Result<Vec<Directive>, String> {
    parse_within(file, text, &mut Room::new())
}

/// Reads a whole file into what room there is.
pub fn parse_within(file: &str, text: &str, room: &mut Room) -> Result<Vec<Directive>, String> {
    let mut reader = Reader {
        rest: text,
        line: 1,
        file: file.into(),
        depth: 0,
        listed: None,
        room,
    };
    reader.block(false)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    file: Rc<str>,
    depth: usize,
    /// The depth of a block whose lines are data.
    listed: Option<usize>,
    room: &'a mut Room,
}

/// Blocks whose lines are data that no verdict depends on, a million of them perhaps. What they
/// include is none either.
const DATA: [&str; 3] = ["geo", "types", "split_clients"];

enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
    End,
}

/// Deeper than any configuration, and far from where the stack ends.
const MAX_DEPTH: usize = 100;

/// nginx takes no longer words.
const MAX_WORD: usize = 4096;

impl Reader<'_> {
    fn block(&mut self, inner: bool) -> Result<Vec<Directive>, String> {
        if self.depth > MAX_DEPTH {
            return Err(self.error("blocks are nested too deeply"));
        }
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut line = self.line;
        loop {
            let token = self.token()?;
            if words.is_empty() {
                line = self.line;
            }
            let block = match token {
                Token::Word(word) => {
                    self.hold(word.capacity() + 2 * size_of::<String>())?;
                    words.push(word);
                    continue;
                }
                Token::Semicolon => None,
                Token::Open
                    if words
                        .first()
                        .is_some_and(|name| name.ends_with("_by_lua_block")) =>
                {
                    self.skip_lua_block()?;
                    Some(Vec::new())
                }
                Token::Open => {
                    self.depth += 1;
                    let is_data = words
                        .first()
                        .is_some_and(|name| DATA.contains(&name.as_str()));
                    if is_data && self.listed.is_none() {
                        self.listed = Some(self.depth);
                    }
                    let block = self.block(true)?;
                    self.listed = self.listed.filter(|depth| *depth != self.depth);
                    self.depth -= 1;
                    Some(block)
                }
                Token::Close if inner && words.is_empty() => return Ok(directives),
                Token::End if !inner && words.is_empty() => return Ok(directives),
                Token::Close => return Err(self.error("unexpected \"}\"")),
                Token::End => return Err(self.error("unexpected end of file")),
            };
            if words.is_empty() {
                return Err(self.error("a directive without a name"));
            }
            if self.listed.is_some_and(|depth| depth <= self.depth) {
                words.clear();
                continue;
            }
            self.hold(size_of::<Directive>())?;
            words.shrink_to_fit();
            directives.push(Directive {
                name: words.remove(0),
                words: std::mem::take(&mut words),
                block,
                file: Rc::clone(&self.file),
                line,
            });
        }
    }

    /// Takes room for what is kept.
    fn hold(&mut self, bytes: usize) -> Result<(), String> {
        if self.listed.is_some() {
            return Ok(());
        }
        self.room.take(bytes).ok_or_else(|| {
            self.error("there are too many directives to hold in memory, so none is judged")
        })
    }

    fn token(&mut self) -> Result<Token, String> {
        self.skip_space();
        let Some(first) = self.next() else {
            return Ok(Token::End);
        };
        Ok(match first {
            ';' => Token::Semicolon,
            '{' => Token::Open,
            '}' => Token::Close,
            quote @ ('"' | '\'') => Token::Word(self.quoted(quote)?),
            first => Token::Word(self.bare(first)?),
        })
    }

    fn skip_space(&mut self) {
        loop {
            match self.rest.chars().next() {
                Some(c) if c.is_ascii_whitespace() || c == '\u{feff}' => {
                    self.next();
                }
                Some('#') => while self.next().is_some_and(|c| c != '\n') {},
                _ => return,
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut word = String::new();
        loop {
            match self.next() {
                Some(c) if c == quote => return Ok(word),
                Some('\\') => self.escaped(&mut word),
                Some(c) => word.push(c),
                None => return Err(self.error("a quote is not closed")),
            }
            self.measure(&word)?;
        }
    }

    fn measure(&self, word: &str) -> Result<(), String> {
        if word.len() > MAX_WORD {
            return Err(self.error("a word is longer than nginx accepts"));
        }
        Ok(())
    }

    fn bare(&mut self, first: char) -> Result<String, String> {
        let mut word = String::new();
        let mut c = first;
        loop {
            match c {
                '\\' => self.escaped(&mut word),
                c => word.push(c),
            }
            match self.rest.chars().next() {
                // `${name}` is part of a word.
                Some('{') if c == '$' => {}
                Some(end) if end.is_ascii_whitespace() || matches!(end, ';' | '{') => {
                    return Ok(word);
                }
                None => return Ok(word),
                Some(_) => {}
            }
            let Some(next) = self.next() else {
                return Ok(word);
            };
            self.measure(&word)?;
            c = next;
        }
    }

    /// nginx knows these; before anything else the backslash stays.
    fn escaped(&mut self, word: &mut String) {
        match self.next() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => {
                word.push('\\');
                word.push(c);
            }
            None => word.push('\\'),
        }
    }

    /// Lua between braces. Braces in its strings and comments are none of its blocks.
    fn skip_lua_block(&mut self) -> Result<(), String> {
        let end = lua::block_end(self.rest).ok_or_else(|| {
            let last = self.rest.matches('\n').count();
            format!("{}:{}: a block is not closed", self.file, self.line + last)
        })?;
        let (block, rest) = self.rest.split_at(end);
        self.line += block.matches('\n').count();
        self.rest = rest;
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn error(&self, text: &str) -> String {
        format!("{}:{}: {text}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn words(text: &str) -> Vec<String> {
        let directives = parse("a", text).expect("right syntax");
        let [directive] = directives.as_slice() else {
            panic!("{directives:?}");
        };
        std::iter::once(&directive.name)
            .chain(&directive.words)
            .cloned()
            .collect()
    }

    #[test]
    fn words_quotes_and_escapes() {
        assert_eq!(
            words("a b  'c d' \"e;f\"\n g;"),
            ["a", "b", "c d", "e;f", "g"]
        );
        assert_eq!(
            words(r#"a "b\"c" 'd\'e' \.php$ f\"g;"#),
            ["a", "b\"c", "d'e", "\\.php$", "f\"g"]
        );
        assert_eq!(words("a '';"), ["a", ""]);
        assert_eq!(words("a http://${b}c/;"), ["a", "http://${b}c/"]);
        assert_eq!(words("a b#c; # d; e"), ["a", "b#c"]);
    }

    #[test]
    fn blocks_have_files_and_lines() {
        let directives =
            parse("a.conf", "# x\nhttp {\n  server {\n listen\n 80; }\n}\n").expect("right");
        assert_eq!(
            (directives[0].name.as_str(), directives[0].line),
            ("http", 2)
        );
        let server = &directives[0].children()[0];
        assert_eq!(server.place(), "a.conf:3");
        assert_eq!(server.children()[0].place(), "a.conf:4");
    }

    #[test]
    fn lua_is_stepped_over() {
        let text = "content_by_lua_block { if a then b = {1; 2} end }\nx y;";
        let directives = parse("a", text).expect("right syntax");
        assert_eq!(directives.len(), 2);
        assert_eq!(directives[1].line, 2);
        let strings = "a_by_lua_block {\n local s = '}' -- { {\n ngx.say([[ } }\n ]]) }\nx y;";
        let directives = parse("a", strings).expect("right syntax");
        assert_eq!(directives.len(), 2);
        assert_eq!((directives[1].name.as_str(), directives[1].line), ("x", 5));
        assert_eq!(
            parse("a", "a_by_lua_block {\n '}'\n").expect_err("no end"),
            "a:3: a block is not closed"
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, line) in [
            ("a {\n b;", 2),
            ("a;\n}", 2),
            ("a", 1),
            ("'a", 1),
            (";", 1),
            ("\na b }", 2),
            ("{ }", 1),
        ] {
            let error = parse("f", text).expect_err(text);
            assert!(error.starts_with(&format!("f:{line}: ")), "{text}: {error}");
        }
        assert!(parse("f", &"a {".repeat(100_000)).is_err());
        assert!(parse("f", &format!("a {};", "b".repeat(5000))).is_err());
        assert!(parse("f", &format!("a '{}';", "b".repeat(5000))).is_err());
    }

    #[test]
    fn data_is_not_kept_and_what_is_has_its_bounds() {
        let data = "geo $a { default 0; ranges { x; } 10.0.0.0/8 1; } types { a b; } c d;";
        let directives = parse("a", data).expect("right syntax");
        let kept: Vec<usize> = directives.iter().map(|d| d.children().len()).collect();
        assert_eq!(kept, [0, 0, 0]);
        let many = "a b;".repeat(2_000_000);
        let error = parse("a", &many).expect_err("more than is held");
        assert!(error.contains("too many directives to hold"), "{error}");
    }
}
