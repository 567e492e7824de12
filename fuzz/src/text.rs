//! What may stand in a line of a log.

/// A text that is one line of printable ASCII, and not longer than this.
#[track_caller]
pub fn assert_line(text: &str, longest: usize) {
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(is_printable, "{text:?}");
    assert!(text.len() <= longest, "{} bytes: {text:?}", text.len());
}

/// Bytes as they are shown in quotes: what is not printable, `"` and `\` by their numbers.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'\\' || byte == b' ' {
            text.push(char::from(byte));
        } else {
            text += &format!("\\x{byte:02X}");
        }
    }
    text
}

/// The same, of the beginning of what may be long.
pub fn escaped_beginning(bytes: &[u8]) -> String {
    match bytes.get(..128) {
        Some(beginning) if bytes.len() > 128 => escaped(beginning) + "...",
        _ => escaped(bytes),
    }
}
