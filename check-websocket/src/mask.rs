//! What a server repeats of the credentials that it was sent: a report is passed on.

use websocket_protocol::Escaped;

use crate::request::{HIDDEN, Request};

/// The credentials of a request, the longest first: one may be a part of another.
#[derive(Default)]
pub struct Mask(Vec<Vec<u8>>);

/// Shorter ones may be a part of much else.
const SHORTEST: usize = 4;

impl Mask {
    pub fn of(request: &Request) -> Self {
        let secrets = request.secrets().into_iter();
        let mut secrets: Vec<Vec<u8>> = secrets
            .filter(|secret| secret.len() >= SHORTEST)
            // As it may come, and as it is shown then.
            .flat_map(|secret| [secret.to_owned(), Escaped(secret.as_bytes()).to_string()])
            .map(String::into_bytes)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets)
    }

    /// A text without them.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// The same of what came, of which the end may be cut off.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut made = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((first, behind)) = rest.split_first() {
            let secret = self.0.iter().find(|secret| rest.starts_with(secret));
            if let Some(secret) = secret {
                made.extend_from_slice(HIDDEN.as_bytes());
                rest = &rest[secret.len()..];
            } else if let Some(length) = self.cut_off(rest) {
                made.extend_from_slice(HIDDEN.as_bytes());
                rest = &rest[length..];
            } else {
                made.push(*first);
                rest = behind;
            }
        }
        made
    }

    /// The length of what begins one here and is cut off, by the end or by what stands for the rest.
    fn cut_off(&self, rest: &[u8]) -> Option<usize> {
        let lengths = self.0.iter().map(|secret| {
            let pairs = secret.iter().zip(rest);
            pairs.take_while(|(a, b)| a == b).count()
        });
        let is_cut = |length: &usize| {
            let behind = rest.get(*length..).unwrap_or_default();
            *length >= SHORTEST && (behind.is_empty() || behind.starts_with(b"..."))
        };
        lengths.filter(is_cut).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(headers: &[(&str, &str)]) -> Mask {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Mask::of(&Request {
            path: "/".to_owned(),
            version: "1.1",
            headers: headers.iter().map(header).collect(),
        })
    }

    #[test]
    fn what_is_repeated_is_hidden() {
        let mask = mask(&[
            ("Authorization", "Bearer s3cret"),
            ("Cookie", "sid=t0psecret; lang=en"),
            ("X-Other", "public"),
        ]);
        for (text, shown) in [
            ("no Bearer s3cret here", "no Bearer (not shown) here"),
            ("WWW-Authenticate: Bearer", "WWW-Authenticate: Bearer"),
            (
                "token s3cret, sid t0psecret.",
                "token (not shown), sid (not shown).",
            ),
            ("public, en", "public, en"),
            // Cut off.
            ("the token s3cre", "the token (not shown)"),
            ("\"s3cre...\" came", "\"(not shown)...\" came"),
            ("s3c", "s3c"),
            ("", ""),
        ] {
            assert_eq!(mask.text(text), shown);
        }
        assert_eq!(Mask::default().text("s3cret"), "s3cret");
    }

    #[test]
    fn also_as_it_is_escaped() {
        let mask = mask(&[("Authorization", "a\"b\u{e9}c")]);
        let shown = Escaped("a\"b\u{e9}c".as_bytes()).to_string();
        assert_eq!(mask.text(&format!("<{shown}>")), "<(not shown)>");
    }
}
