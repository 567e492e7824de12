//! The client's half of the handshake (RFC 6455 sections 4.1 and 4.2.1).

use memchr::memchr;

use crate::header::{Bytes, has_token, tokens};
use crate::lines::{Lines, Single};
use crate::strictness::Broken;
use crate::{
    Cause, Refusal, RequestHeader, RequestLine, Seen, Strictness, extensions, subprotocols,
};

/// What the Upgrade headers of a request ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upgrade {
    /// Nothing: there is no Upgrade header.
    Absent,
    /// Something else only, such as `h2c`, or nothing that has a name.
    Other,
    /// `websocket` with a version behind it, which RFC 6455 does not know: `websocket/13`.
    Versioned,
    /// `websocket`, perhaps among others.
    WebSocket,
}

impl Upgrade {
    /// What one header line asks for.
    fn of(value: &[u8]) -> Self {
        if has_token(value, b"websocket") {
            Self::WebSocket
        } else if tokens(value).any(is_versioned) {
            Self::Versioned
        } else {
            Self::Other
        }
    }

    /// Whether it is the WebSocket protocol that is asked for.
    pub fn is_to_websocket(self) -> bool {
        self >= Self::Versioned
    }
}

/// Whether a protocol is `websocket` in a version (RFC 9110 section 7.8).
fn is_versioned(protocol: &[u8]) -> bool {
    memchr(b'/', protocol)
        .and_then(|end| protocol.get(..end))
        .is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
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
    malformed_protocols: Option<Seen<'a>>,
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
                self.upgrades_to = self.upgrades_to.max(Upgrade::of(value));
            }
            RequestHeader::Key => self.key.add(value),
            RequestHeader::Version => self.version.add(value),
            RequestHeader::Protocol => {
                self.protocols.add(value);
                if self.malformed_protocols.is_none() {
                    self.malformed_protocols = subprotocols::malformed(value);
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
        self.upgrades_to.is_to_websocket() || self.key.is_there() || self.version.is_there()
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
        self.judge(line, Strictness::Strict).map(|_| ())
    }

    /// Checks it as strictly as is wanted. `Err` is the rule for which it is refused; what is in
    /// `Ok` is the first rule that is broken and does not stop it.
    pub fn judge(
        &self,
        line: RequestLine<'a>,
        strictness: Strictness,
    ) -> Result<Option<Refusal<'a>>, Refusal<'a>> {
        let mut broken = Broken::new(strictness);
        broken.add(line.check())?;
        broken.add(self.check_upgrade())?;
        broken.add(self.check_key())?;
        broken.add(self.check_version())?;
        broken.add(line.check_body())?;
        broken.add(self.check_protocols())?;
        broken.add(self.check_extensions())?;
        Ok(broken.first())
    }

    fn check_upgrade(&self) -> Result<(), Refusal<'a>> {
        let upgrade = Seen::header(RequestHeader::Upgrade.title(), self.upgrade);
        match self.upgrades_to {
            Upgrade::Absent => return Err(Refusal::new(Cause::UpgradeMissing, upgrade)),
            Upgrade::Other | Upgrade::Versioned => {
                return Err(Refusal::new(Cause::UpgradeNotWebsocket, upgrade));
            }
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
        let duplicate = || subprotocols::duplicate(self.protocols.iter());
        match self.malformed_protocols.or_else(duplicate) {
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
pub(crate) fn is_key(key: &[u8]) -> bool {
    static BASE64: Bytes = Bytes::alphanumeric_and(b"+/");
    matches!(key, [digits @ .., b'=', b'=']
        if digits.len() == 22 && BASE64.has_all(digits))
}

#[cfg(test)]
mod tests;
