//! The files of a configuration, and `include`.

use std::collections::HashMap;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::dump::{self, Dump};
use super::glob::{Globbed, glob, is_pattern, matches_path};
use super::parse::{Directive, Room, parse_within};
use super::source::{self, MAX_TEXT};

/// Where included files come from.
pub struct Files {
    text: String,
    /// Path and content, the main file first.
    known: Vec<(String, Range<usize>)>,
    /// Whether files that are not known may be read.
    on_disk: bool,
    notes: Vec<String>,
}

/// A configuration in one piece.
pub struct Tree {
    pub directives: Vec<Directive>,
    pub notes: Vec<String>,
    /// What could not be read.
    pub unread: Vec<String>,
}

/// As deep as includes may lead, and as many as there may be: each may name two others.
const MAX_DEPTH: usize = 20;
const MAX_FILES: usize = 50_000;
/// Entries of folders that patterns are compared with, and files of a dump.
const MAX_ENTRIES: usize = 200_000;
const MAX_COMPARISONS: usize = 5_000_000;

impl Files {
    /// What `nginx -T` prints holds every file under a heading; any other text is one file.
    pub fn dumped_or_single(text: String, path: Option<&Path>) -> Self {
        if let Some(Dump { files, comments }) = dump::split(&text) {
            return Self {
                text,
                known: files,
                on_disk: false,
                notes: comments,
            };
        }
        let name = path.map_or("-".to_owned(), |path| path.display().to_string());
        Self {
            known: vec![(name, 0..text.len())],
            on_disk: path.is_some(),
            notes: Vec::new(),
            text,
        }
    }

    pub fn tree(self) -> Result<Tree, String> {
        let (main, content) = self.known.first().ok_or("there is no configuration")?;
        let numbers = self.known.iter().enumerate().skip(1);
        let numbers = numbers.map(|(at, (name, _))| (name.as_str(), at));
        let mut reading = Reading {
            files: &self,
            base: Path::new(main).parent().unwrap_or(Path::new("")).to_owned(),
            room: Room::new(),
            text: MAX_TEXT.saturating_sub(content.len()),
            count: MAX_FILES,
            entries: match self.on_disk {
                true => MAX_ENTRIES,
                false => MAX_COMPARISONS,
            },
            numbers: numbers.collect(),
            unread: Vec::new(),
            notes: Vec::new(),
        };
        let directives = reading.parse(main, &self.text[content.clone()])?;
        let directives = reading.expand(directives, 0)?;
        let (unread, mut notes) = (reading.unread, reading.notes);
        notes.extend(self.notes);
        Ok(Tree {
            directives,
            notes,
            unread,
        })
    }
}

/// Files that are being put together, and what may still be read.
struct Reading<'a> {
    files: &'a Files,
    base: PathBuf,
    room: Room,
    text: usize,
    count: usize,
    entries: usize,
    /// Where the files of a dump are.
    numbers: HashMap<&'a str, usize>,
    unread: Vec<String>,
    notes: Vec<String>,
}

impl Reading<'_> {
    fn parse(&mut self, name: &str, text: &str) -> Result<Vec<Directive>, String> {
        parse_within(name, text, &mut self.room)
    }

    /// Puts the content of included files in the place of `include`.
    fn expand(
        &mut self,
        directives: Vec<Directive>,
        depth: usize,
    ) -> Result<Vec<Directive>, String> {
        let mut expanded = Vec::new();
        for mut directive in directives {
            if directive.name == "include" && directive.block.is_none() {
                if depth > MAX_DEPTH {
                    return Err(format!(
                        "{}: the files include each other",
                        directive.place()
                    ));
                }
                self.include(&directive, depth, &mut expanded)?;
                continue;
            }
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.expand(block, depth)?);
            }
            expanded.push(directive);
        }
        Ok(expanded)
    }

    fn include(
        &mut self,
        directive: &Directive,
        depth: usize,
        expanded: &mut Vec<Directive>,
    ) -> Result<(), String> {
        let too_much = |what: &str| format!("{}: with it there are more {what}", directive.place());
        let pattern = self.base.join(directive.word(0));
        let names = match self.files.on_disk {
            true => self
                .on_disk(directive, &pattern)
                .ok_or_else(|| too_much("files in the folders than are looked at"))?,
            false => self
                .in_dump(directive, &pattern)
                .ok_or_else(|| too_much("patterns than are compared"))?,
        };
        for name in names {
            self.count = self
                .count
                .checked_sub(1)
                .ok_or_else(|| too_much("includes than are read"))?;
            let files = self.files;
            let read;
            let (name, text) = match &name {
                Found::Known(at) => {
                    let Some((name, content)) = files.known.get(*at) else {
                        continue;
                    };
                    (name.clone(), &files.text[content.clone()])
                }
                Found::Path(path) => {
                    let name = path.display().to_string();
                    match self.read(path) {
                        Ok(text) => read = text,
                        Err(error) => {
                            let place = directive.place();
                            self.unread
                                .push(format!("{place}: {name} was not read: {error}"));
                            continue;
                        }
                    }
                    (name, read.as_str())
                }
            };
            self.text = self
                .text
                .checked_sub(text.len())
                .ok_or_else(|| too_much("bytes than are read"))?;
            let included = self.parse(&name, text)?;
            expanded.extend(self.expand(included, depth + 1)?);
        }
        Ok(())
    }

    /// What a dump has of a pattern. nginx has read all that there was.
    fn in_dump(&mut self, directive: &Directive, pattern: &Path) -> Option<Vec<Found>> {
        let pattern = pattern.to_string_lossy();
        if is_pattern(directive.word(0)) {
            let known = self.files.known.iter().enumerate().skip(1);
            self.entries = self.entries.checked_sub(known.len())?;
            let fits = known.filter(|(_, (name, _))| matches_path(&pattern, name));
            return Some(fits.map(|(at, _)| Found::Known(at)).collect());
        }
        if let Some(at) = self.numbers.get(&*pattern) {
            return Some(vec![Found::Known(*at)]);
        }
        self.unread.push(format!(
            "{}: {} was not read: the text that was given does not contain it",
            directive.place(),
            directive.word(0)
        ));
        Some(Vec::new())
    }

    /// What a pattern stands for on disk. Relative ones are relative to the main file.
    fn on_disk(&mut self, directive: &Directive, pattern: &Path) -> Option<Vec<Found>> {
        if !is_pattern(directive.word(0)) {
            return Some(vec![Found::Path(pattern.to_owned())]);
        }
        let Globbed { found, unread } = glob(pattern, &mut self.entries)?;
        let place = directive.place();
        self.unread
            .extend(unread.iter().map(|unread| format!("{place}: {unread}")));
        Some(found.into_iter().map(Found::Path).collect())
    }

    /// The content of a file, as nginx would have it: of what is no file it reads nothing.
    fn read(&mut self, path: &Path) -> io::Result<String> {
        let kind = fs::metadata(path)?.file_type();
        if !kind.is_file() {
            return self.nothing_of(path, kind);
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(self.text).unwrap_or(u64::MAX);
        File::open(path)?
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)?;
        Ok(source::text(bytes))
    }

    fn nothing_of(&mut self, path: &Path, kind: FileType) -> io::Result<String> {
        if kind.is_char_device() {
            let path = path.display();
            if path.to_string() != "/dev/null" {
                let note = format!("{path} is a device, of which nginx reads nothing");
                self.notes.push(note);
            }
            return Ok(String::new());
        }
        Err(io::Error::other(match kind {
            kind if kind.is_dir() => "it is a directory",
            kind if kind.is_fifo() => "it is a pipe, for which nginx would wait",
            _ => "it is not a file",
        }))
    }
}

enum Found {
    /// Of a dump, by its number.
    Known(usize),
    Path(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_holds_its_files() {
        let dump = "# configuration file /e/nginx.conf:\na;\ninclude c/*.conf;\n\n\
                    # configuration file /e/c/x.conf:\nb;\n\n# configuration file /e/mime:\nd;\n";
        let tree = Files::dumped_or_single(dump.to_owned(), None)
            .tree()
            .expect("right");
        let names: Vec<_> = tree
            .directives
            .iter()
            .map(|d| (d.name.as_str(), d.place()))
            .collect();
        assert_eq!(
            names,
            [
                ("a", "/e/nginx.conf:1".to_owned()),
                ("b", "/e/c/x.conf:1".to_owned()),
                ("d", "/e/c/x.conf:4".to_owned())
            ]
        );
        assert!(tree.notes[0].contains("/e/mime"), "{:?}", tree.notes);
        assert_eq!(tree.unread, [""; 0]);
    }

    #[track_caller]
    fn tree(dir: &Path, text: &str) -> Result<Tree, String> {
        Files::dumped_or_single(text.to_owned(), Some(&dir.join("nginx.conf"))).tree()
    }

    #[test]
    fn files_on_disk_are_included() {
        let dir = std::env::temp_dir().join(format!("check-websocket-{}", std::process::id()));
        fs::create_dir_all(dir.join("d")).expect("a directory");
        fs::write(dir.join("d/b.conf"), "b;").expect("a file");
        fs::write(dir.join("d/a.conf"), "a { include d/b.conf; }").expect("a file");
        let text = "include d/*.conf; include missing.conf; include none/*.conf; include d;
                    include /dev/null; include /dev/zero;";
        let found = tree(&dir, text);
        fs::write(dir.join("d/c.conf"), "include d/c.conf;").expect("a file");
        let endless = tree(&dir, "include d/c.conf;");
        fs::write(dir.join("d/c.conf"), "include d/e.conf; include d/e.conf;").expect("a file");
        fs::write(dir.join("d/e.conf"), "# nothing").expect("a file");
        let fans = tree(&dir, &"include d/c.conf;".repeat(30_000));
        fs::remove_dir_all(&dir).expect("its own directory");
        let found = found.expect("right");
        let names: Vec<&str> = found.directives.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(found.directives[0].children()[0].name, "b");
        let [missing, folder] = found.unread.as_slice() else {
            panic!("{:?}", found.unread);
        };
        assert!(missing.contains("missing.conf was not read: "), "{missing}");
        assert!(folder.contains("it is a directory"), "{folder}");
        assert!(found.notes[0].contains("/dev/zero is a device"));
        assert!(endless.is_err_and(|error| error.contains("include each other")));
        assert!(fans.is_err_and(|error| error.contains("more includes than are read")));
    }

    #[test]
    fn what_standard_input_includes_is_not_read() {
        let files = Files::dumped_or_single("include /etc/hostname;".to_owned(), None);
        let tree = files.tree().expect("right");
        assert_eq!(tree.directives, []);
        assert_eq!(tree.unread.len(), 1);
    }
}
