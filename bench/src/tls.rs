//! The certificate of a run, and a client that trusts it.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore, crypto, version};

use crate::http2;
use crate::result::Result;

pub struct Certificate {
    pub pem: String,
    pub key_pem: String,
    pub client: Arc<ClientConfig>,
    /// A client of HTTP/2, and nothing else.
    pub http2_client: Arc<ClientConfig>,
}

impl Certificate {
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        // Each library has its own order of preference: what is offered leaves no choice, so that all
        // peers do the same work.
        let provider = crypto::CryptoProvider {
            cipher_suites: vec![crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![crypto::ring::kx_group::X25519],
            ..crypto::ring::default_provider()
        };
        let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Every connection is a new visitor.
        client.resumption = Resumption::disabled();
        let mut http2_client = client.clone();
        http2_client.alpn_protocols = vec![http2::ALPN.to_vec()];
        Ok(Self {
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            client: Arc::new(client),
            http2_client: Arc::new(http2_client),
        })
    }
}
