//! What an operator decided about a node, and what the node says that it holds and found.

use krakend_domain::{Command, Digest, FileDrift, NodeId};
use krakend_proto::{digest_from, node as wire};
use krakend_raft::ProposeError;
use tonic::Status;

use super::session::short;
use crate::{app::App, control::propose};

/// Whether the node shall take traffic; before anybody said something it shall.
pub fn drain(app: &App, node_id: NodeId) -> wire::Drain {
    let state = app.group.stale().state;
    let order = state.drain_order(node_id);
    wire::Drain {
        epoch: state.meta().epoch,
        index: order.map_or(0, |order| order.index),
        draining: order.is_some_and(|order| order.draining.is_some()),
    }
}

/// What is not new costs no entry.
pub async fn keyring_held(app: &App, node_id: NodeId, revision: u64) -> Result<(), Status> {
    if app.group.stale().state.keyring_held(node_id) == revision {
        return Ok(());
    }
    let command = Command::AcknowledgeKeyring { node_id, revision };
    match propose(app, command).await {
        Ok(_) | Err(ProposeError::Rejected { .. }) => Ok(()),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

/// What is known already costs no entry.
pub async fn file_state(app: &App, node_id: NodeId, said: &wire::FileState) -> Result<(), Status> {
    let drift = drift(said)?;
    let state = app.group.stale().state;
    let same = match (state.drift(node_id), &drift) {
        (None, None) => true,
        (Some(known), Some(said)) => known.is_same(said),
        _ => false,
    };
    let command = Command::ReportDrift { node_id, drift };
    // A group that may not use it yet has no place for it.
    if same || command.needs_level() > state.meta().feature_level {
        return Ok(());
    }
    match propose(app, command).await {
        Ok(_) | Err(ProposeError::Rejected { .. }) => Ok(()),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

fn drift(said: &wire::FileState) -> Result<Option<FileDrift>, Status> {
    if !said.drifted {
        return Ok(None);
    }
    let digest = |field, bytes: &[u8]| -> Result<Digest, Status> {
        digest_from(field, bytes).map_err(|error| Status::invalid_argument(error.to_string()))
    };
    let found = match said.found.is_empty() {
        true => None,
        false => Some(digest("found", &said.found)?),
    };
    Ok(Some(FileDrift {
        found_ms: 0,
        file: short(&said.file, 1_000),
        expected: digest("expected", &said.expected)?,
        found,
        reason: short(&said.reason, 300),
    }))
}
