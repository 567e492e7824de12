//! A look at the server's certificate, whatever it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use webpki::RawPublicKeyEntity;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

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

/// Takes any certificate and notes what a browser would make of it. Signatures are checked as
/// ever: the server has to own the certificate it shows.
///
/// The signature is checked with the key alone: what else is in the certificate (version 1, an
/// extension that no one here knows) stops a browser, and is for the chain's verdict to say, but it
/// does not stop nginx.
#[derive(Debug)]
pub struct Look {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    certificate: Option<Certificate>,
    key: Vec<u8>,
    /// What of it is not among what this program can check.
    beyond: Option<String>,
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
        let Ok((_, facts)) = X509Certificate::from_der(end_entity) else {
            self.seen().beyond = Some("a certificate that can't be read here".to_owned());
            return Err(CertificateError::BadEncoding.into());
        };
        let certificate = Certificate {
            names: names(&facts),
            subject: facts.subject().to_string(),
            issuer: facts.issuer().to_string(),
            days_left: days_left(&facts, now),
            chain_length: intermediates.len() + 1,
            name_matches: match ParsedCertificate::try_from(end_entity) {
                Ok(parsed) => verify_server_name(&parsed, name).is_ok(),
                // What the verifier can't take for another reason may be for this name.
                Err(_) => names(&facts).iter().any(|own| is_for(own, &name.to_str())),
            },
            chain: self.chain_problem(end_entity, intermediates, &facts, now),
        };
        let mut seen = self.seen();
        seen.certificate = Some(certificate);
        seen.key = facts.public_key().raw.to_vec();
        seen.beyond = beyond(&facts);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(self.seen().key.clone());
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let mapping = self.provider.signature_verification_algorithms.mapping;
        // TLS 1.2 leaves the curve to the certificate, so each of the scheme's may be it.
        let algorithms = mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signature.scheme);
        algorithms
            .flat_map(|(_, algorithms)| algorithms.iter())
            .find(|&&algorithm| {
                let verified = key.verify_signature(algorithm, message, signature.signature());
                verified.is_ok()
            })
            .map(|_| HandshakeSignatureValid::assertion())
            .ok_or_else(|| CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(self.seen().key.clone());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl Look {
    pub fn new(roots: &Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Self {
        Self {
            roots: Arc::clone(roots),
            provider: Arc::clone(provider),
            seen: Mutex::default(),
        }
    }

    pub fn certificate(&self) -> Option<Certificate> {
        self.seen().certificate.clone()
    }

    /// What of the certificate this program can't check, where it is that which stopped it.
    pub fn beyond(&self) -> Option<String> {
        self.seen().beyond.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
            let text = format!(
                "the certificate expired {}",
                ago(seconds.saturating_sub(validity.not_after.timestamp()))
            );
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

const DAY: i64 = 24 * 60 * 60;

fn days_left(certificate: &X509Certificate<'_>, now: UnixTime) -> i64 {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    certificate
        .validity()
        .not_after
        .timestamp()
        .saturating_sub(now)
        .div_euclid(DAY)
}

fn ago(seconds: i64) -> String {
    match seconds / DAY {
        ..=0 => "less than a day ago".to_owned(),
        1 => "a day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// What ring, which checks signatures here, knows nothing of.
fn beyond(certificate: &X509Certificate<'_>) -> Option<String> {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if !(2048..=8192).contains(&key.key_size()) => {
            Some(format!("an RSA key of {} bits", key.key_size()))
        }
        Ok(PublicKey::EC(point)) if ![256, 384].contains(&point.key_size()) => Some(format!(
            "an elliptic curve key of {} bits",
            point.key_size()
        )),
        Ok(PublicKey::RSA(_) | PublicKey::EC(_)) => None,
        _ if certificate.public_key().algorithm.algorithm == OID_SIG_ED25519 => None,
        _ => Some("a key of a kind that is not known here".to_owned()),
    }
}

fn is_for(name: &str, host: &str) -> bool {
    let wild = name.strip_prefix("*.").zip(host.split_once('.'));
    name.eq_ignore_ascii_case(host)
        || wild.is_some_and(|(name, (_, host))| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_that_have_passed() {
        for (seconds, text) in [
            (1, "less than a day ago"),
            (DAY - 1, "less than a day ago"),
            (DAY, "a day ago"),
            (2 * DAY - 1, "a day ago"),
            (3 * DAY - 1, "2 days ago"),
            (3 * DAY, "3 days ago"),
            (3 * DAY + 1, "3 days ago"),
        ] {
            assert_eq!(ago(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn names_with_and_without_a_star() {
        assert!(is_for("A.example", "a.example"));
        assert!(is_for("*.example", "a.example"));
        assert!(!is_for("*.example", "a.b.example"));
        assert!(!is_for("a.example", "b.example"));
    }
}
