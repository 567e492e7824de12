//! JSON (RFC 8259).

use core::fmt::{self, Display, Write};

use crate::out::Out;
use crate::show::{Seconds, digit};

/// Writes values, with the commas between them.
pub(crate) struct Json<'o, 'b> {
    out: &'o mut Out<'b>,
    /// Something stands in front of what comes next.
    follows: bool,
}

impl<'o, 'b> Json<'o, 'b> {
    /// To begin an answer, or to go on within one: `follows` says whether there is a value before.
    pub fn new(out: &'o mut Out<'b>, follows: bool) -> Self {
        Self { out, follows }
    }

    /// `{` or `[`
    pub fn open(&mut self, bracket: &str) -> fmt::Result {
        self.comma()?;
        self.follows = false;
        self.out.write_str(bracket)
    }

    /// `}` or `]`
    pub fn close(&mut self, bracket: &str) -> fmt::Result {
        self.follows = true;
        self.out.write_str(bracket)
    }

    /// A key that is known to need no escape.
    pub fn key(&mut self, key: &str) -> fmt::Result {
        self.comma()?;
        self.follows = false;
        write!(self.out, "\"{key}\":")
    }

    /// Any key.
    pub fn key_of(&mut self, key: impl Display) -> fmt::Result {
        self.text(key)?;
        self.follows = false;
        self.out.write_str(":")
    }

    /// A number, `true`, `false` or `null`.
    pub fn value(&mut self, value: impl Display) -> fmt::Result {
        self.comma()?;
        write!(self.out, "{value}")
    }

    pub fn maybe(&mut self, value: Option<impl Display>) -> fmt::Result {
        match value {
            Some(value) => self.value(value),
            None => self.value("null"),
        }
    }

    /// Any text.
    pub fn text(&mut self, text: impl Display) -> fmt::Result {
        self.comma()?;
        self.out.write_str("\"")?;
        write!(Escape(self.out), "{text}")?;
        self.out.write_str("\"")
    }

    /// What is no value of its own. A value follows as the first one.
    pub fn raw(&mut self, text: &str) -> fmt::Result {
        self.follows = false;
        self.out.write_str(text)
    }

    // ---- a key and its value ------------------------------------------------

    pub fn number(&mut self, key: &str, value: impl Display) -> fmt::Result {
        self.key(key)?;
        self.value(value)
    }

    pub fn seconds(&mut self, key: &str, ms: u64) -> fmt::Result {
        self.number(key, Seconds(ms))
    }

    pub fn text_at(&mut self, key: &str, text: impl Display) -> fmt::Result {
        self.key(key)?;
        self.text(text)
    }

    fn comma(&mut self) -> fmt::Result {
        if self.follows {
            self.out.write_str(",")?;
        }
        self.follows = true;
        Ok(())
    }
}

/// What stands between quotes.
struct Escape<'o, 'b>(&'o mut Out<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Self(out) = self;
        let mut rest = text;
        while let Some(at) = rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\x1F' | '\x7F')) {
            let (before, from) = rest.split_at(at);
            out.write_str(before)?;
            match from.bytes().next().unwrap_or_default() {
                b'"' => out.write_str("\\\"")?,
                b'\\' => out.write_str("\\\\")?,
                byte => {
                    for part in ["\\u00", digit(byte >> 4), digit(byte)] {
                        out.write_str(part)?;
                    }
                }
            }
            rest = from.get(1..).unwrap_or_default();
        }
        out.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use websocket_zone::Text;

    use super::*;
    use crate::show::Shown;

    fn written(text: impl Fn(&mut Json<'_, '_>) -> fmt::Result, room: usize) -> String {
        let mut all = Vec::new();
        let mut written = 0;
        loop {
            let mut piece = vec![0; room];
            let mut out = Out::new(&mut piece);
            let is_done = out.go_on(&mut written, |out| text(&mut Json::new(out, false)));
            all.extend(out.written());
            if is_done {
                return String::from_utf8(all).unwrap();
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_what_it_was(text: String, room in 1..40usize) {
            let json = written(|json| json.text(&text), room);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_bytes_are_text(bytes: Vec<u8>, room in 1..40usize) {
            let text = Text::new(&bytes);
            let json = written(|json| json.text(Shown(&text)), room);
            let shown = Shown(&text).to_string();
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), shown);
            prop_assert!(!json.bytes().any(|byte| byte < b' '));
        }
    }
}
