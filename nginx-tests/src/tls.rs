//! Certificates made by the test, and TLS configurations that trust them.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("rcgen makes a certificate");
        Self {
            der: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        }
    }

    /// What a server needs to present this certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("rcgen's key is PKCS #8");
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }

    /// What a client needs to trust this certificate and no other.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.der.clone())
            .expect("a self-signed certificate is a trust anchor");
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn provider() -> Arc<crypto::CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}
