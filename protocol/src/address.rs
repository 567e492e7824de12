//! An address from outside, as a log may show it.

use core::fmt;

use memchr::{memchr, memchr3, memmem, memrchr};

use crate::Escaped;

/// Shows an address without what may be a secret in it: the query, the fragment, what follows a
/// `;` in the path, as in `;jsessionid=`, and a name and password before the host. All else is shown as [`Escaped`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a>(pub &'a [u8]);

impl<'a> Address<'a> {
    /// The path alone: without scheme, host and query.
    pub fn path(self) -> &'a [u8] {
        let address = before_query(self.0);
        let (_, rest) = split_scheme(address);
        match (rest.len() < address.len(), memchr(b'/', rest)) {
            (true, Some(start)) => rest.get(start..).unwrap_or_default(),
            (true, None) => b"",
            (false, _) => address,
        }
    }

    /// The host, with its port; of a path there is none.
    pub fn host(self) -> Option<&'a [u8]> {
        let (scheme, rest) = split_scheme(before_query(self.0));
        let end = memchr(b'/', rest).unwrap_or(rest.len());
        rest.get(..end).filter(|_| !scheme.is_empty())
    }

    /// Whether its scheme is `https`.
    pub fn is_secure(self) -> bool {
        split_scheme(before_query(self.0))
            .0
            .eq_ignore_ascii_case(b"https://")
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = before_query(self.0);
        let (scheme, rest) = split_scheme(shown);
        let host_end = memchr(b'/', rest).unwrap_or(rest.len());
        let user_end = rest
            .get(..host_end)
            .filter(|_| !scheme.is_empty())
            .and_then(|host| memrchr(b'@', host));
        match user_end.and_then(|end| rest.get(end..)) {
            Some(rest) => write!(f, "{}...{}", Escaped(scheme), Escaped(rest))?,
            None => write!(f, "{}", Escaped(shown))?,
        }
        match self.0.get(shown.len()) {
            Some(mark) => write!(f, "{}...", char::from(*mark)),
            None => Ok(()),
        }
    }
}

fn before_query(address: &[u8]) -> &[u8] {
    let end = memchr3(b'?', b'#', b';', address).unwrap_or(address.len());
    address.get(..end).unwrap_or_default()
}

/// `scheme://` and what follows it; or `//`, which keeps the scheme. Empty where it is a path.
fn split_scheme(address: &[u8]) -> (&[u8], &[u8]) {
    let start = match memmem::find(address, b"//") {
        Some(0) => 2,
        Some(end) if address.get(end - 1) == Some(&b':') => end + 2,
        _ => 0,
    };
    address.split_at_checked(start).unwrap_or((b"", address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (address, shown) in [
            ("/chat/", "/chat/"),
            ("https://example.com/a//b", "https://example.com/a//b"),
            ("/login?next=/chat&token=abc", "/login?..."),
            (
                "https://id.example/auth#id_token=abc",
                "https://id.example/auth#...",
            ),
            (
                "https://user:pass@example.com/x@y",
                "https://...@example.com/x@y",
            ),
            ("/chat;jsessionid=abc?d=e", "/chat;..."),
            ("//user@example.com", "//...@example.com"),
            ("/a@b/\u{1}\"", "/a@b/\\x01\\x22"),
            ("", ""),
        ] {
            assert_eq!(Address(address.as_bytes()).to_string(), shown);
        }
    }

    #[test]
    fn the_host_is_found() {
        for (address, host, is_secure) in [
            (
                "https://a.example:8443/chat?//b",
                Some("a.example:8443"),
                true,
            ),
            ("HTTPS://[::1]", Some("[::1]"), true),
            ("http://a.example?b", Some("a.example"), false),
            ("//a.example/https://b", Some("a.example"), false),
            ("/chat//b", None, false),
            ("", None, false),
        ] {
            let found = Address(address.as_bytes());
            assert_eq!(found.host(), host.map(str::as_bytes), "{address}");
            assert_eq!(found.is_secure(), is_secure, "{address}");
        }
    }

    #[test]
    fn the_path_is_found() {
        for (address, path) in [
            ("/chat/", "/chat/"),
            ("/chat/?a=//b", "/chat/"),
            ("https://example.com/chat/", "/chat/"),
            ("https://example.com", ""),
            ("//example.com/chat#x", "/chat"),
            ("/a//b", "/a//b"),
            ("chat/", "chat/"),
        ] {
            assert_eq!(
                Address(address.as_bytes()).path(),
                path.as_bytes(),
                "{address}"
            );
        }
    }
}
