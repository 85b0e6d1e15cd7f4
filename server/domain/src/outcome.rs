use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Claims, Digest, Event, FleetName, JoinRole, Millis, NodeId, NodeState, RecordKey, SampleStream,
    TokenId,
};

/// What applying one log entry did.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub result: Result<Applied, Rejected>,
    pub events: Vec<Event>,
    /// Records that differ from before, to be written behind.
    pub changed: Vec<RecordKey>,
}

/// The answer to a command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// Done; there is nothing more to say.
    Done,
    /// Nothing to do: the state was already so.
    Unchanged,
    Enrolled {
        fleet: FleetName,
    },
    Registered {
        /// Newly admitted or back from `down` or `removed`, as opposed to a session that moved.
        fresh: bool,
        lease_until_ms: Millis,
        epoch: u64,
    },
    Published {
        number: u64,
        digest: Digest,
        generation: u64,
    },
    /// All samples of the stream up to this sequence are in the state.
    StatisticsRecorded {
        stream: SampleStream,
        through_seq: u64,
    },
    /// The first answer to this idempotency key, and the index that gave it.
    Replayed {
        index: u64,
        result: Box<Result<Applied, Rejected>>,
    },
    /// An API or join token. Its text derives from the id, so that a retry can give it again.
    TokenCreated {
        id: TokenId,
        expires_ms: Option<Millis>,
    },
    /// Where the licence stood when it was installed.
    LicenseInstalled {
        claims: Box<Claims>,
        at_ms: Millis,
        seats_used: u32,
    },
    ClockSet {
        from_ms: Millis,
        to_ms: Millis,
    },
}

/// An answer that the caller can act on. The state is as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejected {
    #[error("the group has begun already")]
    AlreadyBootstrapped,
    #[error(
        "the group has not begun: its first leader still has to write its first entry; try again in a second"
    )]
    NotBootstrapped,
    #[error(
        "Your current subscription does not allow more nodes running. Please upgrade to add more nodes."
    )]
    NoSeat { max_nodes: u32, seats_used: u32 },
    #[error("there is no node {}; list them with `krakend-cluster-manager nodes`", .0.krakend())]
    NoSuchNode(NodeId),
    #[error("node {} is in use on another machine (another data directory): remove `node.json` from the newer one so that it enrols under an id of its own", .0.krakend())]
    NodeIdInUse(NodeId),
    #[error("the node is {is:?} by now, not {expected:?} as it was when this was decided")]
    NodeMovedOn { expected: NodeState, is: NodeState },
    #[error(
        "the order (epoch {epoch}, generation {generation}) is older than the one that the node has acknowledged"
    )]
    StaleAcknowledgement { epoch: u64, generation: u64 },
    #[error("there is no fleet {0}; the fleet `default` always exists")]
    NoSuchFleet(FleetName),
    #[error("the fleet's newest version is {}: read it, merge, and publish with its digest as parent", match .current { Some((number, digest)) => format!("{number} ({digest})"), None => "none yet: publish with `If-None-Match: *`".into() })]
    StaleParent { current: Option<(u64, Digest)> },
    #[error(
        "this is no join token of this group, or it was revoked: create one with `krakend-cluster-manager token create-join`"
    )]
    JoinTokenUnknown,
    #[error(
        "the join token ran out: create another with `krakend-cluster-manager token create-join`"
    )]
    JoinTokenExpired,
    #[error(
        "the join token has been used {max_uses} times, which is all: create another with `krakend-cluster-manager token create-join`"
    )]
    JoinTokenUsedUp { max_uses: u32 },
    #[error("there is no such token")]
    NoSuchToken,
    #[error("this is the last admin token: create another before you revoke it")]
    LastAdminToken,
    #[error(
        "this Idempotency-Key was used for another request (log index {index}): use a new key for a new request"
    )]
    IdempotencyKeyReused { index: u64 },
    #[error("at most {limit} {what} are kept; remove some first")]
    TooMany { what: String, limit: u64 },
    #[error("this join token is for a {}, not for a {}: create one with `krakend-cluster-manager {}`", role_word(*.0), role_word(other_role(*.0)), match .0 { JoinRole::Node => "managers add", JoinRole::Manager => "token create-join" })]
    JoinTokenForOther(JoinRole),
    #[error("group id {0} has been used; a restore or a recovery takes a new one")]
    GroupIdUsed(Uuid),
    #[error("the new epoch must be {least} or higher")]
    EpochTooLow { least: u64 },
    #[error(
        "a leader's clock jumped ahead, so nothing is decided by time: `krakend-cluster-manager clock status` shows it, `clock confirm` or `clock reset` ends it"
    )]
    ClockHeld,
    #[error("piece {part} of the document does not fit to the others: publish it again")]
    MalformedChunk { part: u32 },
    #[error("the document did not arrive whole in time: publish it again")]
    NotStaged,
    #[error("{} holds no seat: it registers again by itself", .0.krakend())]
    NotSeated(NodeId),
    #[error("there is no such gossip key: `krakend-cluster-manager keyring list` shows them")]
    NoSuchGossipKey,
    #[error(
        "this gossip key is in use: put another into use first, with `krakend-cluster-manager keyring use`"
    )]
    GossipKeyInUse,
    #[error("{total} living node(s) do not hold the gossip key yet: {}. Try again in some seconds; a node that hangs can be removed", nodes.join(", "))]
    GossipKeyAwaited {
        /// The first of them, by name.
        nodes: Vec<String>,
        total: u32,
    },
}

fn role_word(role: JoinRole) -> &'static str {
    match role {
        JoinRole::Node => "node",
        JoinRole::Manager => "manager",
    }
}

fn other_role(role: JoinRole) -> JoinRole {
    match role {
        JoinRole::Node => JoinRole::Manager,
        JoinRole::Manager => JoinRole::Node,
    }
}
