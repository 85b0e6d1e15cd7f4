use krakend_domain::{Applied, Command, Digest, NodeId, NodeState};
use krakend_proto::{node as wire, uuid_from};
use krakend_raft::ProposeError;
use sha2::Digest as _;
use tonic::Status;
use uuid::Uuid;

use super::certified::{issue, lease_keys};
use crate::{
    app::App,
    control::propose,
    trust::{self, Authority},
};

/// Exchanges a join token for an identity. The use of the token is committed before anything is signed.
pub async fn enroll(
    app: &App,
    request: wire::EnrollRequest,
) -> Result<wire::EnrollResponse, Status> {
    let invalid = |error: krakend_proto::FieldError| Status::invalid_argument(error.to_string());
    let token_id = uuid_from("token_id", &request.token_id).map_err(invalid)?;
    if request.token_secret.len() > 64 || request.csr_pem.len() > 16 * 1024 {
        return Err(Status::invalid_argument(
            "the enrolment's fields are longer than any join token or request is",
        ));
    }
    let node_id = choose_id(app, &request.wanted_node_id)?;
    let secret_sha256 = Digest(sha2::Sha256::digest(&request.token_secret).into());
    let bad_request =
        |error: rcgen::Error| Status::invalid_argument(format!("the certificate request: {error}"));
    // A bad request costs no use of the token.
    Authority::check_request(&request.csr_pem).map_err(bad_request)?;
    let command = Command::EnrollNode {
        token_id,
        secret_sha256,
        node_id,
    };
    let fleet = match propose(app, command).await {
        Ok(proposed) => match proposed.applied {
            Applied::Enrolled { fleet } => fleet,
            other => return Err(Status::internal(format!("unexpected answer {other:?}"))),
        },
        Err(ProposeError::Rejected { rejected, .. }) => {
            return Err(Status::permission_denied(rejected.to_string()));
        }
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    let certificate_pem = issue(app, node_id, &fleet, &request.csr_pem)?;
    tracing::info!("certified {} for fleet {fleet}", node_id.krakend());
    Ok(wire::EnrollResponse {
        node_id: node_id.0.as_bytes().to_vec().into(),
        certificate_pem,
        ca_pem: app.trust.ring().roots_pem(),
        fleet: fleet.to_string(),
        gossip_keys: Some(gossip_keys(app)),
        lease_verifying_key: lease_keys(app).swap_remove(0),
        lease_verifying_keys: lease_keys(app),
        managers: managers(app),
    })
}

/// Exchanges a manager's join token for the group secret. The use is committed first.
pub async fn enroll_manager(
    app: &App,
    request: wire::EnrollManagerRequest,
) -> Result<wire::EnrollManagerResponse, Status> {
    let token_id = uuid_from("token_id", &request.token_id)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    if request.token_secret.len() > 64 {
        return Err(Status::invalid_argument(
            "the enrolment's fields are longer than any join token is",
        ));
    }
    let command = Command::EnrollManager {
        token_id,
        secret_sha256: Digest(sha2::Sha256::digest(&request.token_secret).into()),
    };
    match propose(app, command).await {
        Ok(_) => {}
        Err(ProposeError::Rejected { rejected, .. }) => {
            return Err(Status::permission_denied(rejected.to_string()));
        }
        Err(error) => return Err(Status::unavailable(error.to_string())),
    }
    tracing::info!("gave the group secret to a new manager, by join token {token_id}");
    let members = app.group.status().members;
    let ring = app.trust.ring();
    Ok(wire::EnrollManagerResponse {
        group_secret: ring.in_use().secret.reveal().to_vec().into(),
        group_secrets: ring
            .secrets()
            .iter()
            .map(|it| it.reveal().to_vec().into())
            .collect(),
        peers: members
            .into_iter()
            .map(|member| member.node.raft_address)
            .collect(),
    })
}

/// An id that the node had before is given back only while nobody runs under it.
fn choose_id(app: &App, wanted: &[u8]) -> Result<NodeId, Status> {
    let Some(wanted) = Uuid::from_slice(wanted).ok().map(NodeId) else {
        return Ok(NodeId(Uuid::new_v4()));
    };
    let state = app.group.stale().state;
    match state.node(wanted).map(|node| node.state) {
        Some(NodeState::Down | NodeState::Removed) => Ok(wanted),
        // A new id would take a second seat.
        Some(_) => Err(Status::unavailable(format!(
            "{} counts as running until its grace period is over: try again then",
            wanted.krakend()
        ))),
        None => Ok(NodeId(Uuid::new_v4())),
    }
}

/// The gossip keys, the one in use first.
pub fn gossip_keys(app: &App) -> wire::KeyRing {
    let state = app.group.stale().state;
    let keys = trust::gossip_keys(&app.trust.ring(), state.keyring());
    let encrypting = keys.iter().enumerate().filter(|(_, key)| key.encrypts);
    wire::KeyRing {
        encrypting: encrypting.fold(0, |bits, (at, _)| bits | 1 << at),
        keys: keys.iter().map(|key| key.bytes.to_vec().into()).collect(),
        revision: state.keyring().revision,
    }
}

/// Every manager's node address.
pub fn managers(app: &App) -> Vec<String> {
    let members = app.group.status().members;
    members
        .into_iter()
        .map(|member| member.node.node_address)
        .collect()
}
