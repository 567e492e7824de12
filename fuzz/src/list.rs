//! Comma lists, every element a text of its own.

/// Each byte is a character.
pub fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

pub fn trimmed(value: &[u8]) -> String {
    latin(value).trim_matches([' ', '\t']).to_owned()
}

/// RFC 9110 section 5.6.1.
pub fn elements(value: &[u8]) -> Vec<String> {
    let value = latin(value);
    let all = value
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']));
    all.filter(|element| !element.is_empty())
        .map(str::to_owned)
        .collect()
}

/// RFC 9110 section 5.6.2.
pub fn is_token(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_right)
}
