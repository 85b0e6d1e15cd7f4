use std::time::Duration;

use krakend_proto::node::DownloadRequest;
use krakend_proto::node::node_service_client::NodeServiceClient;
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;

use crate::orders::Wanted;

/// The largest document that a manager takes.
const MAX_BYTES: u64 = 16 << 20;
const WITHIN: Duration = Duration::from_secs(30);

/// A document that did not arrive as it must. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("the download failed: {0}")]
    Manager(String),
    #[error("the document is longer than was ordered, or than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the document's SHA-256 is not the one that was ordered")]
    Digest,
    #[error("the download took longer than {WITHIN:?}")]
    Timeout,
}

/// Downloads the version's document and proves its digest.
pub async fn document(
    manager: NodeServiceClient<Channel>,
    wanted: &Wanted,
) -> Result<Vec<u8>, DownloadError> {
    tokio::time::timeout(WITHIN, fetch(manager, wanted))
        .await
        .unwrap_or(Err(DownloadError::Timeout))
}

async fn fetch(
    mut manager: NodeServiceClient<Channel>,
    wanted: &Wanted,
) -> Result<Vec<u8>, DownloadError> {
    let failed = |status: tonic::Status| DownloadError::Manager(status.message().to_owned());
    let request = DownloadRequest {
        digest: wanted.digest.0.to_vec().into(),
    };
    let mut chunks = manager
        .download(request)
        .await
        .map_err(failed)?
        .into_inner();
    let mut document = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(failed)? {
        if (document.len() + chunk.data.len()) as u64 > wanted.size_bytes.min(MAX_BYTES) {
            return Err(DownloadError::TooLong);
        }
        document.extend_from_slice(&chunk.data);
    }
    let found: [u8; 32] = Sha256::digest(&document).into();
    if found != wanted.body_sha256.0 {
        return Err(DownloadError::Digest);
    }
    Ok(document)
}
