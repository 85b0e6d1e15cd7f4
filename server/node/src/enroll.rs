//! Exchanging a join token for an identity.

use std::time::Duration;

use krakend_domain::NodeId;
use krakend_proto::join::JoinToken;
use krakend_proto::node::{EnrollRequest, EnrollResponse};
use krakend_proto::{FieldError, uuid_from};
use rcgen::{CertificateParams, KeyPair};
use zeroize::Zeroizing;

use crate::store::{Enrolled, GossipKeys, Store, StoreError};
use crate::trust::{ConnectError, TlsError, connect, enrolment_tls};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why this attempt to enrol failed. The node tries again.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Trust(#[from] TlsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("making the node's key failed: {0}")]
    Key(#[from] rcgen::Error),
    #[error("the manager at {at} does not enrol this node: {message}")]
    Refused { at: String, message: String },
    #[error("the manager at {0} did not answer the enrolment in time")]
    Silent(String),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("the enrolment's answer has no usable {0}")]
    Answer(&'static str),
}

/// Enrols with one manager and stores what it gives. `wanted`: an id that this node had.
pub async fn enroll(
    store: &Store,
    token: &JoinToken,
    address: &str,
    wanted: Option<NodeId>,
) -> Result<Enrolled, EnrollError> {
    let tls = enrolment_tls(token.ca_sha256)?;
    let mut connection = connect(address, tls).await?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let request = CertificateParams::default().serialize_request(&key)?;
    let request = EnrollRequest {
        token_id: token.id.as_bytes().to_vec().into(),
        token_secret: token.secret.to_vec().into(),
        csr_pem: request.pem()?,
        wanted_node_id: wanted.map_or_else(Default::default, |id| id.0.as_bytes().to_vec().into()),
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, connection.client.enroll(request))
        .await
        .map_err(|_| EnrollError::Silent(address.into()))?
        .map_err(|status| EnrollError::Refused {
            at: address.into(),
            message: status.message().to_owned(),
        })?;
    keep(
        store,
        &answer.into_inner(),
        &Zeroizing::new(key.serialize_pem()),
    )
}

fn keep(store: &Store, answer: &EnrollResponse, key_pem: &str) -> Result<Enrolled, EnrollError> {
    let keys = answer.gossip_keys.as_ref().and_then(GossipKeys::from_wire);
    let keys = keys.ok_or(EnrollError::Answer("gossip keys"))?;
    let lease_key = <[u8; 32]>::try_from(answer.lease_verifying_key.as_ref());
    let others = answer.lease_verifying_keys.iter();
    let others = others.filter_map(|key| <[u8; 32]>::try_from(key.as_ref()).ok());
    let key_file = crate::store::first_key_file();
    let enrolled = Enrolled {
        node_id: NodeId(uuid_from("node_id", &answer.node_id)?),
        fleet: (answer.fleet.parse()).map_err(|_| EnrollError::Answer("fleet"))?,
        certificate_pem: answer.certificate_pem.clone(),
        ca_pem: answer.ca_pem.clone(),
        lease_verifying_key: lease_key.map_err(|_| EnrollError::Answer("lease key"))?,
        lease_verifying_keys: others.collect(),
        key_file: key_file.clone(),
        managers: answer.managers.iter().take(16).cloned().collect(),
        group: None,
    };
    store.set_private_key(&key_file, key_pem)?;
    store.set_gossip_keys(&keys)?;
    // Last: with it the node is enrolled.
    let mut identity = store.identity()?;
    identity.enrolled = Some(enrolled.clone());
    store.set_identity(&identity)?;
    Ok(enrolled)
}
