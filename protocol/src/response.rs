//! The upstream's half of the handshake: a 101 and its headers (RFC 6455 sections 4.1 and 4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;
use sha1::{Digest, Sha1};

use crate::header::{has_token, tokens, trim};
use crate::lines::{Lines, Single};
use crate::request::is_key;
use crate::strictness::Broken;
use crate::{Cause, Refusal, ResponseHeader, Seen, Strictness, extensions};

/// The handshake headers of a response with status 101.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    connection: Option<&'a [u8]>,
    connection_has_upgrade: bool,
    upgrade: Single<'a>,
    accept: Single<'a>,
    protocol: Single<'a>,
    extensions: Lines<'a>,
}

impl<'a> ResponseHead<'a> {
    /// A head without headers.
    pub const fn new() -> Self {
        Self {
            connection: None,
            connection_has_upgrade: false,
            upgrade: Single::new(),
            accept: Single::new(),
            protocol: Single::new(),
            extensions: Lines::new(),
        }
    }

    /// Takes one header line. A header that is repeated is added repeatedly, in the order sent.
    pub fn add(&mut self, header: ResponseHeader, value: &'a [u8]) {
        let value = trim(value);
        match header {
            ResponseHeader::Connection => {
                self.connection.get_or_insert(value);
                self.connection_has_upgrade |= has_token(value, b"upgrade");
            }
            ResponseHeader::Upgrade => self.upgrade.add(value),
            ResponseHeader::Accept => self.accept.add(value),
            ResponseHeader::Protocol => self.protocol.add(value),
            ResponseHeader::Extensions => self.extensions.add(value),
        }
    }

    /// The subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&'a [u8]> {
        self.protocol.first()
    }

    /// The extensions that were chosen: the first header of that name.
    pub fn extensions(&self) -> Option<&'a [u8]> {
        self.extensions.first()
    }

    /// Checks the response the way a browser will (RFC 6455 section 4.1, the client's checks 2 to
    /// 6) and names the first rule that it breaks.
    ///
    /// `key` is the Sec-WebSocket-Key that was sent, without white space around it; for an empty one
    /// no Accept is due. The iterators give the values of the request's Sec-WebSocket-Protocol and
    /// Sec-WebSocket-Extensions headers as sent, each a comma list.
    pub fn check<'b>(
        &self,
        key: &[u8],
        offered_protocols: impl Iterator<Item = &'b [u8]> + Clone,
        offered_extensions: impl Iterator<Item = &'b [u8]> + Clone,
    ) -> Result<(), Refusal<'a>> {
        self.judge(
            key,
            offered_protocols,
            offered_extensions,
            Strictness::Strict,
        )
        .map(|_| ())
    }

    /// Checks it as strictly as is wanted. `Err` is the rule for which it is refused; what is in `Ok` is the first rule that
    /// is broken and does not stop it. Unless strictly, any Accept will do for a key that breaks its rule.
    pub fn judge<'b>(
        &self,
        key: &[u8],
        offered_protocols: impl Iterator<Item = &'b [u8]> + Clone,
        offered_extensions: impl Iterator<Item = &'b [u8]> + Clone,
        strictness: Strictness,
    ) -> Result<Option<Refusal<'a>>, Refusal<'a>> {
        let mut broken = Broken::new(strictness);
        broken.add(self.check_upgrade())?;
        broken.add(self.check_connection())?;
        // Servers hash what is no key in different ways.
        if strictness == Strictness::Strict || is_key(key) {
            broken.add(self.check_accept(key))?;
        }
        broken.add(self.check_protocol(offered_protocols))?;
        broken.add(self.check_extensions(offered_extensions))?;
        Ok(broken.first())
    }

    fn check_upgrade(&self) -> Result<(), Refusal<'a>> {
        let header = ResponseHeader::Upgrade;
        let upgrade = single(header, &self.upgrade, Cause::ResponseUpgrade)?;
        if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            let seen = Seen::header(header.title(), upgrade);
            return Err(Refusal::new(Cause::ResponseUpgrade, seen));
        }
        Ok(())
    }

    fn check_connection(&self) -> Result<(), Refusal<'a>> {
        if !self.connection_has_upgrade {
            let connection = Seen::header(ResponseHeader::Connection.title(), self.connection);
            return Err(Refusal::new(Cause::ResponseConnection, connection));
        }
        Ok(())
    }

    fn check_accept(&self, key: &[u8]) -> Result<(), Refusal<'a>> {
        if key.is_empty() {
            return Ok(());
        }
        let header = ResponseHeader::Accept;
        let Some(accept) = single(header, &self.accept, Cause::AcceptMismatch)? else {
            return Err(Refusal::new(
                Cause::AcceptMissing,
                Seen::Missing(header.title()),
            ));
        };
        let due = accept_key(key);
        if accept != due {
            return Err(Refusal::new(
                Cause::AcceptMismatch,
                Seen::Accept(accept, due),
            ));
        }
        Ok(())
    }

    fn check_protocol<'b>(
        &self,
        mut offered: impl Iterator<Item = &'b [u8]>,
    ) -> Result<(), Refusal<'a>> {
        let header = ResponseHeader::Protocol;
        let cause = Cause::SubprotocolNotOffered;
        let Some(chosen) = single(header, &self.protocol, cause)? else {
            return Ok(());
        };
        // A list of several is no offered name either: none of those holds a comma.
        if offered.any(|value| tokens(value).any(|name| name == chosen)) {
            return Ok(());
        }
        let seen = if memchr(b',', chosen).is_some() {
            Seen::Several(header.title())
        } else {
            Seen::NotOffered(header.title(), chosen)
        };
        Err(Refusal::new(cause, seen))
    }

    fn check_extensions<'b>(
        &self,
        offered: impl Iterator<Item = &'b [u8]> + Clone,
    ) -> Result<(), Refusal<'a>> {
        let is_offered = |name: &[u8]| {
            offered
                .clone()
                .flat_map(extensions::names)
                .any(|offer| offer.eq_ignore_ascii_case(name))
        };
        let mut chosen = self
            .extensions
            .iter()
            .flat_map(extensions::names)
            .take(MAX_COMPARED);
        match chosen.find(|name| !is_offered(name)) {
            Some(name) => {
                let seen = Seen::NotOffered(ResponseHeader::Extensions.title(), name);
                Err(Refusal::new(Cause::ExtensionNotOffered, seen))
            }
            None => Ok(()),
        }
    }
}

impl Default for ResponseHead<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (RFC 6455 section 4.2.2, 5.4).
///
/// The key is hashed as it stands, valid or not, without white space around it.
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [b'='; 28];
    // 20 bytes make 28 characters, so there is always room.
    let _ = STANDARD.encode_slice(digest, &mut accept);
    accept
}

/// How many chosen extensions are looked up among those offered. Servers choose one or two; without
/// a bound, two long lists could be multiplied with each other.
const MAX_COMPARED: usize = 8;

/// The value of a header that browsers accept only once.
fn single<'a>(
    header: ResponseHeader,
    value: &Single<'a>,
    cause: Cause,
) -> Result<Option<&'a [u8]>, Refusal<'a>> {
    value
        .get()
        .map_err(|count| Refusal::new(cause, Seen::Repeated(header.title(), count)))
}

#[cfg(test)]
mod tests;
