//! openraft's generics, filled in once; the rest of the crate never spells them.

use std::fmt;

use bytes::Bytes;
use krakend_domain::{Applied, Rejected};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::StateMachine;

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Payload,
        R = Answer,
        NodeId = MemberId,
        Node = Member,
        AsyncRuntime = crate::rt::Runtime,
        // One leader in a term; the default allows several.
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, MemberId>,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot =
    openraft::type_config::alias::SnapshotOf<TypeConfig, krakend_storage::SnapshotFile>;

/// A manager's id where openraft wants a type of its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct MemberId(pub Uuid);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
impl From<u64> for MemberId {
    fn from(id: u64) -> Self {
        Self(Uuid::from_u128(id.into()))
    }
}

/// How a manager is called and reached. Addresses are `host:port`, and hints: who answers there proves its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerNode {
    pub name: String,
    /// Port 7001: the other managers.
    pub raft_address: String,
    /// Port 7000: the nodes.
    pub node_address: String,
    /// Port 9897: the HTTP API.
    pub http_address: String,
}

/// What the membership keeps about a manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub node: ManagerNode,
    /// Its data directory. A wiped one has another, and is not the same member.
    pub store_id: Uuid,
}

/// A [`krakend_domain::LogEntry`], encoded once by the leader for log, wire and apply.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    /// Commands may carry secrets, so only their size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry answers to whoever proposed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The entry was Raft's own.
    None,
    Command(Result<Applied, Rejected>),
}
