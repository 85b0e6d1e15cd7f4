use std::sync::Arc;

use krakend_domain::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use crate::tls::{TrustedTime, at};

/// Accepts a server whose chain holds the authority with this SHA-256 and whose leaf that authority signed.
#[derive(Debug)]
pub struct PinnedAuthority {
    sha256: Digest,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    pub fn new(sha256: Digest, provider: Arc<CryptoProvider>) -> Self {
        Self { sha256, provider }
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let found: [u8; 32] = Sha256::digest(certificate).into();
        found == self.sha256.0
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates
            .iter()
            .find(|certificate| self.is_pinned(certificate));
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let pinned = pinned.ok_or(unknown)?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(pinned)?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), self.provider.clone())
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        // A machine that joins may not know the time yet; the pin is proof enough.
        at(&TrustedTime::unknown(), |now| {
            verifier.verify_server_cert(leaf, intermediates, name, ocsp, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The TLS library cannot be set up as this needs it.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsError(String);

/// TLS without a certificate, to a manager of the authority that a join token pins.
pub fn enrolment_tls(ca_sha256: Digest) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = PinnedAuthority::new(ca_sha256, provider.clone());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::join::SERVER_NAME;

    struct Group {
        ca: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn group() -> Group {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("signed").der().clone();
        let issuer = Issuer::new(params, key);
        Group { ca, issuer }
    }

    fn leaf(group: &Group, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("params");
        params
            .signed_by(&key, &group.issuer)
            .expect("signed")
            .der()
            .clone()
    }

    fn accepts(pin: &Group, leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> bool {
        let sha256 = Digest(Sha256::digest(&pin.ca).into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        PinnedAuthority::new(sha256, provider)
            .verify_server_cert(leaf, chain, &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn a_manager_of_the_pinned_authority_is_accepted() {
        let ours = group();
        let leaf = leaf(&ours, SERVER_NAME);
        assert!(accepts(&ours, &leaf, std::slice::from_ref(&ours.ca)));
    }

    #[test]
    fn another_authority_a_foreign_leaf_and_another_name_are_refused() {
        let (ours, theirs) = (group(), group());
        let good = leaf(&ours, SERVER_NAME);
        let foreign = leaf(&theirs, SERVER_NAME);
        let chain = std::slice::from_ref(&ours.ca);
        assert!(
            !accepts(&theirs, &good, chain),
            "the pin names another authority"
        );
        assert!(
            !accepts(&ours, &foreign, chain),
            "showing our authority proves nothing"
        );
        assert!(
            !accepts(&ours, &leaf(&ours, "example.org"), chain),
            "not a manager"
        );
        assert!(
            !accepts(&ours, &good, &[]),
            "the authority is not in the chain"
        );
    }
}
