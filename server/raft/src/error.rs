use std::{io, time::Duration};

use krakend_domain::Rejected;
use krakend_storage::{IdentityError, LockError, LogError, SnapshotError, StateError};
use uuid::Uuid;

/// The group cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(
        "{0}. No other manager is known that could give back what is lost: restore a backup, or move the data directory away and begin a new group"
    )]
    DamagedAlone(#[source] LogError),
    #[error(
        "neither the applied state nor a snapshot reaches to where the log begins (entry {purged}), and no other manager is known that could give them back: restore a backup"
    )]
    StateLost { purged: u64 },
    #[error(transparent)]
    File(#[from] krakend_storage::FileError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the group's timers do not fit together: {0}")]
    Timers(String),
    #[error("Raft does not start: {0}")]
    Raft(String),
    #[error("a thread for Raft cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// The group cannot be formed or joined as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error(
        "bootstrap_expect is {expect}, but {peers} peers are listed: list exactly the managers that form the group, this one included"
    )]
    PeerCount { expect: usize, peers: usize },
    #[error(
        "this manager's data directory belongs to group {ours}, but {peer} belongs to group {theirs}: correct `peers`, or give this manager an empty `data_dir`"
    )]
    OtherGroup {
        ours: Uuid,
        theirs: Uuid,
        peer: String,
    },
    #[error("the identity cannot be kept: {0}")]
    Identity(#[from] IdentityError),
    #[error("Raft does not start the group: {0}")]
    Raft(String),
    #[error("{0}")]
    Refused(ChangeError),
    #[error("the group is stopped")]
    Stopped,
}

/// A command that was not applied, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Applied, and answered with no. The state is as before.
    #[error("{rejected}")]
    Rejected { rejected: Rejected, index: u64 },
    /// Nothing was written.
    #[error(
        "the group has no leader, so nothing was written: a majority of managers must be up and reach each other"
    )]
    NoLeader,
    /// It may be written or not; a retry with the same idempotency key is safe.
    #[error("whether this was written is not known: {reason}")]
    Indeterminate { reason: String },
    /// Nothing was written.
    #[error("a command of {bytes} bytes is beyond the limit of {limit}: nothing was written")]
    TooLarge { bytes: usize, limit: usize },
    /// Nothing was written.
    #[error("the group is read-only, so nothing was written: {reason}")]
    ReadOnly { reason: String },
    /// Nothing was written.
    #[error("this manager is stopping, so nothing was written")]
    Stopped,
    /// Nothing was written.
    #[error(
        "the leader's clock is {off} the others', so it writes nothing and hands the leadership on: correct its clock (NTP)"
    )]
    ClockOff { off: String },
    /// Nothing was written.
    #[error(
        "this needs feature level {needs}, the group is at {is}: when all managers run this version, raise it with `krakend-cluster-manager feature-level raise`"
    )]
    FeatureLevel { needs: u32, is: u32 },
    /// Nothing was written.
    #[error(
        "feature level {level} is not supported by {who}: upgrade it, or wait until it has answered"
    )]
    NotSupported { level: u32, who: String },
    /// Nothing was written.
    #[error(
        "the group secret {secret} is not held by {who}: put it into that manager's secret file as the first line, it is noticed within seconds; `krakend-cluster-manager secret status` shows who holds it"
    )]
    SecretNotHeld { secret: String, who: String },
}

impl ProposeError {
    /// Whether the command may have been written all the same.
    pub fn is_indeterminate(&self) -> bool {
        matches!(self, Self::Indeterminate { .. })
    }
}

/// A linearizable read that could not be given.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "the group has no leader: a majority of managers must be up and reach each other; a stale read is answered all the same"
    )]
    NoLeader,
    #[error("the leader could not confirm within {waited:?} that it still leads: {reason}")]
    Timeout { waited: Duration, reason: String },
    #[error(
        "the state of this manager differs from the majority's, so it gives no reads: ask another manager, and restart this one"
    )]
    Quarantined,
    #[error("this manager is stopping")]
    Stopped,
}

/// A change of the membership that did not happen, or not completely.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ChangeError {
    #[error("the group has no leader that could change its members")]
    NoLeader,
    #[error("there is no manager {0} in the group")]
    NoSuchManager(Uuid),
    #[error("manager {0} is the last voter and cannot be removed")]
    LastVoter(Uuid),
    #[error(
        "manager {0} is a member with another data directory: a wiped manager needs a new id, so remove `identity.json` from its data directory"
    )]
    Wiped(Uuid),
    #[error(
        "manager {0} still answers: only one whose log was damaged is replaced, and that one has stopped"
    )]
    StillThere(Uuid),
    #[error("manager {id} is {behind} entries behind and has to catch up first")]
    CatchingUp { id: Uuid, behind: u64 },
    #[error(
        "without manager {id} only {answering} of the {remaining} voters that remain would answer, and the group could not write any more: bring the others back, or remove a dead one first"
    )]
    QuorumAtRisk {
        id: Uuid,
        answering: usize,
        remaining: usize,
    },
    #[error("the change was not confirmed in time, it may still happen: {0}")]
    Indeterminate(String),
    #[error("Raft refused the change: {0}")]
    Refused(String),
    #[error(
        "manager {0} was removed from the group, and an id is not let in twice: to have this machine again, empty its `data_dir` and give it a new join token (`krakend-cluster-manager managers add`)"
    )]
    Removed(Uuid),
}

/// The port for other managers cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("serving other managers failed: {0}")]
    Transport(String),
}
