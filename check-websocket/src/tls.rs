//! TLS to the server, looked at rather than only trusted.
//!
//! The handshake is finished whatever the certificate is, so that everything about it can be told.
//! The caller decides whether to go on; by default it doesn't, and nothing was sent by then.

use std::env;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::client::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConnection, Error, InvalidMessage, PeerIncompatible,
    ProtocolVersion, RootCertStore, StreamOwned,
};

use crate::look::{Certificate, Look};
use crate::stream::{Line, Stream};

/// The roots this host trusts, of which there are many: read once. Without any no chain can be trusted, which is
/// then what the check says.
static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    let read = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read.certs);
    let file = env::var_os("SSL_CERT_FILE").and_then(|file| unread(Path::new(&file)));
    let none = || {
        roots
            .is_empty()
            .then(|| "this host has no root certificates".to_owned())
    };
    Roots {
        unread: file.or_else(none),
        store: Arc::new(roots),
    }
});

struct Roots {
    store: Arc<RootCertStore>,
    /// Said where those that were asked for could not be read, or there are none at all.
    unread: Option<String>,
}

/// Why there are no certificates in a file, if there are none.
fn unread(file: &Path) -> Option<String> {
    let read = rustls_native_certs::load_certs_from_paths(Some(file), None);
    let why = match read.errors.first() {
        Some(error) => error.to_string(),
        None => "there is no certificate in it".to_owned(),
    };
    let text = || format!("SSL_CERT_FILE={} could not be read: {why}", file.display());
    read.certs.is_empty().then(text)
}

/// Why a chain may not be trusted although the root is the right one.
pub fn unread_roots() -> Option<&'static str> {
    ROOTS.unread.as_deref()
}

/// What makes TLS connections, with the roots this host trusts.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
}

/// What a TLS handshake showed.
#[derive(Debug)]
pub struct Shown {
    pub version: &'static str,
    pub alpn: Option<String>,
    pub certificate: Option<Certificate>,
}

impl Tls {
    pub fn new() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            // Now, so that reading them takes no part of a handshake's time.
            roots: Arc::clone(&ROOTS.store),
        }
    }

    /// Shakes hands, offering these application protocols.
    pub fn connect(
        &self,
        mut line: Line,
        host: &str,
        alpn: &[&str],
        limit: Duration,
    ) -> Result<(Stream, Shown), Failed> {
        line.finish_within(limit);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failed::Tls(format!("\"{host}\" can't be in a certificate")))?;
        let look = Arc::new(Look::new(&self.roots, &self.provider));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failed::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&look) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let connection = ClientConnection::new(Arc::new(config), name)
            .map_err(|error| Failed::Tls(error.to_string()))?;
        let mut tls = StreamOwned::new(connection, line);
        while tls.conn.is_handshaking() {
            if let Err(error) = tls.conn.complete_io(&mut tls.sock) {
                return Err(Failed::of(error, look.beyond()));
            }
        }
        let shown = Shown {
            version: match tls.conn.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS",
            },
            alpn: tls
                .conn
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            certificate: look.certificate(),
        };
        Ok((Stream::Tls(Box::new(tls)), shown))
    }
}

impl Tls {
    /// What a server with this certificate would show.
    pub fn look(&self, der: &[u8], host: &str) -> Result<Shown, Failed> {
        let look = Look::new(&self.roots, &self.provider);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failed::Tls(format!("\"{host}\" can't be in a certificate")))?;
        let verified = look.verify_server_cert(&der.into(), &[], &name, &[], UnixTime::now());
        verified.map_err(|error| Failed::of(io::Error::other(error), look.beyond()))?;
        Ok(Shown {
            version: "TLS",
            alpn: None,
            certificate: look.certificate(),
        })
    }
}

/// Why there is no TLS.
#[derive(Debug)]
pub enum Failed {
    /// What came is no TLS: the port speaks something else.
    NotTls,
    /// No protocol of those offered: to some servers that is the end.
    NoProtocol,
    /// No server of this name.
    NoName,
    TimedOut,
    Closed,
    /// The server's TLS is not among what this program speaks, and others may: nginx has OpenSSL.
    Beyond(String),
    Tls(String),
}

impl Failed {
    /// Of a handshake in which this much of the certificate could not be checked.
    fn of(error: io::Error, beyond: Option<String>) -> Self {
        match (Self::from(error), beyond) {
            (Self::Tls(_), Some(beyond)) => Self::Beyond(format!("the server has {beyond}")),
            (failed, _) => failed,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::NotTls => "the answer is not TLS".to_owned(),
            Self::NoProtocol => {
                "the server accepts none of the application protocols offered".to_owned()
            }
            Self::NoName => {
                "the server knows no server of this name (the alert UnrecognisedName)".to_owned()
            }
            Self::TimedOut => "the TLS handshake was not answered in time".to_owned(),
            Self::Closed => "the server closed the connection during the TLS handshake".to_owned(),
            Self::Beyond(text) | Self::Tls(text) => text.clone(),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        match (inner, error.kind()) {
            (Some(inner), _) => Self::from_rustls(inner),
            (None, io::ErrorKind::TimedOut) => Self::TimedOut,
            (
                None,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe,
            ) => Self::Closed,
            (None, _) => Self::Tls(error.to_string()),
        }
    }
}

impl Failed {
    fn from_rustls(error: &Error) -> Self {
        const COMMON: &str = "protocol version, cipher, curve or kind of signature";
        match error {
            Error::InvalidMessage(
                InvalidMessage::HandshakePayloadTooLarge
                | InvalidMessage::CertificatePayloadTooLarge,
            ) => Self::Beyond(
                "the server's certificates are longer than this program reads".to_owned(),
            ),
            Error::InvalidMessage(_) => Self::NotTls,
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::NoProtocol,
            Error::AlertReceived(AlertDescription::UnrecognisedName) => Self::NoName,
            Error::AlertReceived(
                alert @ (AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
                | AlertDescription::ProtocolVersion),
            ) => Self::Beyond(format!(
                "the server ended the TLS handshake with the alert {alert:?}, most likely because no \
                 {COMMON} was offered that it accepts"
            )),
            Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::Beyond("the server wants a certificate of its client".to_owned())
            }
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
                Self::Beyond("the server speaks nothing newer than TLS 1.1".to_owned())
            }
            Error::PeerIncompatible(reason) => Self::Beyond(format!(
                "the server's TLS has no {COMMON} in common with what is offered here ({reason:?})"
            )),
            Error::InvalidCertificate(
                CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => Self::Beyond("the server signs in a way that can't be checked here".to_owned()),
            error => Self::Tls(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_that_say_what_to_change() {
        let of = |alert| Failed::from_rustls(&Error::AlertReceived(alert));
        let name = of(AlertDescription::UnrecognisedName);
        assert!(matches!(name, Failed::NoName), "{name:?}");
        let protocol = of(AlertDescription::NoApplicationProtocol);
        assert!(matches!(protocol, Failed::NoProtocol), "{protocol:?}");
    }

    #[test]
    fn a_file_of_roots_that_could_not_be_read() {
        for (file, why) in [
            ("/dev/null", "there is no certificate in it"),
            ("/no/such", "No such file"),
        ] {
            let said = unread(Path::new(file)).unwrap_or_default();
            let begin = format!("SSL_CERT_FILE={file} could not be read: ");
            assert!(said.starts_with(&begin) && said.contains(why), "{said}");
        }
    }
}
