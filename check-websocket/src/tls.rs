//! TLS to the server, looked at rather than only trusted.
//!
//! The handshake is finished whatever the certificate is, so that everything about it can be told.
//! The caller decides whether to go on; by default it doesn't, and nothing was sent by then.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion,
    RootCertStore, SignatureScheme, StreamOwned,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::stream::{Line, Stream};

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

/// The server's certificate and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub names: Vec<String>,
    pub subject: String,
    pub issuer: String,
    /// Whole days until it ends; negative once it has.
    pub days_left: i64,
    pub chain_length: usize,
    pub name_matches: bool,
    /// What is wrong with the chain, if anything.
    pub chain: Option<Problem>,
}

/// What is wrong with a certificate: a stable name, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub name: &'static str,
    pub text: String,
}

impl Certificate {
    /// What stops a browser here, the gravest first.
    pub fn problem(&self, host: &str) -> Option<Problem> {
        if !self.name_matches {
            return Some(Problem {
                name: "certificate-name",
                text: format!(
                    "the certificate is for {}, not for {host}",
                    self.names_text()
                ),
            });
        }
        self.chain.clone()
    }

    pub fn names_text(&self) -> String {
        if self.names.is_empty() {
            "no name at all".to_owned()
        } else {
            self.names.join(", ")
        }
    }
}

impl Tls {
    pub fn new() -> Self {
        let mut roots = RootCertStore::empty();
        // Without any the chain can't be trusted, which is then what the check says.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self {
            provider: Arc::new(ring::default_provider()),
            roots: Arc::new(roots),
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
        let look = Arc::new(Look {
            roots: Arc::clone(&self.roots),
            provider: Arc::clone(&self.provider),
            seen: Mutex::new(None),
        });
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
            tls.conn.complete_io(&mut tls.sock).map_err(Failed::from)?;
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
            certificate: look.seen.lock().ok().and_then(|mut seen| seen.take()),
        };
        Ok((Stream::Tls(Box::new(tls)), shown))
    }
}

/// Why there is no TLS.
#[derive(Debug)]
pub enum Failed {
    /// What came is no TLS: the port speaks something else.
    NotTls,
    /// No protocol of those offered: to some servers that is the end.
    NoProtocol,
    TimedOut,
    Closed,
    Tls(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        match (inner, error.kind()) {
            (Some(Error::InvalidMessage(_)), _) => Self::NotTls,
            (Some(Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)), _) => {
                Self::NoProtocol
            }
            (Some(inner), _) => Self::Tls(inner.to_string()),
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
    pub fn text(&self) -> String {
        match self {
            Self::NotTls => "the answer is not TLS".to_owned(),
            Self::NoProtocol => {
                "the server accepts none of the application protocols offered".to_owned()
            }
            Self::TimedOut => "the TLS handshake was not answered in time".to_owned(),
            Self::Closed => "the server closed the connection during the TLS handshake".to_owned(),
            Self::Tls(text) => text.clone(),
        }
    }
}

/// Takes any certificate and notes what a browser would make of it. Signatures are checked as
/// ever: the server has to own the certificate it shows.
#[derive(Debug)]
struct Look {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Certificate>>,
}

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, facts) = X509Certificate::from_der(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let certificate = Certificate {
            names: names(&facts),
            subject: facts.subject().to_string(),
            issuer: facts.issuer().to_string(),
            days_left: days_left(&facts, now),
            chain_length: intermediates.len() + 1,
            name_matches: ParsedCertificate::try_from(end_entity)
                .and_then(|parsed| verify_server_name(&parsed, name))
                .is_ok(),
            chain: self.chain_problem(end_entity, intermediates, &facts, now),
        };
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(certificate);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl Look {
    fn chain_problem(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        facts: &X509Certificate<'_>,
        now: UnixTime,
    ) -> Option<Problem> {
        let validity = facts.validity();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        // The dates first: an expired certificate is also no longer trusted, which says less.
        if seconds > validity.not_after.timestamp() {
            let text = format!("the certificate expired {}", ago(-days_left(facts, now)));
            return Some(Problem {
                name: "certificate-expired",
                text,
            });
        }
        if seconds < validity.not_before.timestamp() {
            let text =
                "the certificate is not valid yet: check the clocks on both sides".to_owned();
            return Some(Problem {
                name: "certificate-not-yet-valid",
                text,
            });
        }
        let verified = ParsedCertificate::try_from(end_entity).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )
        });
        let error = verified.err()?;
        let self_signed = facts.subject() == facts.issuer();
        Some(match error {
            _ if self_signed => Problem {
                name: "certificate-self-signed",
                text: "the certificate is self-signed and not trusted by this host".to_owned(),
            },
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => Problem {
                name: "certificate-untrusted",
                text: format!(
                    "the certificate's chain leads to none that this host trusts; its issuer is {}",
                    facts.issuer()
                ),
            },
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Problem {
                name: "certificate-expired",
                text: "a certificate of the chain has expired".to_owned(),
            },
            other => Problem {
                name: "certificate-untrusted",
                text: other.to_string(),
            },
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                let bytes: [u8; 16] = bytes.try_into().ok()?;
                Some(std::net::Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn days_left(certificate: &X509Certificate<'_>, now: UnixTime) -> i64 {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    certificate
        .validity()
        .not_after
        .timestamp()
        .saturating_sub(now)
        .div_euclid(24 * 60 * 60)
}

fn ago(days: i64) -> String {
    match days {
        ..=0 => "today".to_owned(),
        1 => "a day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}
