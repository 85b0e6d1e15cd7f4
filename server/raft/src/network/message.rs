//! What is said besides Raft's own messages.

use krakend_domain::{Applied, Command, Rejected};
use krakend_storage::GrantMember;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::ChangeError,
    types::{LogId, ManagerNode, MemberId, SnapshotMeta, Vote},
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
    ReadOnly {
        reason: String,
    },
    /// Nothing was written: this voter does not hold the secret.
    SecretNotHeld {
        secret: String,
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

/// A question to whoever runs above the group on the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RelayRequest {
    pub body: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum RelayReply {
    Answered(Vec<u8>),
    NotLeader,
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
    Replace(Replacement),
    Transfer(MemberId),
    FinishJoint,
    Move {
        id: MemberId,
        node: ManagerNode,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChangeReply {
    Done,
    NotLeader,
    Failed(ChangeError),
}

/// What the leader alone knows of the members.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ObserveReply {
    /// `None`: the asked manager does not lead.
    pub seen: Option<Vec<SeenMember>>,
    pub last_log_index: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SeenMember {
    pub id: MemberId,
    pub matched: Option<u64>,
    pub reachable: bool,
}

/// The run of a manager's process that answers: a restarted one has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run(pub Uuid);

/// Whether the leader's process has ended, as the asked manager saw it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct DeathQuestion {
    pub leader: MemberId,
    pub term: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeathReply {
    pub seen: bool,
    pub last_log: Option<LogId>,
}

/// Asks who is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ProbeRequest {
    /// Where the caller is, when it is a member that wants to be found.
    pub here: Option<ManagerNode>,
}

/// Who is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProbeReply {
    pub manager_id: Uuid,
    pub store_id: Uuid,
    pub group_id: Option<Uuid>,
    pub node: ManagerNode,
    /// Members that it has heard of elsewhere than the membership says.
    pub moved: Vec<(MemberId, ManagerNode)>,
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

/// Asks that a manager whose log was damaged takes the place of its old id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replacement {
    /// Must be what the membership knows: it shows that the data directory is the same.
    pub old: GrantMember,
    pub id: MemberId,
    pub store_id: Uuid,
    pub node: ManagerNode,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ReplaceReply {
    Done,
    /// Not yet, or not at all; asking again is safe.
    Failed(ChangeError),
}

/// Asks for the hash of the state at an entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HashRequest {
    pub index: u64,
    /// What the majority has; whoever has another hash is quarantined.
    pub right: Option<[u8; 32]>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HashReply {
    /// `None` where it is not known, or not yet.
    pub hash: Option<[u8; 32]>,
}

/// Asks for a snapshot that contains this entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FetchRequest {
    pub at_least: u64,
}

/// First message of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotHead {
    pub vote: Vote,
    pub meta: SnapshotMeta,
}
