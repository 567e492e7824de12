//! The files of a configuration, and `include`.

use std::fs;
use std::path::{Path, PathBuf};

use super::parse::{self, Directive};

/// Where included files come from.
pub struct Files {
    /// Path and content, the main file first.
    known: Vec<(String, String)>,
    /// Whether files that are not known may be read.
    on_disk: bool,
}

/// A configuration in one piece.
pub struct Tree {
    pub directives: Vec<Directive>,
    /// What could not be read.
    pub notes: Vec<String>,
}

const MAX_INCLUDES: usize = 20;

impl Files {
    /// What `nginx -T` prints holds every file under a heading; any other text is one file.
    pub fn dumped_or_single(text: &str, path: Option<&Path>) -> Self {
        let mut known: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if let Some(name) = heading(line) {
                known.push((name.to_owned(), String::new()));
            } else if let Some((_, content)) = known.last_mut() {
                content.push_str(line);
                content.push('\n');
            }
        }
        if !known.is_empty() {
            return Self {
                known,
                on_disk: false,
            };
        }
        let name = path.map_or("-".to_owned(), |path| path.display().to_string());
        Self {
            known: vec![(name, text.to_owned())],
            on_disk: path.is_some(),
        }
    }

    pub fn tree(&self) -> Result<Tree, String> {
        let (main, text) = self.known.first().ok_or("there is no configuration")?;
        let mut notes = Vec::new();
        let base = Path::new(main).parent().unwrap_or(Path::new("")).to_owned();
        let directives = self.expand(parse::parse(main, text)?, &base, 0, &mut notes)?;
        Ok(Tree { directives, notes })
    }

    /// Puts the content of included files in the place of `include`.
    fn expand(
        &self,
        directives: Vec<Directive>,
        base: &Path,
        depth: usize,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Directive>, String> {
        let mut expanded = Vec::new();
        for mut directive in directives {
            if directive.name == "include" && directive.block.is_none() {
                if depth > MAX_INCLUDES {
                    return Err(format!(
                        "{}: the files include each other",
                        directive.place()
                    ));
                }
                let found = self.find(base, directive.word(0));
                if found.is_empty() && !directive.word(0).contains(['*', '?', '[']) {
                    notes.push(format!(
                        "{}: {} was not read",
                        directive.place(),
                        directive.word(0)
                    ));
                }
                for (name, text) in found {
                    let included = parse::parse(&name, &text)?;
                    expanded.extend(self.expand(included, base, depth + 1, notes)?);
                }
                continue;
            }
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.expand(block, base, depth, notes)?);
            }
            expanded.push(directive);
        }
        Ok(expanded)
    }

    /// The files that a pattern names. Relative ones are relative to the main file.
    fn find(&self, base: &Path, pattern: &str) -> Vec<(String, String)> {
        let pattern = base.join(pattern);
        if !self.on_disk {
            let pattern = pattern.to_string_lossy();
            let fits = |(name, _): &&(String, String)| matches_path(&pattern, name);
            return self.known.iter().skip(1).filter(fits).cloned().collect();
        }
        let read = |path: PathBuf| {
            let text = fs::read(&path).ok()?;
            Some((
                path.display().to_string(),
                String::from_utf8_lossy(&text).into_owned(),
            ))
        };
        glob(&pattern).into_iter().filter_map(read).collect()
    }
}

fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("# configuration file ")?
        .strip_suffix(':')
}

/// The paths a pattern stands for, sorted as nginx has them.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy().into_owned();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        found = found
            .iter()
            .flat_map(|dir| {
                let dir = if dir.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    dir
                };
                let entries = fs::read_dir(dir).into_iter().flatten().flatten();
                entries
                    .filter(|entry| matches(&text, &entry.file_name().to_string_lossy()))
                    .map(|entry| entry.path())
                    .collect::<Vec<_>>()
            })
            .collect();
        found.sort();
    }
    found
}

fn matches_path(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if matches(pattern, part) => {}
            _ => return false,
        }
    }
}

/// `*`, `?` and `[…]` within one part of a path. A leading dot has to be written.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    matches_chars(&pattern, &name)
}

fn matches_chars(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skip| matches_chars(rest, &name[skip..])),
        ['[', rest @ ..] => {
            let (Some(end), [c, after @ ..]) = (rest.iter().position(|&c| c == ']'), name) else {
                return false;
            };
            let negated = matches!(rest.first(), Some('!' | '^'));
            let set = &rest[usize::from(negated)..end];
            is_in(set, *c) != negated && matches_chars(&rest[end + 1..], after)
        }
        [first, rest @ ..] => match name {
            [c, after @ ..] => (*first == '?' || first == c) && matches_chars(rest, after),
            [] => false,
        },
    }
}

fn is_in(set: &[char], c: char) -> bool {
    match set {
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&c) || is_in(rest, c),
        [first, rest @ ..] => *first == c || is_in(rest, c),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[a-c]", "", false),
            ("**b", "aab", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert!(!matches_path("/a/*.conf", "/a/b/c.conf"));
    }

    #[test]
    fn a_dump_holds_its_files() {
        let dump = "# configuration file /e/nginx.conf:\na;\ninclude c/*.conf;\n\n\
                    # configuration file /e/c/x.conf:\nb;\n\n# configuration file /e/mime:\nd;\n";
        let tree = Files::dumped_or_single(dump, None).tree().expect("right");
        let names: Vec<_> = tree
            .directives
            .iter()
            .map(|d| (d.name.as_str(), d.place()))
            .collect();
        assert_eq!(
            names,
            [
                ("a", "/e/nginx.conf:1".to_owned()),
                ("b", "/e/c/x.conf:1".to_owned())
            ]
        );
    }

    #[test]
    fn files_on_disk_are_included() {
        let dir = std::env::temp_dir().join(format!("check-websocket-{}", std::process::id()));
        fs::create_dir_all(dir.join("d")).expect("a directory");
        fs::write(dir.join("d/b.conf"), "b;").expect("a file");
        fs::write(dir.join("d/a.conf"), "a { include d/b.conf; }").expect("a file");
        let text = "include d/*.conf; include missing.conf; include none/*.conf;";
        let tree = Files::dumped_or_single(text, Some(&dir.join("nginx.conf"))).tree();
        let cyclic = Files::dumped_or_single("", Some(&dir.join("x")));
        fs::write(dir.join("d/c.conf"), "include d/c.conf;").expect("a file");
        let include = parse::parse("x", "include d/c.conf;").expect("right");
        let endless = cyclic.expand(include, &dir, 0, &mut Vec::new());
        fs::remove_dir_all(&dir).expect("its own directory");
        let tree = tree.expect("right");
        let names: Vec<&str> = tree.directives.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(tree.directives[0].children()[0].name, "b");
        assert_eq!(tree.notes.len(), 1, "{:?}", tree.notes);
        assert!(endless.is_err());
    }

    #[test]
    fn what_standard_input_includes_is_not_read() {
        let tree = Files::dumped_or_single("include /etc/hostname;", None)
            .tree()
            .expect("right");
        assert_eq!(tree.directives, []);
        assert_eq!(tree.notes.len(), 1);
    }
}
