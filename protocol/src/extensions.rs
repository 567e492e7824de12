//! Sec-WebSocket-Extensions (RFC 6455 section 9.1).

use crate::header::{is_token, is_token_byte, split, tokens};

/// Whether a value is a list of at least one extension, each `token *( ";" token [ "=" value ] )`
/// with white space allowed around `;` and `=`.
///
/// A parameter's value is a token, or a quoted string that is one without its quotes. As no token
/// holds a comma or semicolon, the value can be split at them first: a quoted one is malformed
/// either way.
pub(crate) fn is_well_formed(value: &[u8]) -> bool {
    BROWSERS.contains(&value) || is_list(value)
}

/// What browsers send: so it is nearly always.
const BROWSERS: [&[u8]; 2] = [
    b"permessage-deflate; client_max_window_bits",
    b"permessage-deflate",
];

fn is_list(value: &[u8]) -> bool {
    let mut extensions = tokens(value).peekable();
    extensions.peek().is_some() && extensions.all(is_extension)
}

/// The names of the extensions in a value, as they stand there.
pub(crate) fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    tokens(value).map(|extension| split(extension, b';').next().unwrap_or_default())
}

fn is_extension(extension: &[u8]) -> bool {
    let mut parts = split(extension, b';');
    parts.next().is_some_and(is_token) && parts.all(is_parameter)
}

fn is_parameter(parameter: &[u8]) -> bool {
    // Neither a name nor a value holds another `=`.
    let mut sides = split(parameter, b'=');
    sides.next().is_some_and(is_token)
        && sides
            .next()
            .is_none_or(|value| is_token(value) || is_quoted_token(value))
        && sides.next().is_none()
}

fn is_quoted_token(value: &[u8]) -> bool {
    let [b'"', quoted @ .., b'"'] = value else {
        return false;
    };
    let mut bytes = quoted.iter();
    let mut unquoted = core::iter::from_fn(|| match bytes.next() {
        Some(b'\\') => Some(bytes.next()),
        Some(byte) => Some(Some(byte)),
        None => None,
    });
    // A backslash at the very end quotes nothing.
    !quoted.is_empty() && unquoted.all(|byte| byte.is_some_and(|&byte| is_token_byte(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_grammar() {
        for value in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=15,x-webkit-deflate-frame",
            "a ; b = c ;\td",
            "a; b=\"c\"",
            r#"a; b="\c\d""#,
            ",a,,b,",
        ] {
            assert!(is_well_formed(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_browsers_send_keeps_the_grammar() {
        assert!(BROWSERS.into_iter().all(is_list));
    }

    #[test]
    fn refuses_all_else() {
        for value in [
            "",
            " , ",
            ";",
            "a;",
            "a;;b",
            "a b",
            "a; b c",
            "a; =b",
            "a; b=",
            "a; b==c",
            "a; b=\"",
            "a; b=\"\"",
            "a; b=\"c",
            "a; b=c\"",
            "a; b=\"c d\"",
            "a; b=\"c,d\"",
            "a; b=\"c;d\"",
            r#"a; b="c\""#,
            r#"a; b="\,""#,
            "a=b",
            "\"a\"",
            "a/b",
            "a, b;",
            "\u{e9}",
        ] {
            assert!(!is_well_formed(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn names_leave_parameters_out() {
        let names: Vec<_> = names(b"a; b=c, d;e , f").collect();
        assert_eq!(names, [b"a", b"d", b"f"]);
    }
}
