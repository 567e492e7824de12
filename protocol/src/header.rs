//! Reading of header values: comma lists and tokens (RFC 9110 sections 5.6.1 and 5.6.2).

use core::iter;

use memchr::memchr;

/// The elements of a comma list, without the white space around them; empty ones are skipped.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    split(value, b',').filter(|element| !element.is_empty())
}

/// What stands between separators, without the white space around it.
pub(crate) fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = Some(value);
    iter::from_fn(move || {
        let list = rest?;
        let end = memchr(separator, list).unwrap_or(list.len());
        let (element, tail) = list.split_at_checked(end)?;
        rest = tail.get(1..);
        Some(trim(element))
    })
}

/// Whether a comma list holds `token`, in any case.
///
/// A whole element has to match: `websocket/13` is not `websocket`.
#[inline(always)]
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    // So it is nearly always: with no room for a comma, it is that token or none.
    if value.len() == token.len() {
        return value.eq_ignore_ascii_case(token);
    }
    tokens(value).any(|element| element.eq_ignore_ascii_case(token))
}

/// Whether all bytes are token characters, and there is at least one.
pub fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && TOKEN_BYTES.has_all(value)
}

/// `value` without the spaces and tabs at both ends.
pub fn trim(value: &[u8]) -> &[u8] {
    match value {
        // So it is nearly always.
        [b'!'..=b'~', .., b'!'..=b'~'] => value,
        _ => trim_ends(value),
    }
}

fn trim_ends(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110's `tchar`.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES.has(byte)
}

static TOKEN_BYTES: Bytes = Bytes::alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// A set of bytes, as a table: every header of a handshake is read with one.
pub(crate) struct Bytes([bool; 256]);

impl Bytes {
    /// ASCII letters and digits, and these others.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut i = 0;
        while i < others.len() {
            table[others[i] as usize] = true;
            i += 1;
        }
        Self(table)
    }

    pub(crate) const fn has(&self, byte: u8) -> bool {
        // A byte is always a place in the table.
        self.0[byte as usize]
    }

    /// Goes through all of them, as there is nearly always nothing to stop at.
    pub(crate) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().fold(true, |all, byte| all & self.has(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_commas() {
        assert_eq!(list(b"a"), ["a"]);
        assert_eq!(list(b"keep-alive, Upgrade"), ["keep-alive", "Upgrade"]);
        assert_eq!(list(b" a\t,\t b c ,d"), ["a", "b c", "d"]);
    }

    #[test]
    fn skips_empty_elements() {
        assert_eq!(list(b""), [""; 0]);
        assert_eq!(list(b" , ,\t,"), [""; 0]);
        assert_eq!(list(b",a,,b,"), ["a", "b"]);
    }

    #[test]
    fn finds_tokens_in_any_case() {
        assert!(has_token(b"keep-alive, UpGrade", b"upgrade"));
        assert!(has_token(b"upgrade", b"upgrade"));
        assert!(!has_token(b"upgrades", b"upgrade"));
        assert!(!has_token(b"no upgrade", b"upgrade"));
        assert!(!has_token(b"websocket/13", b"websocket"));
        assert!(!has_token(b"", b"upgrade"));
    }

    #[test]
    fn knows_token_characters() {
        assert!(is_token(b"permessage-deflate"));
        assert!(is_token(b"!#$%&'*+-.^_`|~09azAZ"));
        for byte in b"\"(),/:;<=>?@[\\]{} \t\0\x7f\x80\xff" {
            assert!(!is_token(&[*byte]), "{byte:#x}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn trims_spaces_and_tabs_only() {
        assert_eq!(trim(b"\t a b \t"), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0ba\x0c"), b"\x0ba\x0c");
    }

    fn list(value: &[u8]) -> Vec<&str> {
        tokens(value)
            .map(|element| std::str::from_utf8(element).unwrap())
            .collect()
    }
}
