//! The client's half of the handshake (RFC 6455 sections 4.1 and 4.2.1).

use memchr::memchr;

use crate::header::{Bytes, has_token, tokens};
use crate::lines::{Lines, Single};
use crate::{Cause, Refusal, RequestHeader, RequestLine, Seen, extensions, subprotocols};

/// What the Upgrade headers of a request ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upgrade {
    /// Nothing: there is no Upgrade header, or it lists nothing.
    Absent,
    /// `websocket`, perhaps among others.
    WebSocket,
    /// Something else only, such as `h2c`.
    Other,
}

/// The handshake headers of one request, gathered while its header list is walked once.
///
/// A request with none of them costs nothing but [`RequestHead::new`].
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    connection: Option<&'a [u8]>,
    connection_has_upgrade: bool,
    upgrade: Option<&'a [u8]>,
    upgrades_to: Upgrade,
    key: Single<'a>,
    version: Single<'a>,
    protocols: Lines<'a>,
    malformed_protocols: Option<&'a [u8]>,
    malformed_extensions: Option<&'a [u8]>,
}

impl<'a> RequestHead<'a> {
    /// A head without headers.
    pub const fn new() -> Self {
        Self {
            connection: None,
            connection_has_upgrade: false,
            upgrade: None,
            upgrades_to: Upgrade::Absent,
            key: Single::new(),
            version: Single::new(),
            protocols: Lines::new(),
            malformed_protocols: None,
            malformed_extensions: None,
        }
    }

    /// Takes one header line. A header that is repeated is added repeatedly, in the order sent.
    pub fn add(&mut self, header: RequestHeader, value: &'a [u8]) {
        match header {
            RequestHeader::Connection => {
                self.connection.get_or_insert(value);
                self.connection_has_upgrade |= has_token(value, b"upgrade");
            }
            RequestHeader::Upgrade => {
                self.upgrade.get_or_insert(value);
                if has_token(value, b"websocket") {
                    self.upgrades_to = Upgrade::WebSocket;
                } else if self.upgrades_to == Upgrade::Absent && tokens(value).next().is_some() {
                    self.upgrades_to = Upgrade::Other;
                }
            }
            RequestHeader::Key => self.key.add(value),
            RequestHeader::Version => self.version.add(value),
            RequestHeader::Protocol => {
                self.protocols.add(value);
                if !subprotocols::is_well_formed(value) {
                    self.malformed_protocols.get_or_insert(value);
                }
            }
            RequestHeader::Extensions => {
                if !extensions::is_well_formed(value) {
                    self.malformed_extensions.get_or_insert(value);
                }
            }
        }
    }

    /// Whether the request means to open a WebSocket: it upgrades to `websocket`, or has a key or
    /// version. The latter two are left behind where something in front strips Upgrade.
    pub fn is_attempt(&self) -> bool {
        self.upgrades_to == Upgrade::WebSocket || self.key.is_there() || self.version.is_there()
    }

    /// What the Upgrade headers ask for.
    pub fn upgrade(&self) -> Upgrade {
        self.upgrades_to
    }

    /// Whether a Connection header lists `upgrade`.
    pub fn connection_has_upgrade(&self) -> bool {
        self.connection_has_upgrade
    }

    /// The first Connection header's value as sent.
    pub fn connection(&self) -> Option<&'a [u8]> {
        self.connection
    }

    /// The first Upgrade header's value as sent.
    pub fn upgrade_value(&self) -> Option<&'a [u8]> {
        self.upgrade
    }

    /// The first Sec-WebSocket-Key, without white space around it.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key.first()
    }

    /// Checks the request against RFC 6455 section 4.2.1 and names the first rule that it breaks.
    ///
    /// Meant for a request that [is an attempt](Self::is_attempt); any other breaks a rule too.
    pub fn check(&self, line: RequestLine<'a>) -> Result<(), Refusal<'a>> {
        line.check()?;
        self.check_upgrade()?;
        self.check_key()?;
        self.check_version()?;
        if line.has_body {
            return Err(Refusal::new(Cause::BodyPresent, Seen::Body));
        }
        self.check_protocols()?;
        self.check_extensions()
    }

    fn check_upgrade(&self) -> Result<(), Refusal<'a>> {
        let upgrade = Seen::header(RequestHeader::Upgrade.title(), self.upgrade);
        match self.upgrades_to {
            Upgrade::Absent => return Err(Refusal::new(Cause::UpgradeMissing, upgrade)),
            Upgrade::Other => return Err(Refusal::new(Cause::UpgradeNotWebsocket, upgrade)),
            Upgrade::WebSocket => (),
        }
        if !self.connection_has_upgrade {
            let connection = Seen::header(RequestHeader::Connection.title(), self.connection);
            return Err(Refusal::new(Cause::ConnectionNotUpgrade, connection));
        }
        Ok(())
    }

    fn check_key(&self) -> Result<(), Refusal<'a>> {
        if matches!(self.key.get(), Ok(Some(key)) if is_key(key)) {
            return Ok(());
        }
        let header = RequestHeader::Key;
        let key = required(header, &self.key, Cause::KeyMissing, Cause::KeyRepeated)?;
        let seen = Seen::Value(header.title(), key);
        Err(Refusal::new(Cause::KeyInvalid, seen))
    }

    fn check_version(&self) -> Result<(), Refusal<'a>> {
        if self.version.get() == Ok(Some(b"13")) {
            return Ok(());
        }
        let header = RequestHeader::Version;
        let version = required(
            header,
            &self.version,
            Cause::VersionMissing,
            Cause::VersionRepeated,
        )?;
        let seen = Seen::Value(header.title(), version);
        Err(Refusal::new(Cause::VersionUnsupported, seen))
    }

    fn check_protocols(&self) -> Result<(), Refusal<'a>> {
        if self.protocols.first().is_none() {
            return Ok(());
        }
        let title = RequestHeader::Protocol.title();
        let malformed = self
            .malformed_protocols
            .map(|value| Seen::Value(title, value));
        let duplicate =
            || subprotocols::duplicate(self.protocols.iter()).map(|n| Seen::Duplicate(title, n));
        match malformed.or_else(duplicate) {
            Some(seen) => Err(Refusal::new(Cause::SubprotocolMalformed, seen)),
            None => Ok(()),
        }
    }

    fn check_extensions(&self) -> Result<(), Refusal<'a>> {
        match self.malformed_extensions {
            Some(value) => {
                let seen = Seen::Value(RequestHeader::Extensions.title(), value);
                Err(Refusal::new(Cause::ExtensionsMalformed, seen))
            }
            None => Ok(()),
        }
    }
}

impl Default for RequestHead<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The value of a header that must be there once. A comma means that lines were joined on the way.
fn required<'a>(
    header: RequestHeader,
    value: &Single<'a>,
    missing: Cause,
    repeated: Cause,
) -> Result<&'a [u8], Refusal<'a>> {
    match value.get() {
        Ok(None) => Err(Refusal::new(missing, Seen::Missing(header.title()))),
        Ok(Some(list)) if memchr(b',', list).is_some() => {
            Err(Refusal::new(repeated, Seen::Value(header.title(), list)))
        }
        Ok(Some(value)) => Ok(value),
        Err(count) => Err(Refusal::new(
            repeated,
            Seen::Repeated(header.title(), count),
        )),
    }
}

/// Whether a key decodes to 16 bytes: 22 characters of the base64 alphabet, then `==`.
///
/// The last character carries four bits that no byte uses. RFC 4648 wants them zero, but lets a
/// decoder ignore them, and so do servers; so does this. They are part of what is hashed.
fn is_key(key: &[u8]) -> bool {
    static BASE64: Bytes = Bytes::alphanumeric_and(b"+/");
    matches!(key, [digits @ .., b'=', b'=']
        if digits.len() == 22 && BASE64.has_all(digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpVersion;
    use crate::RequestHeader::*;

    const GET: RequestLine<'_> = RequestLine {
        method: b"GET",
        version: HttpVersion::Http11,
        has_body: false,
    };
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn accepts_a_plain_handshake() {
        assert_eq!(head(&valid()).check(GET), Ok(()));
        assert!(head(&valid()).is_attempt());
        assert_eq!(head(&valid()).key(), Some(KEY.as_bytes()));
    }

    #[test]
    fn accepts_lists_repeats_and_any_case() {
        let headers = [
            (Connection, "keep-alive"),
            (Connection, "foo, UPGRADE"),
            (Upgrade, "h2c"),
            (Upgrade, "foo/1, WebSocket"),
            (Key, " dGhlIHNhbXBsZSBub25jZQ==\t"),
            (Version, " 13 "),
            (Protocol, "chat"),
            (Protocol, "superchat, v2.chat"),
            (Extensions, "permessage-deflate; client_max_window_bits"),
            (Extensions, "x"),
        ];
        let head = head(&headers);
        assert_eq!(head.check(GET), Ok(()));
        assert_eq!(head.connection(), Some(&b"keep-alive"[..]));
        assert_eq!(head.upgrade_value(), Some(&b"h2c"[..]));
    }

    #[test]
    fn knows_attempts() {
        assert!(head(&[(Upgrade, "websocket")]).is_attempt());
        assert!(head(&[(Key, "")]).is_attempt());
        assert!(head(&[(Version, "8")]).is_attempt());
        assert!(!head(&[]).is_attempt());
        assert!(!head(&[(Connection, "upgrade"), (Upgrade, "h2c"), (Protocol, "a")]).is_attempt());
    }

    #[test]
    fn classifies_upgrade() {
        assert_eq!(head(&[]).upgrade(), super::Upgrade::Absent);
        assert_eq!(head(&[(Upgrade, " , ")]).upgrade(), super::Upgrade::Absent);
        assert_eq!(head(&[(Upgrade, "h2c")]).upgrade(), super::Upgrade::Other);
        assert_eq!(
            head(&[(Upgrade, "websocket/13")]).upgrade(),
            super::Upgrade::Other
        );
        assert_eq!(
            head(&[(Upgrade, "h2c, websocket")]).upgrade(),
            super::Upgrade::WebSocket
        );
        let both = [(Upgrade, "websocket"), (Upgrade, "h2c")];
        assert_eq!(head(&both).upgrade(), super::Upgrade::WebSocket);
    }

    #[test]
    fn http2_and_http3_come_first() {
        for (version, text) in [
            (HttpVersion::Http2, "HTTP/2"),
            (HttpVersion::Http3, "HTTP/3"),
        ] {
            let line = RequestLine {
                method: b"POST",
                version,
                has_body: true,
            };
            let refusal = head(&[(Version, "13")]).check(line).unwrap_err();
            assert_eq!(refusal.cause, Cause::OverHttp2);
            assert_eq!(refusal.seen.to_string(), format!("request is {text}"));
        }
    }

    #[test]
    fn method_and_version_of_the_line() {
        for method in ["POST", "get", "HEAD", ""] {
            let line = RequestLine {
                method: method.as_bytes(),
                ..GET
            };
            refused_line(
                line,
                Cause::MethodNotGet,
                &format!("method is \"{method}\""),
            );
        }
        let line = RequestLine {
            version: HttpVersion::Http10,
            ..GET
        };
        refused_line(line, Cause::HttpVersion, "request is HTTP/1.0");
        let line = RequestLine {
            version: HttpVersion::Http09,
            ..GET
        };
        refused_line(line, Cause::HttpVersion, "request is HTTP/0.9");
        let line = RequestLine {
            has_body: true,
            ..GET
        };
        refused_line(line, Cause::BodyPresent, "request has a body");
    }

    #[test]
    fn upgrade_rules() {
        refused(
            &without(Upgrade),
            Cause::UpgradeMissing,
            "no Upgrade header",
        );
        refused(&with(Upgrade, ""), Cause::UpgradeMissing, "Upgrade is \"\"");
        refused(
            &with(Upgrade, "h2c"),
            Cause::UpgradeNotWebsocket,
            "Upgrade is \"h2c\"",
        );
    }

    #[test]
    fn connection_rules() {
        refused(
            &without(Connection),
            Cause::ConnectionNotUpgrade,
            "no Connection header",
        );
        let close = with(Connection, "close");
        refused(
            &close,
            Cause::ConnectionNotUpgrade,
            "Connection is \"close\"",
        );
    }

    #[test]
    fn key_rules() {
        refused(
            &without(Key),
            Cause::KeyMissing,
            "no Sec-WebSocket-Key header",
        );
        let twice = [valid().as_slice(), &[(Key, KEY)]].concat();
        refused(&twice, Cause::KeyRepeated, "2 Sec-WebSocket-Key headers");
        refused(
            &with(Key, "a, b"),
            Cause::KeyRepeated,
            "Sec-WebSocket-Key is \"a, b\"",
        );
        for key in [
            "",
            "AAAA",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZQA=",
            "dGhlIHNhbXBsZSBub25jZQAA",
            "dGhlIHNhbXBsZSBub25j====",
            "dGhlIHNhbXBsZSBub25jZ-==",
            "dGhlIHNhbXBs SBub25jZQ==",
        ] {
            let seen = format!("Sec-WebSocket-Key is \"{key}\"");
            refused(&with(Key, key), Cause::KeyInvalid, &seen);
        }
    }

    #[test]
    fn key_may_set_unused_bits() {
        assert_eq!(
            head(&with(Key, "dGhlIHNhbXBsZSBub25jZf==")).check(GET),
            Ok(())
        );
        assert_eq!(
            head(&with(Key, "++++++++//////////++//==")).check(GET),
            Ok(())
        );
    }

    #[test]
    fn version_rules() {
        refused(
            &without(Version),
            Cause::VersionMissing,
            "no Sec-WebSocket-Version header",
        );
        let twice = [valid().as_slice(), &[(Version, "13")]].concat();
        refused(
            &twice,
            Cause::VersionRepeated,
            "2 Sec-WebSocket-Version headers",
        );
        let list = with(Version, "13, 8");
        refused(
            &list,
            Cause::VersionRepeated,
            "Sec-WebSocket-Version is \"13, 8\"",
        );
        for version in ["8", "", "013", "13.0", "+13"] {
            let seen = format!("Sec-WebSocket-Version is \"{version}\"");
            refused(&with(Version, version), Cause::VersionUnsupported, &seen);
        }
    }

    #[test]
    fn subprotocol_rules() {
        let empty = with(Protocol, "");
        refused(
            &empty,
            Cause::SubprotocolMalformed,
            "Sec-WebSocket-Protocol is \"\"",
        );
        let space = with(Protocol, "a b");
        refused(
            &space,
            Cause::SubprotocolMalformed,
            "Sec-WebSocket-Protocol is \"a b\"",
        );
        let twice = [valid().as_slice(), &[(Protocol, "a, b"), (Protocol, "b")]].concat();
        refused(
            &twice,
            Cause::SubprotocolMalformed,
            "Sec-WebSocket-Protocol has \"b\" twice",
        );
    }

    #[test]
    fn extensions_rules() {
        let bare = with(Extensions, "a;");
        refused(
            &bare,
            Cause::ExtensionsMalformed,
            "Sec-WebSocket-Extensions is \"a;\"",
        );
    }

    type Headers = Vec<(RequestHeader, &'static str)>;

    fn valid() -> Headers {
        vec![
            (Connection, "Upgrade"),
            (Upgrade, "websocket"),
            (Key, KEY),
            (Version, "13"),
        ]
    }

    fn without(header: RequestHeader) -> Headers {
        valid()
            .into_iter()
            .filter(|(name, _)| *name != header)
            .collect()
    }

    fn with(header: RequestHeader, value: &str) -> Vec<(RequestHeader, &str)> {
        without(header)
            .into_iter()
            .chain([(header, value)])
            .collect()
    }

    fn head<'a>(headers: &[(RequestHeader, &'a str)]) -> RequestHead<'a> {
        let mut head = RequestHead::new();
        for (header, value) in headers {
            head.add(*header, value.as_bytes());
        }
        head
    }

    #[track_caller]
    fn refused(headers: &[(RequestHeader, &str)], cause: Cause, seen: &str) {
        let refusal = head(headers).check(GET).unwrap_err();
        assert_eq!(
            (refusal.cause, refusal.seen.to_string().as_str()),
            (cause, seen)
        );
    }

    #[track_caller]
    fn refused_line(line: RequestLine<'_>, cause: Cause, seen: &str) {
        let refusal = head(&valid()).check(line).unwrap_err();
        assert_eq!(
            (refusal.cause, refusal.seen.to_string().as_str()),
            (cause, seen)
        );
    }
}
