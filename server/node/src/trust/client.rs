use std::sync::Arc;

use krakend_proto::tls::{TlsError, TlsMaterial, TrustedTime, client_config};
use rustls::ClientConfig;

use crate::store::Enrolled;

/// Certificates that cannot be used. Something in the data directory is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{0}; remove node.json to enrol again")]
pub struct TrustError(#[from] TlsError);

/// Mutual TLS with the node's own certificate. A manager's certificate is judged by the group's time, where that is
/// known: a gateway machine's clock may be anywhere, and that must not part it from its control plane.
pub fn session_tls(
    enrolled: &Enrolled,
    key_pem: &str,
    time: TrustedTime,
) -> Result<Arc<ClientConfig>, TrustError> {
    let material = TlsMaterial {
        roots_pem: enrolled.ca_pem.clone(),
        chain_pem: enrolled.certificate_pem.clone(),
        key_pem: key_pem.to_owned().into(),
    };
    Ok(client_config(&material, time)?)
}
