//! What is printed. Nothing reaches a terminal or a file but through here.

use std::fmt::{self, Write as _};
use std::io::Write;

use serde_json::Value;

use crate::paint::{Paint, Painted};

/// Text without what a terminal obeys, or shows elsewhere than where it stands: a server could
/// forge a line of the report with it. Such characters become `\xHH` or `\u{…}`.
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_unsafe) {
            let (safe, from) = rest.split_at(at);
            f.write_str(safe)?;
            let mut chars = from.chars();
            match chars.next().map(u32::from) {
                Some(code @ ..0x80) => write!(f, "\\x{code:02X}")?,
                Some(code) => write!(f, "\\u{{{code:X}}}")?,
                None => {}
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// Control characters, C1 among them; what ends a line; and what has no width or turns the
/// direction of writing (Unicode's category Cf).
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0xAD | 0x600..=0x605
                | 0x61C
                | 0x6DD
                | 0x70F
                | 0x890..=0x891
                | 0x8E2
                | 0x180E
                | 0x200B..=0x200F
                | 0x2028..=0x202E
                | 0x2060..=0x206F
                | 0xFEFF
                | 0xFFF9..=0xFFFB
                | 0x110BD
                | 0x110CD
                | 0x13430..=0x1343F
                | 0x1BCA0..=0x1BCA3
                | 0x1D173..=0x1D17A
                | 0xE0000..=0xE007F
        )
}

/// Lines to be printed.
pub struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    pub fn new(paint: Paint) -> Self {
        Self {
            text: String::new(),
            paint,
        }
    }

    /// One line, whatever is in it.
    pub fn line(&mut self, text: impl fmt::Display) {
        self.painted([Painted::plain(text.to_string())]);
    }

    /// One line of several colours.
    pub fn painted(&mut self, pieces: impl IntoIterator<Item = Painted>) {
        for piece in pieces {
            let (on, off) = self.paint.codes(piece.tone);
            // Writing into a String can't fail.
            let _ = write!(self.text, "{on}{}{off}", Plain(&piece.text));
        }
        self.text.push('\n');
    }

    /// A text of several lines, of another program.
    pub fn lines(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// JSON: the characters stay what they are, written as JSON does.
    pub fn json(value: &Value) -> Self {
        let mut page = Self::new(Paint::none());
        for c in format!("{value:#}").chars() {
            if c != '\n' && is_unsafe(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(page.text, "\\u{unit:04X}");
                }
            } else {
                page.text.push(c);
            }
        }
        page.text.push('\n');
        page
    }

    /// Whoever closes the pipe has read enough.
    pub fn print(&self, mut to: impl Write) {
        let _ = to.write_all(self.text.as_bytes()).and_then(|()| to.flush());
    }

    /// Why there is no report.
    pub fn complaint(text: &str) -> Self {
        let mut page = Self::new(Paint::none());
        page.lines(text);
        page
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_and_not_obeyed() {
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\\x1B[2Jb"),
            ("a\r\nworks", "a\\x0D\\x0Aworks"),
            ("\u{9b}1m\u{7f}\0", "\\u{9B}1m\\x7F\\x00"),
            (
                "a\u{202e}b\u{2066}\u{200f}",
                "a\\u{202E}b\\u{2066}\\u{200F}",
            ),
            ("\u{2028}\u{feff}\u{e0041}", "\\u{2028}\\u{FEFF}\\u{E0041}"),
            ("Größe 好 \\x", "Größe 好 \\x"),
        ] {
            assert_eq!(Plain(text).to_string(), shown);
        }
    }

    #[test]
    fn a_line_is_one_line_and_lines_are_many() {
        let mut page = Page::new(Paint::none());
        page.line("a\nb");
        page.lines("c\nd\x07\n");
        assert_eq!(page.text, "a\\x0Ab\nc\nd\\x07\n");
    }

    #[test]
    fn json_is_read_as_what_it_was() {
        let value = json!({"a\u{9b}": "\u{202e}\u{e0041}\u{1b}\n\u{7f}"});
        let page = Page::json(&value);
        assert!(!page.text.trim().contains(|c| c != '\n' && is_unsafe(c)));
        assert_eq!(serde_json::from_str::<Value>(&page.text).ok(), Some(value));
    }
}
