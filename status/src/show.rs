//! Values as all formats show them.

use core::fmt::{self, Display, Write};

use websocket_protocol::tunnel::Side;
use websocket_zone::{Code, Text};

/// Bytes from outside as text, in which a format has to escape only what it would in any. A byte that is
/// no UTF-8 is shown as `\xHH`; a text that was too long to be kept ends in an ellipsis.
pub(crate) struct Shown<'t>(pub &'t Text);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let mut chunks = text.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            f.write_str(chunk.valid())?;
            // Where the text is cut, half a character may be left.
            if text.is_cut() && chunks.peek().is_none() {
                break;
            }
            for &byte in chunk.invalid() {
                for part in ["\\x", digit(byte >> 4), digit(byte)] {
                    f.write_str(part)?;
                }
            }
        }
        f.write_str(if text.is_cut() { "\u{2026}" } else { "" })
    }
}

/// A name, by its index. Several long ones may begin alike, and are told apart by that.
pub(crate) struct Name<'t>(pub &'t Text, pub usize);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, index) = *self;
        Shown(text).fmt(f)?;
        if text.is_cut() {
            index.fmt(f)?;
        }
        Ok(())
    }
}

impl Name<'_> {
    /// Whether it is shown so.
    pub fn is_shown_as(&self, text: &[u8]) -> bool {
        let mut rest = Rest(text);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }
}

/// What is still to be written of a text, which is compared with what is.
struct Rest<'t>(&'t [u8]);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(part.as_bytes()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// A hexadecimal digit.
pub(crate) fn digit(value: u8) -> &'static str {
    let at = usize::from(value & 15);
    "0123456789ABCDEF".get(at..=at).unwrap_or_default()
}

/// Milliseconds, as seconds.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ms) = self;
        write!(f, "{}", ms / 1000)?;
        match ms % 1000 {
            0 => Ok(()),
            rest if rest % 100 == 0 => write!(f, ".{}", rest / 100),
            rest if rest % 10 == 0 => write!(f, ".{:02}", rest / 10),
            rest => write!(f, ".{rest:03}"),
        }
    }
}

/// The side that ended a tunnel.
pub(crate) fn side(by: Option<Side>) -> &'static str {
    by.map_or("nginx", Side::name)
}

/// A Close's status code, as far as codes are told apart.
pub(crate) struct ShownCode(pub Code);

impl Display for ShownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Code::None => f.write_str("none"),
            Code::Defined(code) => write!(f, "{code}"),
            Code::Registered => f.write_str("3xxx"),
            Code::Private => f.write_str("4xxx"),
            Code::Other => f.write_str("other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8]) -> String {
        Shown(&Text::new(text)).to_string()
    }

    #[test]
    fn bytes_are_text() {
        assert_eq!(shown("/caf\u{e9}\n".as_bytes()), "/caf\u{e9}\n");
        assert_eq!(shown(b"/a\xFF\x80b\xC3"), "/a\\xFF\\x80b\\xC3");
        assert_eq!(shown(&[b'x'; Text::MAX]), "x".repeat(Text::MAX));
        let long = "\u{e9}".repeat(Text::MAX);
        assert_eq!(
            shown(long.as_bytes()),
            "\u{e9}".repeat(Text::MAX / 2) + "\u{2026}"
        );
        let half = [b"x", long.as_bytes()].concat();
        assert_eq!(
            shown(&half),
            "x".to_owned() + &"\u{e9}".repeat((Text::MAX - 1) / 2) + "\u{2026}"
        );
    }

    #[test]
    fn long_names_are_told_apart() {
        let [short, long] = [b"x".as_slice(), &[b'x'; Text::MAX + 1]].map(Text::new);
        assert_eq!(Name(&short, 7).to_string(), "x");
        assert_eq!(Name(&long, 7).to_string(), Shown(&long).to_string() + "7");
    }

    #[test]
    fn milliseconds_are_seconds() {
        for (ms, seconds) in [
            (0, "0"),
            (5, "0.005"),
            (20, "0.02"),
            (300, "0.3"),
            (60_000, "60"),
            (1_001, "1.001"),
            (u64::MAX, "18446744073709551.615"),
        ] {
            assert_eq!(Seconds(ms).to_string(), seconds);
        }
    }
}
