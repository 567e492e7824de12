//! Sec-WebSocket-Protocol in a request (RFC 6455 section 4.1, number 10).

use crate::header::{is_token, tokens};

/// Whether a value is a list of at least one token. Empty list elements are no elements.
pub(crate) fn is_well_formed(value: &[u8]) -> bool {
    let mut names = tokens(value).peekable();
    names.peek().is_some() && names.all(is_token)
}

/// The first name that the values hold twice. Names are compared as they stand.
///
/// Looks at the first 32 names only. Clients offer a handful; without a bound, a header of 32 KB
/// could hold 16,000 names and cost 100 million comparisons.
pub(crate) fn duplicate<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let mut seen: [&[u8]; MAX_COMPARED] = [&[]; MAX_COMPARED];
    for (count, name) in values.flat_map(tokens).take(MAX_COMPARED).enumerate() {
        if seen.iter().take(count).any(|&earlier| earlier == name) {
            return Some(name);
        }
        if let Some(place) = seen.get_mut(count) {
            *place = name;
        }
    }
    None
}

const MAX_COMPARED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_lists_of_tokens() {
        for value in [
            "chat",
            "chat, superchat",
            "graphql-transport-ws,graphql-ws",
            ",v1.json,,",
        ] {
            assert!(is_well_formed(value.as_bytes()), "{value}");
        }
        for value in ["", " ", ",", "a b", "a, b/c", "a;b", "\"a\"", "\u{e9}"] {
            assert!(!is_well_formed(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn finds_duplicates_across_values() {
        assert_eq!(first_twice(&["a, b", "c"]), None);
        assert_eq!(first_twice(&["a, A"]), None);
        assert_eq!(first_twice(&["a, b, a"]), Some("a"));
        assert_eq!(first_twice(&["a, b", "c, b"]), Some("b"));
    }

    #[test]
    fn stops_comparing_after_32() {
        let names: Vec<_> = (0..31).map(|n| format!("p{n}")).collect();
        let list = names.join(",");
        assert_eq!(first_twice(&[&list, "p0"]), Some("p0"));
        assert_eq!(first_twice(&[&list, "x", "p0"]), None);
    }

    fn first_twice<'a>(values: &[&'a str]) -> Option<&'a str> {
        duplicate(values.iter().map(|value| value.as_bytes()))
            .map(|name| std::str::from_utf8(name).unwrap())
    }
}
