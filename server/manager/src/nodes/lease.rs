//! The leases of one session: renewed long before they end, and at once when limits or keys change.

use std::time::{Duration, Instant};

use krakend_domain::{Command, Limits, NodeId, NodeState};
use krakend_proto::{LeaseClaims, node as wire};
use krakend_raft::ProposeError;
use tonic::Status;

use crate::{app::App, clock, control::propose};

/// A renewal that was not written is tried again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// When a node was given its last lease, and with which limits.
pub struct Leases {
    node_id: NodeId,
    given: Option<Given>,
    key_changed: bool,
    tried: Option<Instant>,
    /// Of a third of the lease, so that nodes which began together do not renew together.
    share: f64,
}

struct Given {
    at: Instant,
    limits: Limits,
    /// Of the group that it was given in.
    epoch: u64,
}

impl Leases {
    /// For a node whose registration is committed.
    pub fn new(node_id: NodeId) -> Self {
        Self {
            node_id,
            given: None,
            key_changed: false,
            tried: None,
            share: rand::random_range(0.75..1.0),
        }
    }

    /// The next lease must be signed with another key.
    pub fn key_changed(&mut self) {
        self.key_changed = true;
    }

    /// The lease to be sent now, if any. All but the first, which the registration has paid for, are written before they are
    /// signed: a leader without a group renews nothing. `heard_ms` is the node's newest word on its boot clock.
    pub async fn next(&mut self, app: &App, heard_ms: u64) -> Result<Option<wire::Lease>, Status> {
        let state = app.group.stale().state;
        let limits = state.license_status(clock::decide_ms(&state)).limits;
        let third = Duration::from_millis(app.settings.lease_ms / 3);
        if let Some(given) = &self.given {
            let due = given.at.elapsed() >= third.mul_f64(self.share)
                || given.limits != limits
                || given.epoch != state.meta().epoch
                || self.key_changed;
            let soon = self.tried.is_some_and(|at| at.elapsed() < AGAIN);
            if !due || soon || !self.renew(app).await? {
                return Ok(None);
            }
        }
        self.key_changed = false;
        self.given = Some(Given {
            at: Instant::now(),
            limits,
            epoch: state.meta().epoch,
        });
        Ok(lease(app, self.node_id, heard_ms))
    }

    /// Writes that the lease goes on. False: not now.
    async fn renew(&mut self, app: &App) -> Result<bool, Status> {
        self.tried = Some(Instant::now());
        let state = app.group.stale().state;
        let command = Command::RenewLease {
            node_id: self.node_id,
            until_ms: clock::decide_ms(&state).saturating_add(app.settings.lease_ms),
        };
        if command.needs_level() > state.meta().feature_level {
            return Ok(false);
        }
        match propose(app, command).await {
            Ok(_) => Ok(true),
            Err(ProposeError::Rejected { rejected, .. }) => {
                Err(Status::aborted(rejected.to_string()))
            }
            Err(error) => {
                tracing::debug!("a lease was not renewed: {error}");
                Ok(false)
            }
        }
    }
}

/// The limits, signed for this node; none for a node that the group has taken out.
fn lease(app: &App, node_id: NodeId, heard_ms: u64) -> Option<wire::Lease> {
    let state = app.group.stale().state;
    let node = state.node(node_id)?;
    if !matches!(node.state, NodeState::Active | NodeState::Unreachable) {
        return None;
    }
    let now_ms = clock::decide_ms(&state);
    let limits = state.license_status(now_ms).limits;
    let claims = LeaseClaims {
        group_id: state.meta().group_id.unwrap_or_default().to_string(),
        node_id: node_id.to_string(),
        level: limits.level,
        max_nodes: limits.max_nodes,
        features: limits.features,
        issued_ms: now_ms,
        duration_ms: app.settings.lease_ms,
        epoch: state.meta().epoch,
    };
    Some(wire::Lease {
        heard_ms,
        ..app.trust.ring().in_use().lease_signer.sign(&claims)
    })
}
