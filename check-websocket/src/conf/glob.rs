//! Patterns of `include`, as glob(3) has them.

use std::fs;
use std::path::{Path, PathBuf};

/// What a pattern stands for on disk, and the folders on the way that can't be read.
pub struct Globbed {
    pub found: Vec<PathBuf>,
    pub unread: Vec<String>,
}

pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The paths a pattern stands for, sorted as nginx has them. Each entry that is looked at is taken
/// from `room`; `None` when there is none left.
pub fn glob(pattern: &Path, room: &mut usize) -> Option<Globbed> {
    let mut found = vec![PathBuf::new()];
    let mut unread = Vec::new();
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy().into_owned();
        if !is_pattern(&text) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for dir in &found {
            let dir = match dir.as_os_str().is_empty() {
                true => Path::new("."),
                false => dir,
            };
            let entries = match fs::read_dir(dir) {
                Ok(entries) => entries,
                Err(error) => {
                    if error.kind() == std::io::ErrorKind::PermissionDenied {
                        unread.push(format!("{}: {error}", dir.display()));
                    }
                    continue;
                }
            };
            for entry in entries.flatten() {
                *room = room.checked_sub(1)?;
                if matches(&text, &entry.file_name().to_string_lossy()) {
                    next.push(entry.path());
                }
            }
        }
        next.sort();
        found = next;
    }
    Some(Globbed { found, unread })
}

pub fn matches_path(pattern: &str, path: &str) -> bool {
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
    let (mut pattern, mut name) = (pattern, name);
    // Behind the last star, and where its match ends so far: only that one has to take more, so a
    // pattern of many stars takes no longer than one of few.
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix('*') {
            pattern = rest;
            star = Some((rest, name));
            continue;
        }
        let step = match name.chars().next() {
            None if pattern.is_empty() => return true,
            None => return false,
            Some(c) => one(pattern, c).map(|rest| (rest, &name[c.len_utf8()..])),
        };
        match (step, star) {
            (Some(next), _) => (pattern, name) = next,
            (None, Some((behind, taken))) => {
                let Some(c) = taken.chars().next() else {
                    return false;
                };
                let taken = &taken[c.len_utf8()..];
                star = Some((behind, taken));
                (pattern, name) = (behind, taken);
            }
            (None, None) => return false,
        }
    }
}

/// What is left of the pattern behind what stands for this character, if it does.
fn one(pattern: &str, c: char) -> Option<&str> {
    let mut chars = pattern.chars();
    match chars.next()? {
        '?' => Some(chars.as_str()),
        '[' => {
            let rest = chars.as_str();
            let (set, after) = rest.split_at_checked(rest.find(']')?)?;
            let negated = set.starts_with(['!', '^']);
            let set: Vec<char> = set.chars().skip(usize::from(negated)).collect();
            (is_in(&set, c) != negated).then(|| &after[1..])
        }
        own => (own == c).then_some(chars.as_str()),
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
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXcYb", false),
            ("*ö?", "xöü", true),
            ("*", "", true),
            ("[x", "x", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert!(!matches_path("/a/*.conf", "/a/b/c.conf"));
    }

    #[test]
    fn many_stars_take_no_longer() {
        let stars = "a*".repeat(2000) + "b";
        assert!(!matches(&stars, &"a".repeat(4000)));
    }
}
