//! Values from outside, made safe for a log line.

use core::fmt::{self, Write};

/// Shows bytes that a client or upstream sent.
///
/// Printable ASCII passes; every other byte, `"` and `\` become `\xHH`, as in nginx's access log.
/// So the text holds no line end, no terminal escape, and no quote that could close the quotes
/// around it. After 128 bytes of input it is cut and ends in `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a [u8]);

const MAX_SHOWN: usize = 128;

/// Shows text that a client or upstream sent, for those who read it as text.
///
/// UTF-8 passes; the bytes of control characters, and those that are no UTF-8, become `\xHH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take(MAX_SHOWN) {
            match byte {
                b' '..=b'~' if !matches!(byte, b'"' | b'\\') => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02X}")?,
            }
        }
        if self.0.len() > MAX_SHOWN {
            f.write_str("...")?;
        }
        Ok(())
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "\\x{byte:02X}")?;
                    }
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_printable_ascii() {
        assert_eq!(
            shown(b"permessage-deflate; a=1 ~!"),
            "permessage-deflate; a=1 ~!"
        );
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn escapes_all_else() {
        assert_eq!(
            shown(b"a\r\nb\x1b[0m\x7f\0"),
            "a\\x0D\\x0Ab\\x1B[0m\\x7F\\x00"
        );
        assert_eq!(shown(br#""\"#), "\\x22\\x5C");
        assert_eq!(shown("é".as_bytes()), "\\xC3\\xA9");
    }

    #[test]
    fn cuts_after_128_bytes() {
        assert_eq!(shown(&[b'a'; 128]), "a".repeat(128));
        assert_eq!(shown(&[b'a'; 129]), "a".repeat(128) + "...");
        assert_eq!(shown(&[b'\n'; 8192]), "\\x0A".repeat(128) + "...");
    }

    #[test]
    fn text_stays_text() {
        let printable = |bytes| Printable(bytes).to_string();
        assert_eq!(printable("voilà, \"ça\" \\".as_bytes()), "voilà, \"ça\" \\");
        assert_eq!(printable(b""), "");
        assert_eq!(
            printable(b"a\r\nb\x1b[0m\x7f\0"),
            "a\\x0D\\x0Ab\\x1B[0m\\x7F\\x00"
        );
        // A control character of two bytes, a byte that begins nothing, and the first of two.
        assert_eq!(printable(b"\xC2\x85 \xFF \xC3"), "\\xC2\\x85 \\xFF \\xC3");
    }

    fn shown(bytes: &[u8]) -> String {
        Escaped(bytes).to_string()
    }
}
