//! What is said besides Raft's own messages.

use krakend_domain::{Applied, Command, Rejected};
use krakend_storage::GrantMember;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::ChangeError,
    types::{ManagerNode, MemberId, SnapshotMeta, Vote},
};

/// A command on its way to the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProposeRequest {
    pub command: Command,
    /// How long the caller waits, in milliseconds.
    pub within_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProposeReply {
    Applied {
        index: u64,
        term: u64,
        applied: Applied,
    },
    Rejected {
        index: u64,
        rejected: Rejected,
    },
    /// Nothing was written here.
    NotLeader,
    Indeterminate {
        reason: String,
    },
    /// Nothing was written, and nothing will be.
    Stopped,
    TooLarge {
        bytes: usize,
        limit: usize,
    },
    /// Nothing was written: the leader's clock is wrong.
    ClockOff {
        off: String,
    },
    FeatureLevel {
        needs: u32,
        is: u32,
    },
    NotSupported {
        level: u32,
        who: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReadIndexRequest {
    /// How long the caller waits, in milliseconds.
    pub within_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ReadIndexReply {
    /// A state that has applied this index is fresh enough.
    Index(u64),
    NotLeader,
    Failed {
        reason: String,
    },
}

/// A change of the membership, carried out by the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum MembershipChange {
    AddLearner {
        id: MemberId,
        store_id: Uuid,
        node: ManagerNode,
    },
    Promote(MemberId),
    Remove(MemberId),
    Transfer(MemberId),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChangeReply {
    Done,
    NotLeader,
    Failed(ChangeError),
}

/// Who is there. The request carries nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProbeReply {
    pub manager_id: Uuid,
    pub store_id: Uuid,
    pub group_id: Option<Uuid>,
    pub node: ManagerNode,
}

/// Asks for the promise to become a member of a group that does not exist yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GrantRequest {
    pub group_id: Uuid,
    pub initiator: Uuid,
    pub round: u64,
    pub members: Vec<GrantMember>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GrantReply {
    Granted,
    Refused { reason: String },
}

/// Asks to become a member of a group that exists.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JoinRequest {
    pub manager_id: Uuid,
    pub store_id: Uuid,
    pub node: ManagerNode,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum JoinReply {
    Joined,
    Failed(ChangeError),
}

/// First message of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotHead {
    pub vote: Vote,
    pub meta: SnapshotMeta,
}
