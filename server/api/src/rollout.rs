use serde::{Deserialize, Serialize};

use crate::{NodeState, RolloutProgress};

/// Answer of `GET /v1/fleets/{fleet}/rollout?version=&wait=`: how far the nodes that hold a seat are with a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    pub fleet: String,
    pub version: u64,
    pub digest: String,
    pub state: RolloutState,
    pub published_at: String,
    /// The version that replaced this one; nodes that apply it count as done.
    pub superseded_by: Option<u64>,
    pub progress: RolloutProgress,
    /// Nodes that are active or unreachable, refusals first, then those that are awaited.
    pub nodes: Vec<NodeRollout>,
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// All nodes have applied it; also where the fleet has none.
    Complete,
    /// Some nodes are awaited.
    InProgress,
    /// Nobody is awaited any more, and some have refused it.
    Refused,
}

/// One node in a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRollout {
    pub id: String,
    pub name: String,
    pub node_state: NodeState,
    pub state: NodeRolloutState,
    /// What it serves.
    pub applied_version: Option<u64>,
    pub applied_at: Option<String>,
    /// The gateway's own words.
    pub refusal: Option<String>,
}

/// What a node did with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRolloutState {
    Applied,
    Pending,
    Refused,
}
