//! A request as it was written for an upstream.

use memchr::{memchr, memchr_iter};

use crate::header::trim;

/// The head of a request that a proxy has written: what the upstream was really asked, whatever the
/// client's request was made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentRequest<'a> {
    target: &'a [u8],
    headers: &'a [u8],
}

impl<'a> SentRequest<'a> {
    /// `None` where the bytes are no request of HTTP/1: uwsgi and the like have forms of their own.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (line, headers) = bytes.split_at_checked(memchr(b'\n', bytes)?)?;
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let is_http = !method.is_empty() && version.starts_with(b"HTTP/1.");
        (is_http && !target.is_empty()).then_some(Self { target, headers })
    }

    /// The path, without the query: that may be a secret, and not the client's own.
    pub fn path(&self) -> &'a [u8] {
        let end = memchr(b'?', self.target).unwrap_or(self.target.len());
        self.target.get(..end).unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        let headers = self.headers;
        let lines = memchr_iter(b'\n', headers).map_while(move |end| {
            let line = headers.get(end + 1..)?;
            let line = line.get(..memchr(b'\n', line)?)?;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // Behind an empty one there are no headers any more.
            (!line.is_empty()).then_some(line)
        });
        lines.filter_map(move |line| {
            let (found, value) = line.split_at_checked(memchr(b':', line)?)?;
            found
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| trim(value.get(1..).unwrap_or_default()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_headers_are_read() {
        let sent = SentRequest::read(
            b"GET /app/chat?token=secret HTTP/1.1\r\nUpgrade: websocket\r\nhost: app:8080\r\n\
              Host: second\r\nOrigin:\r\nX: a: b\r\n\r\nbody: no\nHost: no\n",
        )
        .expect("a request");
        assert_eq!(sent.path(), b"/app/chat");
        assert_eq!(sent.header("Host"), Some(&b"app:8080"[..]));
        assert_eq!(sent.header("Origin"), Some(&b""[..]));
        assert_eq!(sent.header("X"), Some(&b"a: b"[..]));
        assert_eq!(sent.header("Cookie"), None);
        assert_eq!(sent.header("body"), None);
        let hosts: Vec<_> = sent.headers("HOST").collect();
        assert_eq!(hosts, [&b"app:8080"[..], b"second"]);
    }

    #[test]
    fn a_request_without_headers_has_none() {
        let sent = SentRequest::read(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
        assert_eq!((sent.path(), sent.header("Host")), (&b"/"[..], None));
    }

    #[test]
    fn what_is_no_http_is_nothing() {
        for bytes in [
            &b""[..],
            b"\0\x05\x01\0\x04\0HTTP",
            b"70:CONTENT_LENGTH\x000\0",
            b"GET /\r\n",
            b"GET  HTTP/1.1\r\n",
            b"GET / HTTP/1.1",
            b"PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(SentRequest::read(bytes), None);
        }
    }
}
