use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ManagerId, Millis};

/// Why a state goes on as another group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpochCause {
    /// It was read from a backup.
    Restored,
    /// One manager was made a group of its own after the quorum was lost for good.
    Recovered,
}

/// The first command of a group that goes on with another group's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEpoch {
    /// Id of the group that goes on; never used before.
    pub group_id: Uuid,
    /// Higher than the former one, and than any that nodes may have obeyed.
    pub epoch: u64,
    pub cause: EpochCause,
    /// The only manager of the group so far, when the state knows it.
    pub manager_id: ManagerId,
    /// Where the state comes from, one line for people.
    pub message: String,
}

/// A group whose state goes on under another id. Its members are refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerGroup {
    pub group_id: Uuid,
    /// The epoch that ended.
    pub epoch: u64,
    /// Last log index of it that is in the state.
    pub index: u64,
    pub ended_ms: Millis,
    pub cause: EpochCause,
}

impl FormerGroup {
    /// So many are kept, the newest.
    pub const MAX: usize = 64;
}
