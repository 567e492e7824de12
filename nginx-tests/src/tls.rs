//! Certificates made by the test, and TLS configurations that trust them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};

/// A self-signed certificate for `localhost` and `127.0.0.1`.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    key: Vec<u8>,
    /// The certificate in PEM form.
    pub pem: String,
    /// Its private key in PEM form.
    pub key_pem: String,
}

impl Certificate {
    /// A certificate for `localhost` and `127.0.0.1`.
    pub fn localhost() -> Self {
        Self::valid_for(&["localhost", "127.0.0.1"])
    }

    /// A certificate for these names and addresses.
    pub fn valid_for(names: &[&str]) -> Self {
        Self::made(names, |_| ())
    }

    /// A certificate for these names and addresses with something else about it.
    pub fn made(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("rcgen makes a key");
        let params = params(names, change);
        let certificate = params.self_signed(&key);
        Self::of(&certificate.expect("rcgen makes a certificate"), &key)
    }

    /// A certificate for these names that an authority has signed, and the authority's own in PEM
    /// form.
    pub fn issued(names: &[&str]) -> (Self, String) {
        let key = KeyPair::generate().expect("rcgen makes a key");
        let authority = params(&[], |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(DnType::CommonName, "the tests' authority");
        });
        let pem = authority
            .self_signed(&key)
            .expect("rcgen makes a certificate")
            .pem();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().expect("rcgen makes a key");
        let certificate = params(names, |_| ()).signed_by(&key, &issuer);
        let certificate = certificate.expect("rcgen makes a certificate");
        (Self::of(&certificate, &key), pem)
    }

    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            der: certificate.der().clone(),
            key: key.serialize_der(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// This certificate in the hands of someone who has another's key.
    pub fn stolen_by(&self, other: &Self) -> Self {
        Self {
            key: other.key.clone(),
            key_pem: other.key_pem.clone(),
            ..self.clone()
        }
    }

    /// What a server needs to present this certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let key = provider().key_provider.load_private_key(self.private_key());
        let shown = CertifiedKey::new(vec![self.der.clone()], key.expect("rcgen's key is a key"));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            // Not `with_single_cert`, which would not show another's certificate.
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        Arc::new(config)
    }

    /// What a client needs to trust this certificate and no other, and to show one of its own.
    pub fn client_config(&self, own: Option<&Self>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.der.clone())
            .expect("a self-signed certificate is a trust anchor");
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots);
        Arc::new(match own {
            None => config.with_no_client_auth(),
            Some(own) => config
                .with_client_auth_cert(vec![own.der.clone()], own.private_key())
                .expect("the key belongs to the certificate"),
        })
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).expect("rcgen's key is PKCS #8")
    }
}

fn params(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names that can be in a certificate");
    change(&mut params);
    params
}

fn provider() -> Arc<crypto::CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}
