use std::time::Duration;

use krakend_proto::node::{RenewRequest, node_service_client::NodeServiceClient};
use rcgen::{CertificateParams, KeyPair};
use tonic::{Code, transport::Channel};
use zeroize::Zeroizing;

use crate::store::{Store, StoreError};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why a certificate was not exchanged. The one before stays.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    #[error("the manager gives this node no certificate: {0}")]
    Refused(String),
    #[error("the manager does not answer: {0}")]
    Later(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("making the node's key failed: {0}")]
    Key(#[from] rcgen::Error),
}

/// Exchanges this node's certificate over a connection that shows the one before. With the new one goes a new key, so
/// that an old copy of the disk opens nothing. The new certificate; on disk on return.
pub async fn renew(
    store: &Store,
    mut client: NodeServiceClient<Channel>,
) -> Result<String, RenewError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let request = CertificateParams::default().serialize_request(&key)?;
    let request = RenewRequest {
        csr_pem: request.pem()?,
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, client.renew(request))
        .await
        .map_err(|_| RenewError::Later(format!("no word for {ANSWER_WITHIN:?}")))?
        .map_err(|status| match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => {
                RenewError::Refused(status.message().into())
            }
            _ => RenewError::Later(status.message().into()),
        })?;
    let certificate = answer.into_inner().certificate_pem;
    let file = format!("node-{:08x}.key", rand::random::<u32>());
    let pem = Zeroizing::new(key.serialize_pem());
    store.set_private_key(&file, &pem)?;
    let mut before = None;
    // With this write the new key counts.
    store.change_enrolled(|enrolled| {
        before = Some(std::mem::replace(&mut enrolled.key_file, file));
        enrolled.certificate_pem.clone_from(&certificate);
    })?;
    if let Some(before) = before {
        store.remove_private_key(&before);
    }
    Ok(certificate)
}
