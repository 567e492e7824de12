//! The upstream's half of the handshake: a 101 and its headers (RFC 6455 sections 4.1 and 4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;
use sha1::{Digest, Sha1};

use crate::header::{has_token, tokens, trim};
use crate::lines::{Lines, Single};
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

    /// Checks it as strictly as is wanted. `Err` is the rule for which it is refused; what is in
    /// `Ok` is the first rule that is broken and does not stop it.
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
        broken.add(self.check_accept(key))?;
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
                .any(|offer| offer == name)
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
mod tests {
    use super::*;
    use crate::ResponseHeader::*;

    const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn accept_key_of_the_rfc() {
        assert_eq!(&accept_key(KEY), ACCEPT.as_bytes());
    }

    #[test]
    fn accepts_a_plain_answer() {
        assert_eq!(check(&valid(), &[], &[]), Ok(()));
        let head = head(&with(Connection, "keep-alive, UPGRADE"));
        assert_eq!((head.protocol(), head.extensions()), (None, None));
        assert_eq!(head.check(KEY, [].into_iter(), [].into_iter()), Ok(()));
        assert_eq!(check(&with(Upgrade, " WebSocket "), &[], &[]), Ok(()));
    }

    #[test]
    fn upgrade_rules() {
        refused(
            &without(Upgrade),
            Cause::ResponseUpgrade,
            "no Upgrade header",
        );
        for value in ["", "h2c", "websocket, h2c", "websocket/13"] {
            let seen = format!("Upgrade is \"{value}\"");
            refused(&with(Upgrade, value), Cause::ResponseUpgrade, &seen);
        }
        let twice = [valid().as_slice(), &[(Upgrade, "websocket")]].concat();
        refused(&twice, Cause::ResponseUpgrade, "2 Upgrade headers");
    }

    #[test]
    fn connection_rules() {
        refused(
            &without(Connection),
            Cause::ResponseConnection,
            "no Connection header",
        );
        let close = with(Connection, "close");
        refused(&close, Cause::ResponseConnection, "Connection is \"close\"");
    }

    #[test]
    fn accept_rules() {
        refused(
            &without(Accept),
            Cause::AcceptMissing,
            "no Sec-WebSocket-Accept header",
        );
        for value in [
            "",
            "S3PPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            let seen =
                format!("Sec-WebSocket-Accept is \"{value}\" where \"{ACCEPT}\" was expected");
            refused(&with(Accept, value), Cause::AcceptMismatch, &seen);
        }
        let twice = [valid().as_slice(), &[(Accept, ACCEPT)]].concat();
        refused(
            &twice,
            Cause::AcceptMismatch,
            "2 Sec-WebSocket-Accept headers",
        );
    }

    #[test]
    fn subprotocol_rules() {
        let chosen = with(Protocol, " v2 ");
        assert_eq!(head(&chosen).protocol(), Some(&b"v2"[..]));
        assert_eq!(check(&chosen, &["v1, v2"], &[]), Ok(()));
        assert_eq!(check(&chosen, &["v1", "v2"], &[]), Ok(()));
        assert_eq!(check(&valid(), &["v1"], &[]), Ok(()));
        for (answer, offers) in [
            ("v2", &[][..]),
            ("v2", &["v1"]),
            ("v2", &["V2", "v2.1"]),
            ("", &["v1"]),
        ] {
            let refusal = check(&with(Protocol, answer), offers, &[]).unwrap_err();
            let seen = format!("Sec-WebSocket-Protocol has \"{answer}\", which was not offered");
            assert_eq!(refusal, (Cause::SubprotocolNotOffered, seen));
        }
        let listed = check(&with(Protocol, "v1, v2"), &["v1, v2"], &[]).unwrap_err();
        let seen = "Sec-WebSocket-Protocol has more than one name".to_owned();
        assert_eq!(listed, (Cause::SubprotocolNotOffered, seen));
        let twice = [valid().as_slice(), &[(Protocol, "v1"), (Protocol, "v2")]].concat();
        let refusal = check(&twice, &["v1, v2"], &[]).unwrap_err();
        let seen = "2 Sec-WebSocket-Protocol headers".to_owned();
        assert_eq!(refusal, (Cause::SubprotocolNotOffered, seen));
    }

    #[test]
    fn extension_rules() {
        let chosen = with(Extensions, "permessage-deflate; server_no_context_takeover");
        let offer = "permessage-deflate; client_max_window_bits";
        assert_eq!(check(&chosen, &[], &[offer]), Ok(()));
        assert_eq!(check(&chosen, &[], &["a, b;c=d", offer]), Ok(()));
        assert_eq!(check(&valid(), &[], &[offer]), Ok(()));
        let refusal = check(
            &with(Extensions, "permessage-deflate, x; y=1"),
            &[],
            &[offer],
        );
        let seen = "Sec-WebSocket-Extensions has \"x\", which was not offered".to_owned();
        assert_eq!(refusal, Err((Cause::ExtensionNotOffered, seen.clone())));
        let twice = [chosen.as_slice(), &[(Extensions, "x")]].concat();
        assert_eq!(
            check(&twice, &[], &[offer]),
            Err((Cause::ExtensionNotOffered, seen))
        );
    }

    #[test]
    fn no_accept_is_due_for_no_key() {
        for headers in [valid(), without(Accept), with(Accept, "anything")] {
            let checked = head(&headers).check(b"", [].into_iter(), [].into_iter());
            assert_eq!(checked, Ok(()));
        }
    }

    #[test]
    fn safe_refuses_what_is_dangerous_only() {
        let safe = |headers: &[(ResponseHeader, &str)]| {
            let (none, strictness) = ([].into_iter(), Strictness::Safe);
            match head(headers).judge(KEY, none.clone(), none, strictness) {
                Ok(broken) => Ok(broken.map(|refusal| refusal.cause)),
                Err(refusal) => Err(refusal.cause),
            }
        };
        assert_eq!(safe(&valid()), Ok(None));
        for (headers, named) in [
            (without(Connection), Cause::ResponseConnection),
            (without(Upgrade), Cause::ResponseUpgrade),
            (without(Accept), Cause::AcceptMissing),
            (with(Protocol, "mqtt"), Cause::SubprotocolNotOffered),
        ] {
            assert_eq!(safe(&headers), Ok(Some(named)));
        }
        for (headers, refused) in [
            (with(Accept, "no"), Cause::AcceptMismatch),
            (with(Extensions, "x"), Cause::ExtensionNotOffered),
        ] {
            assert_eq!(safe(&headers), Err(refused));
        }
    }

    type Headers<'a> = Vec<(ResponseHeader, &'a str)>;

    fn valid() -> Headers<'static> {
        vec![
            (Connection, "Upgrade"),
            (Upgrade, "websocket"),
            (Accept, ACCEPT),
        ]
    }

    fn without(header: ResponseHeader) -> Headers<'static> {
        valid()
            .into_iter()
            .filter(|(name, _)| *name != header)
            .collect()
    }

    fn with(header: ResponseHeader, value: &str) -> Headers<'_> {
        without(header)
            .into_iter()
            .chain([(header, value)])
            .collect()
    }

    fn head<'a>(headers: &[(ResponseHeader, &'a str)]) -> ResponseHead<'a> {
        let mut head = ResponseHead::new();
        for (header, value) in headers {
            head.add(*header, value.as_bytes());
        }
        head
    }

    fn check(
        headers: &[(ResponseHeader, &str)],
        protocols: &[&str],
        extensions: &[&str],
    ) -> Result<(), (Cause, String)> {
        head(headers)
            .check(
                KEY,
                protocols.iter().map(|value| value.as_bytes()),
                extensions.iter().map(|value| value.as_bytes()),
            )
            .map_err(|refusal| (refusal.cause, refusal.seen.to_string()))
    }

    #[track_caller]
    fn refused(headers: &[(ResponseHeader, &str)], cause: Cause, seen: &str) {
        assert_eq!(check(headers, &[], &[]), Err((cause, seen.to_owned())));
    }
}
