//! The certificate of a run, and a client that trusts it.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::result::Result;

pub struct Certificate {
    pub pem: String,
    pub key_pem: String,
    pub client: Arc<ClientConfig>,
}

impl Certificate {
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let provider = Arc::new(crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Every connection is a new visitor.
        client.resumption = Resumption::disabled();
        Ok(Self {
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            client: Arc::new(client),
        })
    }
}
