//! Who a caller's certificate says that it is, and its exchange for a newer one.

use krakend_domain::{CertificateLife, Command, FleetName, NodeCertificate, NodeId, SecretId};
use krakend_proto::{
    node as wire,
    tls::{CertificateDer, Judgement},
};
use krakend_raft::ProposeError;
use tonic::{Request, Status};

use crate::{
    app::App,
    clock,
    control::propose,
    trust::{Authority, CertifiedRole, not_after_ms, role_of},
};

/// From this feature level on the state knows nodes' certificates.
const RECORDS_FROM_LEVEL: u32 = 3;
/// Renewals that a rotation makes at a time: one in so many milliseconds.
const RENEW_EVERY_MS: u64 = 20;
const MAX_SPREAD_MS: u64 = 300_000;
const DAY_MS: u64 = 86_400_000;

/// A node by its certificate.
#[derive(Clone)]
pub struct Certified {
    pub node_id: NodeId,
    /// For which it was enrolled.
    pub fleet: FleetName,
    pub certificate: NodeCertificate,
    expired: bool,
}

/// A certificate that opens nothing.
pub enum Unfit {
    /// Said to the node in its own terms.
    Refused(wire::Refused),
    Status(Status),
}

impl From<Unfit> for Status {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Refused(refused) => Self::permission_denied(refused.message),
            Unfit::Status(status) => status,
        }
    }
}

fn refused(code: &str, message: String) -> Unfit {
    Unfit::Refused(wire::Refused {
        code: code.into(),
        message,
    })
}

/// The node that the caller's certificate names, as long as that holds.
pub fn certified<T>(app: &App, request: &Request<T>) -> Result<Certified, Unfit> {
    let certified = certified_once(app, request)?;
    if certified.expired {
        let end = clock::rfc3339(certified.certificate.not_after_ms);
        return Err(refused(
            "certificate-expired",
            format!("this node's certificate ended at {end}: it fetches a new one"),
        ));
    }
    Ok(certified)
}

/// The same, also for a certificate that has run out and may be exchanged.
pub fn certified_once<T>(app: &App, request: &Request<T>) -> Result<Certified, Unfit> {
    let certificates = request.peer_certs().ok_or_else(|| {
        Unfit::Status(Status::unauthenticated(
            "no client certificate: enrol with a join token first",
        ))
    })?;
    judge(app, &certificates)
}

fn judge(app: &App, chain: &[CertificateDer<'_>]) -> Result<Certified, Unfit> {
    let ring = app.trust.ring();
    let secret = |root: usize| ring.all().nth(root).map_or(ring.in_use().id, |it| it.id);
    let (secret, expired) = match app.trust.nodes().judge(chain) {
        Judgement::Trusted { root } => (secret(root), false),
        Judgement::Expired { root, not_after_ms } => {
            outlived(app, not_after_ms)?;
            (secret(root), true)
        }
        Judgement::Unknown { reason } => {
            return Err(refused(
                "certificate-unknown",
                format!(
                    "this node's certificate is not one of this group any more ({reason}): the group secret was rotated and the old one removed while the node was away, or it is another group's. Put a new join token (`krakend-cluster-manager token create-join`) into the node's join token file: it enrols again by itself and keeps its id"
                ),
            ));
        }
    };
    let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
    match role_of(leaf) {
        Ok(CertifiedRole::Node(id, fleet)) => Ok(Certified {
            node_id: NodeId(id),
            fleet,
            certificate: NodeCertificate {
                secret,
                not_after_ms: not_after_ms(leaf),
            },
            expired,
        }),
        Ok(CertifiedRole::Manager(_)) => Err(Unfit::Status(Status::permission_denied(
            "a manager's certificate opens no node session",
        ))),
        Err(reason) => Err(Unfit::Status(Status::unauthenticated(reason))),
    }
}

fn outlived(app: &App, not_after_ms: u64) -> Result<(), Unfit> {
    let now_ms = clock::decide_ms(&app.group.stale().state);
    if CertificateLife::may_renew(not_after_ms, now_ms) {
        return Ok(());
    }
    Err(refused(
        "certificate-outlived",
        format!(
            "this node's certificate ended at {}, more than {} days ago: put a new join token (`krakend-cluster-manager token create-join`) into the node's join token file; it enrols again by itself and keeps its id",
            clock::rfc3339(not_after_ms),
            CertificateLife::GRACE_MS / DAY_MS
        ),
    ))
}

/// Certifies a node's key with the secret in use.
pub fn issue(
    app: &App,
    node_id: NodeId,
    fleet: &FleetName,
    csr_pem: &str,
) -> Result<String, Status> {
    // One of the old authority would have to be exchanged at once.
    if let Some(id) = app.trust.lacks(&app.group) {
        return Err(Status::unavailable(crate::trust::missing_text(id)));
    }
    let end_ms = clock::decide_ms(&app.group.stale().state) + app.trust.life.life_ms;
    let ring = app.trust.ring();
    let issued = ring
        .in_use()
        .authority
        .issue_node(node_id.0, fleet, csr_pem, end_ms);
    issued.map_err(|error| Status::invalid_argument(format!("the certificate request: {error}")))
}

/// Exchanges a node's certificate. One that has run out is exchanged for nodes that the group knows.
pub fn renew(
    app: &App,
    certified: &Certified,
    request: &wire::RenewRequest,
) -> Result<wire::RenewResponse, Status> {
    if request.csr_pem.len() > 16 * 1024 {
        return Err(Status::invalid_argument("the request is too long"));
    }
    Authority::check_request(&request.csr_pem)
        .map_err(|error| Status::invalid_argument(format!("the certificate request: {error}")))?;
    let (node_id, state) = (certified.node_id, app.group.stale().state);
    if certified.expired && state.node(node_id).is_none() {
        return Err(Status::permission_denied(
            "the certificate has run out and the group does not know this node any more: put a new join token into its join token file",
        ));
    }
    let node = state.node(node_id);
    let fleet = node.map_or(&certified.fleet, |node| &node.fleet);
    let certificate_pem = issue(app, node_id, fleet, &request.csr_pem)?;
    tracing::info!("renewed the certificate of {}", node_id.krakend());
    Ok(wire::RenewResponse { certificate_pem })
}

/// The certificate that a node says it has on disk now.
pub fn kept(app: &App, node_id: NodeId, pem: &str) -> Option<NodeCertificate> {
    use rustls::pki_types::pem::PemObject;
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
    let chain: Vec<_> = chain.take(4).collect::<Result<_, _>>().ok()?;
    let certified = judge(app, &chain).ok()?;
    (certified.node_id == node_id).then_some(certified.certificate)
}

/// Writes down what a node's certificate stands on, for whoever rotates the secret.
pub async fn record(
    app: &App,
    node_id: NodeId,
    certificate: NodeCertificate,
) -> Result<(), Status> {
    let state = app.group.stale().state;
    let known = state.certificate(node_id) == Some(&certificate);
    if known || state.meta().feature_level < RECORDS_FROM_LEVEL {
        return Ok(());
    }
    let command = Command::RecordCertificate {
        node_id,
        certificate,
    };
    match propose(app, command).await {
        Ok(_) | Err(ProposeError::Rejected { .. }) => Ok(()),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

/// Writes down where a node's own figures can be read. A hint for Prometheus: without it the session goes on.
pub async fn metrics_address(app: &App, node_id: NodeId, address: &str) {
    let state = app.group.stale().state;
    let parses = address.parse::<std::net::SocketAddr>().is_ok();
    if !parses || state.metrics_address(node_id) == Some(address) {
        return;
    }
    let command = Command::SetMetricsAddress {
        node_id,
        address: address.into(),
    };
    if state.meta().feature_level >= command.needs_level()
        && let Err(error) = propose(app, command).await
    {
        tracing::debug!("a metrics address was not written: {error}");
    }
}

/// Whether a node should fetch a new certificate.
pub fn is_due(app: &App, certificate: &NodeCertificate) -> bool {
    let now_ms = clock::decide_ms(&app.group.stale().state);
    let in_use: SecretId = app.trust.ring().in_use().id;
    certificate.secret != in_use || app.trust.life.is_due(certificate.not_after_ms, now_ms)
}

/// Whom a node believes, and whether it should fetch a new certificate.
pub fn trust(app: &App, certificate: &NodeCertificate) -> wire::Trust {
    let ring = app.trust.ring();
    let state = app.group.stale().state;
    let spread_ms = state.nodes().count() as u64 * RENEW_EVERY_MS;
    wire::Trust {
        ca_pem: ring.roots_pem(),
        lease_verifying_keys: lease_keys(app),
        renew: is_due(app, certificate),
        spread_ms: spread_ms
            .min(MAX_SPREAD_MS)
            .min(app.trust.life.life_ms / 12),
        time_ms: clock::decide_ms(&state),
    }
}

/// What leases may be signed with, the one in use first.
pub fn lease_keys(app: &App) -> Vec<bytes::Bytes> {
    let ring = app.trust.ring();
    let keys = ring.all().map(|it| it.lease_signer.verifying_key());
    keys.map(|key| key.to_vec().into()).collect()
}
