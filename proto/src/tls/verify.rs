use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::material::{TlsError, provider, store, wrong};

/// The time that the lives of certificates are judged by: not the machine's own clock, which may be a year off, but
/// the group's. Without one nothing counts as too old or too young.
#[derive(Clone)]
pub struct TrustedTime(Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl fmt::Debug for TrustedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustedTime")
    }
}

impl TrustedTime {
    /// `ms` gives UTC in milliseconds since 1970, once that is known.
    pub fn new(ms: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ms))
    }

    /// Nothing is known of the time.
    pub fn unknown() -> Self {
        Self::new(|| None)
    }

    fn now(&self) -> Option<UnixTime> {
        (self.0)().map(|ms| UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// Verifies at the trusted time; without one at a time at which the certificate holds.
pub(crate) fn at<T>(
    time: &TrustedTime,
    verify: impl Fn(UnixTime) -> Result<T, Error>,
) -> Result<T, Error> {
    if let Some(now) = time.now() {
        return verify(now);
    }
    match verify(UnixTime::now()) {
        Err(Error::InvalidCertificate(error)) => match error {
            CertificateError::ExpiredContext { not_after, .. } => verify(not_after),
            CertificateError::NotValidYetContext { not_before, .. } => verify(not_before),
            error => Err(Error::InvalidCertificate(error)),
        },
        done => done,
    }
}

/// A manager's certificate, as its callers verify it.
#[derive(Debug)]
pub(super) struct TimedServer {
    inner: Arc<WebPkiServerVerifier>,
    time: TrustedTime,
}

impl TimedServer {
    pub(super) fn new(inner: Arc<WebPkiServerVerifier>, time: TrustedTime) -> Self {
        Self { inner, time }
    }
}

impl ServerCertVerifier for TimedServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        at(&self.time, |now| {
            self.inner
                .verify_server_cert(leaf, intermediates, name, ocsp, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What a certificate chain proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The authority at this place of the trusted ones leads to it, and it is in its time.
    Trusted { root: usize },
    /// The same, but it ran out at this time, in milliseconds.
    Expired { root: usize, not_after_ms: u64 },
    /// No trusted authority leads to it.
    Unknown { reason: String },
}

/// The certificates of callers.
pub(super) struct TimedClient {
    /// One for each trusted authority, in their order.
    roots: Vec<Arc<dyn ClientCertVerifier>>,
    time: TrustedTime,
    /// Whether a handshake ends here where the chain is not trusted, or the service judges it.
    strict: bool,
}

impl fmt::Debug for TimedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimedClient({} roots)", self.roots.len())
    }
}

impl TimedClient {
    pub(super) fn new(
        roots: &[CertificateDer<'static>],
        time: TrustedTime,
        strict: bool,
    ) -> Result<Self, TlsError> {
        let verifier = |root: &CertificateDer<'static>| {
            let store = store(std::slice::from_ref(root))?;
            WebPkiClientVerifier::builder_with_provider(store, provider())
                .build()
                .map_err(wrong("group's authorities"))
        };
        Ok(Self {
            roots: roots.iter().map(verifier).collect::<Result<_, _>>()?,
            time,
            strict,
        })
    }

    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Judgement {
        let Some((leaf, rest)) = chain.split_first() else {
            return Judgement::Unknown {
                reason: "no certificate was shown".into(),
            };
        };
        let mut reason = String::new();
        for (root, verifier) in self.roots.iter().enumerate() {
            let verified = at(&self.time, |now| {
                verifier.verify_client_cert(leaf, rest, now)
            });
            match verified {
                Ok(_) => return Judgement::Trusted { root },
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) if verifier.verify_client_cert(leaf, rest, not_after).is_ok() => {
                    let not_after_ms = not_after.as_secs().saturating_mul(1000);
                    return Judgement::Expired { root, not_after_ms };
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Judgement::Unknown { reason }
    }
}

impl ClientCertVerifier for TimedClient {
    fn client_auth_mandatory(&self) -> bool {
        self.strict
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // The key behind it is proved all the same.
        if !self.strict {
            return Ok(ClientCertVerified::assertion());
        }
        let mut last = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for verifier in &self.roots {
            let verified = at(&self.time, |now| {
                verifier.verify_client_cert(leaf, intermediates, now)
            });
            match verified {
                Ok(verified) => return Ok(verified),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
