use imbl::Vector;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Digest, FleetName, Millis, NodeId, SampleStream};

/// Life cycle of a node. Only the leader moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeState {
    Active,
    Unreachable,
    Down,
    Removed,
}

/// What serves the traffic on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GatewayKind {
    Krakend,
    Embedded,
}

/// One unit of the licence's node limit, as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seat {
    Held,
    /// Kept for this id after a clean stop, so that a reboot does not lose it.
    HeldUntil(Millis),
    Free,
}

impl Seat {
    /// Whether it counts against the limit at `now`.
    pub fn is_taken(self, now: Millis) -> bool {
        match self {
            Seat::Held => true,
            Seat::HeldUntil(until) => now < until,
            Seat::Free => false,
        }
    }
}

/// What a node last said it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedVersion {
    pub epoch: u64,
    pub generation: u64,
    pub number: u64,
    pub digest: Digest,
    /// Digest of the file as the gateway got it.
    pub rendered: Digest,
    pub at_ms: Millis,
}

/// A gateway's refusal of a version, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub number: u64,
    pub text: String,
    pub at_ms: Millis,
}

/// What is wrong with a node's ways to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNote {
    /// Since when gossip does not reach it although it has a session.
    pub gossip_blocked_since_ms: Millis,
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub id: NodeId,
    pub store_id: Uuid,
    pub fleet: FleetName,
    pub name: String,
    pub gateway_address: String,
    pub gossip_address: String,
    pub gateway: GatewayKind,
    pub gateway_version: String,
    pub version: String,
    pub state: NodeState,
    pub state_since_ms: Millis,
    pub joined_ms: Millis,
    pub seat: Seat,
    pub lease_until_ms: Millis,
    pub applied: Option<AppliedVersion>,
    pub refusal: Option<Refusal>,
    /// Per sample stream the highest sequence in the state; newest stream last, at most [`NodeRecord::MAX_STREAMS`].
    pub streams: Vector<(SampleStream, u64)>,
    /// End of the newest sample.
    pub reported_until_ms: Option<Millis>,
}

impl NodeRecord {
    /// A stream is one run of the node program. A node resends older ones only until they are acknowledged, oldest first.
    pub const MAX_STREAMS: usize = 64;
}
