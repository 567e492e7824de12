//! Sec-WebSocket-Protocol in a request (RFC 6455 section 4.1, number 10).

use crate::header::{is_token_byte, tokens};
use crate::{RequestHeader, Seen};

/// What is wrong with a value that is no list of at least one token. Empty list elements are no
/// elements.
///
/// Clients put credentials there, as a browser's script can send them nowhere else: so this says
/// what is wrong and where, but not with what.
pub(crate) fn malformed(value: &[u8]) -> Option<Seen<'static>> {
    let title = RequestHeader::Protocol.title();
    if tokens(value).next().is_none() {
        return Some(Seen::Empty(title));
    }
    let misplaced = |element| misplaced(value, element);
    let (place, byte) = tokens(value).find_map(misplaced)?;
    Some(Seen::Misplaced(title, byte, place))
}

/// The first byte of an element that belongs into no token, with its place in the value.
fn misplaced(value: &[u8], element: &[u8]) -> Option<(usize, u8)> {
    let at = element.iter().position(|&byte| !is_token_byte(byte))?;
    Some((place(value, element) + at, *element.get(at)?))
}

/// Where a part of a value begins, counted from 1.
fn place(value: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(value.as_ptr() as usize) + 1
}

/// That the values hold a name twice. Names are compared as they stand.
///
/// Looks at the first 32 names only. Clients offer a handful; without a bound, a header of 32 KB
/// could hold 16,000 names and cost 100 million comparisons.
pub(crate) fn duplicate<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Seen<'static>> {
    let mut seen: [&[u8]; MAX_COMPARED] = [&[]; MAX_COMPARED];
    for (count, name) in values.flat_map(tokens).take(MAX_COMPARED).enumerate() {
        if seen.iter().take(count).any(|&earlier| earlier == name) {
            return Some(Seen::Duplicate(RequestHeader::Protocol.title(), count + 1));
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
            assert_eq!(malformed(value.as_bytes()), None, "{value}");
        }
        for value in ["", " ", ",", "\t,"] {
            assert_eq!(
                text(value),
                "Sec-WebSocket-Protocol lists no subprotocol",
                "{value}"
            );
        }
    }

    #[test]
    fn says_which_character_is_wrong_but_not_in_what() {
        for (value, seen) in [
            ("a b", "\" \" at character 2"),
            ("a, bearer=c2Vj/cmV0", "\"=\" at character 10"),
            ("SPDY/3.1+portforward.k8s.io", "\"/\" at character 5"),
            ("a;b", "\";\" at character 2"),
            ("\"a\"", "\"\\x22\" at character 1"),
            ("ok ,\u{e9}", "\"\\xC3\" at character 5"),
        ] {
            assert_eq!(
                text(value),
                format!("Sec-WebSocket-Protocol has {seen}, which is not allowed in a subprotocol")
            );
        }
    }

    #[test]
    fn finds_duplicates_across_values() {
        assert_eq!(second(&["a, b", "c"]), None);
        assert_eq!(second(&["a, A"]), None);
        assert_eq!(second(&["a, b, a"]), Some(3));
        assert_eq!(second(&["a, b", "c, b"]), Some(4));
    }

    #[test]
    fn stops_comparing_after_32() {
        let names: Vec<_> = (0..31).map(|n| format!("p{n}")).collect();
        let list = names.join(",");
        assert_eq!(second(&[&list, "p0"]), Some(32));
        assert_eq!(second(&[&list, "x", "p0"]), None);
    }

    fn text(value: &str) -> String {
        malformed(value.as_bytes()).unwrap().to_string()
    }

    fn second(values: &[&str]) -> Option<usize> {
        match duplicate(values.iter().map(|value| value.as_bytes()))? {
            Seen::Duplicate(_, number) => Some(number),
            other => panic!("{other}"),
        }
    }
}
