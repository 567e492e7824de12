//! The manual says what the code does: `README.md`, `docs/` and `CHANGELOG.md` against the module's
//! sources and against nginx itself.
//!
//! A long file, as each rule of the manual brings what reads it from the pages or the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nginx_tests::environment::environment;
use nginx_tests::nginx::Setup;
use nginx_tests::{Certificate, Nginx};
use websocket_protocol::Cause;

/// Where the manual has nginx load the module from.
const MODULE: &str = "modules/ngx_http_websocket_module.so";

#[test]
fn every_directive_is_documented_and_no_other() {
    let code: BTreeSet<String> = code_directives().into_keys().collect();
    assert!(code.contains("websocket"), "{code:?}");
    let manual: BTreeSet<String> = manual_directives().into_keys().collect();
    assert_eq!(code, manual);
}

#[test]
fn directives_are_allowed_where_the_manual_says_and_nowhere_else() {
    for (name, entry) in manual_directives() {
        let line = entry.line(&name);
        let contexts = [
            ("http", Nginx::http(&line)),
            ("server", Nginx::server(&line)),
            (
                "location",
                Nginx::server(format!("location / {{ {line} }}")),
            ),
            ("main", Nginx::http("").main(&line)),
            ("events", Nginx::http("").events(&line)),
            (
                "upstream",
                Nginx::http(format!("upstream u {{ server 127.0.0.1:1; {line} }}")),
            ),
            (
                "if in location",
                Nginx::server(format!("location / {{ if ($arg_a) {{ {line} }} }}")),
            ),
            (
                "limit_except",
                Nginx::server(format!("location / {{ limit_except GET {{ {line} }} }}")),
            ),
        ];
        let said: Vec<&str> = entry.context.split(", ").collect();
        let known = |said: &&str| contexts.iter().any(|(context, _)| context == said);
        assert!(said.iter().all(known), "{name}: {said:?}");
        for (context, setup) in contexts {
            let check = setup.check();
            let refusal = format!("\"{name}\" directive is not allowed here");
            let is_allowed = said.contains(&context);
            assert!(
                check.ok == is_allowed && check.output.contains(&refusal) != is_allowed,
                "{context}: {line}: {check:?}"
            );
        }
    }
}

#[test]
fn defaults_are_those_of_the_code() {
    let manual = manual_directives();
    for (name, directive) in code_directives() {
        let default = &manual[&name].default;
        assert_eq!(*default, directive.default, "{name}");
    }
}

#[test]
fn the_readme_lists_every_directive_with_its_default() {
    let readme = read("README.md");
    let rows: BTreeMap<String, String> = readme
        .lines()
        .filter_map(|line| {
            let (name, rest) = line
                .strip_prefix("| [")?
                .split_once("](docs/directives.md#")?;
            let (anchor, rest) = rest.split_once(") | ")?;
            assert_eq!(name, anchor);
            Some((name.to_owned(), rest.split_once(" |")?.0.to_owned()))
        })
        .collect();
    let manual: BTreeMap<String, String> = manual_directives()
        .into_iter()
        .map(|(name, entry)| (name, entry.default))
        .collect();
    assert_eq!(rows, manual);
}

#[test]
fn every_variable_is_documented_and_no_other() {
    let (public, internal) = code_variables();
    let page = read("docs/variables.md");
    let manual: BTreeSet<String> = headings(&page, "## $").collect();
    assert_eq!(public, manual);

    // Those that only this module's own lines use are nobody else's business.
    assert!(!internal.is_empty());
    for path in pages()
        .iter()
        .filter(|path| !path.ends_with("ARCHITECTURE.md"))
    {
        let text = fs::read_to_string(path).expect("a page");
        for name in &internal {
            assert!(!text.contains(name), "{name} in {}", path.display());
        }
    }
}

#[test]
fn nginx_knows_every_documented_variable() {
    let page = read("docs/variables.md");
    let all: String = headings(&page, "## $")
        .map(|name| format!("${name} "))
        .collect();
    let check = Nginx::http(format!("log_format all '{all}';")).check();
    assert!(check.ok, "{}", check.output);
}

#[test]
fn every_configuration_in_the_manual_passes() {
    let mut count = 0;
    for path in pages() {
        for block in blocks(&path, "nginx") {
            let check = block.setup().check();
            // nginx 1.25.1 and later have a directive for it, which those before don't know.
            let mut warnings = check.at_level("warn");
            warnings.retain(|line| !line.contains("\"listen ... http2\" directive is deprecated"));
            assert!(
                check.ok && warnings.is_empty(),
                "{}: {}\n{}",
                block.place,
                check.output,
                block.text
            );
            count += 1;
        }
    }
    assert!(count > 20, "only {count} configurations found");
}

#[test]
fn log_lines_in_the_manual_are_those_of_the_causes() {
    let mut count = 0;
    for path in pages() {
        for block in blocks(&path, "text") {
            for line in block.text.lines() {
                let Some((_, said)) = line.split_once("websocket handshake failed: ") else {
                    continue;
                };
                let (name, said) = said.split_once(": ").expect("a cause");
                let cause = Cause::from_name(name);
                let advice = cause.map(|cause| format!("; {}, client: ", cause.advice()));
                assert!(
                    advice.is_some_and(|advice| said.contains(&advice)),
                    "{}: {line}",
                    block.place
                );
                count += 1;
            }
        }
    }
    assert!(count > 3, "only {count} log lines found");
}

#[test]
fn links_lead_somewhere() {
    for path in pages() {
        let text = fs::read_to_string(&path).expect("a page");
        for (_, after) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let target = after.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.with_file_name(file),
            };
            assert!(file.exists(), "{}: {target}", path.display());
            if anchor.is_empty() {
                continue;
            }
            let page = fs::read_to_string(&file).expect("a page");
            assert!(
                anchors(&page).any(|known| known == anchor),
                "{}: {target}",
                path.display()
            );
        }
    }
}

// What the manual says.

/// The lines at the head of a directive's section.
struct Entry {
    syntax: String,
    /// What follows the directive's name, or `—`.
    default: String,
    context: String,
}

impl Entry {
    /// A line with the directive: its default, or else the first of the values it may have.
    fn line(&self, name: &str) -> String {
        let value = match self.default.as_str() {
            "—" => match self.syntax.split([' ', ';']).nth(1).expect("a value") {
                "name:size" => "name:1m",
                value => value.trim_start_matches('['),
            },
            default => default,
        };
        format!("{name} {value};")
    }
}

fn manual_directives() -> BTreeMap<String, Entry> {
    let page = read("docs/directives.md");
    let mut entries = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap_or_default().to_owned();
        let field = |title: &str| {
            let line = section.lines().find_map(|line| line.strip_prefix(title));
            line.unwrap_or_else(|| panic!("{name} has no {title}"))
                .trim()
                .to_owned()
        };
        let (syntax, default) = (field("Syntax:"), field("Default:"));
        assert!(syntax.starts_with(&format!("{name} ")), "{syntax}");
        let default = match default.strip_prefix(&format!("{name} ")) {
            Some(value) => value.trim_end_matches(';').to_owned(),
            None => default,
        };
        let context = field("Context:");
        let known = entries.insert(
            name.clone(),
            Entry {
                syntax,
                default,
                context,
            },
        );
        assert!(known.is_none(), "{name} twice");
    }
    entries
}

/// What follows a mark at the beginning of lines.
fn headings<'a>(page: &'a str, mark: &'a str) -> impl Iterator<Item = String> + 'a {
    page.lines()
        .filter_map(move |line| line.strip_prefix(mark))
        .map(str::to_owned)
}

/// The anchors that a heading gets where Markdown is shown.
fn anchors(page: &str) -> impl Iterator<Item = String> + '_ {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let title: String = line
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(kept)
            .collect();
        title.to_lowercase().replace(' ', "-")
    })
}

/// The pages that people read.
fn pages() -> Vec<PathBuf> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "md");
    let mut pages: Vec<PathBuf> = [repository(), repository().join("docs")]
        .iter()
        .flat_map(|dir| fs::read_dir(dir).expect("a directory of the repository"))
        .map(|entry| entry.expect("a file").path())
        .filter(is_page)
        .collect();
    pages.sort();
    pages
}

/// A fenced block of a page.
struct Block {
    place: String,
    /// What stands behind the language, such as `location`.
    context: String,
    text: String,
}

/// The blocks of a page that are in this language.
fn blocks(path: &Path, language: &str) -> Vec<Block> {
    let page = fs::read_to_string(path).expect("a page");
    let mut blocks = Vec::new();
    let mut open: Option<(Block, bool)> = None;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let (first, context) = info.split_once(' ').unwrap_or((info, ""));
                let block = Block {
                    place: format!("{}:{}", path.display(), at + 1),
                    context: context.to_owned(),
                    text: String::new(),
                };
                open = Some((block, first == language));
            }
            (Some(_), Some((block, wanted))) => blocks.extend(wanted.then_some(block)),
            (None, Some((mut block, wanted))) => {
                block.text += line;
                block.text.push('\n');
                open = Some((block, wanted));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block has no end", path.display());
    blocks
}

impl Block {
    /// The configuration around it: what the fence says, else what it begins with.
    fn setup(&self) -> Setup {
        let text = listen_on_free_ports(&self.text).replace("/var/log/nginx/", "logs/");
        let setup = match self.context() {
            "whole" => {
                let (main, inside) = cut_blocks(&text);
                let inside = |name: &str| inside.get(name).cloned().unwrap_or_default();
                Nginx::http(inside("http"))
                    .main(&main)
                    .events(&inside("events"))
            }
            "main" => {
                // The line that loads the module is part of the text.
                let setup = Nginx::http("websocket on;").without_module();
                match environment().module() {
                    Some(module) => setup
                        .file(MODULE, fs::read(module).expect("the module"))
                        .main(&text),
                    // It is there already, and nginx refuses to load another.
                    None => setup.main(&text.replace(&format!("load_module {MODULE};"), "")),
                }
            }
            "http" => Nginx::http(text),
            "server" => Nginx::server(text),
            "location" => Nginx::server(format!("location / {{\n{text}\n}}")),
            other => panic!("{}: no such context: {other}", self.place),
        };
        let dirs = setup.file("modules/.keep", "").file("cache/.keep", "");
        dirs.file("htpasswd", "")
            .certificate(&Certificate::localhost())
    }

    fn context(&self) -> &str {
        let begins = |word: &str| {
            let lines = self.text.lines();
            lines
                .map(str::trim_start)
                .any(|line| line.starts_with(word))
        };
        match self.context.as_str() {
            "" if begins("events {") || begins("http {") => "whole",
            "" if begins("load_module ") => "main",
            "" if begins("server {") => "http",
            "" if begins("location ") => "server",
            "" => "location",
            context => context,
        }
    }
}

/// `listen 80;` is not for tests: each line gets a port that is free.
fn listen_on_free_ports(text: &str) -> String {
    let mut result = String::new();
    for (at, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("listen ") {
            Some(rest) => {
                let end = rest.find([' ', ';']).unwrap_or(rest.len());
                result += &format!("listen 127.0.0.1:%PORT{at}%{}\n", &rest[end..]);
            }
            None => result += &format!("{line}\n"),
        }
    }
    result
}

/// The outermost blocks of a configuration, and what is left of it.
fn cut_blocks(text: &str) -> (String, BTreeMap<String, String>) {
    let (mut rest, mut blocks) = (String::new(), BTreeMap::new());
    let mut inside: Option<(String, String)> = None;
    for line in text.lines() {
        match inside.take() {
            Some((name, body)) if line == "}" => {
                blocks.insert(name, body);
            }
            Some((name, body)) => inside = Some((name, body + line + "\n")),
            None => match line.strip_suffix(" {") {
                Some(name) => inside = Some((name.to_owned(), String::new())),
                None => rest += &format!("{line}\n"),
            },
        }
    }
    (rest, blocks)
}

// What the code says.

struct Directive {
    default: String,
}

/// The module's directives, from the table that nginx reads and from the merge of its locations.
fn code_directives() -> BTreeMap<String, Directive> {
    let code = sources();
    let choices = choices(&code);
    let mut directives = BTreeMap::new();
    for call in calls(&code, "directive( c\"") {
        let [name, words, setter, field, ..] = &arguments(call)[..] else {
            panic!("directive({call})");
        };
        let name = name.trim_matches('"').to_owned();
        let field = field.rsplit([' ', ',']).next().unwrap_or_default();
        let field = field.trim_end_matches(')');
        let merged = |field: &str| {
            let merge = format!("conf::merge( &mut this.{field},");
            let merged = calls(&code, &merge).next()?;
            Some(arguments(merged).pop().expect("a default"))
        };
        let constant = format!("DEFAULT_{}", field.to_uppercase());
        let default = match merged(field) {
            Some(default) => default,
            // Of the whole of `http {}`, so that there is nothing to merge.
            None if code.contains(&format!("const {constant}: ")) => constant,
            None => "ptr::null_mut()".to_owned(),
        };
        let default = match choices.get(&default) {
            Some(choice) => choice.clone(),
            None if field == "large_buffers" => ["number", "size"]
                .map(|part| written(&code, part_of(&code, &default, part), words, setter))
                .join(" "),
            None => written(&code, &default, words, setter),
        };
        directives.insert(name, Directive { default });
    }
    directives
}

/// A field of a constant structure.
fn part_of<'a>(code: &'a str, constant: &str, field: &str) -> &'a str {
    let (_, value) = code
        .split_once(&format!("const {constant}: "))
        .expect("a constant");
    let (_, part) = value
        .split_once(&format!("{field}: "))
        .expect("a field of it");
    part.split([',', '}']).next().unwrap_or_default().trim()
}

/// A default as a configuration would say it.
fn written(code: &str, default: &str, words: &str, setter: &str) -> String {
    let is_time = [
        "set_time_or_off",
        "set_ping",
        "set_drain",
        "set_upstream_drain",
    ]
    .contains(&setter);
    match default {
        // Not written is off.
        "ptr::null_mut()" if setter == "handover::set_handover" => "off".to_owned(),
        "ptr::null_mut()" => "—".to_owned(),
        "LONGEST_TIMEOUT" if is_time => "off".to_owned(),
        off if off.ends_with("::OFF") => "off".to_owned(),
        "0" if words == "NGX_CONF_FLAG" || setter == "send_lowat::set_send_lowat" => {
            "off".to_owned()
        }
        "1" if words == "NGX_CONF_FLAG" => "on".to_owned(),
        _ => {
            let units: &[(u64, &str)] = match (is_time, setter) {
                (true, _) => &[(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")],
                (_, "set_number" | "zone::set_history") => &[(1, "")],
                _ => &[(1 << 20, "m"), (1 << 10, "k"), (1, "")],
            };
            let number = evaluate(code, default);
            let fits = |(size, _): &&(u64, &str)| number > 0 && number % size == 0;
            match units.iter().find(fits) {
                Some((size, unit)) => format!("{}{unit}", number / size),
                None => number.to_string(),
            }
        }
    }
}

/// The value of a product of numbers and constants.
fn evaluate(code: &str, expression: &str) -> u64 {
    let factor = |text: &str| {
        let text = text.trim().replace('_', "");
        text.parse::<u64>().ok()
    };
    expression
        .split('*')
        .map(|part| {
            factor(part).unwrap_or_else(|| {
                let mark = format!("const {}: ", part.trim());
                let (_, rest) = code
                    .split_once(&mark)
                    .unwrap_or_else(|| panic!("no {mark}"));
                let value = rest
                    .split_once("= ")
                    .and_then(|(_, rest)| rest.split_once(';'));
                evaluate(code, value.expect("a constant's value").0)
            })
        })
        .product()
}

/// The words that stand for a value: what the code calls it, and the word.
fn choices(code: &str) -> BTreeMap<String, String> {
    let pair = |call| match &arguments(call)[..] {
        [word, value] => (value.clone(), word.trim_matches('"').to_owned()),
        other => panic!("choice({other:?})"),
    };
    calls(code, "choice( c\"").map(pair).collect()
}

/// Public and internal variables.
fn code_variables() -> (BTreeSet<String>, BTreeSet<String>) {
    let code = sources();
    let public = calls(&code, "Variable::new( \"").map(|call| arguments(call).remove(0));
    let internal = code
        .match_indices("c\"websocket_injected_")
        .filter_map(|(at, _)| code[at + 2..].split_once('"'));
    (
        public
            .map(|name| name.trim_matches('"').to_owned())
            .collect(),
        internal.map(|(name, _)| name.to_owned()).collect(),
    )
}

/// What follows each occurrence of a call's beginning. A `c"` at the end of the mark is skipped but
/// for its quote.
fn calls<'a>(code: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    let skip = mark.find('(').map_or(mark.len(), |at| at + 1);
    code.match_indices(mark)
        .map(move |(at, _)| &code[at + skip..])
}

/// The arguments of a call, from behind its parenthesis. Text that C would read loses its `c`.
fn arguments(code: &str) -> Vec<String> {
    let (mut arguments, mut argument, mut depth) = (Vec::new(), String::new(), 0);
    for c in code.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            arguments.push(std::mem::take(&mut argument));
        } else {
            argument.push(c);
        }
    }
    arguments.push(argument);
    let tidy = |text: &String| {
        let text = text.trim();
        text.strip_prefix('c')
            .filter(|rest| rest.starts_with('"'))
            .unwrap_or(text)
            .to_owned()
    };
    arguments
        .iter()
        .map(tidy)
        .filter(|text| !text.is_empty())
        .collect()
}

/// The module's sources as one text, with one space wherever there is white space, and one behind
/// each opening parenthesis that may have a line end there.
fn sources() -> String {
    let mut code = String::new();
    add_sources(&repository().join("src"), &mut code);
    let words: Vec<&str> = code.split_whitespace().collect();
    let mut code = words.join(" ");
    for call in ["directive", "choice", "conf::merge", "Variable::new"] {
        code = code.replace(&format!("{call}("), &format!("{call}( "));
    }
    code.replace("(  ", "( ")
}

fn add_sources(dir: &Path, code: &mut String) {
    for entry in fs::read_dir(dir).expect("the module's sources") {
        let path = entry.expect("a source file").path();
        if path.is_dir() {
            add_sources(&path, code);
        } else if path.extension().is_some_and(|end| end == "rs") {
            *code += &fs::read_to_string(&path).expect("a source file");
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    let path = repository().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
