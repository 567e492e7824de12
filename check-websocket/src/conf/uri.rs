//! The path of a request as nginx reads it, and as it writes it to an upstream.

/// A request's address on the server, split and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// As it was sent, with the query.
    pub sent: String,
    /// Decoded, without `.`, `..` and doubled slashes: what locations are compared with.
    pub path: String,
    pub query: Option<String>,
    /// Whether it is still what the client sent.
    pub is_unchanged: bool,
    /// Whether it begins as its location does: not after a rewrite with `break`.
    pub is_located: bool,
}

impl Uri {
    pub fn read(sent: &str, merge_slashes: bool) -> Self {
        let (path, query) = match sent.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (sent, None),
        };
        Self {
            sent: sent.to_owned(),
            path: normalized(&decoded(path), merge_slashes),
            query,
            is_unchanged: true,
            is_located: true,
        }
    }

    /// After a rewrite. The old query goes on behind a new one, unless the replacement ends in `?`.
    pub fn rewritten(&self, replacement: &str) -> Self {
        let (path, new) = match replacement.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (replacement, None),
        };
        let query = match (new, &self.query) {
            (Some(""), _) => None,
            (None, old) => old.clone(),
            (Some(new), None) => Some(new.to_owned()),
            (Some(new), Some(old)) => Some(format!("{new}&{old}")),
        };
        self.changed(path, query)
    }

    /// After `try_files`, which has the query of what it leads to, or none.
    pub fn led_to(&self, last: &str) -> Self {
        let (path, query) = last.split_once('?').unwrap_or((last, ""));
        self.changed(
            path,
            Some(query.to_owned()).filter(|query| !query.is_empty()),
        )
    }

    fn changed(&self, path: &str, query: Option<String>) -> Self {
        Self {
            sent: self.sent.clone(),
            path: path.to_owned(),
            query,
            is_unchanged: false,
            is_located: self.is_located,
        }
    }

    pub fn with_query(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

/// What nginx escapes when it writes a path of its own.
pub fn escaped(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            0..=b' ' | 0x7f.. | b'#' | b'%' | b'?' => text += &format!("%{byte:02X}"),
            byte => text.push(char::from(byte)),
        }
    }
    text
}

/// `%XX` as the bytes they stand for. What is no UTF-8 then is compared with nothing anyway.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (first, after.get(..2).and_then(code)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn normalized(path: &str, merge_slashes: bool) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut is_directory = false;
    for part in path.split('/').skip(1) {
        is_directory = matches!(part, "" | "." | "..");
        match part {
            "." => {}
            "" if merge_slashes => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    // Without merging, the last empty part is there already.
    let end = if is_directory && !parts.is_empty() && parts.last() != Some(&"") {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_nginx_reads_them() {
        for (sent, path) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/%61%2Fb", "/a/b"),
            ("/100%", "/100%"),
            ("/a?b=//c", "/a"),
        ] {
            assert_eq!(Uri::read(sent, true).path, path, "{sent}");
        }
        assert_eq!(Uri::read("//a//b/", false).path, "//a//b/");
        assert_eq!(Uri::read("/a?b?c", true).query.as_deref(), Some("b?c"));
    }

    #[test]
    fn queries_after_a_rewrite() {
        let with = Uri::read("/a?x=1", true);
        assert_eq!(with.rewritten("/b").query.as_deref(), Some("x=1"));
        assert_eq!(with.rewritten("/b?y=2").query.as_deref(), Some("y=2&x=1"));
        assert_eq!(with.rewritten("/b?").query, None);
        assert_eq!(with.rewritten("/b").with_query("/b"), "/b?x=1");
    }

    #[test]
    fn what_is_escaped() {
        assert_eq!(escaped("/a b/%?#é"), "/a%20b/%25%3F%23%C3%A9");
    }
}
