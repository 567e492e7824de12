//! What `nginx -T` prints: every file under a heading.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use super::glob::{is_pattern, matches_path};

/// The files of a dump, and the headings that were taken for comments.
pub struct Dump {
    pub files: Vec<(String, Range<usize>)>,
    pub comments: Vec<String>,
}

/// `None` where the text is no dump: that one begins with a heading, below what nginx says on
/// standard error.
pub fn split(text: &str) -> Option<Dump> {
    let lines = Lines { text, at: 0 };
    let mut before = lines.skip_while(|(_, line)| line.is_empty() || line.starts_with("nginx: "));
    let first = before.next().filter(|(_, line)| heading(line).is_some())?;
    let main = heading(first.1)?;
    let base = Path::new(main).parent().unwrap_or(Path::new("/"));
    let mut includes = Includes::of(text, base);

    let mut found = vec![Heading {
        at: first.0.clone(),
        path: main,
        is_after_blank: true,
    }];
    let mut is_after_blank = false;
    for (at, line) in before {
        if let Some(path) = heading(line) {
            found.push(Heading {
                at,
                path,
                is_after_blank,
            });
        }
        is_after_blank = line.is_empty();
    }
    let mut dump = Dump {
        files: Vec::new(),
        comments: Vec::new(),
    };
    // nginx writes each file once, behind an empty line; one that has no line end at its end is
    // followed by the next heading at once.
    let mut first: HashMap<&str, usize> = HashMap::new();
    for behind_blank in [true, false] {
        for (index, heading) in found.iter().enumerate() {
            if heading.is_after_blank == behind_blank {
                first.entry(heading.path).or_insert(index);
            }
        }
    }
    for (index, heading) in found.iter().enumerate() {
        let is_it = first.get(heading.path) == Some(&index);
        if index == 0 || (is_it && includes.name(heading.path)) {
            if let Some((_, content)) = dump.files.last_mut() {
                content.end = heading.at.start;
            }
            let content = heading.at.end..text.len();
            dump.files.push((heading.path.to_owned(), content));
        } else if heading.is_after_blank && dump.comments.len() < FEW {
            dump.comments.push(format!(
                "\"{}\" is taken for a comment: no include names that file, or it was there before",
                text[heading.at.clone()].trim_end()
            ));
        }
    }
    Some(dump)
}

/// More of them tell nothing new.
const FEW: usize = 10;

struct Heading<'a> {
    at: Range<usize>,
    path: &'a str,
    is_after_blank: bool,
}

/// nginx writes the whole path.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("# configuration file ")?
        .strip_suffix(':')
        .filter(|path| path.starts_with('/'))
}

/// What stands behind `include`, wherever it does.
struct Includes {
    names: HashSet<String>,
    patterns: Vec<String>,
    /// Comparisons with patterns that are still made. A dump that needs more is taken at its word.
    room: usize,
}

const MAX_PATH: usize = 4096;
const MAX_COMPARISONS: usize = 2_000_000;

impl Includes {
    fn of(text: &str, base: &Path) -> Self {
        let named = text.match_indices("include").filter_map(|(at, word)| {
            let rest = text.get(at + word.len()..)?;
            let rest = rest.get(..MAX_PATH).unwrap_or(rest);
            let name = rest.strip_prefix(|c: char| c.is_ascii_whitespace())?;
            let (name, _) = name.split_once(';')?;
            let name = name.trim().trim_matches(['"', '\'']);
            Some(base.join(name).to_string_lossy().into_owned())
        });
        let names: HashSet<String> = named.collect();
        let patterns = names.iter().filter(|name| is_pattern(name)).cloned();
        Self {
            patterns: patterns.collect(),
            names,
            room: MAX_COMPARISONS,
        }
    }

    fn name(&mut self, path: &str) -> bool {
        let compared = self.patterns.len().max(1);
        let Some(room) = self.room.checked_sub(compared) else {
            return true;
        };
        self.room = room;
        self.names.contains(path) || self.patterns.iter().any(|own| matches_path(own, path))
    }
}

/// Lines with where they are, their ends included.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (Range<usize>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let line = rest.split_inclusive('\n').next()?;
        let start = self.at;
        self.at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        Some((start..self.at, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn files(text: &str) -> Vec<(&str, &str)> {
        let dump = split(text).expect("a dump");
        let names: Vec<(String, Range<usize>)> = dump.files;
        names
            .into_iter()
            .map(|(name, content)| (&*name.leak(), &text[content]))
            .collect()
    }

    #[test]
    fn files_below_their_headings() {
        let text = "nginx: configuration file /e/nginx.conf test is successful\n\
                    # configuration file /e/nginx.conf:\ninclude c/*;\n\n\
                    # configuration file /e/c/x:\nno end\n# configuration file /e/c/y:\nb;\n\n";
        let expected = [
            ("/e/nginx.conf", "include c/*;\n\n"),
            ("/e/c/x", "no end\n"),
            ("/e/c/y", "b;\n\n"),
        ];
        assert_eq!(files(text), expected);
    }

    #[test]
    fn a_comment_that_looks_like_one_is_none() {
        let head = "# configuration file /e/nginx.conf:\ninclude \"/e/x\";\n";
        for (comment, is_told) in [
            ("# configuration file old.conf:", false),
            ("\n# configuration file old.conf:", false),
            ("# configuration file /e/old.conf:", false),
            ("\n# configuration file /e/old.conf:", true),
            ("\n# configuration file /e/nginx.conf:", true),
            (" # configuration file /e/x:", false),
        ] {
            let text = format!("{head}{comment}\na;\n\n# configuration file /e/x:\nb;\n");
            let dump = split(&text).expect("a dump");
            assert_eq!(dump.files.len(), 2, "{comment}");
            assert!(text[dump.files[0].1.clone()].contains("\na;"), "{comment}");
            assert_eq!(dump.comments.len(), usize::from(is_told), "{comment}");
        }
        assert!(split("server { }\n# configuration file /e/x:\n").is_none());
        assert!(split("# configuration file x:\n").is_none());
    }
}
