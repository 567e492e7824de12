//! What `rewrite`, `return`, `set` and `if` make of a request, at one level.

use super::parse::Directive;
use super::pass::pass;
use super::scope::Level;
use super::uri::Uri;
use super::values::Maps;

/// How the request goes on.
pub enum Outcome<'a> {
    /// With this path, from here.
    On(Uri, Within<'a>),
    /// With this path, and the location is searched again.
    Again(Uri),
    /// nginx answers.
    Answered(Answer<'a>),
}

/// An answer of nginx's own.
pub struct Answer<'a> {
    /// Why it is given.
    pub why: String,
    /// The status, where `error_page` may make another answer of it.
    pub error: Option<u16>,
    /// The last `if` before it whose condition holds: its settings are in force.
    pub within: Option<&'a Directive>,
}

/// Whose settings are in force behind a level: nginx takes those of the last `if` whose condition holds.
#[derive(Clone, Copy)]
pub enum Within<'a> {
    /// The level's own.
    Level,
    /// An `if` that passes on where the level does. Nothing of it is inherited that can't be, such as `try_files`.
    If,
    /// An `if` that passes on itself.
    Pass(&'a Directive),
}

/// Goes through a level in its order.
pub fn run<'a>(
    level: &Level<'a>,
    uri: Uri,
    maps: &mut Maps<'a>,
    remarks: &mut Vec<String>,
) -> Outcome<'a> {
    let mut run = Run {
        uri,
        is_changed: false,
        within: Within::Level,
        inside: None,
        maps,
        remarks,
    };
    // Most levels have none of it, and some are long.
    let has = LINES.iter().any(|name| level.find(name).is_some());
    let lines = if has { level.lines } else { &[] };
    match run.level(lines) {
        Some(End::Answered(why, error)) => Outcome::Answered(Answer {
            why,
            error,
            within: run.inside,
        }),
        Some(End::Last) => Outcome::Again(run.uri),
        None if run.is_changed => Outcome::Again(run.uri),
        Some(End::Break) | None => Outcome::On(run.uri, run.within),
    }
}

/// What a line costs: an expression is compared, or a variable made.
const LINE: usize = 10;

const LINES: [&str; 5] = ["set", "return", "break", "rewrite", "if"];

/// What `set` makes of variables at a level, wherever nothing decides whether it does.
pub fn set<'a>(level: &Level<'a>, maps: &mut Maps<'a>) {
    let lines = level.lines.iter();
    for line in lines.filter(|line| matches!(line.name.as_str(), "set" | "if")) {
        if maps.step(LINE).is_none() {
            return;
        }
        match line.name.as_str() {
            "set" => assign(line, maps),
            _ => match holds(&line.words, maps) {
                Some(true) => sets(line).for_each(|line| assign(line, maps)),
                Some(false) => {}
                None => forget(line, maps),
            },
        }
    }
}

/// What `set` makes of its variable.
fn assign(line: &Directive, maps: &mut Maps<'_>) {
    let name = line.word(0).trim_start_matches('$');
    match maps.value(line.word(1)) {
        Some(value) => maps.know(name, value),
        None => maps.forget(name),
    }
}

/// What an `if` would make of variables can't be told where it can't be told whether it is entered.
fn forget(condition: &Directive, maps: &mut Maps<'_>) {
    for line in sets(condition) {
        maps.forget(line.word(0).trim_start_matches('$'));
    }
}

fn sets(condition: &Directive) -> impl Iterator<Item = &Directive> {
    condition
        .children()
        .iter()
        .filter(|line| line.name == "set")
}

struct Run<'a, 'm> {
    uri: Uri,
    is_changed: bool,
    within: Within<'a>,
    /// The last `if` whose condition holds.
    inside: Option<&'a Directive>,
    maps: &'m mut Maps<'a>,
    remarks: &'m mut Vec<String>,
}

enum End {
    Answered(String, Option<u16>),
    Break,
    Last,
}

/// The error that a `return` ends in: one with a text is an answer (`ngx_http_script_return_code()`).
fn error(line: &Directive) -> Option<u16> {
    let [status] = line.words.as_slice() else {
        return None;
    };
    status.parse().ok().filter(|status| *status >= 400)
}

impl<'a> Run<'a, '_> {
    fn level(&mut self, level: &'a [Directive]) -> Option<End> {
        for line in level {
            if self.maps.step(LINE).is_none() {
                self.remarks.push(format!(
                    "what follows {} is not followed: there is too much of it",
                    line.place()
                ));
                return Some(End::Break);
            }
            let end = match line.name.as_str() {
                "set" => {
                    assign(line, self.maps);
                    None
                }
                "return" => Some(End::Answered(
                    format!(
                        "return {} ({}) answers before the request is passed on",
                        line.words.join(" "),
                        line.place()
                    ),
                    error(line),
                )),
                "break" => {
                    self.uri.is_located &= !self.is_changed;
                    Some(End::Break)
                }
                "rewrite" => self.rewrite(line),
                "if" => self.condition(line),
                _ => None,
            };
            if end.is_some() {
                return end;
            }
        }
        None
    }

    fn rewrite(&mut self, line: &Directive) -> Option<End> {
        let Some(pattern) = self.maps.patterns().get(line.word(0), false) else {
            self.not_followed(line);
            return None;
        };
        let made = pattern.replaced(&self.uri.path, line.word(1))?;
        let made = self.maps.shown(&made);
        let flag = line.word(2);
        let is_elsewhere = ["http://", "https://", "$scheme"];
        let is_elsewhere = is_elsewhere
            .iter()
            .any(|begin| line.word(1).starts_with(begin));
        if matches!(flag, "redirect" | "permanent") || is_elsewhere {
            let place = line.place();
            let why = format!(
                "rewrite ({place}) answers with a redirect to {made}, which browsers do not follow"
            );
            return Some(End::Answered(why, None));
        }
        self.uri = self.uri.rewritten(&made);
        self.maps.know("uri", self.uri.path.as_str());
        match flag {
            "last" => Some(End::Last),
            "break" => {
                self.uri.is_located = false;
                Some(End::Break)
            }
            _ => {
                self.is_changed = true;
                None
            }
        }
    }

    fn condition(&mut self, line: &'a Directive) -> Option<End> {
        let is_file = file_test(&line.words, &self.uri.path);
        if is_file.is_some() {
            self.remarks.push(format!(
                "if {} ({}) is assumed to find no file",
                line.words.join(" "),
                line.place()
            ));
        }
        match is_file.or_else(|| holds(&line.words, self.maps)) {
            Some(true) => {
                self.inside = Some(line);
                self.within = match pass(line.children()) {
                    Some(_) => Within::Pass(line),
                    None => Within::If,
                };
                self.level(line.children())
            }
            Some(false) => None,
            None => {
                self.not_followed(line);
                forget(line, self.maps);
                None
            }
        }
    }

    fn not_followed(&mut self, line: &Directive) {
        // More of them tell nothing new.
        if self.remarks.len() > 20 {
            return;
        }
        self.remarks.push(format!(
            "{} {} ({}) is not followed: the configuration does not tell what it depends on",
            line.name,
            line.words.first().map_or("", String::as_str),
            line.place()
        ));
    }
}

/// Whether a test of files holds: a WebSocket's path is none. A folder may be there.
fn file_test(words: &[String], path: &str) -> Option<bool> {
    let test = words.first()?.strip_prefix('(')?;
    let (is_not, test) = match test.strip_prefix('!') {
        Some(test) => (true, test),
        None => (false, test),
    };
    let is_test =
        matches!(test, "-f" | "-x") || (matches!(test, "-e" | "-d") && !path.ends_with('/'));
    is_test.then_some(is_not)
}

/// A condition with variables that are known.
fn holds(words: &[String], maps: &Maps<'_>) -> Option<bool> {
    let joined = words.join(" ");
    let inside = joined.strip_prefix('(')?.strip_suffix(')')?.trim();
    let mut parts = inside.splitn(3, ' ');
    let value = maps.value(parts.next()?)?;
    let (operator, other) = (parts.next(), parts.next().unwrap_or_default());
    let matches = |ignoring_case| {
        maps.patterns()
            .get(other, ignoring_case)
            .map(|p| p.is_in(&value))
    };
    match operator {
        // `-f` and its like look at files.
        _ if inside.starts_with(['-', '!']) => None,
        None => Some(!matches!(value.as_str(), "" | "0")),
        Some("=") => Some(value == maps.value(other)?),
        Some("!=") => Some(value != maps.value(other)?),
        Some("~") => matches(false),
        Some("~*") => matches(true),
        Some("!~") => matches(false).map(|is| !is),
        Some("!~*") => matches(true).map(|is| !is),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::parse::parse;

    /// How it ends, with the path.
    #[track_caller]
    fn end(text: &str) -> (String, usize) {
        let directives = parse("a", text).expect("right syntax");
        let mut maps = Maps::of(&[]);
        maps.know("host", "a.example");
        let mut remarks = Vec::new();
        let uri = Uri::read("/ws/a?b", true);
        let end = match run(&Level::new(&directives), uri, &mut maps, &mut remarks) {
            Outcome::On(uri, Within::Level) => format!("on {}", uri.with_query(&uri.path)),
            Outcome::On(uri, Within::If) => format!("by if {}", uri.path),
            Outcome::On(uri, Within::Pass(within)) => format!("in {} {}", within.name, uri.path),
            Outcome::Again(uri) => format!("again {}", uri.path),
            Outcome::Answered(answer) => answer.why,
        };
        (end, remarks.len())
    }

    #[test]
    fn paths_and_ends() {
        for (text, expected, unknown) in [
            ("proxy_pass http://a;", "on /ws/a?b", 0),
            ("rewrite ^/ws(/.*) $1 break;", "on /a?b", 0),
            ("rewrite ^/ws(/.*) $1 last;", "again /a", 0),
            ("rewrite ^/ws(/.*) $1;", "again /a", 0),
            ("rewrite ^/other / break;", "on /ws/a?b", 0),
            ("rewrite ^/(?!x) /y break;", "on /ws/a?b", 1),
            ("set $p /new; rewrite ^ $p$1 break;", "on /new?b", 0),
            ("break; return 404;", "on /ws/a?b", 0),
            (
                "if ($host = a.example) { rewrite ^ /b break; }",
                "by if /b",
                0,
            ),
            ("if ($host != a.example) { return 403; }", "on /ws/a?b", 0),
            ("if ($host = a.example) { set $a 1; }", "by if /ws/a", 0),
            ("rewrite ^ /s?o=http://a break;", "on /s?o=http://a&b", 0),
            (
                "set $a 0; if ($remote_addr = 1) { set $a 1; } if ($a = 0) { return 403; }",
                "on /ws/a?b",
                2,
            ),
            (
                "set $a 0; set $a $remote_addr; if ($a = 0) { return 403; }",
                "on /ws/a?b",
                1,
            ),
            (
                "if ($http_upgrade ~* ^websocket$) { proxy_pass http://a; }",
                "in if /ws/a",
                0,
            ),
            ("if ($remote_addr = 1) { return 403; }", "on /ws/a?b", 1),
            ("if (-f $request_filename) { return 403; }", "on /ws/a?b", 1),
            (
                "if (!-e $request_filename) { rewrite ^ /b break; }",
                "by if /b",
                1,
            ),
        ] {
            assert_eq!(end(text), (expected.to_owned(), unknown), "{text}");
        }
        assert!(
            end("return 301 https://$host;")
                .0
                .starts_with("return 301 https://$host (a:1)")
        );
        let (redirect, _) = end("rewrite ^ https://$host/ permanent;");
        assert!(
            redirect.contains("a redirect to https://a.example/"),
            "{redirect}"
        );
    }
}
