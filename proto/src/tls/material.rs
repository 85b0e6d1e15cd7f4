use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::verify::{TimedServer, TrustedTime};

/// What one end shows, and whom it believes.
#[derive(Clone, Default)]
pub struct TlsMaterial {
    /// The authorities that are trusted, one or more.
    pub roots_pem: String,
    /// The leaf, then what leads from it to any authority that another end may trust.
    pub chain_pem: String,
    pub key_pem: Zeroizing<String>,
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsMaterial(hidden)")
    }
}

/// Certificates or a key that TLS cannot be set up with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} cannot be used: {reason}")]
pub struct TlsError {
    what: &'static str,
    reason: String,
}

pub(super) fn wrong<E: ToString>(what: &'static str) -> impl FnOnce(E) -> TlsError {
    move |error| TlsError {
        what,
        reason: error.to_string(),
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl TlsMaterial {
    pub(super) fn roots(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let roots = CertificateDer::pem_slice_iter(self.roots_pem.as_bytes());
        let roots: Vec<_> = roots
            .collect::<Result<_, _>>()
            .map_err(wrong("group's authorities"))?;
        match roots.is_empty() {
            true => Err(wrong("group's authorities")("there is none")),
            false => Ok(roots),
        }
    }

    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes());
        chain
            .collect::<Result<_, _>>()
            .map_err(wrong("certificate"))
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(wrong("private key"))
    }
}

pub(super) fn store(roots: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store
            .add(root.clone())
            .map_err(wrong("group's authorities"))?;
    }
    Ok(Arc::new(store))
}

/// Mutual TLS towards a manager. How old its certificate may be is judged by `time`.
pub fn client_config(
    material: &TlsMaterial,
    time: TrustedTime,
) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(store(&material.roots()?)?, provider())
            .build()
            .map_err(wrong("group's authorities"))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(wrong("TLS set-up"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TimedServer::new(verifier, time)))
        .with_client_auth_cert(material.chain()?, material.key()?)
        .map_err(wrong("certificate"))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
