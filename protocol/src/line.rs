//! The request line, as far as a handshake depends on it (RFC 6455 section 4.2.1, number 1).

use crate::{Cause, HttpVersion, Refusal, Seen};

/// What a handshake needs to know of a request besides its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The method as sent.
    pub method: &'a [u8],
    /// The version of HTTP that carries the request.
    pub version: HttpVersion,
    /// Whether bytes of a body follow: a Content-Length above zero, or Transfer-Encoding.
    pub has_body: bool,
}

impl<'a> RequestLine<'a> {
    /// Checks method and version.
    pub(crate) fn check(self) -> Result<(), Refusal<'a>> {
        let version = Seen::Version(self.version);
        if self.version > HttpVersion::Http11 {
            return Err(Refusal::new(Cause::OverHttp2, version));
        }
        if self.method != b"GET" {
            return Err(Refusal::new(Cause::MethodNotGet, Seen::Method(self.method)));
        }
        if self.version < HttpVersion::Http11 {
            return Err(Refusal::new(Cause::HttpVersion, version));
        }
        Ok(())
    }

    /// Looked at behind the headers: a body says less than a missing one.
    pub(crate) fn check_body(self) -> Result<(), Refusal<'a>> {
        if self.has_body {
            return Err(Refusal::new(Cause::BodyPresent, Seen::Body));
        }
        Ok(())
    }
}
