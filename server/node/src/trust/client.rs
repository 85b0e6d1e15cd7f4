use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::store::Enrolled;

/// Certificates that cannot be used. Something in the data directory is damaged.
#[derive(Debug, thiserror::Error)]
#[error("the node's {what} cannot be used: {reason}; remove node.json to enrol again")]
pub struct TrustError {
    what: &'static str,
    reason: String,
}

fn wrong<E: ToString>(what: &'static str) -> impl FnOnce(E) -> TrustError {
    move |error| TrustError {
        what,
        reason: error.to_string(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn with_http2(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Mutual TLS with the node's own certificate.
pub fn session_tls(enrolled: &Enrolled, key_pem: &str) -> Result<Arc<ClientConfig>, TrustError> {
    let ca = CertificateDer::from_pem_slice(enrolled.ca_pem.as_bytes());
    let mut roots = RootCertStore::empty();
    roots
        .add(ca.map_err(wrong("group authority"))?)
        .map_err(wrong("group authority"))?;
    let chain = CertificateDer::pem_slice_iter(enrolled.certificate_pem.as_bytes());
    let chain: Vec<_> = chain
        .collect::<Result<_, _>>()
        .map_err(wrong("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(wrong("private key"))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(wrong("TLS set-up"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(wrong("certificate"))?;
    Ok(with_http2(config))
}
